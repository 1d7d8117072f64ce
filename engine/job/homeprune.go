package job

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/resealhq/reseal/engine/ledger"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/retry"
)

// pruneLogs are the logs in which the records of prunes lie in a bucket, by the file that
// each is in a job directory.
var pruneLogs = map[string]string{pruneName: "prune", pruneVersionsName: "prune-versions"}

// holdForPrune makes the copy of a job or shard in a bucket what the bucket has. Where
// something is to be deleted it takes the lease too, so that nobody works on it
// meanwhile, and what is recorded goes to the bucket before anything is deleted.
func (j *Job) holdForPrune(ctx context.Context, opt *PruneOptions) (end func() error, err error) {
	h := j.home
	if !opt.Delete {
		running, err := h.fetch(j)
		for name := range pruneLogs {
			if err == nil {
				_, err = j.copyRecord(ctx, name, nil)
			}
		}
		if err == nil && running {
			err = unusablef("wait for it", "another process is at work on the job in %s", j.Dir)
		}
		return func() error { return nil }, err
	}
	lease, err := h.lease(ctx, j.leaseName(), &opt.Options)
	if err != nil {
		return nil, jobUnusable(err)
	}
	end = func() error {
		h.mu.Lock()
		clear(h.mu.records)
		h.mu.Unlock()
		h.giveBack(j.leaseName(), opt.Log)
		return nil
	}
	_, err = h.copyLog(ctx, j, j.log(h.place, pointsLog), lease)
	for name := range pruneLogs {
		if err != nil {
			break
		}
		var log *ledger.Log
		if log, err = j.copyRecord(ctx, name, lease); err == nil {
			h.mu.Lock()
			h.mu.records[j.inHome(name)] = log.Keep
			h.mu.Unlock()
		}
	}
	if err != nil {
		return nil, errors.Join(err, end())
	}
	return end, nil
}

// copyRecord makes the file of a record what its log has.
func (j *Job) copyRecord(ctx context.Context, name string, lease *ledger.Lease) (_ *ledger.Log, err error) {
	place := *j.home.place // the lease's own place tells that it is waited for
	place.Patience = workPatience
	log := j.log(&place, pruneLogs[name])
	if err := os.Remove(j.path(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var f *os.File
	for lines, serr := range log.Segments(ctx, lease) {
		if err = serr; err == nil && f == nil {
			f, err = os.OpenFile(j.path(name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		}
		if err == nil {
			_, err = f.Write(lines)
		}
		if err != nil {
			break
		}
	}
	if f != nil {
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return nil, jobUnusable(fmt.Errorf("the record of what was pruned, in %s: %w", j.Dir, err))
	}
	return log, nil
}

// recordAway is what makes lines of a record durable in the bucket as well; nil for a
// job in a directory.
func (j *Job) recordAway(name string) func(lines []byte) error {
	if j.home == nil {
		return nil
	}
	j.home.mu.Lock()
	defer j.home.mu.Unlock()
	return j.home.mu.records[j.inHome(name)]
}

// notHeldError is about everything: another process may have the job, so that nothing is sent
// for it any more.
type notHeldError struct{ error }

func (e notHeldError) Unwrap() error { return e.error }

var errNotHeld = errors.New("not sent without the lease")

// underLease sends something for a job or shard while this process has its lease. Where it
// may have lost it, it waits until that is known, outside of send, whose time is bounded.
func (j *Job) underLease(ctx context.Context, send func(held func() error) error) error {
	if j.home == nil {
		return send(func() error { return nil })
	}
	j.home.mu.Lock()
	l := j.home.mu.held[j.leaseName()]
	j.home.mu.Unlock()
	if l == nil {
		return notHeldError{ledger.ErrLost}
	}
	atOnce := make(chan struct{})
	close(atOnce)
	for {
		if err := l.Hold(ctx, nil); err != nil {
			return notHeldError{err}
		}
		err := send(func() error { return l.Hold(ctx, atOnce) })
		if !errors.Is(err, ledger.ErrStopped) {
			return err
		}
	}
}

// delete sends the request, unless the look was too long ago. What was lost of the lease
// between two attempts ends it.
func (p *pruner) delete(ctx context.Context, c *candidate, looked time.Time) error {
	return p.job.underLease(ctx, func(held func() error) error {
		var lost error // which may look like one that the store gave, and be repeated
		err := p.reads.Do(ctx, object.Call{Kind: object.ReqDelete, Key: c.old.Key}, func(ctx context.Context) (err error) {
			if lost = held(); lost != nil {
				return errNotHeld
			}
			late := func() bool { return retry.LongAgo(looked, retry.LookedWithin) }
			if late() {
				return errLookAgain
			}
			ctx = object.UnlessLate(ctx, func() bool { return held() != nil || late() })
			c.requestID, err = p.store.DeleteVersion(ctx, c.old)
			return err
		})
		if lost != nil {
			return notHeldError{lost}
		}
		return err
	})
}
