package s3store

import (
	"testing"
	"time"
)

var someStamps = []string{"2026-11-23T19:10:05.123Z", "2026-11-23T00:00:00.000Z", "2024-02-29T23:59:59.999Z", "1969-12-31T23:59:59.001Z", "0000-01-01T00:00:00.000Z",
	"2026-11-23T19:10:05Z", "2026-11-23T19:10:05.1Z", "2026-11-23T19:10:05.123456Z", "2026-11-23T19:10:05.123+02:00", "2026-11-23 19:10:05.123Z",
	"2026-02-29T00:00:00.000Z", "2026-13-01T00:00:00.000Z", "2026-11-23T24:00:00.000Z", "2026-11-23T19:60:05.123Z", "2026-11-23T19:10:60.123Z",
	"2026-11-23T1a:10:05.123Z", "2026-11-23T19:10:05.12aZ", "2026-11-23T19:10:05,123Z", "aaaa-11-23T19:10:05.123Z", "2026-11-23T-9:10:05.123Z", "", "Z"}

// sameStamp holds the quick reading of a time against the one of package time.
func sameStamp(t *testing.T, s *stamps, text string) {
	t.Helper()
	want := time.Time{}
	if p, err := time.Parse(time.RFC3339Nano, text); err == nil {
		want = p.UTC()
	}
	if got := s.parse(text); got != want {
		t.Errorf("%q is %v, want %v", text, got, want)
	}
}

func TestStampsAgreeWithPackageTime(t *testing.T) {
	var s stamps
	for range 2 { // with any other before it
		for _, text := range someStamps {
			for _, before := range someStamps {
				s.parse(before)
				sameStamp(t, &s, text)
			}
		}
	}
}

func FuzzStamp(f *testing.F) {
	for _, text := range someStamps {
		f.Add(text, someStamps[0])
	}
	f.Fuzz(func(t *testing.T, text, before string) {
		var s stamps
		s.parse(before)
		sameStamp(t, &s, text)
	})
}
