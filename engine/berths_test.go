package engine

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/pace"
)

// Under a low ceiling objects come to their end one after the other, however many
// workers there are, and a run that is told to stop has little on its hands.
func TestLowCeilingFinishesWhatItBegins(t *testing.T) {
	for _, op := range []object.Operation{object.OpCopy, object.OpUpdate, object.OpRewrite} {
		t.Run(op.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newMemStore(200)
				s.delay = 100 * time.Millisecond
				j := planOf(s, false)
				const ceiling = 5
				cfg := memConfig(s, j, op)
				cfg.Workers = 256
				cfg.Pace = pace.New(pace.Limits{RequestsPerSecond: ceiling})
				cfg.Ceilings = func() Ceilings { return Ceilings{Requests: ceiling} }
				drain := make(chan struct{})
				cfg.Drain = drain
				time.AfterFunc(time.Minute, func() {
					if done := j.states()[object.Done]; done < 60 {
						t.Errorf("after a minute %d of 200 objects are done", done)
					}
					close(drain)
				})
				began := time.Now()
				if err := Run(t.Context(), cfg); !errors.Is(err, ErrDrained) {
					t.Fatal(err)
				}
				if took := time.Since(began) - time.Minute; took > 10*time.Second {
					t.Errorf("the drain took %v", took)
				}
				j.reopen()
				if err := Run(t.Context(), memConfig(s, j, op)); err != nil {
					t.Fatal(err)
				}
				check(t, s, j, 200)
			})
		})
	}
}

// While nothing may begin nothing does, and then all goes on.
func TestPausedBeginsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemStore(50)
		j := planOf(s, false)
		began := time.Now()
		cfg := memConfig(s, j, object.OpCopy)
		cfg.Ceilings = func() Ceilings { return Ceilings{Paused: time.Since(began) < time.Minute} }
		time.AfterFunc(59*time.Second, func() {
			if n := s.count(object.ReqCopy) + s.count(object.ReqHead); n > 0 {
				t.Errorf("%d requests were sent during the pause", n)
			}
		})
		if err := Run(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		check(t, s, j, 50)
	})
}

func TestLoadOf(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		op   object.Operation
		size int64
		want load
	}{
		{object.OpNone, 5, load{1, 0, 0}},
		{object.OpUpdate, 5 * mib, load{3, 1, 0}},
		{object.OpCopy, 5 * mib, load{3, 1, 5 * mib}},
		{object.OpCopy, -1, load{3, 1, 0}},
		{object.OpRewrite, mib, load{3, 1, 2 * mib}},
		{object.OpMultipart, 640 * mib, load{13, 10, 640 * mib}},
		{object.OpUndecided, 100 * mib, load{3, 1, 100 * mib}},
		{object.OpUndecided, 640 * mib, load{13, 10, 640 * mib}},
	} {
		if got := loadOf(&object.Task{Operation: c.op, Object: object.Object{Size: c.size}}, 64*mib); got != c.want {
			t.Errorf("%v of %d bytes: %+v, want %+v", c.op, c.size, got, c.want)
		}
	}
}

// A large object has its turn although small ones would fit.
func TestLargeObjectIsNotPassedBy(t *testing.T) {
	b := berths{ceilings: func() Ceilings { return Ceilings{Requests: 1} }}
	small, large := load{requests: 3}, load{requests: 100}
	for range 3 {
		if _, ok := b.take(&small); !ok {
			t.Fatal("no room for a small one")
		}
	}
	if _, ok := b.take(&large); ok {
		t.Error("a large one was begun beside others")
	}
	for range 3 {
		b.leave(&small)
	}
	if _, ok := b.take(&large); !ok {
		t.Error("a large one alone was refused")
	}
	if _, ok := b.take(&small); ok {
		t.Error("a small one was begun beside a large one")
	}
}
