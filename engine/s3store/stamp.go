package s3store

import "time"

// stamps reads the instants of a listing's rows. The zero value is ready.
type stamps struct {
	// day is the date of the row before, and midnight its beginning in Unix seconds:
	// most rows of a page were written on few days.
	day      string
	midnight int64
}

// parse reads an instant as stores write it in listings, and leaves any other form
// to package time. The zero time is what could not be read.
func (s *stamps) parse(text string) time.Time {
	const form = "2006-01-02T15:04:05.000Z"
	if len(text) != len(form) || text[10] != 'T' || text[13] != ':' || text[16] != ':' || text[19] != '.' || text[23] != 'Z' {
		return parseStamp(text)
	}
	hour, minute, second := digits(text[11:13]), digits(text[14:16]), digits(text[17:19])
	milli := digits(text[20:23])
	if hour > 23 || minute > 59 || second > 59 || milli > 999 {
		return parseStamp(text)
	}
	if text[:10] != s.day {
		day, err := time.Parse(time.DateOnly, text[:10])
		if err != nil {
			return parseStamp(text)
		}
		s.day, s.midnight = text[:10], day.Unix()
	}
	return time.Unix(s.midnight+int64(hour*3600+minute*60+second), int64(milli)*1e6).UTC()
}

func parseStamp(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}

// digits is the number that text is; a large one where it is none.
func digits(text string) uint {
	n := uint(0)
	for i := range len(text) {
		d := uint(text[i]) - '0'
		if d > 9 {
			return 1 << 20
		}
		n = 10*n + d
	}
	return n
}
