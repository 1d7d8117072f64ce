package job

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestWindow(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	at := func(s string) time.Time {
		t.Helper()
		when, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	for _, c := range []struct {
		name, window, now string
		open              bool
		until             string
	}{
		{"by day, before", "09:00-17:00", "2026-06-10T08:59:59+02:00", false, "2026-06-10T09:00:00+02:00"},
		{"by day, within", "09:00-17:00", "2026-06-10T09:00:00+02:00", true, "2026-06-10T17:00:00+02:00"},
		{"by day, after", "09:00-17:00", "2026-06-10T17:00:00+02:00", false, "2026-06-11T09:00:00+02:00"},
		{"across midnight, evening", "22:00-06:00", "2026-06-10T23:00:00+02:00", true, "2026-06-11T06:00:00+02:00"},
		{"across midnight, morning", "22:00-06:00", "2026-06-11T05:59:00+02:00", true, "2026-06-11T06:00:00+02:00"},
		{"across midnight, noon", "22:00-06:00", "2026-06-11T12:00:00+02:00", false, "2026-06-11T22:00:00+02:00"},
		{"weekend", "Sat-Sun 00:00-24:00", "2026-06-12T12:00:00+02:00", false, "2026-06-13T00:00:00+02:00"},
		{"belongs to the day of its start", "Fri 22:00-06:00", "2026-06-13T01:00:00+02:00", true, "2026-06-13T06:00:00+02:00"},
		{"and not to the next", "Fri 22:00-06:00", "2026-06-13T23:00:00+02:00", false, "2026-06-19T22:00:00+02:00"},
		{"several", "Mon-Fri 22:00-06:00, Sat-Sun 00:00-24:00", "2026-06-13T05:00:00+02:00", true, "2026-06-14T00:00:00+02:00"},
		{"days over the week's end", "Sat-Mon 10:00-11:00", "2026-06-15T10:30:00+02:00", true, "2026-06-15T11:00:00+02:00"},
		{"clocks forward: the night is short", "22:00-06:00", "2026-03-29T00:30:00+01:00", true, "2026-03-29T06:00:00+02:00"},
		{"clocks forward: a start that no clock shows", "02:30-05:00", "2026-03-29T01:00:00+01:00", false, "2026-03-29T03:30:00+02:00"},
		{"clocks forward: an end that no clock shows", "22:00-02:30", "2026-03-29T01:30:00+01:00", true, "2026-03-29T03:00:00+02:00"},
		{"clocks forward: and is past then", "22:00-02:30", "2026-03-29T03:10:00+02:00", false, "2026-03-29T22:00:00+02:00"},
		{"clocks forward: a span that no clock shows", "02:10-02:50", "2026-03-29T03:20:00+02:00", false, "2026-03-30T02:10:00+02:00"},
		{"clocks back: the night is long", "22:00-06:00", "2026-10-25T02:30:00+02:00", true, "2026-10-25T06:00:00+01:00"},
		{"clocks back: an end that comes twice is the first", "22:00-02:30", "2026-10-25T01:00:00+02:00", true, "2026-10-25T02:30:00+02:00"},
		{"clocks back: and stays closed", "22:00-02:30", "2026-10-25T02:15:00+01:00", false, "2026-10-25T22:00:00+01:00"},
		{"clocks back: a start that comes twice is the second", "02:30-05:00", "2026-10-25T02:40:00+02:00", false, "2026-10-25T02:30:00+01:00"},
		{"all day", "00:00-24:00", "2026-06-10T00:00:00+02:00", true, "2026-06-11T00:00:00+02:00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, err := ParseWindow(c.window, berlin)
			if err != nil {
				t.Fatal(err)
			}
			open, until := w.at(at(c.now))
			if open != c.open || !until.Equal(at(c.until)) {
				t.Errorf("at %s: open %v until %s, want %v until %s", c.now, open, until.In(berlin).Format(time.RFC3339), c.open, c.until)
			}
		})
	}
}

func TestWindowText(t *testing.T) {
	for _, s := range []string{"22-06", "22:00", "22:00-6:00", "25:00-26:00", "24:00-01:00", "10:60-11:00", "Someday 10:00-11:00", "Mon-Foo 10:00-11:00", "10:00-11:00,", "-1:00-02:00", "22:00-22:00", "Mon 00:00-00:00"} {
		if w, err := ParseWindow(s, time.UTC); err == nil {
			t.Errorf("ParseWindow(%q) = %+v, want an error", s, w)
		}
	}
	if w, err := ParseWindow("", time.UTC); w != nil || err != nil {
		t.Errorf("no window: %v, %v", w, err)
	}
	if open, _ := (*Window)(nil).at(time.Now()); !open {
		t.Error("without a window it is closed")
	}
}

// TestWindowIsWaitedFor lives through three simulated nights.
func TestWindowIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // begins on 2000-01-01 at midnight UTC, a Saturday
		w, err := ParseWindow("Mon-Tue 22:00-06:00", time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		var told []time.Time
		for _, want := range []string{"2000-01-03T22:00:00Z", "2000-01-04T22:00:00Z", "2000-01-10T22:00:00Z"} {
			if err := w.wait(t.Context(), func(until time.Time) { told = append(told, until) }); err != nil {
				t.Fatal(err)
			}
			if got := time.Now().UTC().Format(time.RFC3339); got != want {
				t.Errorf("went on at %s, want %s", got, want)
			}
			time.Sleep(9 * time.Hour) // simulated: the span is over
		}
		if len(told) != 6 || !told[1].IsZero() {
			t.Errorf("told %v, want three waits and three ends", told)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Minute)
		defer cancel()
		if err := w.wait(ctx, func(time.Time) {}); err == nil {
			t.Error("an ended context was waited for")
		}
	})
}

// TestTheWindowIsToldOnce: workers whose requests wait to be sent again stand at the gate together,
// and the log tells of it once.
func TestTheWindowIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // it begins at midnight, UTC
		var log bytes.Buffer
		window, err := ParseWindow("01:00-02:00", time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		w := &work{session: &session{log: slog.New(slog.NewTextHandler(&log, nil)), opt: &Options{Limits: Limits{Window: window}}}, tell: &teller{}}
		w.setting.Store(&Setting{})
		for range 8 {
			go func() {
				if err := w.gate(t.Context()); err != nil {
					t.Error(err)
				}
			}()
		}
		time.Sleep(90 * time.Minute)
		if n := strings.Count(log.String(), "\n"); n != 2 || w.tell.mu.outside {
			t.Errorf("%d lines\n%s", n, log.String())
		}
	})
}
