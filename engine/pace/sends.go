package pace

import (
	"math"
	"time"
)

// sends counts the calls that were let through. A refusal comes back at once, what is done when
// it is done: a large copy takes seconds. Of what came back within a moment refusals would be far
// too many, so their share is that of the calls that were sent when the refused ones were.
type sends struct {
	marks [16]mark // the totals of the last steps
	n     int
	total uint64
	// counted is how much of total was given out by step, or belongs to the time before a cut.
	counted float64
	// lag is how long a refusal takes, in seconds, the late ones more than the early ones.
	lag float64
}

// longestLag is how far step looks back at most.
const longestLag = 10 * stepTime

// refused takes in how long a refusal took.
func (s *sends) refused(latency time.Duration) {
	if s.lag == 0 {
		s.lag = latency.Seconds()
	}
	s.lag += (latency.Seconds() - s.lag) / 8
}

func (s *sends) behind() time.Duration {
	return min(time.Duration(s.lag*float64(time.Second)), longestLag)
}

// step returns how many were sent of whom refusals have come back since the last step.
func (s *sends) step(now time.Duration) int {
	s.marks[s.n%len(s.marks)] = mark{now, s.total}
	s.n++
	n := math.Floor(s.at(now-s.behind()) - s.counted)
	if n <= 0 {
		return 0
	}
	s.counted += n
	return int(n)
}

// at is the total at a time, between the steps as if calls were sent evenly.
func (s *sends) at(t time.Duration) float64 {
	later := s.marks[(s.n-1)%len(s.marks)]
	for i := 2; i <= min(s.n, len(s.marks)); i++ {
		m := s.marks[(s.n-i)%len(s.marks)]
		if m.at <= t {
			part := float64(t-m.at) / float64(max(1, later.at-m.at))
			return float64(m.total) + math.Min(1, part)*(float64(later.total)-float64(m.total))
		}
		later = m
	}
	return float64(later.total)
}

// cut leaves out what was sent so far.
func (s *sends) cut(now time.Duration) {
	s.counted = float64(s.total)
	s.marks[s.n%len(s.marks)] = mark{now, s.total}
	s.n++
}

// takeBack is told of a call that the limit never saw.
func (s *sends) takeBack() {
	if s.total > 0 {
		s.total--
	}
}
