package engine

import (
	"context"
	"errors"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// TestALetGoReadIsNoSuccess: a request that is not sent any more, since something stops them
// all, has an error, which says what that was.
func TestALetGoReadIsNoSuccess(t *testing.T) {
	s := newMemStore(1)
	q := NewReads(memConfig(s, planOf(s, false), object.OpCopy))
	cause := errors.New("the key is gone")
	q.r.fail(cause)
	err := q.Do(t.Context(), object.Call{Kind: object.ReqHead}, func(context.Context) error { return nil })
	if !errors.Is(err, cause) {
		t.Errorf("error %v, want %v", err, cause)
	}
}
