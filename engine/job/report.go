package job

import (
	"context"
	"io"
	"time"

	"github.com/resealhq/reseal/engine/report"
)

// ReportOptions say which rows, and in which form.
type ReportOptions struct {
	// Format is csv, json, html or table; csv where it is empty.
	Format string
	// Filter says which rows.
	Filter report.Filter
	// Width of a table, in characters.
	Width int
	// Name spells the names of fields of the specification in a text, for the HTML
	// page; nil leaves them as Fields has them.
	Name func(field string) string
}

// Report writes one row an object: what was done, how, what the store showed
// before and after, and why an object was left or failed. It may be called while
// the job runs.
func (j *Job) Report(ctx context.Context, w io.Writer, opt ReportOptions) error {
	if err := oneOf("ReportOptions.Format", opt.Format, "", "csv", "json", "html", "table"); err != nil {
		return err
	}
	points, err := j.openRecords()
	if err != nil {
		return jobUnusable(err)
	}
	defer points.Close()
	all := report.Rows(points.Rows).While(ctx)
	rows := all.Where(opt.Filter)
	switch opt.Format {
	case "table":
		return report.WriteTable(w, rows, opt.Width)
	case "json":
		return report.WriteJSON(w, rows)
	case "html":
		page := j.page(opt.Name)
		page.Chosen = opt.Filter.String()
		if known, found, err := points.learnt(); err == nil && found {
			page.Facts = append(page.Facts, resolvedKey(&known)...)
		}
		rows := all.Then(func() error { return j.summed(page, points, opt.Name) }).Where(opt.Filter)
		return report.WriteHTML(w, page, rows)
	}
	return report.WriteCSV(w, rows)
}

// summed adds to a page what it says in numbers, once its rows were read.
func (j *Job) summed(page *report.Page, points *records, name func(string) string) (err error) {
	page.Summary = points.summary()
	if page.Summary.Standing, err = points.standing(); err != nil {
		return err
	}
	if c := page.Summary.Cause; c != nil && name != nil {
		c.Message = name(c.Message)
	}
	page.History, page.Verified, page.Compared = j.History(), j.lastVerified(), j.compared(page.Summary)
	return nil
}

// resolvedKey is what the key that was asked for turned out to be.
func resolvedKey(l *learnt) (facts []report.Fact) {
	if l.KMSKeyID != "" {
		facts = append(facts, report.Fact{Name: "Key, resolved", Value: l.KMSKeyID})
	}
	if l.ShownKeyID != "" && l.ShownKeyID != l.KMSKeyID {
		facts = append(facts, report.Fact{Name: "Key, as the store shows it", Value: l.ShownKeyID})
	}
	return append(facts, report.Fact{Name: "Versioning", Value: l.Facts.Versioning.String()})
}

// page is the job's description above the rows.
func (j *Job) page(name func(string) string) *report.Page {
	p := &report.Page{Title: "reseal: " + j.Spec.Source.String(), Made: time.Now(), NoPrune: j.Spec.Target.ClientSide.Given()}
	add := func(name, value string) {
		if value != "" {
			p.Facts = append(p.Facts, report.Fact{Name: name, Value: value})
		}
	}
	add("Job", j.ID)
	add("Job directory", j.Dir)
	add("Begun", j.Begun.Format(time.RFC3339))
	if j.Part != nil {
		add("Shard", j.Part.Range())
	}
	add("Source", j.Spec.Source.String())
	for _, u := range j.Unread() {
		p.NotTaken++
		add("Not taken", u.Place.String()+": "+u.Unread)
	}
	add("Target", j.Spec.Target.String())
	for _, f := range j.Spec.Fields() {
		switch {
		case f.Name == "Spec.Source" || f.Name == "Target.SSE":
		case name != nil:
			add(name(f.Name), f.Value)
		default:
			add(f.Name, f.Value)
		}
	}
	return p
}
