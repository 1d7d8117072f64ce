package report

import (
	"bufio"
	_ "embed"
	"fmt"
	"html"
	"io"
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// The page is written by hand and not by html/template: a program that can reach
// a template's Execute keeps every exported method of every type, since a template
// may call it by name, and reseal was a third larger for it, on disk and in memory.
// All that comes from outside stands between tags or in an attribute with quotes, so
// that escaping text is enough.

//go:embed report.css
var pageStyle string

// TimeLayout is how a time is told to people. A pause or an outage may have begun days ago, and
// whoever looks may be somewhere else than the process, so it has a date and a zone.
const TimeLayout = "2006-01-02 15:04:05 UTC"

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

// escape makes text HTML. A key may hold a NUL, which HTML cannot.
func escape(s string) string { return html.EscapeString(strings.ReplaceAll(s, "\x00", "\ufffd")) }

// name is a key, an ARN or a path: it may be broken behind what divides it, so that no
// word of it is.
func name(s string) markup {
	return markup(`<span class="key">` + breakable(s) + `</span>`)
}

// longWord is how long a word has to be, in bytes, before it may be broken.
const longWord = 24

// breakable is text in which long words may be broken behind what divides them.
func breakable(word string) string {
	if len(word) < longWord {
		return escape(word)
	}
	return dividers.Replace(escape(word))
}

// A character reference ends in a semicolon, which is none of these.
var dividers = strings.NewReplacer("/", "/<wbr>", ":", ":<wbr>", "-", "-<wbr>", "_", "_<wbr>", ".", ".<wbr>", "=", "=<wbr>", "?", "?<wbr>", ",", ",<wbr>")

// value is a sentence as it is, and one word as a name.
func value(s string) markup {
	if strings.ContainsAny(s, " \t") || len(s) < 16 {
		return prose(s)
	}
	return name(s)
}

// maxMessage bounds a message of a row, in bytes.
const maxMessage = 300

func (d *pageData) write(to io.Writer) error {
	w := &writer{Writer: bufio.NewWriter(to)}
	w.head(d.Title, "")
	w.put("<h1>%v</h1>\n<p class=\"dim\">Written %v</p>\n", name(d.Title), d.Made.UTC().Format(TimeLayout))
	if d.Chosen != "" {
		w.put("<p class=\"verdict open\">This page is about chosen objects: %v. What it says of the job itself, and its first figures, are of all.</p>\n", prose(d.Chosen))
	}
	d.verdict(w)
	w.cards(d.Summary)
	w.put("\n<h2>Over time</h2>\n")
	w.plots(d.History)
	d.encryptions(w)
	d.oldVersions(w)
	d.verified(w)
	d.compared(w)
	d.notDone(w)
	w.put("\n<h2>The job</h2>\n")
	w.facts(append(d.Summary.facts(), d.Facts...))
	w.put("</main>\n</body>\n</html>\n")
	if w.err != nil {
		return w.err
	}
	return w.Flush()
}

// head is the head of a page; more stands in it beside the style.
func (w *writer) head(title string, more markup) {
	w.put("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"+
		"<meta name=\"color-scheme\" content=\"light dark\">\n<title>%v</title>\n<style>\n%v</style>\n%v</head>\n<body>\n<main>\n", title, markup(pageStyle), more)
}

func (w *writer) facts(facts []Fact) {
	w.put("<dl>\n")
	for _, f := range facts {
		w.put("<dt>%v</dt><dd>%v</dd>\n", prose(f.Name), value(f.Value))
	}
	w.put("</dl>\n")
}

func (d *pageData) verdict(w *writer) {
	switch s := d.Summary; {
	case !s.Complete:
		w.put("<p class=\"verdict open\">The job is not finished: %v of %v to go.</p>\n", s.Remaining, Count(s.Planned, "object"))
	case s.Left+s.Failed > 0:
		w.put("<p class=\"verdict open\">The job has finished, with %v left untouched and %v failed; all are named below or in the CSV report.</p>\n", Count(s.Left, "object"), s.Failed)
	case d.NotTaken > 0:
		w.put("<p class=\"verdict open\">The job has finished, and every one of %v is as wanted where it could begin.</p>\n", Count(s.Planned, "object"))
	default:
		w.put("<p class=\"verdict good\">The job has finished, and every one of %v is as wanted.</p>\n", Count(s.Planned, "object"))
	}
	if d.NotTaken > 0 {
		w.put("<p>%v could not be taken when it began: nothing was done there, and no object of it is counted. The last section names each.</p>\n", Count(uint64(d.NotTaken), "place"))
	}
}

// cards are the states, with their objects and bytes.
func (w *writer) cards(s *Summary) {
	w.put("<ul class=\"cards\">\n")
	for state, note := range s.notes() {
		if t := s.states[state]; t.Objects > 0 || state == object.Done {
			w.put("<li class=\"edge-%v\"><b>%v</b> %v<small>%v</small><small>%v</small></li>\n", state, t.Objects, state, iBytes(t.Bytes), note)
		}
	}
	w.put("</ul>\n")
}

func (d *pageData) oldVersions(w *writer) {
	for i := range d.Summary.Rules {
		w.put("<p>%v</p>\n", d.Summary.Rules[i].String())
	}
	if old := d.Summary.OldVersions; old.Objects > 0 {
		how := markup("<code>reseal prune</code> deletes them once the new ones are proved")
		if d.NoPrune {
			how = "a lifecycle rule for noncurrent versions deletes them, once all readers have the new key"
		}
		w.put("<p>%v (%v) left under the old encryption: a copy on a versioned bucket does not replace the version before. "+
			"The old key must stay usable for as long as one is kept; %v.</p>\n", Count(old.Objects, "old version"), iBytes(old.Bytes), how)
	}
}

// encryptions are what the objects were under and are under now, with the share of
// each as a bar.
func (d *pageData) encryptions(w *writer) {
	w.put("\n<h2>Encryption before and after</h2>\n<ul class=\"changes\">\n")
	for _, c := range d.Changes {
		w.put("<li><p>%v <span class=\"dim\">%v</span></p><p class=\"n\">%v <span class=\"dim\">%v</span></p>", c.text(), c.State, Count(c.Objects, "object"), iBytes(c.Bytes))
		w.put("<svg class=\"bar\" viewBox=\"0 0 100 4\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"%v\"><rect class=\"track\" width=\"100\" height=\"4\"/><rect class=\"fill-%v\" width=\"%v\" height=\"4\"/></svg></li>\n",
			percent(c.Objects, d.Summary.Planned)+" of the objects", c.State, fmt.Sprintf("%.2f", 100*float64(c.Objects)/float64(max(1, d.Summary.Planned))))
	}
	w.put("</ul>\n<p class=\"dim\">Objects that were left, failed or remain stand with the encryption that they had when they were last looked at.</p>\n")
}

// text is what it was and what it is, once where that is the same.
func (c *changeCount) text() markup {
	before, after := encryptionName(c.Before, c.BeforeKey), encryptionName(c.After, c.AfterKey)
	if before == after {
		return before
	}
	return before + " &rarr; " + after
}

func encryptionName(kind, key string) markup {
	if key == "" {
		return markup("<b>" + escape(kind) + "</b>")
	}
	return markup("<b>"+escape(kind)+"</b> ") + name(key)
}

func (d *pageData) verified(w *writer) {
	w.put("\n<h2>Verification</h2>\n")
	v := d.Verified
	if v == nil {
		w.put("<p>Nobody has verified the job yet: <code>reseal verify</code> asks the store again, object by object.</p>\n")
		return
	}
	class, text := "good", "every object of the job was as wanted, and as this report says"
	if !v.OK {
		class, text = "open", "not everything was as this report says"
	}
	w.put("<p class=\"verdict %v\">At %v %v.</p>\n", class, v.At.UTC().Format(TimeLayout), text)
	w.facts(v.Lines)
}

func (d *pageData) compared(w *writer) {
	if len(d.Compared) == 0 {
		return
	}
	w.put("\n<h2>Estimate and outcome</h2>\n<table>\n<tr><th></th><th class=\"n\">Estimated</th><th class=\"n\">Actual</th></tr>\n")
	for _, c := range d.Compared {
		w.put("<tr><th>%v</th><td class=\"n\">%v</td><td class=\"n\">%v</td></tr>\n", c.Name, c.Estimated, c.Actual)
	}
	w.put("</table>\n")
}

// notDone are the objects that were not done, under their reasons.
func (d *pageData) notDone(w *writer) {
	if d.NotDone == 0 {
		return
	}
	w.put("\n<h2>Objects that were not done</h2>\n")
	if uint64(d.Shown) < d.NotDone {
		w.put("<p>The first %v of %v; <code>reseal report --job %v --format csv</code> names them all.</p>\n", uint64(d.Shown), d.NotDone, name(d.Summary.Job))
	} else {
		what := "All"
		if d.Chosen != "" {
			what = "The chosen"
		}
		w.put("<p>%v %v of them.</p>\n", what, d.NotDone)
	}
	hints := map[string]string{}
	for _, c := range d.Summary.Causes {
		hints[c.State+string(c.Reason)] = c.Hint
	}
	for _, g := range d.Groups {
		d.group(w, g, hints[g.State+g.Reason])
	}
}

func (d *pageData) group(w *writer, g *group, hint string) {
	what := g.State
	if g.Reason != "" {
		what += ": " + g.Reason
	}
	if g.Code != "" {
		what += " (" + g.Code + ")"
	}
	w.put("<section class=\"group edge-%v\">\n<h3>%v</h3>\n<p>%v, %v.</p>\n", g.State, what, Count(g.Objects, "object"), iBytes(g.Bytes))
	common := ""
	if len(g.Rows) > 0 {
		common = g.Rows[0].said()
	}
	if common != "" {
		w.put("<p>%v</p>\n", prose(common))
	}
	if hint != "" {
		w.put("<p><b>What to do:</b> %v</p>\n", prose(hint))
	}
	w.put("<ul class=\"rows\">\n")
	for i := range g.Rows {
		r := &g.Rows[i]
		version := markup("")
		if r.VersionID != "" {
			version = markup(" <small>version ") + name(r.VersionID) + "</small>"
		}
		w.put("<li><span>%v%v</span><span class=\"n\">%v</span>", name(r.Bucket+"/"+r.Key), version, sizeOf(r.Size))
		if said := r.said(); said != "" && said != common {
			w.put("<small class=\"wide\">%v</small>", prose(said))
		}
		w.put("</li>\n")
	}
	w.put("</ul>\n")
	if n := g.Objects - uint64(len(g.Rows)); n > 0 {
		w.put("<p class=\"dim\">And %v more.</p>\n", n)
	}
	w.put("</section>\n")
}

// said is the row's message without what only names this object, so that one message
// about many is told once.
func (r *Row) said() string {
	s := r.Message
	if len(r.Key) > 2 {
		s = strings.ReplaceAll(s, r.Key, "…")
	}
	if len(s) > maxMessage {
		s = strings.ToValidUTF8(s[:maxMessage], "") + "…"
	}
	return s
}

// prose is a text in which flags stay whole and names may be broken behind what
// divides them.
func prose(s string) markup {
	words := strings.Fields(s)
	for i, word := range words {
		if words[i] = breakable(word); strings.HasPrefix(strings.Trim(word, "`("), "--") {
			words[i] = `<span class="whole">` + escape(word) + `</span>`
		}
	}
	return markup(strings.Join(words, " "))
}
