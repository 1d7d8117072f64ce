package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// ErrDrained is wrapped by Run's error when Config.Drain was closed before the end.
var ErrDrained = errors.New("drained before the end")

// DoubtError is why a run stopped of which not everything that was on its way came to an end that
// was seen: answers were missing, or what was written could not be proved any more. The next run
// asks about these objects before it sends anything.
type DoubtError struct {
	Err     error
	Objects int64 // at most
	// Silent says that nobody was answered any more, so that the run did not wait for the rest.
	Silent bool
}

func (e *DoubtError) Error() string { return e.Err.Error() + "; " + e.Doubt() }

// Doubt says what is not known.
func (e *DoubtError) Doubt() string {
	why := ""
	if e.Silent {
		why = ", since the store answers nobody any more"
	}
	objects := fmt.Sprintf("%d objects", e.Objects)
	if e.Objects == 1 {
		objects = "1 object"
	}
	return fmt.Sprintf("what became of the requests for up to %s is not known%s, and the next run asks about it first", objects, why)
}

// Unwrap is why the run stopped.
func (e *DoubtError) Unwrap() error { return e.Err }

// orInDoubt says of why the run stopped what came of the objects that were on their way. The lock
// is held.
func (r *run) orInDoubt(cause error) error {
	if n := r.doubtful.Load(); n > 0 {
		return &DoubtError{Err: cause, Objects: n, Silent: r.gaveUp.Load()}
	}
	return cause
}

// inDoubt says whether an item without an outcome has sent something whose effect nobody has seen.
func (it *item) inDoubt() bool {
	m := it.inParts
	return it.past.lost || it.past.updated || it.past.written() || m != nil && (m.CreateLost || m.CompleteLost)
}

// A run that stops waits for what is on its way. Of a store that takes requests and answers nobody
// that would take the time limits of all of them, one after another: minutes, of which supervisors
// give a process fewer. So it is asked something that is about no object, like Loop's silent.
const (
	silenceAsked = 5 * time.Second  // after the last answer, and how often
	silenceAtEnd = 20 * time.Second // how long an answer is waited for, to whomever
)

// endSilence cancels what is on its way once the run drains and the store answers nobody. end
// ends that.
func (r *run) endSilence(ctx context.Context) (end func()) {
	if r.cfg.Answers == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-r.draining:
		case <-ctx.Done():
		}
		if r.staysSilent(ctx) {
			r.cfg.Log.Warn("the store answers nobody; what is on its way is not waited for any more, and the next run asks about it first")
			r.gaveUp.Store(true)
			r.cancel()
		}
	})
	return func() { cancel(); watching.Wait() }
}

// staysSilent waits until nobody is answered any more, or the context ends. A line that is full of
// what is on its way takes its time for an answer, so that each question is waited for until the end.
func (r *run) staysSilent(ctx context.Context) bool {
	for r.hears(ctx) {
	}
	return ctx.Err() == nil
}

// hears says whether an answer comes in time: to a question, or to others.
func (r *run) hears(ctx context.Context) bool {
	before := r.loop.Answered()
	ctx, end := context.WithTimeout(ctx, silenceAtEnd)
	var asked sync.WaitGroup
	defer func() { end(); asked.Wait() }()
	var heard atomic.Bool
	for {
		wait(ctx, silenceAsked)
		switch {
		case heard.Load() || r.loop.Answered() != before:
			return true
		case ctx.Err() != nil:
			return false
		}
		asked.Go(func() {
			if r.answers(ctx) == nil {
				heard.Store(true)
				end()
			}
		})
	}
}
