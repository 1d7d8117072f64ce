package sim

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/s3test"
)

// open opens the job as another process on the same machine does.
func (p *process) open(ctx context.Context, dial func(context.Context, string, string) (net.Conn, error)) (*job.Job, error) {
	g := p.ground
	g.Dial = dial
	return job.OpenContext(job.On(ctx, g), p.dir, p.n.plan.spec().Connection)
}

// alone says that the process works on, and was not asked to stop.
func (p *process) alone() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.mu.over && !p.mu.dead && !p.mu.stopped
}

// another begins something that runs beside this process, over lines that die with it.
func (p *process) another(do func(dial *counted)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.dead || p.mu.over {
		return
	}
	c := &counted{lines: &lines{x: p.n.exchange}}
	p.mu.rivals = append(p.mu.rivals, c.lines)
	p.others.Go(func() {
		defer c.lines.cut()
		do(c)
	})
}

// rival is another process that wants the same job. While this one works it must be
// refused, before it asks the store about anything but the job's state.
func (p *process) rival() {
	p.another(func(dial *counted) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		j, err := p.open(ctx, dial.dial)
		if err != nil {
			return // the job is not begun yet
		}
		defer j.Close()
		_, err = j.Run(ctx, job.Options{Stop: p.stop, Log: p.n.log})
		if p.alone() && (err == nil || !p.n.plan.away && dial.n.Load() > 0) {
			p.n.Errorf("two processes worked on the job: %v", err)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.n.rivals++
	})
}

// set is somebody who sets the pace of the process at work.
func (p *process) set() {
	p.another(func(dial *counted) {
		ctx, cancel := context.WithTimeout(context.Background(), 24*time.Hour)
		defer cancel()
		for _, c := range p.life.sets {
			p.change(ctx, dial, c)
			time.Sleep(10 * time.Minute)
		}
	})
}

// change asks for one change until it is taken up, or nobody is at work any more.
func (p *process) change(ctx context.Context, dial *counted, c job.Change) {
	if c.Paused != nil && !*c.Paused {
		p.mu.Lock()
		p.mu.paused = false
		p.mu.Unlock()
	}
	for p.alone() {
		if j, err := p.open(ctx, dial.dial); err == nil {
			s, err := j.Set(c)
			soon, cancel := context.WithTimeout(ctx, time.Minute)
			took := err == nil && j.TakenUp(soon, s)
			cancel()
			_ = j.Close()
			if took {
				time.Sleep(5 * time.Second) // what was begun before has been sent
				p.mu.Lock()
				p.n.sets++
				p.mu.paused = c.Paused != nil && *c.Paused
				p.mu.Unlock()
				return
			}
			if err != nil && !errors.Is(err, job.ErrNotRunning) && !p.n.plan.away && p.alone() {
				p.n.Errorf("the pace cannot be set: %v", err)
				return
			}
		}
		time.Sleep(time.Second)
	}
}

// begins wants no object to be begun while the job is paused.
func (p *process) begins(r s3test.Request) {
	if p.n.before.Find(r.Key) == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.asked == nil {
		p.mu.asked = map[string]bool{}
	}
	if changes := r.Op == "CopyObject" || r.Op == "CreateMultipartUpload" || r.Op == "UpdateObjectEncryption" || r.Op == "PutObject"; changes && p.mu.paused && !p.mu.dead && !p.mu.asked[r.Key] {
		p.n.Errorf("the job is paused, and %s begins %q", r.Op, r.Key)
	}
	p.mu.asked[r.Key] = true
}

// counted counts the connections that are asked for.
type counted struct {
	lines *lines
	n     atomic.Int32
}

func (c *counted) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c.n.Add(1)
	return c.lines.dial(ctx, network, addr)
}

// said is what the job has logged.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *said) contains(what string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Contains(s.text.Bytes(), []byte(what))
}

func (s *said) count(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Count(s.text.Bytes(), []byte(what))
}
