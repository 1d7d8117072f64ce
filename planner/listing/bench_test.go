package listing

import (
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
				got := newSink()
				begin := time.Now()
				src := &Source{Lister: store, Bucket: "b", Readers: 64}
				if err := src.Read(b.Context(), nil, func(p object.Page) error { return got.emit(p) }); err != nil {
					b.Fatal(err)
				}
				took := time.Since(begin)
				if len(got.rows) != len(store.rows) {
					b.Fatalf("%d keys of %d", len(got.rows), len(store.rows))
				}
				b.ReportMetric(float64(sequential)/float64(took), "x-sequential")
				b.ReportMetric(float64(store.requests.Load()), "requests")
				b.ReportMetric(float64(len(got.cursors)), "ranges")
			}
		})
	}
}
