package s3test

import "testing"

// Values of another implementation (github.com/zeebo/xxh3 v1.0 and
// github.com/cespare/xxhash/v2) for the first bytes of one stream, one length for
// each of the forms that the hashes take; all lengths up to 5,000 agreed.
func TestXXHash(t *testing.T) {
	stream := make([]byte, 5000)
	x := uint32(1)
	for i := range stream {
		x = x*1664525 + 1013904223
		stream[i] = byte(x >> 24)
	}
	for _, c := range []struct {
		n                    int
		xx64, xx3, high, low uint64
	}{
		{0, 0xef46db3751d8e999, 0x2d06800538d394c2, 0x99aa06d3014798d8, 0x6001c324468d497f},
		{1, 0x022545933f06bf0d, 0x429e81bc6744101c, 0xbeff62be44bc9be4, 0x429e81bc6744101c},
		{6, 0x9fc0b83940d300ce, 0x99b2dc0d450a0ac7, 0xda9e0294b389c277, 0xe80c81514a8735e3},
		{13, 0xa1d4618d421c2684, 0xc0c6422ef7f937f6, 0x1d41eb4e3485ff49, 0xc679abbfc7f7ec84},
		{100, 0x32136076cca5109e, 0x2d7c1fb25df2d1da, 0x554544ab5fa3fd1e, 0xc4edd304b62a71db},
		{200, 0xb6a81f6a4ae6ea5e, 0x85d691776ef97dbe, 0x6840a0fae7ba0263, 0x46245723e71e6f8c},
		{300, 0xef53e1c7d91bec46, 0x85cda8a8f5619a09, 0x921f39fde62482a1, 0x85cda8a8f5619a09},
		{2100, 0x4beb0b417a70545e, 0x3003edeaaa021266, 0x7db2265ec7be85b3, 0x3003edeaaa021266},
	} {
		b := stream[:c.n]
		high, low := xxh128(b)
		if xxh64(b) != c.xx64 || xxh3(b) != c.xx3 || high != c.high || low != c.low {
			t.Errorf("%d bytes: %x %x %x %x", c.n, xxh64(b), xxh3(b), high, low)
		}
	}
}
