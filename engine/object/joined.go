package object

import (
	"encoding/base64"
	"fmt"
	"math/bits"
)

// JoinedChecksum is the checksum of an object by those of its parts, of that type, as
// S3 makes it of an upload; empty where it cannot be told.
func JoinedChecksum(algorithm, typ string, parts []Part) string {
	var all []byte
	var joined uint64
	poly, size := crcOf(algorithm)
	for i := range parts {
		raw, err := base64.StdEncoding.DecodeString(parts[i].Checksum)
		if err != nil || len(raw) == 0 || typ == FullObject && len(raw) != size {
			return ""
		}
		if typ == Composite {
			all = append(all, raw...)
			continue
		}
		var crc uint64
		for _, b := range raw {
			crc = crc<<8 | uint64(b)
		}
		joined = joinCRC(poly, joined, crc, parts[i].Size)
	}
	switch {
	case typ == Composite && KnowsChecksum(algorithm):
		return fmt.Sprintf("%s-%d", Checksum(algorithm, all), len(parts))
	case typ != FullObject || size == 0:
		return ""
	}
	raw := make([]byte, size)
	for i := range raw {
		raw[size-1-i] = byte(joined >> (8 * i))
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// crcOf is the reversed polynomial of a CRC and its size in bytes; zero for what is none.
func crcOf(algorithm string) (poly uint64, size int) {
	switch algorithm {
	case "CRC32":
		return 0xedb88320, 4
	case "CRC32C":
		return 0x82f63b78, 4
	case "CRC64NVME":
		return 0x9a6c9329ac4bc9b5, 8
	}
	return 0, 0
}

// joinCRC is the CRC of two texts one after the other, by the CRC of each and the size
// of the second: the first is moved on by as many zero bytes, which is to multiply it
// by a power of x modulo the polynomial.
func joinCRC(poly, first, second uint64, size int64) uint64 {
	top := uint64(1) << (bits.Len64(poly) - 1) // reversed: this bit stands for 1
	shift := top >> 8                          // and this for x to the eighth
	for n := uint64(size); n > 0; n >>= 1 {
		if n&1 != 0 {
			first = timesModulo(poly, top, first, shift)
		}
		shift = timesModulo(poly, top, shift, shift)
	}
	return first ^ second
}

func timesModulo(poly, top, a, b uint64) (product uint64) {
	for bit := top; bit > 0; bit >>= 1 {
		if a&bit != 0 {
			product ^= b
		}
		if b&1 != 0 {
			b = b>>1 ^ poly
		} else {
			b >>= 1
		}
	}
	return product
}
