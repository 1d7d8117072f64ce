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

// TestNeedsOfWhatIsNotFound: what was deleted since it was listed depends on nothing; what is
// listed still and not found could not be asked about, and so could what nobody can tell of.
func TestNeedsOfWhatIsNotFound(t *testing.T) {
	var rows []object.Object
	for _, key := range []string{"deleted", "listed", "unlistable"} {
		rows = append(rows, object.Object{Ref: object.Ref{Bucket: "b", Key: key}, Size: 3})
	}
	opt := NeedsOptions{Same: func(string) bool { return true }, Inspectors: 1,
		Inspect: func(context.Context, *object.Object) (object.Head, error) {
			return object.Head{}, &object.Error{Class: object.ClassGone, Op: "HeadObject"}
		},
		Listed: func(_ context.Context, o *object.Object) (bool, error) {
			if o.Key == "unlistable" {
				return false, &object.Error{Class: object.ClassDenied, Op: "ListObjectVersions"}
			}
			return o.Key == "listed", nil
		}}
	got, err := FindNeeds(t.Context(), &rowsSource{rows: rows, parts: 1, page: 10}, opt)
	if err != nil || got.Any() || got.Unanswered != 2 || got.Unanswer == nil {
		t.Errorf("%+v, %v", got, err)
	}
}
