package planner

import (
	"context"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// TestNeedsOfWhatCannotBeAsked: a row that tells the key is counted also where nothing more
// can be learnt of it; one that does not tell is not.
func TestNeedsOfWhatCannotBeAsked(t *testing.T) {
	under := func(key, kms string) object.Object {
		return object.Object{Ref: object.Ref{Bucket: "b", Key: key}, Size: 3, Encryption: object.Encryption{Type: object.SSEKMS, KMSKeyID: kms}}
	}
	untold := object.Object{Ref: object.Ref{Bucket: "b", Key: "untold"}, Size: 3}
	src := &rowsSource{rows: []object.Object{under("a", "k"), under("b", "other"), untold}, parts: 1, page: 10}
	got, err := FindNeeds(t.Context(), src, NeedsOptions{Same: func(shown string) bool { return shown == "k" }, Inspectors: 1, Locks: true,
		Inspect: func(context.Context, *object.Object) (object.Head, error) {
			return object.Head{}, &object.Error{Class: object.ClassDenied, Op: "HeadObject"}
		}})
	if err != nil || got.Current.Objects != 1 || got.Unanswered != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}
