package iceberg

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"testing"
)

// roaring writes rows as a 64-bit roaring bitmap in its portable form: lists, bits, and runs
// where runs is set.
func roaring(rows []uint64, runs bool) []byte {
	le := binary.LittleEndian
	byHigh := map[uint32]map[uint16][]uint16{}
	for _, r := range rows {
		h := uint32(r >> 32)
		if byHigh[h] == nil {
			byHigh[h] = map[uint16][]uint16{}
		}
		byHigh[h][uint16(r>>16)] = append(byHigh[h][uint16(r>>16)], uint16(r))
	}
	out := le.AppendUint64(nil, uint64(len(byHigh)))
	for _, h := range sorted(byHigh) {
		chunks := byHigh[h]
		keys := sorted(chunks)
		out = le.AppendUint32(out, h)
		if runs {
			out = le.AppendUint32(out, runCookie|uint32(len(keys)-1)<<16)
			flags := make([]byte, (len(keys)+7)/8)
			for i := range keys {
				if i%2 == 0 {
					flags[i/8] |= 1 << (i % 8)
				}
			}
			out = append(out, flags...)
		} else {
			out = le.AppendUint32(le.AppendUint32(out, plainCookie), uint32(len(keys)))
		}
		for _, k := range keys {
			out = le.AppendUint16(le.AppendUint16(out, k), uint16(len(chunks[k])-1))
		}
		if !runs || len(keys) >= 4 {
			out = append(out, make([]byte, 4*len(keys))...) // offsets, which nobody needs
		}
		for i, k := range keys {
			out = append(out, container(chunks[k], runs && i%2 == 0)...)
		}
	}
	return out
}

func container(rows []uint16, run bool) (out []byte) {
	le := binary.LittleEndian
	switch {
	case run:
		var pairs []uint16
		for i := 0; i < len(rows); {
			j := i
			for j+1 < len(rows) && rows[j+1] == rows[j]+1 {
				j++
			}
			pairs = append(pairs, rows[i], rows[j]-rows[i])
			i = j + 1
		}
		out = le.AppendUint16(out, uint16(len(pairs)/2))
		for _, p := range pairs {
			out = le.AppendUint16(out, p)
		}
	case len(rows) <= 4096:
		for _, r := range rows {
			out = le.AppendUint16(out, r)
		}
	default:
		words := make([]uint64, 1024)
		for _, r := range rows {
			words[r/64] |= 1 << (r % 64)
		}
		for _, w := range words {
			out = le.AppendUint64(out, w)
		}
	}
	return out
}

func sorted[K uint16 | uint32, V any](m map[K]V) (keys []K) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func puffin(body []byte) (file []byte, d *DeleteFile) {
	body = append(slices.Clone(vectorMagic), body...)
	blob := append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
	blob = binary.BigEndian.AppendUint32(blob, crc32.ChecksumIEEE(body))
	return append([]byte("PFA1"), blob...), &DeleteFile{Offset: 4, Length: int64(len(blob))}
}

// TestVectors reads what was written, in every kind of container, and finds every bit that
// is flipped.
func TestVectors(t *testing.T) {
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 1))
		set := map[uint64]bool{}
		limit := uint64(5 << 16)
		if seed%3 == 0 {
			limit = 1<<32 + 70_000
		}
		for chunk := range uint64(5) { // few, many and nearly all of a chunk
			n := []int{3, 4000, 60_000, 1, 5000}[(chunk+seed)%5]
			for range n {
				set[chunk<<16|uint64(r.Uint32N(1<<16))] = true
			}
		}
		if limit > 1<<32 {
			set[1<<32+5] = true
		}
		var rows []uint64
		for row := range set {
			rows = append(rows, row)
		}
		slices.Sort(rows)
		file, d := puffin(roaring(rows, seed%2 == 1))
		d.Rows = int64(len(rows))
		got, err := d.Vector(bytes.NewReader(file), int64(limit))
		if err != nil || got.Len() != int64(len(rows)) {
			t.Fatalf("seed %d: %d rows, want %d: %v", seed, got.Len(), len(rows), err)
		}
		for row := range limit {
			if row < 6<<16 && got.Has(row) != set[row] {
				t.Fatalf("seed %d, row %d: %t", seed, row, got.Has(row))
			}
			if row > 6<<16 {
				break
			}
		}
		for range 50 {
			i := 4 + r.IntN(len(file)-4)
			file[i] ^= 1 << r.IntN(8)
			if _, err := d.Vector(bytes.NewReader(file), int64(limit)); err == nil {
				t.Fatalf("seed %d: byte %d is another one, and nobody finds it", seed, i)
			}
			file, _ = puffin(roaring(rows, seed%2 == 1))
		}
	}
}

// FuzzRows: no bytes make the decoder read beyond them, or take in a row that is not there.
func FuzzRows(f *testing.F) {
	f.Add(roaring([]uint64{1, 2, 3, 70_000}, false))
	f.Add(roaring([]uint64{1, 2, 3, 70_000}, true))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRows(b, 1000, 1000)
		if err == nil && r.Len() > 1000 {
			t.Errorf("%d rows of 1000", r.Len())
		}
	})
}
