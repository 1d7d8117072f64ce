package engine

import (
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/resealhq/reseal/engine/object"
)

// TestA503OfWhatWasApplied: a proxy that lost its store when that had done what it was asked says
// 503 (Envoy). Nothing is sent a second time for that, and nothing fails.
func TestA503OfWhatWasApplied(t *testing.T) {
	for _, m := range mutations {
		t.Run(m.op.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const n = 50
				s := newMemStore(n)
				s.keepsETag = m.op == object.OpCopy // so that no condition keeps a second one from being made
				lost := map[string]bool{}
				s.fault = func(k object.RequestKind, key string) (error, bool) {
					s.mu.Lock()
					defer s.mu.Unlock()
					if k != m.commit || lost[key] {
						return nil, true
					}
					lost[key] = true
					return &object.Error{Class: object.ClassThrottled, Op: k.String(), HTTPStatus: http.StatusServiceUnavailable}, true
				}
				j := planOf(s, true)
				if err := Run(t.Context(), memConfig(s, j, m.op)); err != nil {
					t.Fatal(err)
				}
				check(t, s, j, n)
				if sent := s.count(m.commit); sent != n {
					t.Errorf("%d sent for %d objects", sent, n)
				}
			})
		})
	}
}
