package main

import "testing"

// FuzzParseSize: whatever is typed is refused, or is a size that is not negative.
func FuzzParseSize(f *testing.F) {
	for _, s := range []string{"0", "64MiB", "5GB", "1.5GiB", "9223372036854775807", "9999999999TiB", "-1", "1e9", "", "KiB", "0x10", "NaN", "Inf"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := parseSize(s); err == nil && n < 0 {
			t.Errorf("%q is %d bytes", s, n)
		}
	})
}
