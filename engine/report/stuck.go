package report

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// stuck notices that a run is at work and nothing comes of it: a store that answers, with
// errors alone, as one does whose KMS is away. Each request is sent again for a while, so
// that no object has failed yet and nobody has told anything.
type stuck struct {
	forward atomic.Uint64 // objects that were settled and have not failed, and requests that list or write
	looks   atomic.Uint64 // requests that look at an object, which is what a plan goes forward by
	trouble atomic.Pointer[trouble]

	mu struct {
		sync.Mutex
		seen uint64    // what went forward, when it was last looked at
		at   time.Time // when it was seen to grow
	}
}

// trouble is how a request failed last, and how many did since forward had grown to that.
type trouble struct {
	err     error
	at      time.Time
	times   int
	forward uint64
}

// stuckAfter is far more than a request that succeeds takes, and its repetitions.
const stuckAfter = 30 * time.Second

// stuckTimes is how many requests have to fail meanwhile. Copies of large objects, and all
// under a ceiling, may take longer than stuckAfter, which one that fails is not the reason for.
const stuckTimes = 3

// moved counts a request that succeeded. Those that only look, and those that begin or give
// up what is to be written, succeed while nothing goes forward.
func (s *stuck) moved(k object.RequestKind) {
	switch k {
	case object.ReqList, object.ReqCopy, object.ReqUpdate, object.ReqCopyPart, object.ReqComplete, object.ReqPut, object.ReqDelete:
		s.forward.Add(1)
	case object.ReqHead, object.ReqGet:
		s.looks.Add(1)
	}
}

// failed notes a failure of those that are sent again.
func (s *stuck) failed(r *object.Result) {
	switch r.Class {
	case object.ClassThrottled, object.ClassKMSThrottled, object.ClassTransient, object.ClassKey:
		t := &trouble{r.Err, time.Now(), 1, s.forward.Load()}
		if last := s.trouble.Load(); last != nil && last.forward == t.forward {
			t.times += last.times
		}
		s.trouble.Store(t)
	}
}

// rest begins anew: what waits is not stuck.
func (s *stuck) rest(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.at = now
}

// stuck says that nothing goes forward, and why; empty where something does.
func (s *Snapshot) stuck() string {
	if s.StuckSince.IsZero() {
		return ""
	}
	return "no object finished and nothing written since " + s.StuckSince.UTC().Format(TimeLayout) + "; the last error: " + object.Printable(s.LastError)
}

// look tells since when nothing goes forward, and the last error; the zero time where
// something does, or hardly anything fails.
func (s *stuck) look(now time.Time, planning bool) (since time.Time, last string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.forward.Load()
	if planning {
		n += s.looks.Load()
	}
	if n != s.mu.seen || s.mu.at.IsZero() {
		s.mu.seen, s.mu.at = n, now
	}
	t := s.trouble.Load()
	if t == nil || t.err == nil || t.times < stuckTimes || t.at.Before(s.mu.at) || now.Sub(t.at) > stuckAfter || now.Sub(s.mu.at) < stuckAfter {
		return time.Time{}, ""
	}
	return s.mu.at.UTC(), t.err.Error()
}
