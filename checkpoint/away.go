package checkpoint

import (
	"fmt"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/batchrepr"
)

// Away keeps the changes of a store where the end of this machine does not reach
// them.
type Away interface {
	// Keep makes a segment durable, behind all before it. One goroutine calls it, and
	// it does not return before the segment is safe or cannot be. Its error is final:
	// the store takes nothing after it.
	Keep(segment []byte) error
}

// AwayError is the first failure to keep changes away from this machine. It is
// final for the process; whoever goes on elsewhere asks about what was not kept.
type AwayError struct{ Err error }

func (e *AwayError) Error() string {
	return fmt.Sprintf("the job's state could not be kept away from this machine: %v", e.Err)
}

// Unwrap gives the cause.
func (e *AwayError) Unwrap() error { return e.Err }

const (
	// awayEvery is how long a change may wait for others to share its segment.
	awayEvery = 5 * time.Second
	// A segment is closed at segmentSize. The writer waits where awayBacklog bytes were
	// not kept yet.
	segmentSize = 4 << 20
	awayBacklog = 64 << 20
	// farBlock is the most tasks that one raise of the mark covers where each raise
	// costs a request.
	farBlock = 128 << 10
)

// shipper carries the batches of a store away, in their order, many in a segment.
type shipper struct {
	to    Away
	every time.Duration
	fail  func(error)
	wake  chan struct{} // of capacity 1
	ended chan struct{} // closed when nothing more is carried

	mu struct {
		sync.Mutex
		room    *sync.Cond // the backlog has shrunk, or all has ended
		pending []byte
		since   time.Time // the oldest of pending
		waiting []func()  // told when all of pending is kept
		urgent  bool      // somebody waits
		stop    bool
		failed  bool
	}
}

func newShipper(to Away, every time.Duration, fail func(error)) *shipper {
	s := &shipper{to: to, every: every, fail: fail, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	s.mu.room = sync.NewCond(&s.mu)
	return s
}

// add takes a batch that was applied. kept is called, unless the store fails, once
// it is safe: soon where urgent is set. The writer alone calls add.
func (s *shipper) add(batch batchrepr.Reader, urgent bool, kept func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.mu.pending) > awayBacklog && !s.mu.failed {
		s.mu.room.Wait()
	}
	if s.mu.failed {
		return
	}
	if len(s.mu.pending) == 0 {
		s.mu.since = time.Now()
	}
	s.mu.pending = appendChanges(s.mu.pending, batch)
	if kept != nil {
		s.mu.waiting = append(s.mu.waiting, kept)
	}
	s.mu.urgent = s.mu.urgent || urgent
	s.signal()
}

func (s *shipper) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run carries until finish, or until the first failure.
func (s *shipper) run() {
	defer close(s.ended)
	var space []byte
	for {
		segment, kept, last := s.next(space[:0])
		if len(segment) > 0 {
			if err := s.to.Keep(segment); err != nil {
				s.abandon()
				s.fail(&AwayError{err})
				return
			}
		}
		for _, f := range kept {
			f()
		}
		if last {
			return
		}
		space = segment
	}
}

// next waits until a segment is due.
func (s *shipper) next(space []byte) (segment []byte, kept []func(), last bool) {
	for {
		s.mu.Lock()
		wait := s.every - time.Since(s.mu.since)
		if s.mu.failed {
			s.mu.Unlock()
			return nil, nil, true
		}
		due := s.mu.urgent || s.mu.stop || len(s.mu.pending) >= segmentSize || len(s.mu.pending) > 0 && wait <= 0
		if due {
			segment, s.mu.pending = s.mu.pending, space
			kept, s.mu.waiting = s.mu.waiting, nil
			s.mu.urgent, last = false, s.mu.stop
			s.mu.room.Broadcast()
			s.mu.Unlock()
			return segment, kept, last
		}
		idle := len(s.mu.pending) == 0
		s.mu.Unlock()
		if idle {
			<-s.wake
			continue
		}
		t := time.NewTimer(wait)
		select {
		case <-s.wake:
		case <-t.C:
		}
		t.Stop()
	}
}

// abandon carries nothing more, and lets nobody wait for it.
func (s *shipper) abandon() {
	s.mu.Lock()
	s.mu.failed = true
	s.mu.room.Broadcast()
	s.mu.Unlock()
	s.signal()
}

// finish carries what is left. The writer has ended.
func (s *shipper) finish() {
	s.mu.Lock()
	s.mu.stop = true
	s.mu.Unlock()
	s.signal()
	<-s.ended
}
