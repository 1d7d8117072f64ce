package listing

import (
	"testing"
	"testing/synctest"
	"time"
)

// A thousand pages of each shape, by a clock that knows only the store's 30 ms a
// page: at least twenty times the speed of one page after the other, for at most
// twice the requests.
func TestManyRangesAreFast(t *testing.T) {
	const page = 30 * time.Millisecond
	for _, shape := range shapes {
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
