package report

import (
	"bufio"
	"io"
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// Picture is a job at this moment, for a page that is renewed while it works. It shows
// what the page of the report shows, by the same means.
type Picture struct {
	Title string
	Standing
	// Now is what the process at work tells; of a job at rest what its checkpoint does.
	Now *Snapshot
	// Failures are why objects were left or failed.
	Failures []CauseSummary
	History  []Moment
	Facts    []Fact
	// Trouble is why the job could not be looked at; empty where it could.
	Trouble string
}

// PageStyle is the style of every page.
func PageStyle() string { return pageStyle }

// Parts are the pieces of the page by the id of the element that takes each: HTML in
// which everything from outside is escaped.
func (p *Picture) Parts() map[string]string {
	parts := map[string]string{}
	for id, write := range map[string]func(*writer){"state": p.state, "cards": p.cards, "pace": p.pace, "plots": func(w *writer) { w.plots(p.History) },
		"failures": p.failures, "facts": func(w *writer) { w.facts(append(p.Standing.facts(), p.Facts...)) }} {
		var b strings.Builder
		w := &writer{Writer: bufio.NewWriter(&b)}
		write(w)
		_ = w.Flush() // into memory
		parts[id] = b.String()
	}
	return parts
}

// IsPaused says whether somebody has paused the run, and AtWork whether one goes on.
func (p *Picture) IsPaused() bool { return p.Now != nil && p.Now.Paused }

// AtWork says whether a process is at work.
func (p *Picture) AtWork() bool { return p.State == StateRunning || p.State == StateWaiting }

func (p *Picture) state(w *writer) {
	class := "open"
	if p.State == StateRunning || p.State == StateFinished && p.Now != nil && p.Now.Left+p.Now.Failed == 0 {
		class = "good"
	}
	text := p.State
	if why := p.Why(); why != "" {
		text += ", " + why
	}
	if p.Trouble != "" {
		class, text = "open", "not known: "+p.Trouble
	}
	w.put("<p class=\"verdict %v\">%v</p>\n", class, prose(text))
}

func (p *Picture) cards(w *writer) {
	s := p.Now
	if s == nil {
		return
	}
	w.put("<ul class=\"cards\">\n")
	for _, c := range []struct {
		state object.State
		n     uint64
		note  string
	}{{object.Done, s.Done, iBytes(s.Bytes)}, {object.Already, s.Already, "was as wanted"}, {object.Left, s.Left, "not touched"},
		{object.Failed, s.Failed, "tried, not changed"}, {object.Remaining, s.Remaining, "of " + Count(s.Planned, "object")}} {
		if c.n > 0 || c.state == object.Done {
			w.put("<li class=\"edge-%v\"><b>%v</b> %v<small>%v</small></li>\n", c.state, c.n, c.state, c.note)
		}
	}
	w.put("</ul>\n")
}

// pace is how fast it is, what holds it back, and how long it still takes.
func (p *Picture) pace(w *writer) {
	s := p.Now
	if s == nil {
		return
	}
	facts := []Fact{{"Done", percent(s.Settled(), s.Planned)}}
	if p.AtWork() {
		ceiling, why := "none", "nothing holds the requests back"
		if s.Pace.Requests > 0 {
			ceiling = perSecond(s.Pace.Requests) + " requests/s"
		}
		if s.Why != "" {
			why = s.Why
		}
		if stuck := s.stuck(); stuck != "" {
			why = stuck
		}
		facts = append(facts, Fact{"Still to go", p.ETA()}, Fact{"Last minute", p.Rate()}, Fact{"Ceiling in force", ceiling}, Fact{"What holds it back", why})
		if e := s.errors(); e != "" {
			facts = append(facts, Fact{"Requests that did not succeed", e})
		}
	}
	w.facts(facts)
}

func (p *Picture) failures(w *writer) {
	if len(p.Failures) == 0 {
		w.put("<p class=\"dim\">None so far.</p>\n")
		return
	}
	for _, c := range p.Failures {
		w.put("<section class=\"group edge-%v\">\n<h3>%v: %v</h3>\n<p>%v, %v</p>\n", c.State, c.State, c.Reason, Count(c.Objects, "object"), iBytes(c.Bytes))
		if c.Example != "" {
			w.put("<p>such as %v</p>\n", name(c.Example))
		}
		for _, text := range []string{c.Message, c.Hint} {
			if text != "" {
				w.put("<p>%v</p>\n", prose(text))
			}
		}
		w.put("</section>\n")
	}
}

// WriteLivePage writes the page that the parts go into. Its script and its style are
// served beside it.
func WriteLivePage(to io.Writer, title string) error {
	w := &writer{Writer: bufio.NewWriter(to)}
	w.put("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"+
		"<meta name=\"color-scheme\" content=\"light dark\">\n<title>%v</title>\n<link rel=\"stylesheet\" href=\"style.css\">\n<script src=\"app.js\" defer></script>\n</head>\n<body>\n<main>\n", title)
	w.put("<h1>%v</h1>\n<p class=\"dim\" id=\"connection\" role=\"status\">Connecting</p>\n<div id=\"state\" aria-live=\"polite\"></div>\n<div id=\"cards\"></div>\n", name(title))
	w.put("<form id=\"controls\">\n<button type=\"button\" id=\"pause\" disabled>Pause</button>\n<button type=\"button\" id=\"resume\" disabled>Resume</button>\n" +
		"<label>At most <input id=\"ceiling\" type=\"number\" min=\"0\" step=\"any\" inputmode=\"decimal\" placeholder=\"0 for none\"> requests/s</label>\n" +
		"<button id=\"apply\" disabled>Set</button>\n<output id=\"answer\"></output>\n</form>\n")
	w.put("<div id=\"pace\"></div>\n<h2>Over time</h2>\n<div id=\"plots\"></div>\n<h2>Left and failed</h2>\n<div id=\"failures\"></div>\n<h2>The job</h2>\n<div id=\"facts\"></div>\n</main>\n</body>\n</html>\n")
	if w.err != nil {
		return w.err
	}
	return w.Flush()
}
