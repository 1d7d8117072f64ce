package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A plot is an inline SVG that takes the width it is given; all text stands beside it
// as HTML, so that it is read at any width and by whoever sees no picture.
const plotWidth, plotHeight = 1000.0, 200.0

// scale brings moments and values into a plot.
type scale struct {
	from, span float64 // seconds
	max        float64
}

func scaleOf(all []Moment, most float64) scale {
	from := float64(all[0].At.UnixMilli()) / 1000
	return scale{from: from, span: max(1e-3, float64(all[len(all)-1].At.UnixMilli())/1000-from), max: max(most, 1e-9)}
}

func (s *scale) x(m *Moment) float64 {
	return plotWidth * (float64(m.At.UnixMilli())/1000 - s.from) / s.span
}

func (s *scale) y(v float64) float64 { return plotHeight * (1 - min(v, s.max)/s.max) }

// line is the path through the values.
func (s *scale) line(all []Moment, value func(*Moment) float64) string {
	var b strings.Builder
	for i := range all {
		fmt.Fprintf(&b, "%c%.1f %.1f", "ML"[min(i, 1)], s.x(&all[i]), s.y(value(&all[i])))
	}
	return b.String()
}

// area is the surface between two values.
func (s *scale) area(all []Moment, low, high func(*Moment) float64) string {
	var b strings.Builder
	b.WriteString(s.line(all, high))
	for i := len(all) - 1; i >= 0; i-- {
		fmt.Fprintf(&b, "L%.1f %.1f", s.x(&all[i]), s.y(low(&all[i])))
	}
	return b.String() + "Z"
}

// path draws one; class gives it its colour.
func path(class, d string) markup {
	return markup(`<path class="` + class + `" d="` + d + `" vector-effect="non-scaling-stroke"/>`)
}

// entry is one word of a legend.
type entry struct{ class, text string }

// figure writes a plot with its text: title, highest value, legend, begin and end.
func (w *writer) figure(title, caption, most string, all []Moment, legend []entry, shapes ...markup) {
	w.put("<figure>\n<h3>%v</h3>\n<p class=\"most\">%v</p>\n<svg viewBox=\"0 0 %v %v\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"%v\">",
		title, most, int(plotWidth), int(plotHeight), title+": "+caption)
	for _, y := range []float64{0, 0.5, 1} {
		w.put("%v", path("grid", fmt.Sprintf("M0 %.1fL%.0f %.1f", plotHeight*y, plotWidth, plotHeight*y)))
	}
	for _, s := range shapes {
		w.put("%v", s)
	}
	from, to := all[0].At, all[len(all)-1].At
	w.put("</svg>\n<p class=\"axis\"><span>%v</span><span>%v</span></p>\n<p class=\"legend\">", axisTime(from, from, to), axisTime(to, from, to))
	for _, e := range legend {
		w.put("<span><i class=\"%v\"></i>%v</span> ", e.class, e.text)
	}
	w.put("</p>\n<figcaption>%v</figcaption>\n</figure>\n", caption)
}

// axisTime leaves out what both ends have in common only where that is the day.
func axisTime(t, from, to time.Time) string {
	if from.UTC().Format(time.DateOnly) == to.UTC().Format(time.DateOnly) {
		return t.UTC().Format("15:04:05 UTC")
	}
	return t.UTC().Format("2 Jan 15:04 UTC")
}

// plots are the pictures of a job's history.
func (w *writer) plots(history []Moment) {
	if len(history) < 2 {
		w.put("<p class=\"dim\">No history was recorded that could be drawn: the job was too short, or done by an older reseal.</p>\n")
		return
	}
	all := thinned(history)
	w.put("<div class=\"figures\">\n")
	w.objectsPlot(history, all)
	w.bytesPlot(history, all)
	w.ratePlot(history, all)
	w.latencyPlot(history, all)
	w.put("</div>\n")
}

func (w *writer) objectsPlot(history, all []Moment) {
	last := &history[len(history)-1]
	s := scaleOf(all, float64(max(last.Planned, last.Settled())))
	sums := []func(*Moment) float64{
		func(*Moment) float64 { return 0 },
		func(m *Moment) float64 { return float64(m.Done) },
		func(m *Moment) float64 { return float64(m.Done + m.Already) },
		func(m *Moment) float64 { return float64(m.Done + m.Already + m.Left) },
		func(m *Moment) float64 { return float64(m.Settled()) },
	}
	var shapes []markup
	var legend []entry
	for i, state := range []struct {
		name string
		n    uint64
	}{{"done", last.Done}, {"already", last.Already}, {"left", last.Left}, {"failed", last.Failed}} {
		if state.n > 0 {
			shapes = append(shapes, path("fill-"+state.name, s.area(all, sums[i], sums[i+1])))
			legend = append(legend, entry{"fill-" + state.name, state.name + " " + comma(state.n)})
		}
	}
	w.figure("Objects by state", fmt.Sprintf("%s of %s have an outcome, after %s.", comma(last.Settled()), Count(last.Planned, "object"), spanOf(history)),
		comma(max(last.Planned, last.Settled())), all, legend, shapes...)
}

func (w *writer) bytesPlot(history, all []Moment) {
	last := &history[len(history)-1]
	s := scaleOf(all, float64(last.Bytes))
	value := func(m *Moment) float64 { return float64(m.Bytes) }
	w.figure("Bytes of objects done", iBytes(last.Bytes)+" in "+spanOf(history)+".", iBytes(last.Bytes), all,
		[]entry{{"fill-bytes", "done"}}, path("fill-bytes", s.area(all, func(*Moment) float64 { return 0 }, value)))
}

func (w *writer) ratePlot(history, all []Moment) {
	top := peak(history)
	most, ceiling := top.Requests, 0.0
	for i := range all {
		ceiling = max(ceiling, all[i].Ceiling)
	}
	if ceiling > 0 && ceiling < 3*top.Requests { // a far one would flatten the curve
		most = max(most, ceiling)
	}
	s := scaleOf(all, most)
	shapes := []markup{path("line-rate", s.line(all, func(m *Moment) float64 { return m.Requests }))}
	legend := []entry{{"line-rate", "requests/s"}}
	if ceiling > 0 {
		shapes = append(shapes, path("line-ceiling", s.ceilings(all)))
		legend = append(legend, entry{"line-ceiling", "ceiling in force"})
	}
	caption := fmt.Sprintf("Up to %s requests/s at %s; %s.", perSecond(top.Requests), top.At.UTC().Format("15:04:05 UTC"), heldBack(history))
	if n := throttledIn(history); n > 0 {
		shapes = append(shapes, path("mark-throttled", s.marks(all)))
		legend = append(legend, entry{"mark-throttled", "throttled " + comma(n)})
		caption += " " + Count(n, "reply") + " asked for fewer requests."
	} else {
		caption += " The store never asked for fewer."
	}
	w.figure("Requests a second", caption, perSecond(most), all, legend, shapes...)
}

// latencyPlot is how long requests took. The jobs of older reseals have not recorded it.
func (w *writer) latencyPlot(history, all []Moment) {
	slowest := slices.MaxFunc(history, func(a, b Moment) int { return cmp.Compare(a.SlowSeconds, b.SlowSeconds) })
	if slowest.SlowSeconds == 0 {
		return
	}
	var medians []float64
	for i := range history {
		if history[i].MedianSeconds > 0 {
			medians = append(medians, history[i].MedianSeconds)
		}
	}
	slices.Sort(medians)
	s := scaleOf(all, slowest.SlowSeconds)
	caption := fmt.Sprintf("Half of the requests took at most %s, most of the time; the slowest were at %s, when 95 in 100 took at most %s. Waiting for the pace is not counted.",
		short(medians[len(medians)/2]), slowest.At.UTC().Format("15:04:05 UTC"), short(slowest.SlowSeconds))
	w.figure("Latency of a request", caption, short(slowest.SlowSeconds), all,
		[]entry{{"line-rate", "half took at most"}, {"line-ceiling", "95 in 100 took at most"}},
		path("line-ceiling", s.line(all, func(m *Moment) float64 { return m.SlowSeconds })), path("line-rate", s.line(all, func(m *Moment) float64 { return m.MedianSeconds })))
}

// short is a time in two digits or three.
func short(seconds float64) string {
	switch d := time.Duration(seconds * float64(time.Second)); {
	case d < time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	default:
		return d.Round(100 * time.Millisecond).String()
	}
}

// ceilings are steps, where there was one.
func (s *scale) ceilings(all []Moment) string {
	var b strings.Builder
	on := false
	for i := range all {
		m := &all[i]
		if m.Ceiling > 0 {
			fmt.Fprintf(&b, "%c%.1f %.1f", "ML"[map[bool]int{true: 1}[on]], s.x(m), s.y(m.Ceiling))
		}
		on = m.Ceiling > 0
	}
	return b.String()
}

// marks are ticks at the bottom, where the store asked for fewer requests.
func (s *scale) marks(all []Moment) string {
	var b strings.Builder
	for i := 1; i < len(all); i++ {
		if all[i].Throttled > all[i-1].Throttled {
			fmt.Fprintf(&b, "M%.1f %.0fL%.1f %.0f", s.x(&all[i]), plotHeight, s.x(&all[i]), plotHeight*0.93)
		}
	}
	return b.String()
}

func spanOf(all []Moment) string {
	return roundETA(all[len(all)-1].At.Sub(all[0].At).Seconds()).String()
}
