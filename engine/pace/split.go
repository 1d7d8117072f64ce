package pace

import (
	"sort"
	"strings"
)

// split finds out which prefixes have a limit of their own. S3 limits each
// partition of the key space and tells nobody where the borders are; a bucket
// begins with one limit for everything, and a path segment gets its own once
// the throttled replies are seen to fall on it and to spare others.
//
//	expected: the throttles that a segment would have by its share of the replies
//	spared    4 expected and none seen, or 12 and at most a quarter seen
//	hit       as many seen as expected, or more
//	split     all that are hit, when the spared have a tenth of the traffic and 12 were expected of them
//
// Keys without a further slash have no segment and stay together.
type split struct {
	depth     int // bytes of the key that the limit's own prefix takes
	groups    map[string]*group
	replies   int
	throttled int
}

type group struct{ replies, throttled int }

const (
	// maxGroups bounds what is watched for one limit; further segments are not.
	maxGroups = 64
	// maxPrefixes bounds the limits by prefix.
	maxPrefixes = 32
	// telling and significant are the throttles expected of one segment and of all
	// the spared ones together: chance alone spares that many with a probability
	// well below 1 %.
	telling     = 4
	significant = 12
	// forget halves the counts, so that old days fade.
	forget = 200_000
)

// segment is the next path segment of key after depth bytes, slash included;
// empty if there is none.
func segment(key string, depth int) string {
	if len(key) < depth {
		return ""
	}
	i := strings.IndexByte(key[depth:], '/')
	return key[depth : depth+i+1]
}

func (s *split) count(key string, throttled bool) {
	seg := segment(key, s.depth)
	if seg == "" {
		return
	}
	g := s.groups[seg]
	if g == nil {
		if len(s.groups) >= maxGroups {
			return
		}
		if s.groups == nil {
			s.groups = make(map[string]*group)
		}
		g = &group{}
		s.groups[strings.Clone(seg)] = g
	}
	g.replies++
	s.replies++
	if throttled {
		g.throttled++
		s.throttled++
	}
}

// hit names the segments that deserve a limit of their own, in order of names.
func (s *split) hit() (segments []string) {
	if s.throttled < significant {
		return nil
	}
	spared, missed := 0, 0.0
	for seg, g := range s.groups {
		expected := float64(s.throttled) * float64(g.replies) / float64(s.replies)
		switch {
		case g.throttled > 0 && float64(g.throttled) >= expected:
			segments = append(segments, seg)
		case expected >= telling && g.throttled == 0,
			expected >= significant && float64(g.throttled) <= expected/4:
			spared += g.replies
			missed += expected
		}
	}
	if spared*10 < s.replies || missed < significant {
		segments = nil
	}
	if segments != nil || s.replies > forget {
		s.fade()
	}
	sort.Strings(segments)
	return segments
}

// share is the part of the replies that a segment has.
func (s *split) share(segment string) float64 {
	g := s.groups[segment]
	if g == nil {
		return 0
	}
	return float64(g.replies) / float64(s.replies)
}

func (s *split) fade() {
	s.replies, s.throttled = 0, 0
	for seg, g := range s.groups {
		g.replies /= 2
		g.throttled /= 2
		if g.replies == 0 {
			delete(s.groups, seg)
		}
		s.replies += g.replies
		s.throttled += g.throttled
	}
}

func (s *split) drop(segment string) {
	if g := s.groups[segment]; g != nil {
		s.replies -= g.replies
		s.throttled -= g.throttled
		delete(s.groups, segment)
	}
}
