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
	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// Lines prints a line a snapshot: for logs, pipes and CI. Give it to Show with
// 30 seconds.
func Lines(w io.Writer) Printer { return &lines{w: w} }

type lines struct {
	w     io.Writer
	begun bool
}

func (l *lines) Print(s *Snapshot) {
	if !l.begun { // nothing has happened yet
		l.begun = true
		return
	}
	fmt.Fprintln(l.w, s.Line())
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
	parts := []string{iBytes(s.Bytes) + " done", humanize.CommafWithDigits(s.ObjectsPerSecond, 1) + " objects/s"}
	if s.ETASeconds != nil && s.Remaining > 0 {
		parts = append(parts, "ETA "+roundETA(*s.ETASeconds).String())
	}
	if s.Failed > 0 {
		parts = append(parts, comma(s.Failed)+" failed")
	}
	if s.Left > 0 {
		parts = append(parts, comma(s.Left)+" left")
	}
	if !s.PausedUntil.IsZero() {
		parts = append(parts, "paused until "+s.PausedUntil.Format("Mon 15:04 MST"))
	}
	if s.Why != "" {
		parts = append(parts, s.Why)
	}
	parts = append(parts, iBytes(int64(s.BytesPerSecond))+"/s")
	if e := s.errors(); e != "" {
		parts = append(parts, "errors: "+e)
	}
	return strings.Join(parts, ", ")
}

func (s *Snapshot) errors() string {
	var parts []string
	for _, class := range slices.Sorted(maps.Keys(s.Errors)) {
		parts = append(parts, comma(s.Errors[class])+" "+class)
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

// Bar is a progress bar for a terminal: a count while the plan grows, a bar with
// ETA once it is complete. Give it to Show with a fifth of a second.
func Bar(w io.Writer) Printer { return &bar{w: w} }

// barWidth is what the bar takes besides its text: the saucer, a percentage and
// two numbers of nine digits.
const barWidth = 24 + 8 + 24

// width is the terminal's, asked for each time since people resize it.
func width(w io.Writer) int {
	if f, ok := w.(interface{ Fd() uintptr }); ok {
		if n, _, err := term.GetSize(int(f.Fd())); err == nil {
			return n
		}
	}
	return 200
}

func cut(s string, n int) string {
	if r := []rune(s); len(r) > max(0, n) {
		return string(r[:max(0, n)])
	}
	return s
}

type bar struct {
	w     io.Writer
	bar   *progressbar.ProgressBar
	known bool // the bar has its end
}

func (b *bar) Print(s *Snapshot) {
	if b.bar == nil || s.PlanComplete && !b.known {
		b.restart(s)
	}
	b.bar.Describe(cut(s.details(), width(b.w)-barWidth))
	if b.known {
		_ = b.bar.Set64(int64(min(s.Settled(), s.Planned))) // a terminal that is gone is no reason to stop
	} else {
		_ = b.bar.Set64(int64(s.Settled()))
	}
	if s.Final {
		_ = b.bar.Clear()
		_ = b.bar.Exit()
		fmt.Fprintln(b.w, s.Line())
	}
}

func (b *bar) restart(s *Snapshot) {
	if b.bar != nil {
		_ = b.bar.Clear()
		_ = b.bar.Exit()
	}
	end := int64(-1)
	if s.PlanComplete {
		b.known, end = true, int64(max(1, s.Planned)) // the library knows no empty bar
	}
	b.bar = progressbar.NewOptions64(end,
		progressbar.OptionSetWriter(b.w), progressbar.OptionUseANSICodes(true), progressbar.OptionSetWidth(24),
		progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(false),
		progressbar.OptionShowDescriptionAtLineEnd(), progressbar.OptionSetSpinnerChangeInterval(0))
}

// JSONLines prints every snapshot as one JSON object on a line.
func JSONLines(w io.Writer) Printer { return jsonLines{json.NewEncoder(w)} }

type jsonLines struct{ e *json.Encoder }

func (j jsonLines) Print(s *Snapshot) { _ = j.e.Encode(s) }
