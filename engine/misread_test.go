package engine

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/resealhq/reseal/engine/carry"
	"github.com/resealhq/reseal/engine/object"
)

// TestTheOtherObjectCameMeanwhile: an upload that an earlier process began is not gone on with where
// its key has become that of another object's version: the parts that are missing would be of that one.
func TestTheOtherObjectCameMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const key = "a?versionId=null"
		s := newMemStore(0)
		s.put(key, make([]byte, 4*carry.MinPartSize))
		s.mu.objects[key].attrs.Metadata = map[string]string{"owner": "\xe4"}
		j := planOf(s, false)
		cfg := memConfig(s, j, object.OpMultipart)
		cfg.PartSize, cfg.PartsInFlight, cfg.Caps.GetTagging = carry.MinPartSize, 1, object.Yes
		cfg.Caps.Source = "canary"
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var parts atomic.Int32
		s.fault = func(k object.RequestKind, _ string) (error, bool) {
			if k == object.ReqCopyPart && parts.Add(1) == 2 {
				cancel()
			}
			return nil, true
		}
		if err := Run(ctx, cfg); err == nil || len(j.mu.uploads) != 1 {
			t.Fatalf("%v; %d uploads in the journal", err, len(j.mu.uploads))
		}
		s.fault = nil
		s.put("a", make([]byte, 4*carry.MinPartSize))
		j.reopen()
		if err := Run(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		out := j.mu.outcomes[0]
		if out.State != object.Left || out.Reason != object.ReasonSource || s.mu.objects[key].writes > 0 || len(s.mu.uploads)+len(j.mu.uploads) > 0 {
			t.Errorf("%v %v: %s; %d uploads open", out.State, out.Reason, out.Message, len(s.mu.uploads))
		}
	})
}
