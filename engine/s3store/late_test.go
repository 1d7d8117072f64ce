package s3store_test

import (
	"context"
	"errors"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/engine/s3test"
)

type looked bool

func (l looked) Late() bool { return bool(l) }

// TestNothingIsSentLate: when its credentials are there at last, a request whose object was looked at
// too long ago by then is not sent.
func TestNothingIsSentLate(t *testing.T) {
	srv := s3test.New(s3test.Config{})
	defer srv.Close()
	srv.CreateBucket("b", s3test.BucketConfig{})
	srv.Put("b", s3test.Object{Key: "k", Body: s3test.Bytes("x")})
	s := openFake(t, srv, s3store.Options{})
	ref, tags := object.Ref{Bucket: "b", Key: "k"}, []object.Tag{{Key: "a", Value: "b"}}
	err := s.PutTags(context.WithValue(t.Context(), object.LateKey{}, looked(true)), ref, tags)
	if e, ok := errors.AsType[*object.Error](err); !ok || !e.NotSent || e.Class != object.ClassTransient || srv.Count("PutObjectTagging") > 0 {
		t.Errorf("%v, sent %d times", err, srv.Count("PutObjectTagging"))
	}
	if err := s.PutTags(context.WithValue(t.Context(), object.LateKey{}, looked(false)), ref, tags); err != nil {
		t.Error(err)
	}
}
