package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/resealhq/reseal/engine/object"
)

// Page is what the HTML report says besides the rows.
type Page struct {
	Title string
	// Facts of the job, in order: source, target, key, who, when.
	Facts []Fact
	// Made is when the report is written.
	Made    time.Time
	Summary *Summary
	// MaxRows is how many of the objects that were not done are listed; the CSV
	// has them all. Default 1000.
	MaxRows int
}

// Fact is one line of a job's description.
type Fact struct{ Name, Value string }

// change counts the objects of one encryption before and after.
type change struct {
	Before, BeforeKey, After, AfterKey, State string
}

type changeCount struct {
	change
	object.Tally
}

// Past this many different changes the rest is counted together.
const maxChanges = 200

// pageData is what a page shows.
type pageData struct {
	*Page
	Changes []changeCount
	States  []stateLine
	Rows    []Row
	Shown   int
	NotDone uint64
}

type stateLine struct {
	Name, Note string
	object.Tally
}

// WriteHTML writes one self-contained page for people: what the job was, what is
// encrypted how before and after, what was left or failed and why, and the first
// of those objects. It walks the rows once.
func WriteHTML(w io.Writer, p *Page, rows Rows) error {
	d := &pageData{Page: p}
	limit := p.MaxRows
	if limit == 0 {
		limit = 1000
	}
	changes := map[change]object.Tally{}
	err := rows(func(t *object.Task, o *object.Outcome) error {
		r := RowOf(t, o)
		countChange(changes, &r)
		if r.State == object.Done.String() || r.State == object.Already.String() {
			return nil
		}
		d.NotDone++
		if len(d.Rows) < limit {
			d.Rows = append(d.Rows, r)
		}
		return nil
	})
	if err != nil {
		return err
	}
	d.Shown, d.Changes = len(d.Rows), sortChanges(changes)
	for s, note := range p.Summary.notes() {
		if t := p.Summary.states[s]; t.Objects > 0 || s == object.Done {
			d.States = append(d.States, stateLine{s.String(), note, t})
		}
	}
	if err := d.write(w); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

func countChange(changes map[change]object.Tally, r *Row) {
	c := change{r.SSEBefore, r.KMSKeyBefore, r.SSEAfter, r.KMSKeyAfter, r.State}
	if c.After == "" { // untouched, so it is as it was
		c.After, c.AfterKey = c.Before, c.BeforeKey
	}
	n, known := changes[c]
	if !known && len(changes) >= maxChanges {
		c = change{Before: "other", After: "other", State: r.State}
		n = changes[c]
	}
	n.Objects++
	if r.Size != nil {
		n.Bytes += *r.Size
	}
	changes[c] = n
}

func sortChanges(changes map[change]object.Tally) []changeCount {
	var out []changeCount
	for c, t := range changes {
		out = append(out, changeCount{c, t})
	}
	slices.SortFunc(out, func(a, b changeCount) int {
		return cmp.Or(cmp.Compare(b.Objects, a.Objects), cmp.Compare(a.State, b.State), cmp.Compare(a.Before, b.Before),
			cmp.Compare(a.BeforeKey, b.BeforeKey), cmp.Compare(a.After, b.After), cmp.Compare(a.AfterKey, b.AfterKey))
	})
	return out
}

func iBytes(n int64) string { return humanize.IBytes(uint64(max(0, n))) }

func sizeOf(n *int64) string {
	if n == nil {
		return "not known"
	}
	return strconv.FormatInt(*n, 10)
}
