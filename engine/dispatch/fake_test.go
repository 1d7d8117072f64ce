package dispatch

import (
	"context"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/pace"
)

// Virtual time lets one goroutine after another run: a second core has them only hand locks to
// each other.
func TestMain(m *testing.M) {
	runtime.GOMAXPROCS(1)
	m.Run()
}

// plan is a journal in memory, of keys, that is planned at once or so many a second.
type plan struct {
	keys  []string
	speed float64
	begin time.Time
	lanes []stretch // in order; the last has no end
	last  uint64
}

type stretch struct{ id, next, end uint64 }

func newPlan(keys []string) *plan {
	return &plan{keys: keys, begin: time.Now(), lanes: []stretch{{id: 0, end: 1 << 60}}}
}

func (p *plan) planned() uint64 {
	n := uint64(len(p.keys))
	if p.speed > 0 {
		n = min(n, uint64(p.speed*time.Since(p.begin).Seconds()))
	}
	return n
}

func (p *plan) Lanes() (ids []uint64) {
	for _, l := range p.lanes {
		ids = append(ids, l.id)
	}
	return ids
}

func (p *plan) NextIn(_ context.Context, id uint64, buf []object.Task) (n int, err error) {
	i := slices.IndexFunc(p.lanes, func(l stretch) bool { return l.id == id })
	if i < 0 {
		return 0, io.EOF
	}
	l := &p.lanes[i]
	for ; n < len(buf) && l.next < min(l.end, p.planned()); n++ {
		buf[n] = object.Task{Seq: l.next, Object: object.Object{Ref: object.Ref{Key: p.keys[l.next]}}}
		l.next++
	}
	if n == 0 && (l.next == l.end || l.next == uint64(len(p.keys))) {
		err = io.EOF
	}
	if l.next == l.end {
		p.lanes = slices.Delete(p.lanes, i, i+1)
	}
	return n, err
}

func (p *plan) Next(ctx context.Context, buf []object.Task) (int, error) {
	for {
		n, err := p.NextIn(ctx, p.lanes[0].id, buf)
		if n > 0 || err != nil {
			return n, err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (p *plan) Glance(n int) (places []object.Place, err error) {
	left := uint64(0)
	for _, l := range p.lanes {
		left += max(min(l.end, p.planned()), l.next) - l.next
	}
	step, at := max(1, left/uint64(n)), uint64(0)
	for _, l := range p.lanes {
		seq := l.next + at
		for ; seq < min(l.end, p.planned()); seq += step {
			places = append(places, object.Place{Seq: seq, Key: p.keys[seq]})
		}
		at = seq - max(l.next, min(l.end, p.planned()))
	}
	return places, nil
}

func (p *plan) Fork(at []uint64) error {
	for _, seq := range at {
		for seq > 0 && seq < uint64(len(p.keys)) && p.keys[seq] == p.keys[seq-1] { // as the checkpoint does
			seq++
		}
		i := slices.IndexFunc(p.lanes, func(l stretch) bool { return l.next < seq && seq < l.end })
		if i < 0 {
			continue
		}
		p.last++
		up := stretch{p.last, seq, p.lanes[i].end}
		p.lanes[i].end = seq
		p.lanes = slices.Insert(p.lanes, i+1, up)
	}
	return nil
}

// s3 takes so many changes a second of each prefix, and answers after latency.
type s3 struct {
	mu      sync.Mutex
	limit   func(key string) (prefix string, rate float64)
	latency time.Duration
	levels  map[string]*bucket
	taken   map[string][]int // by prefix and second
	begin   time.Time
	refused int
}

type bucket struct {
	level float64
	at    time.Time
}

func (s *s3) change(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	prefix, rate := s.limit(key)
	now := time.Now()
	b := s.levels[prefix]
	if b == nil {
		b = &bucket{level: max(2, rate/4), at: now}
		s.levels[prefix] = b
	}
	b.level = min(max(2, rate/4), b.level+rate*now.Sub(b.at).Seconds())
	b.at = now
	if b.level < 1 {
		s.refused++
		return false
	}
	b.level--
	second := int(now.Sub(s.begin) / time.Second)
	for len(s.taken[prefix]) <= second {
		s.taken[prefix] = append(s.taken[prefix], 0)
	}
	s.taken[prefix][second]++
	return true
}

// folder is the limit of a key by the path before its last slash.
func folder(rate func(prefix string) float64) func(string) (string, float64) {
	return func(key string) (string, float64) {
		prefix := key[:strings.LastIndexByte(key, '/')+1]
		return prefix, rate(prefix)
	}
}

func each(rate float64) func(string) float64 { return func(string) float64 { return rate } }

// night is a run over a plan: each task is looked at and then changed, as the engine does.
type night struct {
	plan    *plan
	store   *s3
	workers int
	plain   bool // in the plan's order
	kill    time.Duration

	took  time.Duration
	order []uint64 // as given out
	done  map[uint64]int
}

func newNight(keys []string, limit func(string) (string, float64)) *night {
	return &night{plan: newPlan(keys), workers: 256, done: map[uint64]int{},
		store: &s3{limit: limit, latency: 30 * time.Millisecond, levels: map[string]*bucket{}, taken: map[string][]int{}, begin: time.Now()}}
}

func (n *night) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if n.kill > 0 {
		ctx, cancel = context.WithTimeout(ctx, n.kill)
		defer cancel()
	}
	p := pace.New(pace.Limits{})
	d := New(n.plan, p, n.workers)
	if n.plain {
		d = nil
	}
	type given struct {
		task object.Task
		lane *Lane
	}
	tasks := make(chan given, 64)
	var mu sync.Mutex
	var all sync.WaitGroup
	began := time.Now()
	for range n.workers {
		all.Go(func() {
			for g := range tasks {
				if n.store.object(ctx, p, g.task.Object.Key) {
					mu.Lock()
					n.done[g.task.Seq]++
					mu.Unlock()
				}
				d.Done(g.lane)
			}
		})
	}
	give := func(task object.Task, l *Lane) {
		n.order = append(n.order, task.Seq)
		tasks <- given{task, l}
	}
	if err := n.dispatch(ctx, d, give); err != nil && ctx.Err() == nil {
		t.Error(err)
	}
	close(tasks)
	all.Wait()
	n.took = time.Since(began)
}

func (n *night) dispatch(ctx context.Context, d *Dispatcher, give func(object.Task, *Lane)) error {
	buf := make([]object.Task, 64)
	for ctx.Err() == nil {
		k, err := n.plan.Next(ctx, buf)
		for _, task := range buf[:k] {
			give(task, nil)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		crowded, err := d.Crowded(buf[k-1].Object.Key)
		for crowded && err == nil {
			var task *object.Task
			var l *Lane
			if task, l, err = d.Next(ctx); err == nil {
				give(*task, l)
			}
		}
		if err != nil && !errors.Is(err, ErrOneLane) {
			return err
		}
	}
	return nil
}

// object is what a worker does; false where it was cut off.
func (s *s3) object(ctx context.Context, p *pace.Pacer, key string) bool {
	for _, kind := range []object.RequestKind{object.ReqHead, object.ReqCopy} {
		c := &object.Call{Kind: kind, Key: key}
		for attempt := 1; ; attempt++ {
			if p.Enter(ctx, c) != nil {
				return false
			}
			if kind == object.ReqHead || s.change(key) {
				time.Sleep(s.latency)
				p.Leave(c, object.Result{OK: true, Latency: s.latency})
				break
			}
			time.Sleep(2 * time.Millisecond)
			p.Leave(c, object.Result{Class: object.ClassThrottled, Latency: 2 * time.Millisecond})
			time.Sleep(pace.Backoff(attempt, 0, nil))
		}
	}
	return true
}

// once asserts that each task was done once, and given out in order within each key.
func (n *night) once(t *testing.T) {
	t.Helper()
	for seq := range n.plan.keys {
		if n.done[uint64(seq)] != 1 {
			t.Fatalf("task %d was done %d times", seq, n.done[uint64(seq)])
		}
	}
	last := map[string]uint64{}
	for _, seq := range n.order {
		key := n.plan.keys[seq]
		if before, ok := last[key]; ok && before > seq {
			t.Fatalf("task %d of %s was given out after task %d", seq, key, before)
		}
		last[key] = seq
	}
}

// between is how many a second were taken of all prefixes, in the seconds from a to b.
func (s *s3) between(a, b int) (rate float64) {
	for _, seconds := range s.taken {
		for i := a; i < b && i < len(seconds); i++ {
			rate += float64(seconds[i]) / float64(b-a)
		}
	}
	return rate
}
