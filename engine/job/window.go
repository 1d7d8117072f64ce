package job

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // --time-zone works on machines without the database
)

// Window is when work is allowed: spans of the week in one time zone. nil is
// always; ParseWindow makes others.
type Window struct {
	spans []weekSpan
	zone  *time.Location
	text  string
}

// weekSpan is one span of a day, on some weekdays. An end before its start lies
// on the next day; the span belongs to the day on which it starts.
type weekSpan struct {
	days       [7]bool // by time.Weekday
	start, end int     // minutes since midnight; end up to 24:00
}

var weekdays = [...]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// ParseWindow understands "22:00-06:00", "Sat-Sun 00:00-24:00", and several of
// them, separated by commas. An empty text is no window, no zone the machine's.
func ParseWindow(text string, zone *time.Location) (*Window, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	w := &Window{zone: cmp.Or(zone, time.Local), text: text}
	for _, part := range strings.Split(text, ",") {
		s, err := parseWeekSpan(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		w.spans = append(w.spans, s)
	}
	return w, nil
}

func parseWeekSpan(text string) (s weekSpan, err error) {
	days, hours, named := strings.Cut(text, " ")
	if !named {
		days, hours = "sun-sat", text
	}
	if s.days, err = parseDays(days); err != nil {
		return s, err
	}
	from, to, ok := strings.Cut(strings.TrimSpace(hours), "-")
	if !ok {
		return s, fmt.Errorf("%q is no span of hours", hours)
	}
	if s.start, err = parseClock(from); err != nil {
		return s, err
	}
	if s.end, err = parseClock(to); err != nil {
		return s, err
	}
	switch {
	case s.start == 24*60:
		return s, fmt.Errorf("a span cannot start at 24:00")
	case s.end == s.start:
		return s, fmt.Errorf("%q is nothing or a whole day; 00:00-24:00 is a whole day", hours)
	case s.end < s.start:
		s.end += 24 * 60
	}
	return s, nil
}

func parseDays(text string) (days [7]bool, err error) {
	from, to, isRange := strings.Cut(strings.ToLower(text), "-")
	first, ok := weekday(from)
	last := first
	if isRange && ok {
		last, ok = weekday(to)
	}
	if !ok {
		return days, fmt.Errorf("%q is no day or span of days; write Mon or Mon-Fri", text)
	}
	for d := first; ; d = (d + 1) % 7 {
		days[d] = true
		if d == last {
			return days, nil
		}
	}
}

func weekday(name string) (int, bool) {
	for i, d := range weekdays {
		if len(name) >= 3 && strings.HasPrefix(name, d) && strings.HasPrefix(strings.ToLower(time.Weekday(i).String()), name) {
			return i, true
		}
	}
	return 0, false
}

func parseClock(text string) (minutes int, err error) {
	var h, m int
	text = strings.TrimSpace(text)
	if n, err := fmt.Sscanf(text, "%2d:%2d", &h, &m); n != 2 || err != nil || fmt.Sprintf("%02d:%02d", h, m) != text ||
		h > 24 || m > 59 || h == 24 && m > 0 || h < 0 || m < 0 {
		return 0, fmt.Errorf("%q is no time of day; write it as 22:00", text)
	}
	return h*60 + m, nil
}

// at says whether work is allowed at t, and until when that stays so. Where
// clocks are set back, an hour that comes twice counts in the way that works
// less, and so does one that never comes where they are set forward.
func (w *Window) at(t time.Time) (open bool, until time.Time) {
	if w == nil {
		return true, time.Time{}
	}
	y, m, d := t.In(w.zone).Date()
	for day := -2; day <= 8; day++ {
		for _, s := range w.spans {
			weekday := time.Date(y, m, d+day, 12, 0, 0, 0, w.zone).Weekday()
			if !s.days[weekday] {
				continue
			}
			start := w.wall(y, m, d+day, s.start, true)
			end := w.wall(y, m, d+day, s.end, false)
			if !start.Before(end) {
				continue // swallowed where clocks are set forward
			}
			switch {
			case !t.Before(start) && t.Before(end):
				if !open || end.After(until) {
					open, until = true, end
				}
			case !open && start.After(t) && (until.IsZero() || start.Before(until)):
				until = start
			}
		}
	}
	return open, until
}

// wall is the instant at which the clock on the wall shows minutes after
// midnight; of two such instants the later one if late, else the earlier one.
// Where there is none, late is the instant as many minutes after the clocks were
// set forward as are missing, and else that of the setting.
func (w *Window) wall(y int, m time.Month, d, minutes int, late bool) time.Time {
	t := time.Date(y, m, d, 0, minutes, 0, 0, w.zone)
	if shown := t.Hour()*60 + t.Minute(); shown != minutes%(24*60) && !late {
		before, after := t.ZoneBounds() // t is one of the two readings, on either side
		if shown > minutes%(24*60) {
			return before
		}
		return after
	}
	for _, shift := range []time.Duration{-2 * time.Hour, -time.Hour, -30 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour} {
		other := t.Add(shift)
		same := other.Hour() == t.Hour() && other.Minute() == t.Minute() && other.Day() == t.Day()
		if same && other.After(t) == late {
			t = other
		}
	}
	return t
}

// wait returns when work is allowed, or the context ends. It looks at the clock
// again every minute, since a machine that slept has a timer that is late.
// closed is told when it begins to wait, and with a zero time when it ends.
func (w *Window) wait(ctx context.Context, closed func(until time.Time)) error {
	waited := false
	for {
		now := time.Now()
		open, until := w.at(now)
		if open {
			if waited {
				closed(time.Time{})
			}
			return ctx.Err()
		}
		if !waited {
			waited = true
			closed(until)
		}
		timer := time.NewTimer(min(until.Sub(now), time.Minute))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}
