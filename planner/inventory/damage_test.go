package inventory

import (
	"bytes"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// TestDamagedFiles changes bytes of good files at random. Whatever comes of it
// is an error or rows of the bucket: no panic, no endless reading, no memory
// without bounds. (MD5s would find the damage; a file that was written damaged
// has the right one.)
func TestDamagedFiles(t *testing.T) {
	rows := oddRecords()[:14]
	for _, format := range formats {
		t.Run(string(format), func(t *testing.T) {
			seeds := [][]byte{encode(t, format, allColumns, rows), encode(t, format, []string{"Bucket", "Key", "Size"}, rows)}
			sch, err := newSchema(allColumns)
			if err != nil {
				t.Fatal(err)
			}
			s := &Source{bucket: "src", format: format, schema: sch}
			rounds := 300
			if testing.Short() {
				rounds = 50
			}
			if n, err := strconv.Atoi(os.Getenv("RESEAL_DAMAGE_ROUNDS")); err == nil {
				rounds = n
			}
			good := 0
			for round := range rounds {
				random := rand.New(rand.NewPCG(uint64(round), 99))
				data := damage(random, bytes.Clone(seeds[round%len(seeds)]))
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				began := time.Now()
				n, err := s.countRows(data)
				runtime.ReadMemStats(&after)
				if took := time.Since(began); took > 10*time.Second {
					t.Fatalf("round %d: %s", round, took)
				}
				if used := after.TotalAlloc - before.TotalAlloc; used > 64<<20 {
					t.Errorf("round %d: %d MB for %d bytes (%v)", round, used>>20, len(data), err)
				}
				if err == nil {
					good++
				}
				if n > 10*len(rows) {
					t.Errorf("round %d: %d rows of %d", round, n, len(rows))
				}
			}
			t.Logf("%d of %d files could be read all the same", good, rounds)
		})
	}
}

func damage(random *rand.Rand, data []byte) []byte {
	for range 1 + random.IntN(4) {
		if len(data) < 8 {
			return data
		}
		at := random.IntN(len(data))
		if random.IntN(2) == 0 { // the tail holds the structure
			at = len(data) - 1 - random.IntN(min(len(data), 400))
		}
		switch random.IntN(6) {
		case 0:
			data = data[:at]
		case 1:
			data = append(data[:at:at], data[min(len(data), at+random.IntN(20)):]...)
		case 2:
			data[at] = 0xff
		case 3:
			data[at] ^= 1 << random.IntN(8)
		default:
			for i := at; i < min(len(data), at+1+random.IntN(8)); i++ {
				data[i] = byte(random.Uint32())
			}
		}
	}
	return data
}

func (s *Source) countRows(data []byte) (n int, err error) {
	err = guarded(func() error {
		var r rowReader
		var err error
		switch s.format {
		case CSV:
			r, err = s.csvRows(bytes.NewReader(data))
		case Parquet:
			r, err = s.parquetRows(bytes.NewReader(data), int64(len(data)), nil)
		default:
			r, err = s.orcRows(bytes.NewReader(data), int64(len(data)))
		}
		var o object.Object
		for err == nil {
			if _, err = r.next(&o); err == nil {
				n++
			}
		}
		return endOK(err)
	})
	return n, err
}
