package cse

import "encoding/binary"

// element is a number of GF(2^128) as GHASH writes them: the first bit of the
// first byte is the coefficient of x^0.
type element struct{ hi, lo uint64 }

func elementOf(b []byte) element {
	return element{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
}

func (x element) bytes() (b [16]byte) {
	binary.BigEndian.PutUint64(b[:8], x.hi)
	binary.BigEndian.PutUint64(b[8:], x.lo)
	return b
}

func (x element) plus(y element) element { return element{x.hi ^ y.hi, x.lo ^ y.lo} }

// times takes the same time for all numbers. It is slow, and used some times a
// piece; what every block of a piece costs, the processor does (see text.sum).
func (x element) times(y element) (z element) {
	for _, word := range [2]uint64{x.hi, x.lo} {
		for i := 63; i >= 0; i-- {
			bit := -(word >> i & 1)
			z.hi ^= y.hi & bit
			z.lo ^= y.lo & bit
			carry := -(y.lo & 1)
			y.lo = y.lo>>1 | y.hi<<63
			y.hi = y.hi>>1 ^ carry&(0xe1<<56)
		}
	}
	return z
}

// power is x to the n; n is a count of blocks and no secret.
func (x element) power(n int64) element {
	z := element{hi: 1 << 63}
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			z = z.times(x)
		}
		x = x.times(x)
	}
	return z
}
