package checkpoint

import (
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// valueVersion is the first byte of every value. A reader refuses what it does
// not know, so that a field can be added without guessing.
const valueVersion = 1

// encoder appends fields to b. Integers are varints; strings that repeat go
// through the dictionary, tokens (ETags, request and version IDs) are packed
// where that is exact.
type encoder struct {
	b []byte
	d *dict
}

func (e *encoder) byte(v byte)    { e.b = append(e.b, v) }
func (e *encoder) uint(v uint64)  { e.b = binary.AppendUvarint(e.b, v) }
func (e *encoder) int(v int64)    { e.b = binary.AppendVarint(e.b, v) }
func (e *encoder) str(s string)   { e.uint(uint64(len(s))); e.b = append(e.b, s...) }
func (e *encoder) bytes(s []byte) { e.uint(uint64(len(s))); e.b = append(e.b, s...) }

// word writes a string that many records share: its number where the dictionary
// takes it, else the string. The lowest bit tells which.
func (e *encoder) word(s string) {
	if id, ok := e.d.id(s); ok {
		e.uint(id<<1 | 1)
		return
	}
	e.uint(uint64(len(s)) << 1)
	e.b = append(e.b, s...)
}

// How a token is packed; in the lowest three bits of its length.
const (
	tokenRaw   = iota // as it is; no bits
	tokenLower        // lower-case hex
	tokenUpper        // upper-case hex
	tokenUUID         // 8-4-4-4-12 lower-case hex
	tokenParts        // lower-case hex, "-", decimal: a multipart ETag
)

// token writes a string that is mostly random: hex is packed two digits to a byte.
func (e *encoder) token(s string) {
	kind, digits, parts := classify(s)
	if kind == tokenRaw {
		e.uint(uint64(len(s)) << 3)
		e.b = append(e.b, s...)
		return
	}
	e.uint(uint64(len(digits)/2)<<3 | uint64(kind))
	for i := 0; i < len(digits); i += 2 {
		e.b = append(e.b, nibble(digits[i])<<4|nibble(digits[i+1]))
	}
	if kind == tokenParts {
		e.uint(parts)
	}
}

func classify(s string) (kind int, digits string, parts uint64) {
	if len(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-' {
		d := s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:]
		if isHex(d, 'a') {
			return tokenUUID, d, 0
		}
	}
	if len(s) > 33 && s[32] == '-' && isHex(s[:32], 'a') {
		n, err := strconv.ParseUint(s[33:], 10, 32)
		if err == nil && strconv.FormatUint(n, 10) == s[33:] {
			return tokenParts, s[:32], n
		}
	}
	switch {
	case len(s) == 0 || len(s)%2 != 0:
	case isHex(s, 'a'):
		return tokenLower, s, 0
	case isHex(s, 'A'):
		return tokenUpper, s, 0
	}
	return tokenRaw, "", 0
}

func isHex(s string, a byte) bool {
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < a || c > a+5) {
			return false
		}
	}
	return true
}

func nibble(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}

// time writes an instant to the nanosecond; whole milliseconds, which is what
// stores tell, cost less. The zero time is never written: presence is a flag.
func (e *encoder) time(t time.Time) {
	e.int(t.Unix())
	if ns := uint64(t.Nanosecond()); ns%1e6 == 0 {
		e.uint(ns / 1e6 << 1)
	} else {
		e.uint(ns<<1 | 1)
	}
}

func (e *encoder) encryption(v *object.Encryption) {
	flags := byte(v.Type) << 1
	if v.BucketKey {
		flags |= 1
	}
	e.byte(flags)
	e.word(v.KMSKeyID)
	e.word(v.CustomerKeyMD5)
}

// decoder reads what encoder wrote. After the first error it gives zero values;
// whoever uses it looks at err once, at the end.
type decoder struct {
	b   []byte
	d   *dict
	err error
}

func (d *decoder) fail(what string) {
	if d.err == nil {
		d.err = &corruptError{what}
	}
	d.b = nil
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.fail("it ends early")
		return 0
	}
	v := d.b[0]
	d.b = d.b[1:]
	return v
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail("a number is cut off")
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail("a number is cut off")
		return 0
	}
	d.b = d.b[n:]
	return v
}

// take gives the next n bytes, which belong to the record.
func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.fail("a string is cut off")
		return nil
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) str() string { return string(d.take(d.uint())) }

func (d *decoder) bytes() []byte {
	n := d.uint()
	if n == 0 {
		return nil
	}
	return append([]byte(nil), d.take(n)...)
}

func (d *decoder) word() string {
	v := d.uint()
	if v&1 == 0 {
		return string(d.take(v >> 1))
	}
	s, ok := d.d.word(v >> 1)
	if !ok {
		d.fail("a word is not in the dictionary")
	}
	return s
}

const upperHex = "0123456789ABCDEF"

func (d *decoder) token() string {
	v := d.uint()
	raw := d.take(v >> 3)
	switch v & 7 {
	case tokenRaw:
		return string(raw)
	case tokenLower:
		return hex.EncodeToString(raw)
	case tokenUpper:
		s := make([]byte, 0, 2*len(raw))
		for _, c := range raw {
			s = append(s, upperHex[c>>4], upperHex[c&15])
		}
		return string(s)
	case tokenUUID:
		if s := hex.EncodeToString(raw); len(s) == 32 {
			return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
		}
	case tokenParts:
		return hex.EncodeToString(raw) + "-" + strconv.FormatUint(d.uint(), 10)
	}
	d.fail("a token of no known kind")
	return ""
}

func (d *decoder) time() time.Time {
	sec, frac := d.int(), d.uint()
	ns := frac >> 1
	if frac&1 == 0 {
		if ns > 999 {
			d.fail("a time out of range")
			return time.Time{}
		}
		ns *= 1e6
	}
	if ns > 999999999 {
		d.fail("a time out of range")
		return time.Time{}
	}
	return time.Unix(sec, int64(ns)).UTC()
}

func (d *decoder) encryption() (v object.Encryption) {
	flags := d.byte()
	v.BucketKey = flags&1 != 0
	v.Type = object.SSE(flags >> 1)
	v.KMSKeyID = d.word()
	v.CustomerKeyMD5 = d.word()
	return v
}

// version checks the first byte.
func (d *decoder) version() {
	if v := d.byte(); d.err == nil && v != valueVersion {
		d.fail("it has version " + strconv.Itoa(int(v)) + ", from a newer reseal")
	}
}
