package report

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// Moment is a job at one instant of a run, as the job's history keeps it.
type Moment struct {
	At      time.Time `json:"at"`
	Planned uint64    `json:"planned"`
	Done    uint64    `json:"done"`
	Already uint64    `json:"already,omitempty"`
	Left    uint64    `json:"left,omitempty"`
	Failed  uint64    `json:"failed,omitempty"`
	Bytes   int64     `json:"bytes"`
	// Requests a second that were answered, and the ceiling on them; 0 for none.
	Requests float64 `json:"requests_per_second"`
	Ceiling  float64 `json:"ceiling,omitempty"`
	// Throttled replies so far in this process.
	Throttled uint64 `json:"throttled,omitempty"`
	// MedianSeconds and SlowSeconds are what half and what 95 in 100 of the requests
	// since the moment before took at most; 0 where there was none.
	MedianSeconds float64 `json:"median_seconds,omitempty"`
	SlowSeconds   float64 `json:"p95_seconds,omitempty"`
	// Why is what held requests back: a reason of the pace, or the stage of a run that
	// waits.
	Why string `json:"why,omitempty"`
}

// Settled is how many objects had an outcome.
func (m *Moment) Settled() uint64 { return m.Done + m.Already + m.Left + m.Failed }

// maxPoints is how many points of a history a plot draws.
const maxPoints = 300

// thinned are at most maxPoints of them, each the last of its share but with the
// share's highest rate and latency, so that no peak is lost.
func thinned(all []Moment) []Moment {
	if len(all) <= maxPoints {
		return all
	}
	out := make([]Moment, 0, maxPoints)
	for i := range maxPoints {
		share := all[i*len(all)/maxPoints : (i+1)*len(all)/maxPoints]
		m := share[len(share)-1]
		for j := range share {
			m.Requests = max(m.Requests, share[j].Requests)
			m.MedianSeconds, m.SlowSeconds = max(m.MedianSeconds, share[j].MedianSeconds), max(m.SlowSeconds, share[j].SlowSeconds)
		}
		out = append(out, m)
	}
	return out
}

// throttledIn is how many replies were throttled, over all processes: each counts from
// nothing.
func throttledIn(all []Moment) (n uint64) {
	before := uint64(0)
	for i := range all {
		if all[i].Throttled < before {
			before = 0
		}
		n += all[i].Throttled - before
		before = all[i].Throttled
	}
	return n
}

// heldBack tells what held requests back most of the time, in words.
func heldBack(all []Moment) string {
	share := map[string]int{}
	for i := range all {
		if all[i].Why != "" && all[i].Why != "none" {
			share[all[i].Why]++
		}
	}
	worst := ""
	for why := range share {
		if worst == "" || cmp.Or(cmp.Compare(share[why], share[worst]), cmp.Compare(worst, why)) > 0 {
			worst = why
		}
	}
	if worst == "" {
		return "nothing held it back"
	}
	return "held back mostly by " + worst + " (" + percent(uint64(share[worst]), uint64(len(all))) + " of the time)"
}

// peak is the moment with the most requests a second.
func peak(all []Moment) Moment {
	return slices.MaxFunc(all, func(a, b Moment) int { return cmp.Compare(a.Requests, b.Requests) })
}

func perSecond(n float64) string { return strings.TrimSuffix(humanize.CommafWithDigits(n, 1), ".0") }
