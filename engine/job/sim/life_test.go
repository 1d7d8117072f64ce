package sim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/resealhq/reseal/checkpoint"
	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/report"
	"github.com/resealhq/reseal/engine/s3test"
)

// process is one life of the job.
type process struct {
	n      *night
	life   life
	mem    *vfs.MemFS
	dir    string
	ground job.Ground
	lines  *lines
	end    context.CancelFunc
	stop   chan struct{}

	requests, writes atomic.Int64
	rng              *rand.Rand
	others           sync.WaitGroup

	mu struct {
		sync.Mutex
		dead, stopped bool
		over          bool // it has ended, one way or the other
		rivals        []*lines
		asked         map[string]bool // keys that were asked about
		paused        bool            // and everybody has heard of it
	}
	left    *vfs.MemFS // the disk as its death left it
	leftDir string
}

// live runs one process over what the one before has left. It tells what Run did,
// unless the process died: nobody was there to be told.
func (n *night) live(l life) (sum *report.Summary, err error) {
	n.lives++
	ctx, cancel := context.WithTimeout(context.Background(), 60*24*time.Hour)
	defer cancel()
	p := &process{n: n, life: l, mem: n.mem, dir: n.dir, lines: &lines{x: n.exchange}, end: cancel, stop: make(chan struct{}),
		rng: rand.New(rand.NewPCG(n.plan.seed, uint64(n.lives)))}
	p.ground = job.Ground{Dial: p.lines.dial, Random: n}
	if !n.plan.away { // else it works on a copy, on a machine that nobody sees again
		p.ground.Disk = checkpoint.NewDisk(errorfs.Wrap(n.mem, errorfs.InjectorFunc(p.write)))
	}
	n.skew.Add(int64(l.skew))
	n.current.Store(p)
	sum, err = p.run(ctx)
	p.mu.Lock()
	p.mu.over = true
	p.mu.Unlock()
	p.others.Wait()
	n.current.Store(nil)
	p.lines.cut()
	if !p.mu.dead {
		return sum, err
	}
	n.crashes++
	if !n.plan.away {
		n.mem = p.left
		if err := errors.Join(os.RemoveAll(n.dir), os.Rename(p.leftDir, n.dir)); err != nil {
			n.Fatal(err)
		}
	}
	return nil, errDied
}

var errDied = errors.New("the process died")

func (p *process) run(ctx context.Context) (*report.Summary, error) {
	j, err := job.CreateContext(job.On(ctx, p.ground), p.dir, p.n.plan.spec(), *cmp.Or(p.life.policy, &p.n.plan.policy))
	if err != nil {
		return nil, fmt.Errorf("Create: %w", err)
	}
	defer j.Close()
	if p.n.plan.shards > 0 {
		if _, err := j.Divide(ctx, p.n.plan.shards, p.options()); err != nil {
			return nil, fmt.Errorf("Divide: %w", err)
		}
	}
	return j.Run(ctx, p.options())
}

func (p *process) options() job.Options {
	return job.Options{Limits: job.Limits{Concurrency: p.n.plan.workers}, Stop: p.stop, Log: p.n.log}
}

// write is asked before every operation of the checkpoint's disk.
func (p *process) write(op errorfs.Op) error {
	switch op.Kind {
	case errorfs.OpFileWrite, errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo, errorfs.OpCreate, errorfs.OpRename, errorfs.OpRemove, errorfs.OpLink, errorfs.OpReuseForWrite:
		if p.writes.Add(1) == int64(p.life.atWrite) {
			p.die()
		}
	}
	return nil
}

// request is asked before every request has its effect.
func (p *process) request(r s3test.Request) {
	k := p.requests.Add(1)
	p.begins(r)
	if k == int64(p.life.atRequest) {
		p.die()
	}
	if k == int64(p.life.stopAt) {
		p.mu.Lock()
		if !p.mu.stopped {
			p.mu.stopped = true
			close(p.stop)
		}
		p.mu.Unlock()
	}
	if p.life.second && k%60 == 59 {
		p.rival()
	}
	if k == int64(p.life.setAt) {
		p.set()
	}
	if k == int64(p.life.jumpAt) {
		p.n.skew.Add(int64(p.life.jump))
	}
}

// die keeps what a crash would leave, and cuts the process off from everything: what
// it does from now on happens nowhere.
func (p *process) die() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.dead || p.mu.over {
		return
	}
	p.mu.dead = true
	for _, l := range p.mu.rivals {
		l.cut() // what it would do on this disk is not on the one that is left
	}
	p.lines.cut() // first, or what is durable only after the crash would lead to requests
	keep := 100
	if p.life.power {
		keep = p.life.keep
	}
	p.end()
	if p.n.plan.away {
		return
	}
	p.left = p.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: keep, RNG: p.rng})
	p.leftDir = fmt.Sprintf("%s+", p.dir)
	if err := copyDir(p.dir, p.leftDir); err != nil {
		p.n.Errorf("copying the job directory: %v", err)
	}
}

// copyDir copies the plain files of a job directory, and those of its shards.
func copyDir(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := copyDir(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
				return err
			}
			continue
		}
		data, err := os.ReadFile(filepath.Join(from, e.Name()))
		if errors.Is(err, fs.ErrNotExist) { // a temporary file that has got its name
			continue
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, e.Name()), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}
