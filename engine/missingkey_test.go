package engine

import (
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// TestA1OddStatusesAreNoMissingKey: a HEAD that is refused with a status other
// than 400, or with a code of its own, says nothing about SSE-C.
func TestA1OddStatusesAreNoMissingKey(t *testing.T) {
	for _, tc := range []struct {
		status int
		code   string
		want   object.State
	}{
		{400, "", object.Left}, {400, "InvalidRequest", object.Left}, {400, "InvalidArgument", object.Failed},
		{402, "", object.Failed}, {411, "", object.Failed}, {418, "", object.Failed}, {451, "", object.Failed}, {499, "", object.Failed},
	} {
		s := newMemStore(1)
		j := planOf(s, false)
		s.fault = func(k object.RequestKind, _ string) (error, bool) {
			if k == object.ReqHead {
				return &object.Error{Class: object.ClassInvalid, Op: "HeadObject", HTTPStatus: tc.status, Code: tc.code}, false
			}
			return nil, true
		}
		if err := Run(t.Context(), memConfig(s, j, object.OpCopy)); err != nil {
			t.Fatal(err)
		}
		for _, out := range j.mu.outcomes {
			if out.State != tc.want || (out.Reason == object.ReasonMissingKey) != (tc.want == object.Left) {
				t.Errorf("%d %s: %v %s %s", tc.status, tc.code, out.State, out.Reason, strings.TrimSpace(out.Message))
			}
		}
	}
}
