package checkpoint

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// wait takes the answer of a call into Pebble, or the store's failure: then the
// call may never return.
func (s *Store) wait(answer <-chan error) error {
	select {
	case err := <-answer:
		return err
	case <-s.failed:
		return s.failErr
	}
}

// fail makes err the store's answer from now on and wakes everybody who waits.
// Called by any goroutine, Pebble's among them.
func (s *Store) fail(err error) {
	_, away := errors.AsType[*AwayError](err)
	if !away {
		s.gate.shut.Store(true)
	}
	s.failOnce.Do(func() {
		s.failErr = err
		if !away {
			s.failErr = &DiskError{s.dir, err}
		}
		close(s.failed)
		s.opts.Logger.Error("checkpoint failed", "dir", s.dir, "error", err)
		// Waiters hold mu only for moments, but Pebble may call this with locks of
		// its own, so mu is not waited for here.
		go func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.mu.room.Broadcast()
		}()
	})
}

// failure is the store's final error, or nil.
func (s *Store) failure() error {
	select {
	case <-s.failed:
		return s.failErr
	default:
		return nil
	}
}

// Close makes everything recorded durable, lowers the dispatched mark to what
// was really given out, waits for the writer and gives up the lock. After a
// failure of the disk it touches nothing and returns that failure.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	if !s.ro {
		s.mu.Lock()
		s.mu.stop = true
		s.mu.room.Broadcast()
		s.mu.Unlock()
		s.signal()
		select {
		case <-s.idle:
			if s.ship != nil {
				s.ship.finish()
			}
		case <-s.failed:
		}
	}
	if s.failure() != nil {
		s.closeCopy()
		return errors.Join(s.failErr, s.abandon())
	}
	err := s.closeDB()
	if err == nil && !s.ro {
		err = s.closeSeal()
	}
	return errors.Join(err, s.lock.Close())
}

// closeDB leaves as little as possible to the logs, which Pebble believes to
// whatever end they have.
func (s *Store) closeDB() error {
	closed := make(chan error, 1)
	go func() {
		var err error
		if !s.ro {
			err = s.db.Flush()
		}
		closed <- errors.Join(err, s.db.Close())
	}()
	return s.wait(closed)
}

// closeCopy closes Pebble where not the disk has failed but the way to where changes are
// kept: this process may live on, and is to keep neither files nor goroutines. Where the
// disk fails too, nobody waits for long.
func (s *Store) closeCopy() {
	if _, away := errors.AsType[*AwayError](s.failErr); !away {
		return
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		<-s.idle
		_ = s.db.Close()
	}()
	patience := time.NewTimer(copyPatience)
	defer patience.Stop()
	select {
	case <-closed:
	case <-patience.C:
	}
}

const copyPatience = 10 * time.Second

// closeSeal seals what Pebble has closed. Whoever lost the lock leaves that to
// the process that has it.
func (s *Store) closeSeal() error {
	err := s.floor.close()
	if err == nil && s.gate.held != nil {
		err = s.gate.held()
	}
	if err == nil {
		err = closeSeal(s.opts.fs, filepath.Join(s.dir, storeDir), s.floor.turn)
	}
	if err != nil {
		return &DiskError{s.dir, err}
	}
	return nil
}

// abandon gives up the lock without a word to Pebble, whose Close would wait for
// ever where a write has failed.
func (s *Store) abandon() error {
	s.closed.Store(true)
	s.gate.close()
	if s.ship != nil {
		s.ship.abandon()
	}
	var err error
	if s.floor != nil {
		err = s.floor.abandon()
	}
	return errors.Join(err, s.lock.Close())
}

func panicError(p any) error {
	if err, ok := p.(error); ok {
		return err
	}
	return fmt.Errorf("%v", p)
}
