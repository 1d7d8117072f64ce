package report

import (
	"bufio"
	_ "embed"
	"fmt"
	"html"
	"io"
	"strings"
)

// The page is written by hand and not by html/template: a program that can reach
// a template's Execute keeps every exported method of every type, since a template
// may call it by name, and reseal was a third larger for it, on disk and in memory.
// All that comes from outside stands between tags, so that escaping text is enough.

//go:embed report.css
var pageStyle string

// writer writes HTML. Its first error ends it.
type writer struct {
	*bufio.Writer
	err error
}

// markup is HTML already.
type markup string

// put writes a format whose arguments are text, counts or markup.
func (w *writer) put(format string, args ...any) {
	for i, a := range args {
		switch a := a.(type) {
		case markup:
			args[i] = string(a)
		case uint64:
			args[i] = comma(a)
		default:
			args[i] = escape(fmt.Sprint(a))
		}
	}
	if _, err := fmt.Fprintf(w.Writer, format, args...); w.err == nil {
		w.err = err
	}
}

// under is a second line in a cell, where there is one.
func under(class, text string) markup {
	if text == "" {
		return ""
	}
	return markup(`<br><span class="` + class + `">` + escape(text) + `</span>`)
}

func (d *pageData) write(to io.Writer) error {
	w := &writer{Writer: bufio.NewWriter(to)}
	w.put("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"+
		"<title>%v</title>\n<style>\n%v</style>\n</head>\n<body>\n<h1>%v</h1>\n<p class=\"dim\">Written %v</p>\n",
		d.Title, markup(pageStyle), d.Title, d.Made.UTC().Format("2006-01-02 15:04:05 UTC"))
	d.verdict(w)
	w.put("\n<h2>The job</h2>\n<table>\n")
	for _, f := range d.Facts {
		w.put("<tr><th>%v</th><td>%v</td></tr>\n", f.Name, f.Value)
	}
	w.put("</table>\n")
	d.outcomes(w)
	d.encryptions(w)
	d.causes(w)
	d.notDone(w)
	w.put("</body>\n</html>\n")
	if w.err != nil {
		return w.err
	}
	return w.Flush()
}

func (d *pageData) verdict(w *writer) {
	switch s := d.Summary; {
	case !s.Complete:
		w.put("<p class=\"verdict open\">The job is not finished: %v of %v to go.</p>\n", s.Remaining, Count(s.Planned, "object"))
	case s.Left+s.Failed > 0:
		w.put("<p class=\"verdict open\">The job has finished, with %v left untouched and %v failed; all are named below.</p>\n", Count(s.Left, "object"), s.Failed)
	default:
		w.put("<p class=\"verdict good\">The job has finished, and every one of %v is as wanted.</p>\n", Count(s.Planned, "object"))
	}
}

func (d *pageData) outcomes(w *writer) {
	w.put("\n<h2>What became of the objects</h2>\n<table>\n<tr><th>State</th><th class=\"n\">Objects</th><th class=\"n\">Bytes</th><th></th></tr>\n")
	for _, s := range d.States {
		w.put("<tr><td>%v</td><td class=\"n\">%v</td><td class=\"n\">%v</td><td>%v</td></tr>\n", s.Name, s.Objects, iBytes(s.Bytes), s.Note)
	}
	w.put("</table>\n")
	if old := d.Summary.OldVersions; old.Objects > 0 {
		w.put("<p>%v (%v) left under the old encryption: a copy on a versioned bucket does not replace the version before. "+
			"The old key must stay usable for as long as one is kept.</p>\n", Count(old.Objects, "old version"), iBytes(old.Bytes))
	}
}

func (d *pageData) encryptions(w *writer) {
	w.put("\n<h2>Encryption before and after</h2>\n<table>\n<tr><th>Before</th><th>Key before</th><th>After</th><th>Key after</th><th>State</th>" +
		"<th class=\"n\">Objects</th><th class=\"n\">Bytes</th></tr>\n")
	for _, c := range d.Changes {
		w.put("<tr><td>%v</td><td class=\"key\">%v</td><td>%v</td><td class=\"key\">%v</td><td>%v</td><td class=\"n\">%v</td><td class=\"n\">%v</td></tr>\n",
			c.Before, c.BeforeKey, c.After, c.AfterKey, c.State, c.Objects, iBytes(c.Bytes))
	}
	w.put("</table>\n<p class=\"dim\">Objects that were left, failed or remain stand with the encryption that they had when they were last looked at.</p>\n")
}

func (d *pageData) causes(w *writer) {
	s := d.Summary
	if len(s.Causes) == 0 {
		return
	}
	w.put("\n<h2>Why objects were left or failed</h2>\n<table>\n<tr><th>State</th><th>Reason</th><th class=\"n\">Objects</th><th>Example</th><th>What to do</th></tr>\n")
	for _, c := range s.Causes {
		w.put("<tr><td>%v</td><td>%v%v</td><td class=\"n\">%v</td><td><span class=\"key\">%v</span>%v</td><td>%v</td></tr>\n",
			c.State, c.Reason, under("dim", c.ErrorCode), c.Objects, c.Example, under("dim", c.Message), c.Hint)
	}
	w.put("</table>\n")
	if s.More > 0 {
		w.put("<p>And %v; the CSV report has every object.</p>\n", Count(uint64(s.More), "more cause"))
	}
}

func (d *pageData) notDone(w *writer) {
	if len(d.Rows) == 0 {
		return
	}
	w.put("\n<h2>Objects that were not done</h2>\n")
	if uint64(d.Shown) < d.NotDone {
		w.put("<p>The first %v of %v; <code>reseal report --format csv</code> names them all.</p>\n", d.Shown, d.NotDone)
	} else {
		w.put("<p>All %v of them.</p>\n", d.NotDone)
	}
	w.put("<table>\n<tr><th>Object</th><th>State</th><th>Reason</th><th>Encryption</th><th class=\"n\">Size</th><th>Message</th></tr>\n")
	for i := range d.Rows {
		r := &d.Rows[i]
		version := r.VersionID
		if version != "" {
			version = "version " + version
		}
		w.put("<tr><td class=\"key\">%v/%v%v</td><td>%v</td><td>%v%v</td><td>%v%v</td><td class=\"n\">%v</td><td>%v</td></tr>\n",
			r.Bucket, r.Key, under("dim", version), r.State, r.Reason, under("dim", r.ErrorCode), r.SSEBefore, under("key", r.KMSKeyBefore), sizeOf(r.Size), r.Message)
	}
	w.put("</table>\n")
}

// escape makes text HTML. A key may hold a NUL, which HTML cannot.
func escape(s string) string { return html.EscapeString(strings.ReplaceAll(s, "\x00", "\ufffd")) }
