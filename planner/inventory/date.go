package inventory

import (
	"bytes"
	"fmt"
	"time"
)

// date reads 2006-01-02T15:04:05.000Z.
func date(text []byte) (time.Time, error) {
	if len(text) == 0 {
		return time.Time{}, nil
	}
	if t, ok := quickDate(text); ok {
		return t, nil
	}
	if t, ok := athenaDate(text); ok {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339Nano, string(text))
	if err != nil {
		return t, fmt.Errorf("%q is no time", text)
	}
	return t.UTC(), nil
}

// athenaDate reads 2006-01-02 15:04:05.000000 UTC, which is meant too where it does
// not stand there.
func athenaDate(b []byte) (time.Time, bool) {
	b = bytes.TrimSuffix(b, []byte(" UTC"))
	if len(b) < 19 || len(b) > 29 || b[10] != ' ' {
		return time.Time{}, false
	}
	seconds := [20]byte{19: 'Z'}
	copy(seconds[:19], b)
	seconds[10] = 'T'
	t, ok := quickDate(seconds[:])
	if !ok || len(b) == 19 {
		return t, ok
	}
	if b[19] != '.' || len(b) == 20 {
		return time.Time{}, false
	}
	nanos := time.Duration(0)
	for i := range 9 {
		digit := byte('0')
		if 20+i < len(b) {
			digit = b[20+i]
		}
		if digit < '0' || digit > '9' {
			return time.Time{}, false
		}
		nanos = nanos*10 + time.Duration(digit-'0')
	}
	return t.Add(nanos), true
}

// quickDate reads the one form that S3 writes, which takes a third of the time.
func quickDate(b []byte) (time.Time, bool) {
	if len(b) < 20 || b[4] != '-' || b[7] != '-' || b[10] != 'T' || b[13] != ':' || b[16] != ':' || b[len(b)-1] != 'Z' {
		return time.Time{}, false
	}
	num := func(from, to int) int {
		n := 0
		for _, c := range b[from:to] {
			if c < '0' || c > '9' {
				return -1
			}
			n = n*10 + int(c-'0')
		}
		return n
	}
	year, month, day, hour, minute, sec := num(0, 4), num(5, 7), num(8, 10), num(11, 13), num(14, 16), num(17, 19)
	nanos := 0
	switch {
	case len(b) == 20:
	case len(b) == 24 && b[19] == '.':
		nanos = num(20, 23) * int(time.Millisecond)
	default:
		return time.Time{}, false
	}
	if year < 0 || month < 1 || month > 12 || day < 1 || day > 28 && day > daysIn(year, month) ||
		hour < 0 || hour > 23 || minute < 0 || minute > 59 || sec < 0 || sec > 59 || nanos < 0 {
		return time.Time{}, false
	}
	return time.Date(year, time.Month(month), day, hour, minute, sec, nanos, time.UTC), true
}

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}
