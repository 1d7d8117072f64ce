package engine

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// tagsTake is a store that takes its time to tell the tags.
type tagsTake struct {
	*memStore
	time time.Duration
}

func (s tagsTake) Tags(ctx context.Context, ref object.Ref) ([]object.Tag, error) {
	time.Sleep(s.time)
	return s.memStore.Tags(ctx, ref)
}

// TestLooksAfterTrouble: where a store may hide the checksum of an encrypted object while it is in
// trouble, one that shows none is looked at a second time, and not again and again, however long a
// look takes. AWS hides none, so that trouble there costs no looks.
func TestLooksAfterTrouble(t *testing.T) {
	for name, c := range map[string]struct {
		source string
		tags   time.Duration
		looks  int
	}{"another": {"", 0, 2}, "another, slow": {"", 7 * time.Second, 2}, "AWS": {"aws", 0, 1}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newMemStore(2)
				for _, o := range s.mu.objects {
					o.Encryption = object.Encryption{Type: object.SSEKMS, KMSKeyID: "old"}
				}
				j := planOf(s, false)
				cfg := memConfig(s, j, object.OpCopy)
				cfg.Caps.Source, cfg.Caps.Checksums, cfg.Caps.GetTagging = c.source, object.Yes, object.Yes
				cfg.Store.Details = tagsTake{s, c.tags}
				looks := 0
				s.fault = func(k object.RequestKind, key string) (error, bool) {
					switch {
					case key == "k000001" && k == object.ReqCopy: // the trouble
						return &object.Error{Class: object.ClassTransient, Op: k.String()}, false
					case key == "k000000" && k == object.ReqHead:
						looks++
						time.Sleep(time.Second)
					}
					return nil, true
				}
				if err := Run(t.Context(), cfg); err != nil || j.states()[object.Done] != 1 || j.states()[object.Failed] != 1 {
					t.Fatalf("%v, states %v", err, j.states())
				}
				if looks != c.looks {
					t.Errorf("looked at %d times, want %d", looks, c.looks)
				}
			})
		})
	}
}
