package object

import (
	"math/rand/v2"
	"testing"
)

// TestJoinedChecksum compares with the checksum of the whole, however it is cut.
func TestJoinedChecksum(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, algorithm := range []string{"CRC32", "CRC32C", "CRC64NVME"} {
		for range 50 {
			text := make([]byte, r.IntN(10_000))
			for i := range text {
				text[i] = byte(r.Uint32())
			}
			var parts []Part
			for from := 0; from < len(text) || parts == nil; {
				n := min(r.IntN(3000), len(text)-from)
				parts = append(parts, Part{Size: int64(n), Checksum: Checksum(algorithm, text[from:from+n])})
				from += n
			}
			if got, want := JoinedChecksum(algorithm, FullObject, parts), Checksum(algorithm, text); got != want {
				t.Fatalf("%s of %d bytes in %d parts is %s, want %s", algorithm, len(text), len(parts), got, want)
			}
		}
	}
	// As S3 documents it: the checksum of the parts' checksums, and their number.
	parts := []Part{{Size: 1, Checksum: Checksum("SHA256", []byte("a"))}, {Size: 1, Checksum: Checksum("SHA256", []byte("b"))}}
	if got, want := JoinedChecksum("SHA256", Composite, parts), "5aAf7hTg7VxIcU8iGA8lrYNltT+XefedxKPX6Tlj+Uo=-2"; got != want {
		t.Errorf("composite %s, want %s", got, want)
	}
	for _, nothing := range []string{JoinedChecksum("SHA256", FullObject, parts), JoinedChecksum("XXHASH64", Composite, parts), JoinedChecksum("CRC32", FullObject, parts)} {
		if nothing != "" {
			t.Errorf("%q cannot be told", nothing)
		}
	}
}
