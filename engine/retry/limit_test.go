package retry

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

func TestLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run, stop := context.WithCancel(t.Context())
		for _, waits := range []bool{false, true} {
			l := withLimit(run, time.Second, nil, nil)
			if waits {
				l.Done()
			}
			if l.Err() != nil {
				t.Fatal("ended before its time")
			}
			if at, ok := l.Deadline(); !ok || time.Until(at) != time.Second {
				t.Errorf("deadline %v %v", at, ok)
			}
			time.Sleep(time.Second)
			if waits {
				<-l.Done()
			}
			if !errors.Is(l.Err(), context.DeadlineExceeded) {
				t.Errorf("waits %v: past its time, %v", waits, l.Err())
			}
			l.release()
		}
		// A context made from it, as net/http makes them, ends with it.
		l := withLimit(run, time.Second, nil, nil)
		child, cancel := context.WithCancel(l)
		defer cancel()
		<-child.Done()
		if !errors.Is(child.Err(), context.DeadlineExceeded) {
			t.Errorf("the child ended by %v", child.Err())
		}
		l.release()
		l, waited := withLimit(run, time.Second, nil, nil), withLimit(run, time.Second, nil, nil)
		waited.Done()
		stop()
		<-waited.Done()
		if !errors.Is(l.Err(), context.Canceled) || !errors.Is(waited.Err(), context.Canceled) {
			t.Errorf("the run was cancelled: %v, %v", l.Err(), waited.Err())
		}
		waited.release()
		early, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if at, _ := withLimit(early, time.Second, nil, nil).Deadline(); time.Until(at) != time.Millisecond {
			t.Errorf("the run's own deadline is earlier, and %v from now it was", time.Until(at))
		}
	})
}

// TestCredentialsThatCameTooLate: what kept a request from being sent is told as that, also
// once its time is over. The store has nothing to do with it.
func TestCredentialsThatCameTooLate(t *testing.T) {
	l := &Loop{RequestTimeout: 10 * time.Millisecond}
	for class, want := range map[object.Class]object.Class{object.ClassCredentials: object.ClassCredentials, object.ClassOther: object.ClassTransient} {
		err := l.timed(t.Context(), &object.Call{Kind: object.ReqHead}, nil, func(ctx context.Context) error {
			<-ctx.Done()
			return &object.Error{Class: class, NotSent: true}
		})
		if object.ClassOf(err) != want {
			t.Errorf("%s is told as %v", class, err)
		}
	}
}
