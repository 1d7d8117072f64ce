package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// NarrowTerminal is how many columns a bar needs to say anything; fewer get lines.
const NarrowTerminal = 45

// Bar draws one line on a terminal again and again: a count while the plan grows, a
// bar with ETA once it is complete. Give it to Show with a fifth of a second. The
// line never fills the last column, so that no terminal wraps it, and one that
// becomes narrower under it keeps nothing of the old one.
func Bar(w io.Writer) Printer { return &bar{w: w} }

type bar struct {
	w    io.Writer
	last int // characters of the line that stands there
}

func (b *bar) Print(s *Snapshot) {
	columns := width(b.w)
	text := b.away(columns)
	if s.Final {
		text += s.Line() + "\n"
	} else {
		line := s.barLine(columns - 1)
		b.last = utf8.RuneCountInString(line)
		text += line
	}
	_, _ = io.WriteString(b.w, text) // a terminal that is gone is no reason to stop
}

// Clear takes the bar away.
func (b *bar) Clear() { _, _ = io.WriteString(b.w, b.away(width(b.w))) }

// away goes to where the line begins, which may have been wrapped since, and removes
// it.
func (b *bar) away(columns int) string {
	up := 0
	if b.last > 0 {
		up = (b.last - 1) / max(1, columns)
	}
	b.last = 0
	if up == 0 {
		return "\r\x1b[J"
	}
	return fmt.Sprintf("\r\x1b[%dA\x1b[J", up)
}

// barLine is the line of a bar in so many columns.
func (s *Snapshot) barLine(columns int) string {
	if !s.PlanComplete {
		return cut(fmt.Sprintf("%s of %s planned so far, %s", comma(s.Settled()), comma(s.Planned), s.details()), columns)
	}
	const shortest, longest = 10, 24
	size := shortest
	if columns > 120 {
		size = longest
	}
	filled := size
	if s.Planned > 0 {
		filled = int(float64(size) * float64(s.Settled()) / float64(s.Planned))
	}
	full := strings.Repeat("#", min(filled, size)) + strings.Repeat("-", max(0, size-filled))
	return cut(fmt.Sprintf("[%s] %s %s/%s, %s", full, percent(s.Settled(), s.Planned), comma(s.Settled()), comma(s.Planned), s.details()), columns)
}

// width is the terminal's, asked for each time since people resize it.
func width(w io.Writer) int {
	if f, ok := w.(interface{ Fd() uintptr }); ok {
		if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
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
