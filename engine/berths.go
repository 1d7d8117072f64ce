package engine

import (
	"context"
	"sync"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/retry"
)

// Ceilings are limits by the second, 0 for none, and whether nothing may begin.
type Ceilings struct {
	Requests, KMSRequests, Bytes float64
	Paused                       bool
}

// carried is how many seconds' worth of a ceiling is begun at a time. Workers that
// each begin an object of their own under a low ceiling would bring none of them to
// its end, and a run that is told to stop would have all of them on its hands.
const carried = 10

// perObject is how many requests an object takes in the common case: it is looked
// at, changed and proved.
const perObject = 3

// load is what an object asks of the ceilings.
type load struct{ requests, kms, bytes float64 }

// loadOf estimates by what the plan knows.
func loadOf(t *object.Task, partSize int64) load {
	l := load{requests: perObject, kms: 1}
	size := max(0, t.Object.Size)
	switch {
	case t.Operation == object.OpNone:
		return load{requests: 1}
	case t.Operation == object.OpUpdate:
		return l
	case t.Operation == object.OpRewrite:
		if size > maxWhole {
			parts := float64((size + maxWhole - 1) / maxWhole)
			l.requests, l.kms = perObject+2*parts, parts
		}
		size *= 2 // read, and written again
	case t.Operation == object.OpMultipart, t.Operation == object.OpUndecided && size > 4*partSize:
		parts := float64((size + partSize - 1) / partSize)
		l.requests, l.kms = perObject+parts, parts
	}
	l.bytes = float64(size)
	return l
}

// berths bound the objects that are begun and not at their end, where there are
// ceilings. Without any they cost nothing.
type berths struct {
	ceilings func() Ceilings // nil for none
	partSize int64
	turn     chan struct{} // held by the one who waits for room, so that a large object gets its turn

	mu struct {
		sync.Mutex
		load
		objects int
		left    chan struct{} // closed when somebody leaves
	}
}

// berth waits until the object may begin; nil where no ceiling is set. Where it had
// to wait, the window may have closed meanwhile.
func (r *run) berth(ctx context.Context, t *object.Task) (*load, error) {
	b := &r.berths
	if b.ceilings == nil || b.ceilings() == (Ceilings{}) {
		return nil, nil
	}
	select {
	case b.turn <- struct{}{}:
	case <-r.draining:
		return nil, retry.ErrStopping
	}
	defer func() { <-b.turn }()
	l := loadOf(t, b.partSize)
	for waited := false; ; waited = true {
		changed, ok := b.take(&l)
		if ok {
			if waited && r.cfg.Gate != nil {
				if err := r.cfg.Gate(ctx); err != nil {
					return &l, err
				}
			}
			return &l, nil
		}
		if err := r.loop.WaitFor(ctx, time.Second, changed); err != nil { // a ceiling may have been raised
			return nil, err
		}
	}
}

// take counts the object where there is room for it; one alone has always room.
func (b *berths) take(l *load) (changed <-chan struct{}, ok bool) {
	c := b.ceilings()
	m := &b.mu
	m.Lock()
	defer m.Unlock()
	fits := func(ceiling, held, more float64) bool { return ceiling <= 0 || held+more <= ceiling*carried }
	if !c.Paused && (m.objects == 0 || fits(c.Requests, m.requests, l.requests) && fits(c.KMSRequests, m.kms, l.kms) && fits(c.Bytes, m.bytes, l.bytes)) {
		m.objects++
		m.requests, m.kms, m.bytes = m.requests+l.requests, m.kms+l.kms, m.bytes+l.bytes
		return nil, true
	}
	if m.left == nil {
		m.left = make(chan struct{})
	}
	return m.left, false
}

// leave gives the room back; nil is none.
func (b *berths) leave(l *load) {
	if l == nil {
		return
	}
	m := &b.mu
	m.Lock()
	defer m.Unlock()
	m.objects--
	m.requests, m.kms, m.bytes = m.requests-l.requests, m.kms-l.kms, m.bytes-l.bytes
	if m.left != nil {
		close(m.left)
		m.left = nil
	}
}
