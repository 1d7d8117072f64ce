package job

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/resealhq/reseal/checkpoint"
)

// This file is about shards that other processes are at work on.

// waitsForReader is told once. A status is over in a moment, a prune takes its time.
const waitsForReader = "somebody reads this shard, such as status, verify or prune; waiting until that is over"

// readersOnly says whether one of the shards is held by somebody who only reads, which
// is over in a moment. It waits for that moment.
func (c *crew) readersOnly(busy []int) bool {
	for _, i := range busy {
		shard, _ := c.whole.Shard(i)
		if _, locked, err := shard.locked(); err == nil && !locked {
			// The first time, whoever was at work may have ended since; and no reader holds
			// a job in a bucket.
			if c.readers++; c.readers == 2 && c.whole.home == nil {
				c.opt.Log.Warn(waitsForReader, "shard", shard.Dir)
			}
			<-time.After(50 * time.Millisecond)
			return true
		}
	}
	return false
}

// undecided says whether it may turn out that whoever holds one of the shards is gone, for
// a job in a bucket: he was not seen to live since this process has nothing else to do. It
// waits for a moment.
func (c *crew) undecided(ctx context.Context, busy []int, idle time.Time) bool {
	h := c.whole.home
	if h == nil {
		return false
	}
	for _, i := range busy {
		if shard, _ := c.whole.Shard(i); h.undecided(shard, idle) {
			select {
			case <-time.After(time.Second):
			case <-c.opt.Stop:
			case <-ctx.Done():
			}
			return true
		}
	}
	return false
}

// locked says whether a process works on the job, and which one.
func (j *Job) locked() (pid int, locked bool, err error) {
	if j.home != nil {
		return j.home.lockedBy(j)
	}
	if _, err := os.Lstat(j.path(checkpointName)); errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	return checkpoint.Locked(j.local)
}

// refuseBusy refuses to work on all shards where another process works on one.
func (c *crew) refuseBusy() error {
	if c.whole.home != nil {
		return nil // that takes time to find out; whoever is alive is met later
	}
	for i, shard := range c.whole.parts() {
		pid, locked, err := shard.locked()
		if err != nil {
			return jobUnusable(err)
		}
		if locked {
			return unusablef("wait for it, or take the shards that are free with Options.Free",
				"shard %d of the job in %s is in use by process %d", i, c.whole.Dir, pid)
		}
	}
	return nil
}

// beginOrAwait begins to run, where it is asked for after whoever is at work on it.
func (j *Job) beginOrAwait(ctx context.Context, opt *Options) (w *work, end func() error, err error) {
	for told := false; ; {
		if opt.Await {
			if err := j.await(ctx, opt); err != nil {
				return nil, nil, err
			}
		}
		var locked *checkpoint.LockedError
		if w, end, err = j.begin(ctx, opt, verbRun); !opt.Await || !errors.As(err, &locked) {
			return w, end, err
		}
		if _, writes, lerr := j.locked(); !told && lerr == nil && !writes {
			opt.Log.Warn(waitsForReader, "shard", j.Dir)
			told = true
		}
		select { // another was faster
		case <-time.After(100 * time.Millisecond):
		case <-opt.Stop:
			return nil, nil, ErrInterrupted
		case <-ctx.Done():
			return nil, nil, ErrGivenUp
		}
	}
}

// await waits until nobody is at work on a shard, as when a scheduler begins a task anew
// while the one before is still there.
func (j *Job) await(ctx context.Context, opt *Options) error {
	told := false
	for {
		pid, locked, err := j.locked()
		if err != nil || !locked {
			return jobUnusable(err)
		}
		if !told {
			j.tellWhoHasIt(opt, pid)
			told = true
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-opt.Stop:
			return ErrInterrupted
		case <-ctx.Done():
			return ErrGivenUp
		}
	}
}

// tellWhoHasIt says who is waited for. Of a lease nobody can say at once whether its holder
// still lives; and the host is named, since in every pod a process has the same number.
func (j *Job) tellWhoHasIt(opt *Options, pid int) {
	if j.home == nil {
		opt.Log.Warn("another process is at work on this shard; waiting for it", "shard", j.Dir, "pid", pid)
		return
	}
	by, _, err := j.home.heldBy(j)
	if err != nil {
		return // the next look at it fails as well, and tells
	}
	opt.Log.Warn("another process has the lease of this shard; waiting until it gives it back or is seen to be gone",
		"shard", j.Dir, "host", by.Host, "pid", by.PID)
}
