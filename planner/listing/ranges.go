package listing

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/resealhq/reseal/engine/object"
)

// ranges gives readers something to read: a range that nobody reads, or a part
// cut off from the one with the largest rest.
type ranges struct {
	src  *Source
	emit func(object.Page) error

	mu struct {
		sync.Mutex
		changed *sync.Cond
		all     []*span            // every range there is
		open    map[*span]struct{} // of those, the ones not read to their end
		unread  []*span            // of those, the ones that have no reader
		next    uint64             // number of the next range
		space   space
		// heads holds, by border, the first key that the store gives after it, as the
		// range that begins there has seen it.
		heads map[string]head
		// credit is how many cuts the pages so far have paid for.
		credit float64
		// oneWalk: a further range would cost the store as much as the whole listing.
		oneWalk bool
		// soonest is how long the quickest page has taken; 0 before the first.
		soonest time.Duration
		ended   bool // no more work is given out
	}
}

// head is the first key after a border; none where nothing follows.
type head struct {
	key  string
	none bool
}

func (r *ranges) read(ctx context.Context, tiles []*span) error {
	r.mu.changed = sync.NewCond(&r.mu.Mutex)
	r.mu.open = map[*span]struct{}{}
	r.mu.heads = map[string]head{}
	r.mu.credit = -freePages * cutsPerPage
	r.mu.all = tiles
	for _, s := range tiles {
		r.mu.next = max(r.mu.next, s.number+1)
		if s.finished {
			continue
		}
		s.began = s.Pos
		r.mu.open[s] = struct{}{}
		r.mu.unread = append(r.mu.unread, s)
	}
	g, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, r.end)()
	for range r.src.readers() {
		g.Go(func() error { return r.work(ctx) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil && !r.empty() {
		return context.Cause(ctx)
	}
	return nil
}

func (r *ranges) empty() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.mu.open) == 0
}

// end wakes everybody up to go home.
func (r *ranges) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.ended = true
	r.mu.changed.Broadcast()
}

func (r *ranges) work(ctx context.Context) error {
	for {
		s, err := r.take()
		if s == nil || err != nil {
			return err
		}
		if err := r.src.walk(ctx, r, s); err != nil {
			return err
		}
		r.finished(s)
	}
}

// take waits for something to read; nil when everything is read or the reading
// has ended.
func (r *ranges) take() (*span, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		switch {
		case r.mu.ended:
			return nil, nil
		case r.reading() >= r.enough() && len(r.mu.open) > 0: // until one ends, or pages come later
			r.mu.changed.Wait()
			continue
		case len(r.mu.unread) > 0:
			s := r.mu.unread[0]
			r.mu.unread = r.mu.unread[1:]
			r.mu.changed.Signal()
			return s, nil
		case len(r.mu.open) == 0:
			r.mu.changed.Broadcast()
			return nil, nil
		}
		if victim, m, behind := r.choose(); victim != nil {
			victim.cutting = true
			r.mu.Unlock()
			child, err := r.cut(victim, m, behind)
			r.mu.Lock()
			victim.cutting = false
			if child != nil || err != nil {
				r.mu.changed.Signal() // there may be more to cut for somebody else
				return child, err
			}
			continue
		}
		r.mu.changed.Wait()
	}
}

// reading is how many ranges have a reader. Under the mutex.
func (r *ranges) reading() int { return len(r.mu.open) - len(r.mu.unread) }

// What bounds the readers of a store that answers at once. Every reader has a page in
// memory, and more than these bring pages no sooner than they can be planned.
const (
	rowCost    = 2500 * time.Nanosecond // of one CPU, from page to durable task: bench/README.md
	fewReaders = 4
)

// enough is how many readers bring twice what can be planned meanwhile. Under the
// mutex.
func (r *ranges) enough() int {
	if r.mu.oneWalk {
		return 1
	}
	page := rowCost * time.Duration(r.src.pageSize()) / time.Duration(runtime.GOMAXPROCS(0))
	return fewReaders + int(2*r.mu.soonest/page)
}

// took notes how long a page has taken.
func (r *ranges) took(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.soonest == 0 || d < r.mu.soonest {
		r.mu.soonest = d
	}
}

// cutsPerPage is how many cuts a full page pays for, after the first freePages.
// It bounds the requests that guesses may waste: a small bucket is read page
// after page, and a large one has all its readers after a few rounds.
const (
	cutsPerPage = 2
	freePages   = 4
)

// choose finds the range to cut, and where. Under the mutex.
func (r *ranges) choose() (victim *span, m string, behind float64) {
	page := r.src.pageSize()
	if r.mu.credit < 1 || r.mu.oneWalk {
		return nil, "", 0
	}
	for {
		victim = nil
		for s := range r.mu.open {
			if s.cutting || s.closing || s.MidKey != "" || s.rest < 1.5*float64(page) {
				continue
			}
			if victim == nil || s.rest > victim.rest || s.rest == victim.rest && s.From < victim.From {
				victim = s
			}
		}
		if victim == nil {
			return nil, "", 0
		}
		if m, behind = victim.cutKey(&r.mu.space, r.src.Prefix, page); m != "" {
			return victim, m, behind
		}
		victim.rest = 0 // nowhere to cut until the next page says more
	}
}

var errStale = errors.New("the range was read past the border meanwhile")

// cut shrinks victim to end at m and makes a new range of what lies behind,
// durably and at once. A crash before it leaves the old range, a crash after it
// both. nil where the victim has been read past m by now.
func (r *ranges) cut(victim *span, m string, behind float64) (*span, error) {
	victim.emitting.Lock()
	defer victim.emitting.Unlock()
	child, shrunk, err := r.prepare(victim, m, behind)
	if err != nil {
		return nil, nil
	}
	if err := r.emit(object.Page{Cursors: []object.Cursor{shrunk, child.cursor(false)}}); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	victim.To, victim.Open = m, false
	victim.rest = sane(victim.rest * (1 - max(0, behind)))
	victim.estimate(&r.mu.space, r.src.Prefix)
	r.mu.open[child] = struct{}{}
	r.mu.all = append(r.mu.all, child)
	return child, nil
}

func (r *ranges) prepare(victim *span, m string, behind float64) (child *span, shrunk object.Cursor, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, still := r.mu.open[victim]; !still || victim.closing || victim.MidKey != "" || m <= victim.know() || !victim.Open && m >= victim.To {
		victim.rest = sane(victim.rest / 2) // or the same cut would be tried again at once
		return nil, shrunk, errStale
	}
	// Until its first page tells, the part cut off is worth every reader once: a
	// wrong guess of the victim's must not be inherited without end. Where nothing
	// is known of it, it is worth a few.
	rest := float64(4 * r.src.pageSize())
	if behind != blind {
		rest = min(sane(victim.rest*behind), 1.5*float64(r.src.pageSize()*r.src.readers()))
	}
	child = &span{id: rangeID(r.mu.next), number: r.mu.next, began: m, rest: rest,
		place: place{From: m, Pos: m, To: victim.To, Open: victim.Open, seen: seen{Before: victim.Before}}}
	r.mu.next++
	r.mu.credit--
	p := victim.place
	p.To, p.Open = m, false
	return child, object.Cursor{Range: victim.id, Position: p.encode()}, nil
}

func (r *ranges) finished(s *span) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.mu.open, s)
	r.mu.changed.Signal()
	if len(r.mu.open) == 0 {
		r.mu.changed.Broadcast()
	}
}

// advance notes what has become durable and what it has shown.
func (r *ranges) advance(s *span, p place, rows []object.Object) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.place = p
	if n := len(rows); n > 0 {
		s.first, s.last, s.inPage = rows[0].Key, rows[n-1].Key, n
		s.total += n
		r.mu.credit += cutsPerPage * float64(n) / float64(r.src.pageSize())
		r.mu.space.learn(n, func(i int) string { return rows[i].Key })
		s.estimate(&r.mu.space, r.src.Prefix)
	}
	r.mu.changed.Signal()
}

// walksAlone: no range is cut any more, and those there are wait for each other.
func (r *ranges) walksAlone() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.oneWalk = true
}

// endOf is where a span ends now; it may be cut the next moment.
func (r *ranges) endOf(s *span) border {
	r.mu.Lock()
	defer r.mu.Unlock()
	return border{s.To, s.Open}
}

func (r *ranges) setClosing(s *span, closing bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.closing = closing
}

// tiles are all ranges, once nobody reads any more.
func (r *ranges) tiles() []*span { return r.mu.all }

// saw notes the first key after a range's beginning.
func (r *ranges) saw(border string, h head) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.heads[border] = h
}

// headAt is what saw noted; it is needed once.
func (r *ranges) headAt(border string) (h head, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h, known = r.mu.heads[border]
	delete(r.mu.heads, border)
	return h, known
}
