package folder

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// MtimeName is the user metadata that keeps a file's modification time, as rclone and
// --stamp-mtime write it: seconds since the epoch, with a fraction where there is one.
const MtimeName = "mtime"

// mtimeText writes it.
func mtimeText(t time.Time) string {
	sec, frac := t.Unix(), t.Nanosecond()
	sign := ""
	if sec < 0 && frac > 0 { // -1.25 is 1.25 before the epoch, which Unix tells as -2 and 0.75 after
		sec, frac = sec+1, 1_000_000_000-frac
	}
	if sec < 0 || t.Unix() < 0 {
		sign, sec = "-", -sec
	}
	if frac == 0 {
		return fmt.Sprintf("%s%d", sign, sec)
	}
	return strings.TrimRight(fmt.Sprintf("%s%d.%09d", sign, sec, frac), "0")
}

// parseMtime reads it; ok is false for what is none, and for times that no file has.
func parseMtime(s string) (t time.Time, ok bool) {
	rest, negative := strings.CutPrefix(s, "-")
	whole, frac, _ := strings.Cut(rest, ".")
	if len(frac) > 9 {
		frac = frac[:9]
	}
	sec, err := strconv.ParseUint(whole, 10, 36) // to the year 4147
	if err != nil {
		return t, false
	}
	ns := uint64(0)
	if frac != "" {
		if ns, err = strconv.ParseUint(frac+strings.Repeat("0", 9-len(frac)), 10, 32); err != nil {
			return t, false
		}
	}
	if negative {
		return time.Unix(-int64(sec), -int64(ns)), true
	}
	return time.Unix(int64(sec), int64(ns)), true
}
