package pace

import (
	"sort"
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// split finds out which prefixes have a limit of their own. S3 limits each
// partition of the key space and tells nobody where the borders are; a bucket
// begins with one limit for everything, and a path segment gets its own once
// the throttled replies are seen to fall on it and to spare others.
//
//	expected: the throttles that a segment would have by its share of the replies, step by
//	step, since one that was busy before the limit was met, or after, was not spared by it
//	spared    4 expected and none seen, or 12 and at most a quarter seen
//	hit       as many seen as expected, or more
//	split     all that are hit, when the spared have a tenth of the traffic and 12 were expected of them
//
// Keys without a further slash have no segment and stay together. Segments are those behind
// what all keys have in common: a bucket whose objects all lie under data/2026/ is divided
// by what comes after that.
type split struct {
	under  string // what the keys that are counted have in common, with its slash
	groups map[string]*group
	seen        // of all groups
	now    seen // the same in the step that runs
	// whole is what is counted of keys without a segment, and strays how many lie
	// outside of under, since it was last widened.
	whole  seen
	strays int
}

type group struct {
	seen
	expected float64 // of the steps that are over
	now      seen    // in the step that runs
}

// seen counts replies.
type seen struct{ replies, throttled int }

func (s *seen) add(throttled bool) {
	s.replies++
	if throttled {
		s.throttled++
	}
}

func (s seen) half() seen { return seen{s.replies / 2, s.throttled / 2} }

const (
	// maxGroups bounds what is watched for one limit; further segments are not.
	maxGroups = 64
	// maxPrefixes bounds the limits by prefix.
	maxPrefixes = 64
	// telling and significant are the throttles expected of one segment and of all
	// the spared ones together: chance alone spares that many with a probability
	// well below 1 %.
	telling     = 4
	significant = 12
	// forget halves the counts, so that old days fade.
	forget = 200_000
	// So many keys outside of what all had in common, and one of so many, widen it: one
	// object beside all others, or a question about the bucket, does not.
	someStrays, strayShare = 4, 50
)

// countPath is count for a key of which it is not known what it has in common with others.
func (s *split) countPath(key string, throttled bool) {
	end := strings.LastIndexByte(key, '/') + 1
	switch {
	case end == 0 && s.under == "" && s.replies == 0 && s.whole.replies == 0:
		return // a question about the bucket tells nothing of its keys
	case s.under == "" && s.replies == 0 && s.whole.replies == 0:
		s.under = strings.Clone(key[:end])
	case !strings.HasPrefix(key, s.under):
		if s.strays++; s.strays < someStrays || s.strays*strayShare < s.replies+s.whole.replies {
			return
		}
		s.widen(key)
	}
	s.count(key, throttled)
}

// widen shortens what is in common to what it is with key too. All that was counted until
// now was of one segment of that.
func (s *split) widen(key string) {
	n := object.CommonPath(s.under, key)
	all := &group{seen: seen{s.replies + s.whole.replies, s.throttled + s.whole.throttled}}
	all.expected = float64(all.throttled) // there was nothing beside it
	seg := strings.Clone(object.PathSegment(s.under, n))
	s.under, s.strays, s.whole = s.under[:n], 0, seen{}
	s.seen, s.now, s.groups = all.seen, seen{}, map[string]*group{seg: all}
}

func (s *split) count(key string, throttled bool) {
	seg := object.PathSegment(key, len(s.under))
	if seg == "" {
		s.whole.add(throttled)
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
	for _, of := range [...]*seen{&s.seen, &s.now, &g.seen, &g.now} {
		of.add(throttled)
	}
}

// step ends a step: what it lets expect of each segment is known.
func (s *split) step() {
	for _, g := range s.groups {
		if g.now.replies > 0 {
			g.expected += float64(s.now.throttled) * float64(g.now.replies) / float64(s.now.replies)
		}
		g.now = seen{}
	}
	s.now = seen{}
}

// hit names the segments that deserve a limit of their own, in order of names.
func (s *split) hit() (segments []string) {
	if s.step(); s.throttled < significant {
		return nil
	}
	spared, missed := 0, 0.0
	for seg, g := range s.groups {
		switch {
		case g.throttled > 0 && float64(g.throttled) >= g.expected:
			segments = append(segments, seg)
		case g.expected >= telling && g.throttled == 0,
			g.expected >= significant && float64(g.throttled) <= g.expected/4:
			spared += g.replies
			missed += g.expected
		}
	}
	if spared*10 < s.replies || missed < significant {
		segments = nil
	}
	if segments != nil || s.replies+s.whole.replies > forget {
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
	s.seen, s.whole = seen{}, s.whole.half()
	for seg, g := range s.groups {
		g.seen = g.half()
		g.expected /= 2
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
