package job

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/resealhq/reseal/checkpoint"
	"github.com/resealhq/reseal/engine/ledger"
	"github.com/resealhq/reseal/engine/retry"
	"github.com/resealhq/reseal/planner/manifest"
)

// This file makes the copy of a home a job, keeps it so, and takes it along while a
// process works.

// read makes the copy, and reads the job; nil where there is none yet.
func (h *home) read(ctx context.Context) (*Job, error) {
	found, err := h.pull(ctx, fileName)
	h.place.Untried = h.place.Untried && err != nil
	if err == nil && found {
		err = h.pullDivision(ctx)
	}
	if err != nil || !found {
		return nil, err
	}
	j, err := read(h.folder)
	var no *UnusableError
	if errors.As(err, &no) { // the copy goes with this process
		if no.Err != nil {
			why := no.Err.Error()
			if p, ok := errors.AsType[*fs.PathError](no.Err); ok {
				why = p.Err.Error()
			}
			no.What, no.Err, no.told = no.What+": "+why, nil, no.Err
		}
		no.What = strings.ReplaceAll(no.What, h.folder, h.name)
	}
	if err != nil {
		return nil, err
	}
	j.Dir, j.home = h.name, h
	return j, nil
}

// readOrClaim reads the job, or takes its lease for a new one.
func (h *home) readOrClaim(ctx context.Context, spec *Spec) (j *Job, claimed bool, err error) {
	if err := h.apart(spec); err != nil {
		return nil, false, err
	}
	if j, err = h.read(ctx); j != nil || err != nil {
		return j, false, err
	}
	if _, err := h.lease(ctx, wholeLease, &Options{Log: slog.New(slog.DiscardHandler)}); err != nil {
		return nil, false, jobUnusable(err)
	}
	if j, err = h.read(ctx); j != nil || err != nil { // begun by another, between our look and our claim
		return j, false, errors.Join(err, h.release(wholeLease))
	}
	j = &Job{Dir: h.name, local: h.folder, home: h}
	return j, true, h.pullFiles(ctx, j)
}

// apart refuses a job that would work on its own state, or whose state could not live in
// a bucket.
func (h *home) apart(spec *Spec) error {
	mine := Place{h.place.Bucket, h.place.Prefix}
	places := spec.Source.Several
	if spec.Source.Manifest == "" && spec.Source.Bucket != "" {
		places = append(places[:len(places):len(places)], Place{spec.Source.Bucket, spec.Source.Prefix})
	}
	if d := spec.Target; d.DestBucket != "" && spec.DestConnection == nil {
		places = append(places, Place{d.DestBucket, d.DestPrefix})
	}
	if spec.Source.AllBuckets && len(meant([]string{mine.Bucket}, spec.Source.Buckets)) > 0 {
		return unusablef("leave that bucket out of them, by Source.Buckets, or name a place of another account",
			"the job's state would lie in %s, which is one of the buckets that the job itself works on", h.name)
	}
	for _, p := range places {
		if p.overlaps(mine) {
			return unusablef("name a place in another bucket, or below another prefix", "the job's state would lie in %s, which the job itself works on (%s)", h.name, p)
		}
	}
	if spec.Source.Manifest == manifest.Stdin {
		return unusable("Source.Manifest - can be read once, by this process, and the job's state in "+h.name+" is for any that goes on",
			"write the list to a bucket, and name it there")
	}
	return nil
}

// partPath is where a shard lies below its job; empty for the job.
func (j *Job) partPath() string {
	if j.Part == nil {
		return ""
	}
	return shardsName + "/" + fmt.Sprintf("%04d", j.Part.Index)
}

// inHome is the name, in the bucket, of a file of this job or shard.
func (j *Job) inHome(name string) string { return path.Join(j.partPath(), name) }

// nameOf is something below the job, for people.
func (j *Job) nameOf(name string) string {
	if j.home != nil {
		return j.home.name + "/" + name
	}
	return j.path(name)
}

// shown is the name, for people, of a file of this job or shard, whose copy goes with this
// process where the job lies in a bucket.
func (j *Job) shown(path string) string {
	if j.home != nil {
		return j.home.name + "/" + j.home.relative(path)
	}
	return path
}

func (j *Job) leaseName() string {
	if j.Part == nil {
		return wholeLease
	}
	return shardLeases + "/" + fmt.Sprintf("%04d", j.Part.Index)
}

// log is one of the logs of a job or shard in a bucket.
func (j *Job) log(p *ledger.Place, name string) *ledger.Log {
	return ledger.NewLog(p, j.inHome(name), hex.EncodeToString(j.digest[:]))
}

// pointsLog is the log of the checkpoint.
const pointsLog = "log"

// holds says whether this process has the lease of a job or shard.
func (h *home) holds(j *Job) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.mu.held[j.leaseName()] != nil
}

// copyLog makes the checkpoint in the folder what the bucket has of it. With a lease no
// other process can add to that from then on. found says whether there is anything.
func (h *home) copyLog(ctx context.Context, j *Job, log *ledger.Log, lease *ledger.Lease) (found bool, err error) {
	began := time.Now()
	if err := os.RemoveAll(j.path(checkpointName)); err != nil {
		return false, err
	}
	if err := os.MkdirAll(j.local, 0o700); err != nil {
		return false, err
	}
	segments := func(yield func([]byte, error) bool) {
		for s, err := range log.Segments(ctx, lease) {
			found = found || err == nil
			if !yield(s, err) {
				return
			}
		}
	}
	err = checkpoint.Restore(j.local, checkpoint.Options{Job: j.digest}, segments)
	if err == nil && !found {
		err = os.RemoveAll(j.path(checkpointName))
	}
	if err != nil {
		return false, jobUnusable(fmt.Errorf("the job's state in %s: %w", j.Dir, err))
	}
	n, _ := log.Size()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.copied[j.partPath()] = copied{n, time.Now(), time.Since(began)}
	return found, nil
}

// fetch makes the copy of a job or shard what the bucket has, for reading. running says
// whether a process seems to be at work on it.
func (h *home) fetch(j *Job) (running bool, err error) {
	if h.holds(j) {
		return true, nil
	}
	running, err = h.atWork(j)
	if err != nil {
		return false, err
	}
	h.mu.Lock()
	have, had := h.mu.copied[j.partPath()]
	h.mu.Unlock()
	// A log that grows while it is watched is not fetched all the time.
	if had && running && time.Since(have.at) < seldom*have.took {
		return running, h.pullFiles(h.ctx, j)
	}
	log := j.log(h.place, pointsLog)
	n, err := log.Len(h.ctx)
	if err != nil {
		return false, err
	}
	if !had || have.segments != n {
		_, err = h.copyLog(h.ctx, j, log, nil)
	}
	return running, errors.Join(err, h.pullFiles(h.ctx, j))
}

// seldom is how many times as long as fetching a log took it is not fetched again while a
// process is at work on it.
const seldom = 20

// atWork says, for people, whether a process seems to be at work: the holder of the lease
// was seen to renew it, or renewed it lately by the store's clock.
func (h *home) atWork(j *Job) (bool, error) {
	by, life, err := h.watch.Look(h.ctx, h.place, j.leaseName())
	switch {
	case err != nil:
		return false, err
	case life == ledger.Unknown:
		lately := func(ahead time.Duration) bool { return (time.Since(by.Renewed) + ahead).Abs() < 2*by.Patience() }
		return lately(0) || lately(h.ahead()), nil
	}
	return life == ledger.Alive, nil
}

// storeClock is how far the store's is ahead of this machine's.
type storeClock struct {
	ahead time.Duration
	at    time.Time // when it was looked at
}

// ahead asks for that once a minute; it is zero where the store does not tell.
func (h *home) ahead() time.Duration {
	h.mu.Lock()
	known := h.mu.clock
	h.mu.Unlock()
	if !known.at.IsZero() && !retry.LongAgo(known.at, time.Minute) {
		return known.ahead
	}
	known.at = time.Now()
	known.ahead, _ = h.store.Ahead(h.ctx, h.place.Bucket)
	h.mu.Lock()
	h.mu.clock = known
	h.mu.Unlock()
	return known.ahead
}

// lockedBy says who holds the lease of a job or shard, unless he is known to be gone.
func (h *home) lockedBy(j *Job) (pid int, locked bool, err error) {
	by, locked, err := h.heldBy(j)
	return by.PID, locked, err
}

// heldBy says who has the lease of the job, unless he is known to be gone.
func (h *home) heldBy(j *Job) (by ledger.Holding, held bool, err error) {
	if h.holds(j) {
		return ledger.Holding{PID: os.Getpid()}, true, nil
	}
	by, life, err := h.watch.Look(h.ctx, h.place, j.leaseName())
	return by, life == ledger.Unknown || life == ledger.Alive, err
}

// undecided says whether the holder of the lease was not seen to live since then: it is
// not known yet, or he is gone meanwhile and his lease can be taken.
func (h *home) undecided(j *Job, then time.Time) bool {
	_, life, err := h.watch.Look(h.ctx, h.place, j.leaseName())
	return err == nil && (life != ledger.Alive || !h.watch.Lived(h.place, j.leaseName()).After(then))
}

// locked makes a lease that another holds the checkpoint's answer to the same.
func (h *home) locked(err error) error {
	var held *ledger.HeldError
	if errors.As(err, &held) {
		return &checkpoint.LockedError{Dir: h.name, PID: held.PID, Host: held.Host}
	}
	return err
}

// takeHome takes the job or shard for this process: its lease, the small files, and the
// checkpoint, whose changes go to the bucket from now on.
func (s *session) takeHome(ctx context.Context, o *checkpoint.Options) error {
	j, h := s.job, s.job.home
	name := j.leaseName()
	lease, err := h.lease(ctx, name, s.opt)
	if err != nil {
		return jobUnusable(err)
	}
	s.closers = append(s.closers, func() error { h.giveBack(name, s.opt.Log); return nil })
	if err := h.pullFiles(ctx, j); err != nil {
		return err
	}
	log := j.log(h.patient(), pointsLog)
	if _, err := h.copyLog(ctx, j, log, lease); err != nil {
		return err
	}
	o.Away, s.still, s.lost = log, lease.Hold, lease.Lost
	s.closers = append(s.closers, s.tellHome())
	return nil
}

// keepAway changes a file in the bucket and its copy. What another process makes of it at
// the same time is changed too: change is called again, on a copy of that. It answers with
// nothing where nothing is to be changed.
func (h *home) keepAway(ctx context.Context, name string, change func() (data []byte, err error)) error {
	for {
		is, etag, err := h.place.Read(ctx, name)
		if err == nil {
			err = h.copy(name, is)
		}
		if err != nil {
			return err
		}
		data, err := change()
		if err != nil || data == nil {
			return err
		}
		if _, err = h.place.Replace(ctx, name, data, etag); err == nil || !errors.Is(err, ledger.ErrChanged) {
			return err
		}
	}
}

// create makes job.json in the bucket; another job there is an error.
func (h *home) create(data []byte) error {
	_, err := h.place.Create(h.ctx, fileName, data)
	if errors.Is(err, ledger.ErrExists) {
		return unusablef("wait for it, or name another place", "another process began a job in %s at the same moment", h.name)
	}
	return err
}

// relative is the name in the bucket of a file in the folder.
func (h *home) relative(path string) string {
	name, err := filepath.Rel(h.folder, path)
	if err != nil {
		return filepath.Base(path)
	}
	return filepath.ToSlash(name)
}

// atWorkNow are how many leases of shards seem to be held: those renewed not much before
// the latest of them, by the one clock of the store. ttl is that of this process's own; who
// holds one on longer terms renews it more seldom, so that an older one is read, once.
func (h *home) atWorkNow(ctx context.Context, ttl time.Duration) (n int64, err error) {
	entries, err := h.place.List(ctx, shardLeases)
	if err != nil {
		return 0, err
	}
	var latest time.Time
	for _, e := range entries {
		if e.Modified.After(latest) {
			latest = e.Modified
		}
	}
	for _, e := range entries {
		most := ttl
		if latest.Sub(e.Modified) > ttl {
			if most, err = h.termsOf(ctx, e); err != nil {
				return 0, err
			}
		}
		if latest.Sub(e.Modified) <= most {
			n++
		}
	}
	return n, nil
}

// terms are for how long a lease holds that was written then.
type terms struct {
	written time.Time
	hold    time.Duration // less than nothing of one that was given back
}

// termsOf reads for how long a lease holds.
func (h *home) termsOf(ctx context.Context, e ledger.Entry) (time.Duration, error) {
	h.mu.Lock()
	known := h.mu.terms[e.Name]
	h.mu.Unlock()
	if known.written.Equal(e.Modified) {
		return known.hold, nil
	}
	by, _, err := h.watch.Look(ctx, h.place, shardLeases+"/"+e.Name)
	if err != nil {
		return 0, err
	}
	known = terms{e.Modified, by.Patience()}
	if by.Free || by.Epoch == 0 {
		known.hold = -1
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.terms[e.Name] = known
	return known.hold, nil
}
