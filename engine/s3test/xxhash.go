package s3test

import (
	"encoding/binary"
	"encoding/hex"
	"hash"
	"math/bits"
)

// The XXH family, which S3 takes as checksums since 2026: XXH64, XXH3 of 64 bits
// and of 128, all of seed 0, in the canonical big-endian form.

const (
	xp32a, xp32b, xp32c = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D

	xp64a, xp64b, xp64c uint64 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
	xp64d, xp64e        uint64 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
	xmx1, xmx2          uint64 = 0x165667919E3779F9, 0x9FB21C651E98DF25
)

// xxSecret is the default secret of XXH3.
var xxSecret = func() []byte {
	b, err := hex.DecodeString("b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221" +
		"b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8" +
		"a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb" +
		"170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e")
	if err != nil {
		panic(err)
	}
	return b
}()

// buffered is a hash over all that was written, computed at the end: contents of
// tests are small, or virtual.
type buffered struct {
	data []byte
	size int
	sum  func(b []byte) []byte
}

func (h *buffered) Write(p []byte) (int, error) { h.data = append(h.data, p...); return len(p), nil }
func (h *buffered) Sum(b []byte) []byte         { return append(b, h.sum(h.data)...) }
func (h *buffered) Reset()                      { h.data = nil }
func (h *buffered) Size() int                   { return h.size }
func (h *buffered) BlockSize() int              { return 64 }

func newXXH64() hash.Hash {
	return &buffered{size: 8, sum: func(b []byte) []byte { return binary.BigEndian.AppendUint64(nil, xxh64(b)) }}
}

func newXXH3() hash.Hash {
	return &buffered{size: 8, sum: func(b []byte) []byte { return binary.BigEndian.AppendUint64(nil, xxh3(b)) }}
}

func newXXH128() hash.Hash {
	return &buffered{size: 16, sum: func(b []byte) []byte {
		hi, lo := xxh128(b)
		return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, hi), lo)
	}}
}

func r64(b []byte, at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
func r32(b []byte, at int) uint64 { return uint64(binary.LittleEndian.Uint32(b[at:])) }

func xx64Avalanche(h uint64) uint64 {
	h = (h ^ h>>33) * xp64b
	h = (h ^ h>>29) * xp64c
	return h ^ h>>32
}

func xx64Round(acc, in uint64) uint64 { return bits.RotateLeft64(acc+in*xp64b, 31) * xp64a }

func xxh64(b []byte) uint64 {
	n, h := uint64(len(b)), xp64e
	if len(b) >= 32 {
		one := xp64a // a variable, so that the sum may wrap
		v := [4]uint64{one + xp64b, xp64b, 0, -one}
		for ; len(b) >= 32; b = b[32:] {
			for i := range v {
				v[i] = xx64Round(v[i], r64(b, 8*i))
			}
		}
		h = bits.RotateLeft64(v[0], 1) + bits.RotateLeft64(v[1], 7) + bits.RotateLeft64(v[2], 12) + bits.RotateLeft64(v[3], 18)
		for _, x := range v {
			h = (h^xx64Round(0, x))*xp64a + xp64d
		}
	}
	h += n
	for ; len(b) >= 8; b = b[8:] {
		h = bits.RotateLeft64(h^xx64Round(0, r64(b, 0)), 27)*xp64a + xp64d
	}
	if len(b) >= 4 {
		h = bits.RotateLeft64(h^r32(b, 0)*xp64a, 23)*xp64b + xp64c
		b = b[4:]
	}
	for _, c := range b {
		h = bits.RotateLeft64(h^uint64(c)*xp64e, 11) * xp64a
	}
	return xx64Avalanche(h)
}

func xxAvalanche(h uint64) uint64 {
	h = (h ^ h>>37) * xmx1
	return h ^ h>>32
}

func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// mix16 mixes the 16 bytes at i with the secret at s.
func mix16(b []byte, i, s int) uint64 {
	return fold(r64(b, i)^r64(xxSecret, s), r64(b, i+8)^r64(xxSecret, s+8))
}

func xxh3(b []byte) uint64 {
	n, s := len(b), xxSecret
	switch {
	case n == 0:
		return xx64Avalanche(r64(s, 56) ^ r64(s, 64))
	case n <= 3:
		return xx64Avalanche(combined(b) ^ r32(s, 0) ^ r32(s, 4))
	case n <= 8:
		h := (r32(b, n-4) + r32(b, 0)<<32) ^ r64(s, 8) ^ r64(s, 16)
		h ^= bits.RotateLeft64(h, 49) ^ bits.RotateLeft64(h, 24)
		h *= xmx2
		h ^= h>>35 + uint64(n)
		h *= xmx2
		return h ^ h>>28
	case n <= 16:
		lo, hi := r64(b, 0)^r64(s, 24)^r64(s, 32), r64(b, n-8)^r64(s, 40)^r64(s, 48)
		return xxAvalanche(uint64(n) + bits.ReverseBytes64(lo) + hi + fold(lo, hi))
	case n <= 128:
		acc := uint64(n) * xp64a
		for i := (n - 1) / 32; i >= 0; i-- {
			acc += mix16(b, 16*i, 32*i) + mix16(b, n-16*(i+1), 32*i+16)
		}
		return xxAvalanche(acc)
	case n <= 240:
		acc := uint64(n) * xp64a
		for i := range 8 {
			acc += mix16(b, 16*i, 16*i)
		}
		acc = xxAvalanche(acc)
		for i := 8; i < n/16; i++ {
			acc += mix16(b, 16*i, 16*(i-8)+3)
		}
		return xxAvalanche(acc + mix16(b, n-16, 136-17))
	}
	acc := xxStripes(b)
	return xxMerge(&acc, 11, uint64(n)*xp64a)
}

// combined is an input of one to three bytes with its length.
func combined(b []byte) uint64 {
	n := len(b)
	return uint64(b[0])<<16 | uint64(b[n>>1])<<24 | uint64(b[n-1]) | uint64(n)<<8
}

// xxStripes is the long form: stripes of 64 bytes in blocks of 16.
func xxStripes(b []byte) [8]uint64 {
	acc := [8]uint64{xp32c, xp64a, xp64b, xp64c, xp64d, xp32b, xp64e, xp32a}
	stripe := func(at, s int) {
		for i := range acc {
			v := r64(b, at+8*i)
			key := v ^ r64(xxSecret, s+8*i)
			acc[i^1] += v
			acc[i] += key & 0xffffffff * (key >> 32)
		}
	}
	n := len(b)
	whole := (n - 1) / 64
	for i := range whole {
		stripe(64*i, 8*(i%16))
		if i%16 == 15 {
			for j := range acc {
				acc[j] = (acc[j] ^ acc[j]>>47 ^ r64(xxSecret, 128+8*j)) * xp32a
			}
		}
	}
	stripe(n-64, 192-64-7)
	return acc
}

func xxMerge(acc *[8]uint64, s int, start uint64) uint64 {
	for i := range 4 {
		start += fold(acc[2*i]^r64(xxSecret, s+16*i), acc[2*i+1]^r64(xxSecret, s+16*i+8))
	}
	return xxAvalanche(start)
}
