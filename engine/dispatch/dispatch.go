package dispatch

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// ErrOneLane is Next's error where the plan is one lane again, or none.
var ErrOneLane = errors.New("the plan is one lane")

// Dispatcher gives out the lanes of a plan. One goroutine calls it; Done is for all.
type Dispatcher struct {
	journal Journal
	pace    Pace
	workers int
	lanes   []*Lane
	turn    uint64
	inHand  atomic.Int64
	came    chan struct{} // a worker came back; of capacity 1
	glance  time.Time     // when the next one may be made
	wait    time.Duration
}

// Lane is where a task comes from.
type Lane struct {
	id     uint64
	buf    []object.Task // taken from the journal, not given out; a part of space
	space  [chunk]object.Task
	inHand atomic.Int64
	turn   uint64    // when a task of it was given out last
	dry    time.Time // there was nothing then
	ended  bool
}

// New makes a Dispatcher for so many workers; nil where journal or pace cannot do it.
func New(journal, pace any, workers int) *Dispatcher {
	j, ok := journal.(Journal)
	p, known := pace.(Pace)
	if !ok || !known {
		return nil
	}
	return &Dispatcher{journal: j, pace: p, workers: workers, came: make(chan struct{}, 1), wait: shortWait}
}

// Crowded says whether tasks are to be taken from Next, since those that follow the task
// with this key would wait for a limit, and others would not.
func (d *Dispatcher) Crowded(key string) (bool, error) {
	if d == nil {
		return false, nil
	}
	if _, full := d.full(key); !full || time.Now().Before(d.glance) {
		return false, nil
	}
	d.reload()
	if len(d.lanes) > 1 { // an earlier process has begun them
		return true, nil
	}
	return d.look(key)
}

// Done is told that a task is in no worker's hands any more; nil is none of a lane.
func (d *Dispatcher) Done(l *Lane) {
	if l == nil {
		return
	}
	l.inHand.Add(-1)
	d.inHand.Add(-1)
	select {
	case d.came <- struct{}{}:
	default:
	}
}

// Next waits until a worker may be given a task, and is its place and what is to be told to
// Done. It ends with ErrOneLane.
func (d *Dispatcher) Next(ctx context.Context) (*object.Task, *Lane, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		if err := d.fill(ctx); err != nil {
			return nil, nil, err
		}
		if len(d.lanes) == 0 || len(d.lanes) == 1 && len(d.lanes[0].buf) == 0 {
			d.lanes = nil
			return nil, nil, ErrOneLane
		}
		if !time.Now().Before(d.glance) && slices.ContainsFunc(d.lanes, d.held) {
			if more, err := d.look(""); err != nil {
				return nil, nil, err
			} else if more {
				continue
			}
		}
		if l := d.pick(); l != nil {
			t := &l.buf[0]
			l.buf = l.buf[1:]
			d.turn++
			l.turn = d.turn
			l.inHand.Add(1)
			d.inHand.Add(1)
			return t, l, nil
		}
		d.pause(ctx)
	}
}

func (d *Dispatcher) pause(ctx context.Context) {
	t := time.NewTimer(tick)
	defer t.Stop()
	select {
	case <-d.came:
	case <-t.C:
	case <-ctx.Done():
	}
}

// fill takes tasks from the journal for lanes that have none.
func (d *Dispatcher) fill(ctx context.Context) error {
	ended := false
	for _, l := range d.lanes {
		if len(l.buf) > 0 || time.Since(l.dry) < tick {
			continue
		}
		n, err := d.journal.NextIn(ctx, l.id, l.space[:])
		l.buf = l.space[:n]
		switch {
		case errors.Is(err, io.EOF):
			l.ended, ended = true, true
		case err != nil:
			return err
		case n == 0:
			l.dry = time.Now()
		}
	}
	if ended {
		d.lanes = slices.DeleteFunc(d.lanes, func(l *Lane) bool { return l.ended && len(l.buf) == 0 })
		d.wait, d.glance = shortWait, time.Now()
	}
	return nil
}

// pick is the lane that is to be taken from; nil where that would help nobody.
func (d *Dispatcher) pick() *Lane {
	held := d.inHand.Load()
	if held >= int64(d.workers) {
		return nil
	}
	slices.SortFunc(d.lanes, func(a, b *Lane) int {
		return cmp.Or(cmp.Compare(a.inHand.Load(), b.inHand.Load()), cmp.Compare(a.turn, b.turn))
	})
	var least *Lane
	for _, l := range d.lanes {
		if len(l.buf) == 0 {
			continue
		}
		if _, full := d.full(l.buf[0].Object.Key); !full {
			return l
		}
		if least == nil {
			least = l
		}
	}
	if least != nil && least.inHand.Load() < few && held < int64(d.workers+1)/2 {
		return least
	}
	return nil
}

// held says whether a limit holds a lane back.
func (d *Dispatcher) held(l *Lane) bool {
	if len(l.buf) == 0 {
		return false
	}
	_, full := d.full(l.buf[0].Object.Key)
	return full
}

func (d *Dispatcher) full(key string) (prefix string, full bool) {
	return d.pace.Full(key, max(1, d.workers/share))
}

// reload takes over the lanes that the journal has. Those that are given out to their end
// stay as long as they have tasks.
func (d *Dispatcher) reload() {
	var all []*Lane
	ids := d.journal.Lanes()
	for _, l := range d.lanes {
		if len(l.buf) > 0 && !slices.Contains(ids, l.id) {
			all = append(all, l)
		}
	}
	for _, id := range ids {
		i := slices.IndexFunc(d.lanes, func(l *Lane) bool { return l.id == id })
		if i >= 0 {
			all = append(all, d.lanes[i])
		} else {
			all = append(all, &Lane{id: id})
		}
	}
	d.lanes = all
}
