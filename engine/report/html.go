package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
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
	Made time.Time
	// Summary, and what follows, may be there only once the rows were walked.
	Summary *Summary
	// History of the runs, oldest first.
	History []Moment
	// Chosen says which rows the page was given; empty for all.
	Chosen string
	// NotTaken is how many places of the job could not be taken when it began, so that no
	// row tells of them.
	NotTaken int
	// NoPrune is set for a job whose old versions prune does not delete.
	NoPrune bool
	// Verified is what the last verification found; nil where there was none.
	Verified *Verified
	// Compared is what was estimated beside what it became.
	Compared []Compared
	// MaxRows is how many of the objects that were not done are listed; the CSV
	// has them all. Default 1000.
	MaxRows int
}

// Fact is one line of a job's description.
type Fact struct{ Name, Value string }

// Verified is a verification in words.
type Verified struct {
	At time.Time
	OK bool
	// Lines of what it found, and of what still depends on other keys.
	Lines []Fact
}

// Compared is one figure of an estimate, and what it became.
type Compared struct{ Name, Estimated, Actual string }

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

// group is the objects that were not done for one reason.
type group struct {
	State, Reason, Code string
	Rows                []Row
	object.Tally
}

// Past this many different reasons the rest is counted together.
const maxGroups = 60

// pageData is what a page shows.
type pageData struct {
	*Page
	Changes []changeCount
	Groups  []*group
	Shown   int
	NotDone uint64

	byReason map[[3]string]*group
}

// WriteHTML writes one self-contained page for people: what the job was, how it went
// over time, what is encrypted how before and after, and what was left or failed and
// why, with the first of those objects. It walks the rows once.
func WriteHTML(w io.Writer, p *Page, rows Rows) error {
	d := &pageData{Page: p, byReason: map[[3]string]*group{}}
	limit := cmp.Or(p.MaxRows, 1000)
	changes := map[change]object.Tally{}
	err := rows(func(t *object.Task, o *object.Outcome) error {
		r := RowOf(t, o)
		countChange(changes, &r)
		if r.State != object.Done.String() && r.State != object.Already.String() {
			d.add(&r, limit)
		}
		return nil
	})
	if err != nil {
		return err
	}
	d.Changes = sortChanges(changes)
	d.Groups = sortGroups(d.byReason)
	if err := d.write(w); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// add counts a row under its reason, and keeps it where there is room: one reason
// never takes all of it.
func (d *pageData) add(r *Row, limit int) {
	d.NotDone++
	k := [3]string{r.State, string(r.Reason), r.ErrorCode}
	g := d.byReason[k]
	if g == nil && len(d.byReason) >= maxGroups {
		k = [3]string{r.State, "other reasons", ""}
		g = d.byReason[k]
	}
	if g == nil {
		g = &group{State: k[0], Reason: k[1], Code: k[2]}
		d.byReason[k] = g
	}
	g.Objects++
	if r.Size != nil {
		g.Bytes += *r.Size
	}
	if d.Shown < limit && (len(g.Rows) < limit*6/10 || limit < 10) {
		g.Rows = append(g.Rows, *r)
		d.Shown++
	}
}

// sortGroups puts what failed before what was left, and that before what remains.
func sortGroups(groups map[[3]string]*group) (out []*group) {
	rank := map[string]int{"failed": 0, "left": 1}
	for _, g := range groups {
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b *group) int {
		ra, aok := rank[a.State]
		rb, bok := rank[b.State]
		if !aok {
			ra = 2
		}
		if !bok {
			rb = 2
		}
		return cmp.Or(cmp.Compare(ra, rb), cmp.Compare(b.Objects, a.Objects), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Code, b.Code))
	})
	return out
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
		return "size not known"
	}
	return iBytes(*n)
}
