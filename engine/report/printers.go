package report

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"

	"github.com/resealhq/reseal/engine/object"
)

// Lines prints a line a snapshot, with its time and job: for logs, pipes and CI.
func Lines(w io.Writer) Printer { return lines{w} }

type lines struct{ w io.Writer }

func (l lines) Print(s *Snapshot) {
	fmt.Fprintf(l.w, "%s %s: %s\n", s.At.Local().Format(time.RFC3339), object.Printable(s.Job), s.Line())
}

// Line is the snapshot in one line of text.
func (s *Snapshot) Line() string {
	var b strings.Builder
	if s.PlanComplete {
		fmt.Fprintf(&b, "%s of %s (%s)", comma(s.Settled()), Count(s.Planned, "object"), percent(s.Settled(), s.Planned))
	} else {
		fmt.Fprintf(&b, "%s, %s planned so far", Count(s.Settled(), "object"), comma(s.Planned))
	}
	return b.String() + ", " + s.details()
}

// details is what the bar and the line share, the most important first: a narrow
// terminal cuts the rest off.
func (s *Snapshot) details() string {
	var parts []string
	waits := s.Paused || !s.PausedUntil.IsZero() || !s.WaitingSince.IsZero()
	if !s.PausedUntil.IsZero() {
		parts = append(parts, "paused until "+s.PausedUntil.Format("Mon 15:04 MST"))
	}
	if waits && s.Why != "" {
		parts = append(parts, object.Printable(s.Why))
	}
	if !s.StuckSince.IsZero() {
		parts = append(parts, s.stuck())
	}
	if s.Failed > 0 {
		parts = append(parts, comma(s.Failed)+" failed")
	}
	if s.Left > 0 {
		parts = append(parts, comma(s.Left)+" left")
	}
	if s.ETASeconds != nil && s.Remaining > 0 {
		parts = append(parts, "ETA "+roundETA(*s.ETASeconds).String())
	}
	parts = append(parts, humanize.CommafWithDigits(s.ObjectsPerSecond, 1)+" objects/s", iBytes(s.Bytes)+" done")
	if !waits && s.Why != "" {
		parts = append(parts, object.Printable(s.Why))
	}
	parts = append(parts, iBytes(int64(s.BytesPerSecond))+"/s")
	if e := s.errors(); e != "" {
		parts = append(parts, "errors: "+e)
	}
	return strings.Join(parts, ", ")
}

// errors are those that a person has to know of. That nothing is there is an answer, and the
// one that is wanted where a copy goes to another place.
func (s *Snapshot) errors() string {
	var parts []string
	for _, class := range slices.Sorted(maps.Keys(s.Errors)) {
		if class == object.ClassGone.String() {
			continue
		}
		parts = append(parts, comma(s.Errors[class])+" "+object.Printable(class))
	}
	return strings.Join(parts, " ")
}

func comma(n uint64) string { return humanize.Comma(int64(n)) }

// Count is a number of things for a person: 1 object, 1,234 objects.
func Count(n uint64, noun string) string {
	return comma(n) + " " + english.PluralWord(int(min(n, 2)), noun, "")
}

func percent(n, of uint64) string {
	if of == 0 {
		return "100%"
	}
	return fmt.Sprintf("%.1f%%", 100*float64(n)/float64(of))
}

// roundETA keeps as many digits as such a guess deserves.
func roundETA(seconds float64) time.Duration {
	d := time.Duration(min(seconds, 1e9) * float64(time.Second))
	switch {
	case d > 24*time.Hour:
		return d.Round(time.Hour)
	case d > time.Hour:
		return d.Round(time.Minute)
	}
	return d.Round(time.Second)
}

// JSONLines prints every snapshot as one JSON object on a line.
func JSONLines(w io.Writer) Printer { return jsonLines{json.NewEncoder(w)} }

type jsonLines struct{ e *json.Encoder }

func (j jsonLines) Print(s *Snapshot) { _ = j.e.Encode(s) }
