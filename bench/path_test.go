package main

import (
	"testing"

	"github.com/resealhq/reseal/checkpoint"
	"github.com/resealhq/reseal/engine"
	"github.com/resealhq/reseal/engine/object"
)

// BenchmarkObject is the path of an object from a planned task to its durable
// outcome, but for the requests: taken from the checkpoint, decided on, paced,
// copied, proved by the reply, recorded.
func BenchmarkObject(b *testing.B) {
	for _, inspected := range []bool{false, true} {
		b.Run(map[bool]string{false: "listed", true: "inspected"}[inspected], func(b *testing.B) {
			points, err := checkpoint.Open(b.TempDir(), checkpoint.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer points.Close()
			if err := planNull(points, b.N, !inspected); err != nil {
				b.Fatal(err)
			}
			cfg := atOnceConfig(points)
			b.ReportAllocs()
			b.ResetTimer()
			if err := engine.Run(b.Context(), cfg); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			if done := points.Totals().States[object.Done].Objects; done != uint64(b.N) {
				b.Fatalf("%d of %d done", done, b.N)
			}
		})
	}
}
