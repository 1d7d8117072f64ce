package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/resealhq/reseal/engine/job"
)

// The values that flags take beyond Go's own. Each remembers the text that it
// was given, so that a job can show it again, and refuses what it cannot mean.

// oneOf is a word out of a list.
type oneOf struct {
	value   string
	allowed []string
}

func (v *oneOf) String() string { return v.value }
func (v *oneOf) Type() string   { return strings.Join(v.allowed, "|") }
func (v *oneOf) Set(s string) error {
	for _, a := range v.allowed {
		if s == a {
			v.value = s
			return nil
		}
	}
	return fmt.Errorf("use %s", orList(v.allowed))
}

func orList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// byteSize is a number of bytes: 1048576, 64MiB, 5GB. Zero and "not given"
// differ: see given.
type byteSize struct {
	bytes int64
	given bool
	text  string
}

func (v *byteSize) String() string { return v.text }
func (v *byteSize) Type() string   { return "size" }
func (v *byteSize) Set(s string) error {
	n, err := parseSize(s)
	if err != nil {
		return err
	}
	*v = byteSize{bytes: n, given: true, text: s}
	return nil
}

var sizeUnits = []struct {
	suffix string
	bytes  float64
}{
	{"kib", 1 << 10}, {"mib", 1 << 20}, {"gib", 1 << 30}, {"tib", 1 << 40},
	{"kb", 1e3}, {"mb", 1e6}, {"gb", 1e9}, {"tb", 1e12},
	{"k", 1 << 10}, {"m", 1 << 20}, {"g", 1 << 30}, {"t", 1 << 40},
	{"b", 1}, {"", 1},
}

// parseSize understands a plain number, KiB … TiB, KB … TB, and K … T, which
// are the binary ones as in the AWS CLI.
func parseSize(s string) (int64, error) {
	lower := strings.ToLower(strings.TrimSpace(s))
	for _, u := range sizeUnits {
		num, ok := strings.CutSuffix(lower, u.suffix)
		if !ok {
			continue
		}
		num = strings.TrimSpace(num)
		if n, err := strconv.ParseInt(num, 10, 64); err == nil && u.bytes == 1 && n >= 0 {
			return n, nil
		}
		f, err := strconv.ParseFloat(num, 64)
		if err != nil || f < 0 || f*u.bytes > 1<<62 || f != f {
			break
		}
		return int64(f * u.bytes), nil
	}
	return 0, fmt.Errorf("%q is no size; write for example 64MiB", s)
}

// moment is a point in time: RFC 3339, a date, or an age such as 30d.
type moment struct {
	at   time.Time
	text string
}

func (v *moment) String() string { return v.text }
func (v *moment) Type() string   { return "time|age" }
func (v *moment) Set(s string) error {
	at, err := parseMoment(s, time.Now())
	if err != nil {
		return err
	}
	*v = moment{at: at, text: s}
	return nil
}

func parseMoment(s string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	if age, err := parseSpan(s); err == nil {
		return now.Add(-age).UTC().Truncate(time.Second), nil
	}
	return time.Time{}, fmt.Errorf("%q is neither a time such as 2026-01-31T00:00:00Z nor an age such as 30d", s)
}

// span is a duration that also knows days and weeks.
type span struct {
	time.Duration
	text string
}

func (v *span) String() string { return v.text }
func (v *span) Type() string   { return "duration" }
func (v *span) Set(s string) error {
	d, err := parseSpan(s)
	if err != nil {
		return err
	}
	*v = span{Duration: d, text: s}
	return nil
}

// parseSpan understands Go's durations and whole or broken days and weeks: 6h,
// 90m, 30d, 2w.
func parseSpan(s string) (time.Duration, error) {
	bad := fmt.Errorf("%q is no duration; write for example 90m, 6h or 30d", s)
	for suffix, unit := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if num, ok := strings.CutSuffix(s, suffix); ok {
			f, err := strconv.ParseFloat(num, 64)
			if err != nil || f < 0 || f*float64(unit) > float64(1<<62) || f != f {
				return 0, bad
			}
			return time.Duration(f * float64(unit)), nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, bad
	}
	return d, nil
}

// share is a number or a percentage of failures.
type share struct {
	job.MaxFailures
	text string
}

func (v *share) String() string { return v.text }
func (v *share) Type() string   { return "N|N%" }
func (v *share) Set(s string) error {
	bad := fmt.Errorf("%q is neither a number such as 100 nor a percentage such as 1%%", s)
	if num, ok := strings.CutSuffix(s, "%"); ok {
		f, err := strconv.ParseFloat(num, 64)
		if err != nil || !(f >= 0 && f <= 100) {
			return bad
		}
		*v = share{job.MaxFailures{Set: true, Percent: f}, s}
		return nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return bad
	}
	*v = share{job.MaxFailures{Set: true, Count: n}, s}
	return nil
}

// concurrency is a number of requests in flight, or auto (0).
type concurrency struct{ n int }

func (v *concurrency) String() string {
	if v.n == 0 {
		return "auto"
	}
	return strconv.Itoa(v.n)
}
func (v *concurrency) Type() string { return "N|auto" }
func (v *concurrency) Set(s string) error {
	if s == "auto" {
		v.n = 0
		return nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > job.MaxConcurrency {
		return fmt.Errorf("%q is neither auto nor a number from 1 to %d", s, job.MaxConcurrency)
	}
	v.n = n
	return nil
}

// words is a comma-separated list of words out of a list; a flag given twice
// adds to it.
type words struct {
	values  []string
	allowed []string
}

func (v *words) String() string { return strings.Join(v.values, ",") }
func (v *words) Type() string   { return "list" }
func (v *words) Set(s string) error {
	for _, w := range strings.Split(s, ",") {
		w = strings.TrimSpace(w)
		if w == "" {
			continue
		}
		one := oneOf{allowed: v.allowed}
		if err := one.Set(w); err != nil {
			return fmt.Errorf("unknown name %q; %w", w, err)
		}
		v.values = append(v.values, w)
	}
	return nil
}

// patternFlag appends to the one ordered list that --include and --exclude
// share, since their order decides.
type patternFlag struct {
	include bool
	rules   *[]job.Pattern
}

func (v *patternFlag) String() string { return "" }
func (v *patternFlag) Type() string   { return "glob" }
func (v *patternFlag) Set(s string) error {
	if s == "" {
		return fmt.Errorf("a pattern cannot be empty")
	}
	*v.rules = append(*v.rules, job.Pattern{Include: v.include, Glob: s})
	return nil
}

// boolWord is a switch that knows "not given": empty, on or off.
type boolWord struct{ word *string }

func (v *boolWord) String() string {
	if v.word == nil {
		return ""
	}
	return *v.word
}
func (v *boolWord) Type() string     { return "bool" }
func (v *boolWord) IsBoolFlag() bool { return true }
func (v *boolWord) Set(s string) error {
	b, err := strconv.ParseBool(s)
	if err != nil {
		return fmt.Errorf("use true or false")
	}
	*v.word = "off"
	if b {
		*v.word = "on"
	}
	return nil
}
