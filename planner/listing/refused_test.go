package listing

import (
	"context"
	"errors"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// refusing answers every request as AWS does one for a bucket with an invalid
// name.
type refusing struct{ *fakeStore }

var errRefused = &object.Error{Class: object.ClassInvalid, Op: "ListObjectsV2"}

func (s refusing) ListPage(ctx context.Context, _ object.ListRequest) (object.ListReply, error) {
	if s.requests.Add(1) > 100 {
		panic("it never stops asking")
	}
	return object.ListReply{}, errRefused
}

func (s refusing) ListVersionsPage(ctx context.Context, q object.ListRequest) (object.ListReply, error) {
	return s.ListPage(ctx, q)
}

func TestARefusedListingEnds(t *testing.T) {
	for _, versions := range []bool{false, true} {
		store := newStore(nil)
		src := store.source(4)
		src.Lister, src.Versions = refusing{store}, versions
		if err := read(t, src, nil, newSink().emit); !errors.Is(err, errRefused) {
			t.Errorf("versions %v: %v", versions, err)
		}
	}
}
