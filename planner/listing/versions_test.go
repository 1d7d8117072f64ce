package listing

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// versioned gives every key 1 to most versions, and one key many.
func versioned(keys []string, most, many int, r *rand.Rand) *fakeStore {
	s := &fakeStore{page: 1000, less: func(a, b string) bool { return a < b }}
	for i, k := range keys {
		n := 1 + r.IntN(most)
		if i == len(keys)/2 {
			n = many
		}
		for v := range n {
			s.rows = append(s.rows, object.Object{Ref: object.Ref{Bucket: "b", Key: k, VersionID: fmt.Sprintf("v%d", v)},
				Noncurrent: v > 0, DeleteMarker: v%3 == 2})
		}
	}
	return s
}

func TestVersionsAreReadOnce(t *testing.T) {
	for _, shape := range shapes {
		for seed := range seeds(8) {
			r := rand.New(rand.NewPCG(seed, 6))
			store := versioned(shape.keys(600), 4, 300, r)
			store.page, store.delay = 2+r.IntN(40), time.Millisecond
			store.noTokens, store.inclusive = r.IntN(3) == 0, r.IntN(3) == 0
			src := store.source(1 + r.IntN(30))
			src.Versions = true
			got := newSink()
			if err := read(t, src, nil, got.emit); err != nil {
				t.Fatalf("%s %d: %v", shape.name, seed, err)
			}
			got.check(t, store.rows)
		}
	}
}

func TestVersionsThroughManyDeaths(t *testing.T) {
	for seed := range seeds(25) {
		r := rand.New(rand.NewPCG(seed, 7))
		store := versioned(shapes[seed%4].keys(200), 3, 150, r)
		store.page, store.delay = 2+r.IntN(20), time.Millisecond
		src := store.source(1 + r.IntN(20))
		src.Versions = true
		got := newSink()
		synctest.Test(t, func(t *testing.T) { dieMany(t, src, got, r) })
		got.check(t, store.rows)
	}
}

// gateway repeats, as versitygw does: a page that ends on a key's latest version
// is followed by one that begins with it.
type gateway struct{ *fakeStore }

func (g gateway) ListVersionsPage(ctx context.Context, q object.ListRequest) (object.ListReply, error) {
	reply, err := g.fakeStore.ListVersionsPage(ctx, q)
	if n := len(reply.Objects); n > 0 && q.KeyMarker != "" && q.VersionIDMarker == "" {
		if i := g.behind(q.KeyMarker); i > 0 && g.rows[i-1].Key == q.KeyMarker {
			for i--; i > 0 && g.rows[i-1].Key == q.KeyMarker; i-- {
			}
			reply.Objects = append([]object.Object{g.rows[i]}, reply.Objects[:n-1]...)
			reply.Truncated, reply.NextKeyMarker, reply.NextVersionIDMarker = true, reply.Objects[n-1].Key, reply.Objects[n-1].VersionID
		}
	}
	return reply, err
}

func TestVersionsRepeatedAtPageBorders(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 8))
	store := versioned(shapes[2].keys(300), 3, 3, r)
	store.page, store.delay = 10, time.Millisecond
	src := store.source(8)
	src.Versions, src.Lister = true, gateway{store}
	got := newSink()
	if err := read(t, src, nil, got.emit); err != nil {
		t.Fatal(err)
	}
	got.check(t, store.rows)
}

func TestVersionsThatNeverEndStop(t *testing.T) {
	store := versioned([]string{"a", "b", "c"}, 1, 1, rand.New(rand.NewPCG(1, 9)))
	src := store.source(2)
	src.Versions, src.Lister = true, looping{store}
	if err := read(t, src, nil, newSink().emit); !errors.Is(err, ErrStalled) {
		t.Errorf("%v", err)
	}
}

// looping gives the same page again and again.
type looping struct{ *fakeStore }

func (l looping) ListVersionsPage(context.Context, object.ListRequest) (object.ListReply, error) {
	return object.ListReply{Objects: append([]object.Object(nil), l.rows[:1]...), Truncated: true, EncodingHonoured: true}, nil
}
