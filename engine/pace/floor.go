package pace

import (
	"math"
	"time"
)

// floor is the share of refusals that have nothing to do with the rate. A store
// that moves partitions, or has a busy node, answers some SlowDown however few
// requests it gets; to slow down because of them would end at a standstill.
//
// Whether fewer requests bring fewer refusals is seen after a cut to below what
// the store had just accepted, which a limit would not refuse any of:
//
//	the share after such a cut       what follows
//	that of the floor, if known      a limit: the rate recovers from there, and the floor is known better
//	fewer                            a limit: the rate recovers from there, and the floor is at most that
//	the same                         not yet believed, since the limit may have fallen just now: cut again
//	the same a second time           suspected: the rate from before the cuts is back, until all who share the limit look together
//	the same then                    the floor
//	more                             a limit that is falling: an ordinary cut
//
// Above the floor only what chance does not explain counts as a limit. Every now
// and then the floor is checked by such a cut without a cause.
//
// Of many processes behind one limit each alone finds that fewer requests bring as many
// refusals, since the others take the room that it makes. So what counts is a look at the
// turn of a window of the wall clock, at which all look: machines whose clocks agree to a
// fraction of a second need not know of each other for that.
type floor struct {
	share float64
	// known is how many replies the share was measured over.
	known float64

	// looking: a cut was made, and what follows it is compared with before.
	looking       bool
	before, after tally
	vain          int     // looks that showed the same share
	limit, peak   float64 // from before the first cut in vain
	// doubt is how long there is between two checks of the floor.
	doubt   time.Duration
	settled time.Duration // after the cut of this look
	elapsed time.Duration // since then, by what was sent
	usual   float64       // the share of the last ten seconds when this look began
	// shared: other processes of the same job are behind the same limit, and what is refused
	// is often their doing.
	shared bool
	scant  scant
	// longer is how long this look had taken when it began anew, 0 if it did not; see unclear.
	longer time.Duration
	// waiting: enough looks of its own were in vain; the next is at the turn of a window
	// of the wall clock, of whose lastDoubt phase has passed at 0, and window runs now.
	waiting bool
	aligned bool // this look began at such a turn
	phase   time.Duration
	window  int64
}

// scant adds up looks each of which saw too little: at sixty requests a second of which two in a
// hundred are refused, a look of a second shows one or none, whatever there is.
type scant struct {
	expected    float64 // refusals, if the share stayed the same
	seen        int
	limit, peak float64 // from before the first of these looks
}

// add says whether the looks together have shown that the share stays the same.
func (w *scant) add(expected float64, seen int) bool {
	w.expected += expected
	w.seen += seen
	if w.expected < evidence {
		return false
	}
	same := 2*float64(w.seen) >= w.expected
	w.expected, w.seen = 0, 0
	return same
}

// together is how long a window is. Whoever looks at the turn of one, looks when all others
// do that share the limit: a process that goes down alone only makes room for them, and sees
// as many refusals as before.
const together = 8 * time.Second

// turned says whether a window of the wall clock has ended since it was last asked.
func (f *floor) turned(now time.Duration) bool {
	w := int64((now + f.phase) / together)
	was := f.window
	f.window = w
	return w != was
}

const (
	// settling is how long after a cut refusals tell nothing: what the store had
	// saved up for us was used to the last. At low rates it is the time in which a
	// request is saved up again.
	settling = 200 * time.Millisecond
	// A look takes at least shortLook, and ends with this many refusals or replies
	// enough to miss them; longLook ends it without.
	shortLook = 300 * time.Millisecond
	midLook   = time.Second
	longLook  = 10 * time.Second
	evidence  = 8
	fewest    = 40
	// convincing is how many looks with the same share raise the floor.
	convincing = 2
	// sigmas is how far beyond chance something has to be.
	sigmas = 3
	// telltale is how many refusals a second there have to be so that small shares of
	// them can be told from chance before long.
	telltale = 2.5
	// unusual is the share from which on looks that saw too little are added up, and seldomly
	// the requests a second up to which they are: with more of them a look sees enough, or
	// many processes share a limit, each of which sees the refusals of the others.
	unusual  = 1.2 * tolerated
	seldomly = 200
	// crowded is the share of refusals beyond the floor in ten seconds from which on processes
	// that share a limit look together.
	crowded = 2 * tolerated
	// restful is of how many windows one is left alone by that: a look at every third, with
	// what it takes to find the limit again, refuses enough to be the reason for the next.
	restful = 4
	// memory bounds the replies that a floor is averaged over.
	memory = 5000
	// A floor is checked every firstDoubt, then ever more seldom.
	firstDoubt = 2 * together
	lastDoubt  = 16 * together
	// seldom is how many times as long as a look there is none.
	seldom = 8
)

// verdict is what a look ends with.
type verdict uint8

const (
	undecided verdict = iota // it goes on
	helped                   // fewer refusals, or those of the floor that is known, or nothing can be told
	inVain                   // the same share: the rate is cut once more
	suspected                // the same share again: the next look is one together with others
	proved                   // the share is the floor
	more                     // far more refusals than before
)

func share(t tally) float64 {
	if t.throttled == 0 {
		return 0
	}
	return float64(t.throttled) / float64(max(t.sent, t.throttled))
}

// excess is the share of the replies that a limit refused: of those that the
// floor would have let through.
func (f *floor) excess(t tally) float64 {
	return math.Max(0, share(t)-f.share) / (1 - f.share)
}

// explains says whether so many refusals are what the floor brings by chance.
func (f *floor) explains(t tally) bool {
	if f.share == 0 {
		return false
	}
	n := float64(max(t.sent, t.throttled))
	return float64(t.throttled) <= n*(f.share+tolerated)+f.chance(n)+1
}

// denies says whether these are fewer than the floor brings, by more than chance.
func (f *floor) denies(t tally) bool {
	n := float64(max(t.sent, t.throttled))
	return float64(t.throttled) < n*(f.share-tolerated)-f.chance(n)-1
}

// chance is how far from the floor's share of n replies chance may lead, also that by which
// the floor was measured.
func (f *floor) chance(n float64) float64 {
	return sigmas * math.Sqrt(f.share*(1-f.share)*(n+n*n/f.known))
}

// begin starts a look after a cut from limit and peak to rate; before is what was
// seen until then, past what was within the last ten seconds.
func (f *floor) begin(before, past tally, limit, peak, rate float64) {
	if f.vain == 0 {
		f.limit, f.peak = limit, peak
	}
	if f.scant.expected == 0 {
		f.scant.limit, f.scant.peak = limit, peak
	}
	f.usual = share(past)
	f.looking, f.before, f.after, f.waiting, f.longer, f.elapsed = true, before, tally{}, false, 0, 0
	saved := time.Duration(float64(time.Second) / (rate * (1 - decrease)))
	f.settled = min(max(settling, saved), longLook)
}

func (f *floor) end() {
	f.looking = false
}

// look takes in what was sent since the last step.
func (f *floor) look(t tally) verdict {
	if f.elapsed += t.dt; f.elapsed <= f.settled {
		if f.worse(t) {
			f.end()
			f.vain = 0
			return more
		}
		return undecided
	}
	a := &f.after
	a.add(t)
	n := a.sent
	if a.dt < shortLook || (a.throttled < evidence || n < fewest) && a.dt < midLook || n < fewest && a.dt < longLook {
		return undecided
	}
	if f.aligned && float64(n)*share(f.before) < 2*evidence && a.dt < longLook {
		return undecided // it is seldom, and has to tell
	}
	few := math.Max(1, tolerated*float64(n))
	if expected := float64(n) * share(f.before); f.before.sent >= fewest && expected >= a.dt.Seconds()*telltale {
		if f.unclear(*a, expected, few) {
			return undecided
		}
		few = math.Max(1, expected/4)
	}
	f.end()
	if !f.aligned && f.scarce(*a) && f.scant.add(float64(n)*f.usual, a.throttled) {
		f.limit, f.peak = f.scant.limit, f.scant.peak
		f.vain, f.waiting = convincing, true
		return suspected
	}
	// Of many processes none learns by itself: others take the room, and are refused with it.
	if f.share > 0 && !f.shared && !f.aligned && f.vain == 0 && f.explains(*a) && !f.denies(*a) {
		f.merge(*a)
		return helped
	}
	switch {
	case n < fewest, float64(a.throttled) <= few, !alike(f.before, *a):
		f.vain = 0
		if n >= fewest && share(*a) < f.share {
			f.share, f.known, f.doubt = share(*a), float64(n), firstDoubt
			if f.share <= tolerated {
				f.share = 0
			}
		}
		return helped
	}
	f.vain++
	switch {
	case f.vain < convincing && !f.explains(*a):
		return inVain
	case !f.aligned:
		f.waiting = true
		return suspected
	}
	f.raise()
	return proved
}

// unclear says whether a look goes on although it took as long as it has to: a few refusals
// are as likely by chance where the share is small. What came first is put aside, since a limit
// refuses some for a moment, and then none.
func (f *floor) unclear(a tally, expected, few float64) bool {
	switch {
	case f.aligned || expected >= evidence || f.longer+a.dt >= longLook:
		return false
	case f.longer > 0:
		return a.throttled > 0 || expected < evidence/2
	case a.throttled > 0 && float64(a.throttled) <= few:
		f.longer, f.after = a.dt, tally{}
		return true
	}
	return false
}

// scarce says whether a look saw too little to tell, as all looks will at so few requests.
func (f *floor) scarce(a tally) bool {
	return !f.shared && f.usual > unusual && float64(a.sent) < seldomly*a.dt.Seconds() && (a.sent < fewest || float64(a.sent)*f.usual < evidence)
}

// worse says whether far more is refused than before the last look.
func (f *floor) worse(s tally) bool {
	return s.sent >= fewest && share(s) > 1.5*share(f.before)+0.2
}

// alike says whether two tallies can have the same share of refusals.
func alike(a, b tally) bool {
	n, m := float64(a.sent), float64(b.sent)
	p := float64(a.throttled+b.throttled) / (n + m)
	return math.Abs(share(a)-share(b)) <= tolerated+sigmas*math.Sqrt(p*(1-p)*(1/n+1/m))
}

// raise takes the share of the last look into the floor.
func (f *floor) raise() {
	if f.share == 0 || !f.explains(f.after) {
		f.known, f.doubt = 0, firstDoubt
	} else {
		f.doubt = min(lastDoubt, 2*f.doubt)
	}
	for f.doubt < lastDoubt && f.doubt < seldom*f.after.dt {
		f.doubt *= 2
	}
	f.merge(f.after)
	f.vain = 0
}

// merge takes a look into the share.
func (f *floor) merge(t tally) {
	n := float64(t.sent)
	f.share = (f.share*f.known + float64(t.throttled)) / (f.known + n)
	f.known = math.Min(memory, f.known+n)
}

// due says, at the turn of a window, whether to look whether there is a floor, or still is.
// Windows at which a floor that has held for long is looked at are among those of one that
// was just found, so that there are some at which all look. Of many processes those look too
// that suspect nothing, where more is refused than a limit does: one of them may take what the
// others do for a floor, and to see that it is none all have to make room at once. What one takes
// for its floor is no such reason, or all would look at every turn where there is one.
func (f *floor) due(past tally) bool {
	return f.waiting || f.shared && f.window%restful != 0 && f.excess(past) > crowded || f.share > 0 && f.window%int64(f.doubt/together) == 0
}
