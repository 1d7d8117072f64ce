package listing

import (
	"hash/maphash"
	"sync/atomic"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// BenchmarkShapes lists a million keys of each shape from a store that takes
// 30 ms a page, and reports how many times faster than page after page that was.
func BenchmarkShapes(b *testing.B) {
	const page = 30 * time.Millisecond
	for _, shape := range shapes {
		b.Run(shape.name, func(b *testing.B) {
			store := newStore(shape.keys(1_000_000))
			store.delay = page
			sequential := time.Duration(len(store.rows)/store.page+1) * page
			for b.Loop() {
				store.requests.Store(0)
				store.rowsSent.Store(0)
				got := &checksum{}
				begin := time.Now()
				src := &Source{Lister: store, Bucket: "b", Readers: 64}
				if err := src.Read(b.Context(), nil, got.emit); err != nil {
					b.Fatal(err)
				}
				took := time.Since(begin)
				if want := checksumOf(store.rows); got.keys.Load() != want.keys.Load() || got.sum.Load() != want.sum.Load() {
					b.Fatalf("%d keys of %d, or others", got.keys.Load(), len(store.rows))
				}
				b.ReportMetric(float64(sequential)/float64(took), "x-sequential")
				b.ReportMetric(float64(store.requests.Load()), "requests")
				b.ReportMetric(float64(got.cursors.Load()), "ranges")
			}
		})
	}
}

// checksum says whether two sets of keys are the same at less cost than a map,
// which would be most of what is measured.
type checksum struct {
	keys, cursors atomic.Int64
	sum           atomic.Uint64
}

var seed = maphash.MakeSeed()

func (c *checksum) emit(p object.Page) error {
	sum := uint64(0)
	for i := range p.Objects {
		sum += maphash.String(seed, p.Objects[i].Key)
	}
	c.sum.Add(sum)
	c.keys.Add(int64(len(p.Objects)))
	c.cursors.Add(int64(len(p.Cursors)))
	return nil
}

func checksumOf(rows []object.Object) *checksum {
	c := &checksum{}
	_ = c.emit(object.Page{Objects: rows})
	return c
}
