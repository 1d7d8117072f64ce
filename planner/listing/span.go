package listing

import (
	"math"
	"sync"
	"unicode/utf8"

	"github.com/resealhq/reseal/engine/object"
)

// span is one range while it is being read. Its reader alone moves Pos; whoever
// cuts it moves To. Both happen, and become durable, under emitting; To, pos and
// the guesses are also read under the mutex of the ranges.
type span struct {
	id       string
	number   uint64
	finished bool
	place
	// emitting is held while a page of this span, or a cut of it, becomes durable:
	// the two must not overtake each other.
	emitting sync.Mutex

	// What the next fields guess decides only who reads what.

	cutting bool // somebody is about to cut it
	closing bool // its reader has seen its end
	// first and last are the ends of the last page, total the keys read in this
	// process after began.
	first, last string
	inPage      int
	total       int
	began       string // where this process began
	// rest is the estimated number of keys still to come.
	rest float64
}

func (s *span) cursor(finished bool) object.Cursor {
	return object.Cursor{Range: s.id, Position: s.encode(), Finished: finished}
}

// know is the last key that is known to be passed.
func (s *span) know() string {
	if s.last > s.Pos {
		return s.last
	}
	return s.Pos
}

// blind is the share of a cut that nothing is known about; see ranges.cut.
const blind = -1

// far stands for "no idea how many, but many".
const far = 1e15

// estimate sets rest from the density of the last page and of all pages, the
// larger of the two: a guess that is too high costs an empty request, one that is
// too low costs time.
func (s *span) estimate(sp *space, prefix string) {
	switch {
	case s.inPage == 0:
		return // not read yet: what the cut said stays
	}
	s.rest = max(s.density(sp, prefix, s.first, s.inPage), s.density(sp, prefix, s.began, s.total))
}

// density extends n keys between since and the last key to the end of the span.
func (s *span) density(sp *space, prefix, since string, n int) float64 {
	c := sp.scale(s.last, s.base(since, prefix))
	begin, here, end := c.of(since), c.of(s.last), s.end(c)
	switch {
	case end <= here:
		if object.CommonPrefix(s.first, s.last) > object.CommonPrefix(s.last, s.To) || s.Open {
			return far // too deep for the scale
		}
		return 0
	case here <= begin:
		return far
	}
	return min(far, float64(n)*(end-here)/(here-begin))
}

// base is the length of the prefix that all keys from since to the end share.
func (s *span) base(since, prefix string) int {
	if s.Open {
		return object.CommonPrefix(max(since, prefix), prefix)
	}
	return object.CommonPrefix(since, s.To)
}

func (s *span) end(c *scale) float64 {
	if s.Open {
		return 1
	}
	return c.of(s.To)
}

// cutKey is a border at which the rest of the span would best be cut, and the
// share of the rest that would lie behind it; empty where no string will do.
func (s *span) cutKey(sp *space, prefix string, page int) (m string, behind float64) {
	low := s.know()
	if s.inPage > 0 {
		if m := s.behindCluster(sp, prefix); m != "" {
			return m, blind
		}
	}
	base := s.base(max(low, prefix), prefix)
	c := sp.scale(max(low, prefix), base)
	here, end := c.of(low), s.end(c)
	if end <= here {
		return "", 0
	}
	// The reader of the span has a page under way, which a cut cannot spare it.
	underWay := min(1, float64(page)/max(s.rest, 1))
	keep := underWay + (1-underWay)/2
	x := here + keep*(end-here)
	m = c.key(max(low, prefix)[:base], x, (end-here)/32, low, s.To, s.Open)
	if m == "" {
		return "", 0
	}
	return m, min(1, max(0, (end-c.of(m))/(end-here)))
}

// behindCluster cuts between the keys that look like those of the last page and
// what follows them, where they share much more than the span does (one deep
// folder in a wide range): at the first character of which others were seen
// behind it, else half way down what they share. A few cuts find out where the
// next keys are, however deep.
func (s *span) behindCluster(sp *space, prefix string) string {
	shared, outer := s.shared(prefix)
	if shared-outer < 2 {
		return ""
	}
	from := outer + (shared-outer+1)/2
	for depth := outer + 1; depth <= shared; depth++ {
		if sp.varies(s.last, depth-1) {
			from = depth
			break
		}
	}
	for depth := from; depth <= shared; depth++ {
		if m := sp.after(s.last, depth); m > s.know() && (s.Open || m < s.To) {
			return m
		}
	}
	return ""
}

// shared are the lengths, in characters, of what the keys of the last page have
// in common, and of what all keys from there to the end of the span have.
func (s *span) shared(prefix string) (page, all int) {
	page = utf8.RuneCountInString(s.last[:object.CommonPrefix(s.first, s.last)])
	all = utf8.RuneCountInString(s.last[:s.base(s.last, prefix)])
	return page, all
}

// sane keeps estimates finite.
func sane(x float64) float64 {
	if math.IsNaN(x) || x < 0 {
		return 0
	}
	return min(x, far)
}
