package job

import (
	"context"
	"sync"
	"time"
)

// stopper asks a run to finish what is in flight and begin nothing new. The
// first cause stays.
type stopper struct {
	asked chan struct{} // closed by the first stop

	mu struct {
		sync.Mutex
		cause error
	}
}

// newStopper listens to the first signal and to the clock; release ends that.
func newStopper(signal <-chan struct{}, after time.Duration) (s *stopper, release func()) {
	s = &stopper{asked: make(chan struct{})}
	ended := make(chan struct{})
	var clock <-chan time.Time
	timer := (*time.Timer)(nil)
	if after > 0 {
		timer = time.NewTimer(after)
		clock = timer.C
	}
	var listening sync.WaitGroup
	listening.Go(func() {
		select {
		case <-signal:
			s.stop(ErrInterrupted)
		case <-clock:
			s.stop(ErrStopAfter)
		case <-ended:
		}
	})
	return s, sync.OnceFunc(func() {
		close(ended)
		listening.Wait()
		if timer != nil {
			timer.Stop()
		}
	})
}

// watch asks to stop once lost returns an error: also of a run that sends nothing, since it
// is paused or outside its window. The function that it returns ends that.
func (s *stopper) watch(lost func(context.Context) error) (end func()) {
	if lost == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() {
		if err := lost(ctx); err != nil {
			s.stop(err)
		}
	})
	return func() { cancel(); watching.Wait() }
}

func (s *stopper) stop(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.cause == nil {
		s.mu.cause = cause
		close(s.asked)
	}
}

// cause is why the run was asked to stop; nil if it was not.
func (s *stopper) cause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.cause
}

// relay cancels once the run was asked to stop, or returns with the context.
func (s *stopper) relay(ctx context.Context, cancel context.CancelFunc) {
	select {
	case <-s.asked:
		cancel()
	case <-ctx.Done():
	}
}
