package planner

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	humanize "github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"

	"github.com/resealhq/reseal/engine/object"
)

// textWidth is what every terminal and ticket has.
const textWidth = 80

// WriteText writes the estimate for a person, in lines of at most 80 columns.
func (e *Estimate) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Plan of %s\n\n", amount(e.Total))
	row := func(a Amount, what string) {
		fmt.Fprintf(&b, "%16s %10s  %s\n", comma(a.Objects), size(a.Bytes), object.Printable(what))
	}
	fmt.Fprintf(&b, "%16s %10s\n", "objects", "size")
	for _, x := range e.Work {
		row(x.Amount, fmt.Sprintf("%-9s %-19s %s", x.Operation, x.StorageClass, "now "+x.Source.String()))
	}
	if e.Already.Objects > 0 {
		row(e.Already, "already as wanted")
	}
	for _, x := range e.Left {
		row(x.Amount, "left: "+string(x.Reason))
	}
	b.WriteByte('\n')
	e.writeChoices(&b)
	var requests []string
	for _, k := range slices.Sorted(maps.Keys(e.Requests)) {
		requests = append(requests, comma(e.Requests[k])+" "+k)
	}
	line := func(title, text string) { wrap(&b, title, object.Printable(text)) }
	line("Requests", strings.Join(requests, ", "))
	line("KMS calls", comma(e.KMSCalls))
	if e.ClientBytes > 0 {
		line("Network", fmt.Sprintf("%s are read by this machine and written again", size(e.ClientBytes)))
	}
	if e.Growth > 0 {
		line("Storage", fmt.Sprintf("grows by %s, which costs %s a month for as long as it is kept", size(e.Growth), e.money(e.Cost.StoragePerMonth)))
	}
	for _, x := range e.EarlyDeletion {
		line("Early end", fmt.Sprintf("%s in %s replaced before the minimum duration of the class: %s", amount(x.Amount), x.StorageClass, e.money(x.Cost)))
	}
	c := e.Cost
	elsewhere := ""
	if len(c.Elsewhere) > 0 {
		elsewhere = fmt.Sprintf("; prices are others in %s, and --prices takes a list of them", strings.Join(c.Elsewhere, ", "))
	}
	line("Cost", fmt.Sprintf("%s (requests %s, KMS %s, retrieval %s, early end %s), by the prices of %s in %s%s",
		e.money(c.Total), e.money(c.Requests), e.money(c.KMS), e.money(c.Retrieval), e.money(c.EarlyDeletion), c.PricesOf, c.Region, elsewhere))
	if e.RequestsPerSecond > 0 {
		line("Duration", fmt.Sprintf("%s at %s a second", span(e.Seconds), count(uint64(e.RequestsPerSecond), "request")))
	}
	if n := e.undecided(); n > 0 {
		line("Open", count(n, "object")+" not inspected, counted as copied, and decided on in turn")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeChoices says why objects go by their operation, and what would be cheaper.
func (e *Estimate) writeChoices(b *strings.Builder) {
	for _, g := range e.Choices {
		wrap(b, g.Operation, object.Printable(count(g.Objects, "object")+": "+g.Why))
		if g.Cheaper != "" {
			wrap(b, "  cheaper", object.Printable(g.Cheaper))
		}
	}
	if len(e.Choices) > 0 {
		b.WriteByte('\n')
	}
}

func (e *Estimate) undecided() (n uint64) {
	for _, x := range e.Work {
		if x.Operation == object.OpUndecided.String() {
			n += x.Objects
		}
	}
	return n
}

func amount(a Amount) string {
	return count(a.Objects, "object") + ", " + size(a.Bytes)
}

// count is a number of things: 1 object, 1,234 objects.
func count(n uint64, noun string) string {
	return comma(n) + " " + english.PluralWord(int(min(n, 2)), noun, "")
}

func comma(n uint64) string { return humanize.Comma(int64(n)) }

func size(n int64) string { return humanize.IBytes(uint64(max(0, n))) }

func (e *Estimate) money(x float64) string {
	switch {
	case x == 0:
		return "0 " + e.Cost.Currency
	case x < 0.01:
		return "under 0.01 " + e.Cost.Currency
	}
	return humanize.CommafWithDigits(x, 2) + " " + e.Cost.Currency
}

// span is a duration in its two largest units.
func span(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	if d < 0 || seconds > 1e9 {
		return "decades"
	}
	units := []struct {
		name string
		d    time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}}
	for i, u := range units {
		if d < u.d {
			continue
		}
		s := fmt.Sprintf("%d%s", d/u.d, u.name)
		if i+1 < len(units) {
			if rest := d % u.d / units[i+1].d; rest > 0 {
				s += fmt.Sprintf(" %d%s", rest, units[i+1].name)
			}
		}
		return s
	}
	return "under a second"
}

// wrap writes a title and its text, broken at spaces, as one paragraph.
func wrap(b *strings.Builder, title, text string) {
	const indent = 12
	fmt.Fprintf(b, "%-*s", indent, title)
	column := indent
	for i, word := range strings.Fields(text) {
		if i > 0 && column+1+len(word) > textWidth {
			b.WriteString("\n" + strings.Repeat(" ", indent))
			column = indent
		} else if i > 0 {
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	b.WriteByte('\n')
}
