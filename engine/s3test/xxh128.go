package s3test

import "math/bits"

// xxh128 is XXH3 of 128 bits.
func xxh128(b []byte) (hi, lo uint64) {
	n, s := len(b), xxSecret
	switch {
	case n == 0:
		return xx64Avalanche(r64(s, 80) ^ r64(s, 88)), xx64Avalanche(r64(s, 64) ^ r64(s, 72))
	case n <= 3:
		low := combined(b)
		high := uint64(bits.RotateLeft32(bits.ReverseBytes32(uint32(low)), 13))
		return xx64Avalanche(high ^ r32(s, 8) ^ r32(s, 12)), xx64Avalanche(low ^ r32(s, 0) ^ r32(s, 4))
	case n <= 8:
		keyed := (r32(b, 0) + r32(b, n-4)<<32) ^ r64(s, 16) ^ r64(s, 24)
		hi, lo = bits.Mul64(keyed, xp64a+uint64(n)<<2)
		hi += lo << 1
		lo ^= hi >> 3
		lo = (lo ^ lo>>35) * xmx2
		return xxAvalanche(hi), lo ^ lo>>28
	case n <= 16:
		return xxh128To16(b)
	case n <= 128:
		lo, hi = uint64(n)*xp64a, 0
		for i := (n - 1) / 32; i >= 0; i-- {
			lo, hi = mix32(lo, hi, b, 16*i, n-16*(i+1), 32*i)
		}
		return xxFinish(lo, hi, n)
	case n <= 240:
		lo, hi = uint64(n)*xp64a, 0
		for i := 32; i < 160; i += 32 {
			lo, hi = mix32(lo, hi, b, i-32, i-16, i-32)
		}
		lo, hi = xxAvalanche(lo), xxAvalanche(hi)
		for i := 160; i <= n; i += 32 {
			lo, hi = mix32(lo, hi, b, i-32, i-16, 3+i-160)
		}
		lo, hi = mix32(lo, hi, b, n-16, n-32, 136-17-16)
		return xxFinish(lo, hi, n)
	}
	acc := xxStripes(b)
	return xxMerge(&acc, 192-64-11, ^(uint64(n) * xp64b)), xxMerge(&acc, 11, uint64(n)*xp64a)
}

func xxh128To16(b []byte) (hi, lo uint64) {
	n, s := len(b), xxSecret
	first, last := r64(b, 0), r64(b, n-8)
	hi, lo = bits.Mul64(first^last^r64(s, 32)^r64(s, 40), xp64a)
	lo += uint64(n-1) << 54
	last ^= r64(s, 48) ^ r64(s, 56)
	hi += last + last&0xffffffff*(xp32b-1)
	lo ^= bits.ReverseBytes64(hi)
	high, low := bits.Mul64(lo, xp64b)
	return xxAvalanche(high + hi*xp64b), xxAvalanche(low)
}

// mix32 mixes two times 16 bytes, at i and at j, with the secret at s.
func mix32(lo, hi uint64, b []byte, i, j, s int) (uint64, uint64) {
	lo = (lo + mix16(b, i, s)) ^ (r64(b, j) + r64(b, j+8))
	hi = (hi + mix16(b, j, s+16)) ^ (r64(b, i) + r64(b, i+8))
	return lo, hi
}

func xxFinish(lo, hi uint64, n int) (uint64, uint64) {
	return -xxAvalanche(lo*xp64a + hi*xp64d + uint64(n)*xp64b), xxAvalanche(lo + hi)
}
