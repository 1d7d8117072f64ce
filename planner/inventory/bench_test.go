package inventory

import (
	"context"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

func benchmark(b *testing.B, format Format) {
	const n = 200_000
	rows := manyRecords(0, n)
	var data []byte
	switch format {
	case CSV:
		data = writeCSV(b, allColumns, rows)
	case Parquet:
		data = writeParquet(b, allColumns, rows, 100_000)
	default:
		data = writeORC(b, allColumns, rows, 100_000)
	}
	r := newReport(b, format, allColumns, data)
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	b.ResetTimer()
	for range b.N {
		s := open(b, r.uri, Options{Parallel: 1})
		s.mu.checked = true // one pass is measured
		rows := 0
		if err := s.Read(context.Background(), nil, func(p object.Page) error { rows += len(p.Objects); return nil }); err != nil {
			b.Fatal(err)
		}
		if rows != n {
			b.Fatalf("%d rows", rows)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkCSV(b *testing.B)     { benchmark(b, CSV) }
func BenchmarkParquet(b *testing.B) { benchmark(b, Parquet) }
func BenchmarkORC(b *testing.B)     { benchmark(b, ORC) }
