package listing

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// A thousand pages of each shape, by a clock that knows only the store's 30 ms a
// page: at least twenty times the speed of one page after the other, for at most
// twice the requests.
func TestManyRangesAreFast(t *testing.T) {
	const page = 30 * time.Millisecond
	for i, shape := range shapes {
		if testing.Short() && i > 1 {
			break
		}
		t.Run(shape.name, func(t *testing.T) {
			store := newStore(shape.keys(100_000))
			store.page, store.delay = 100, page
			want := checksumOf(store.rows)
			pages := len(store.rows)/store.page + 1
			synctest.Test(t, func(t *testing.T) {
				got := &checksum{}
				begin := time.Now()
				if err := store.source(64).Read(t.Context(), nil, got.emit); err != nil {
					t.Fatal(err)
				}
				faster := float64(time.Duration(pages)*page) / float64(time.Since(begin))
				t.Logf("%.1f times sequential, %d requests for %d pages", faster, store.requests.Load(), pages)
				if got.keys.Load() != want.keys.Load() || got.sum.Load() != want.sum.Load() {
					t.Errorf("%d keys of %d, or others", got.keys.Load(), len(store.rows))
				}
				if faster < 20 {
					t.Errorf("only %.1f times the sequential speed", faster)
				}
				if n := store.requests.Load(); n > int64(pages*2) {
					t.Errorf("%d requests for %d pages", n, pages)
				}
			})
		})
	}
}

// TestReadersByTheStore: one that answers at once is read by a few, each of whom has a
// page in memory that waits to be planned; one that is far away by all.
func TestReadersByTheStore(t *testing.T) {
	for _, tc := range []struct {
		delay    time.Duration
		few, all int
	}{{0, 2, 2 * fewReaders}, {50 * time.Millisecond, 3 * fewReaders, 48}} {
		store := newStore(shapes[0].keys(150_000))
		store.page, store.delay = 1000, tc.delay
		got := newSink()
		var now, most atomic.Int64
		src := store.source(0)
		src.since = func(time.Time) time.Duration { return tc.delay } // a machine with other work would look like a slow store
		err := src.Read(t.Context(), nil, func(p object.Page) error {
			if len(p.Objects) > 0 {
				most.Store(max(most.Load(), now.Add(1)))
				defer now.Add(-1)
			}
			time.Sleep(5 * time.Millisecond) // which virtual time cannot: cuts wait for it
			return got.emit(p)
		})
		if err != nil {
			t.Fatal(err)
		}
		got.check(t, store.rows)
		if n := int(most.Load()); n < tc.few || n > tc.all {
			t.Errorf("a page in %v: %d of them at a time, want %d to %d", tc.delay, n, tc.few, tc.all)
		}
	}
}

// A small bucket does not pay for its readers: a few requests for a few pages.
func TestSmallBucketsTakeFewRequests(t *testing.T) {
	for _, shape := range shapes {
		for _, pages := range []int{1, 2, 5, 20} {
			store := newStore(shape.keys(pages*100 - 1))
			store.page, store.delay = 100, 30*time.Millisecond
			got := newSink()
			if err := read(t, store.source(64), nil, got.emit); err != nil {
				t.Fatal(err)
			}
			n := store.requests.Load()
			t.Logf("%s: %d requests for %d pages", shape.name, n, pages)
			if n > int64(pages*7/2) {
				t.Errorf("%s: %d requests for %d pages", shape.name, n, pages)
			}
		}
	}
}

// A store that walks to the end for every range that it is asked for is read in
// one, whatever the readers.
func TestOneWalkIsOneRange(t *testing.T) {
	for _, shape := range shapes {
		store := newStore(shape.keys(20_000))
		store.page, store.oneWalk = 100, true
		got := newSink()
		if err := read(t, store.source(64), nil, got.emit); err != nil {
			t.Fatal(err)
		}
		got.check(t, store.rows)
		if n := store.requests.Load(); len(got.cursors) != 1 || n > int64(len(store.rows)/100+1) {
			t.Errorf("%s: %d ranges, %d requests", shape.name, len(got.cursors), n)
		}
	}
}

// A job that was begun in ranges is gone on with one after the other.
func TestOneWalkGoesOnWithRanges(t *testing.T) {
	store := newStore(shapes[0].keys(20_000))
	store.page, store.delay = 100, 30*time.Millisecond // so that readers take turns
	got := newSink()
	var pages atomic.Int64
	errDied := errors.New("died")
	err := read(t, store.source(16), nil, func(p object.Page) error {
		if pages.Add(1) > 60 {
			return errDied
		}
		return got.emit(p)
	})
	if !errors.Is(err, errDied) || len(got.cursors) < 10 {
		t.Fatalf("%v, %d ranges", err, len(got.cursors))
	}
	store.oneWalk = true
	if err := read(t, store.source(16), got.resume(), got.emit); err != nil {
		t.Fatal(err)
	}
	got.check(t, store.rows)
}
