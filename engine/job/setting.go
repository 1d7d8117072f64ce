package job

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/resealhq/reseal/checkpoint"
	"github.com/resealhq/reseal/engine"
	"github.com/resealhq/reseal/engine/pace"
)

// Setting is how fast a run works, and what pace.json asks of it: whoever may write
// the job directory may write the file, and the process at work reads it about once a
// second. It names the run that it is meant for, so that the next one, which says its
// limits anew, does not inherit it.
type Setting struct {
	// At and By are when it was asked for and by whom; zero for what the run began with.
	At time.Time `json:"at,omitzero"`
	By string    `json:"by,omitempty"`
	// Run is when the run began that it is meant for.
	Run time.Time `json:"run"`
	// Paused: nothing is begun.
	Paused bool `json:"paused"`
	// As in Limits.
	Concurrency          int     `json:"concurrency,omitempty"`
	RequestsPerSecond    float64 `json:"requests_per_second,omitempty"`
	KMSRequestsPerSecond float64 `json:"kms_requests_per_second,omitempty"`
	BytesPerSecond       int64   `json:"bytes_per_second,omitempty"`
}

// Change is what Set changes; what is nil stays.
type Change struct {
	Paused               *bool
	Concurrency          *int
	RequestsPerSecond    *float64
	KMSRequestsPerSecond *float64
	BytesPerSecond       *int64
}

// settingSize bounds pace.json in bytes.
const settingSize = 4 << 10

func (l *Limits) setting(run time.Time) Setting {
	return Setting{Run: run, Concurrency: l.Concurrency, RequestsPerSecond: l.RequestsPerSecond, KMSRequestsPerSecond: l.KMSRequestsPerSecond, BytesPerSecond: l.BytesPerSecond}
}

func (s *Setting) limits() Limits {
	return Limits{Concurrency: s.Concurrency, RequestsPerSecond: s.RequestsPerSecond, KMSRequestsPerSecond: s.KMSRequestsPerSecond, BytesPerSecond: s.BytesPerSecond}
}

func (s *Setting) validate() error {
	l := s.limits()
	return l.Validate()
}

func (s *Setting) pace() pace.Limits { l := s.limits(); return l.pace() }

func (s *Setting) ceilings() engine.Ceilings {
	return engine.Ceilings{Requests: s.RequestsPerSecond, KMSRequests: s.KMSRequestsPerSecond, Bytes: float64(s.BytesPerSecond), Paused: s.Paused}
}

// ErrNotRunning is wrapped by the error of Set where no process is at work.
var ErrNotRunning = errors.New("no process is at work on this job")

// Set changes the pace of the process that is at work on the job. Of two changes the
// later one wins; what it does not name stays. Nothing but pace.json is written.
func (j *Job) Set(c Change) (*Setting, error) {
	if j.Division != nil {
		return j.setShards(&c)
	}
	return j.set(&c, time.Now().UTC())
}

func (j *Job) set(c *Change, now time.Time) (*Setting, error) {
	r, err := j.takesSettings()
	if err != nil {
		return nil, err
	}
	return j.ask(func() (*Setting, error) { return j.changed(c, r, now) })
}

// takesSettings is the run that is at work, and reads what is asked of it.
func (j *Job) takesSettings() (*lastRun, error) {
	running, err := j.atWorkNow()
	if err != nil {
		return nil, jobUnusable(err)
	}
	if !running {
		return nil, &UnusableError{What: "the job in " + j.Dir, Err: ErrNotRunning, Fix: "give the limits to the run that is begun next"}
	}
	r := j.readRun()
	if r == nil || !r.Ended.IsZero() {
		return nil, &UnusableError{What: "the job in " + j.Dir, Err: fmt.Errorf("%w that takes settings", ErrNotRunning), Fix: "try again in a moment; a process of an older reseal takes none"}
	}
	return r, nil
}

// changed is what is asked for by now, with a change.
func (j *Job) changed(c *Change, r *lastRun, now time.Time) (*Setting, error) {
	s := r.Pace
	if asked, err := j.readSetting(); err == nil && asked != nil && asked.Run.Equal(r.Began) {
		s, now = *asked, behind(now, asked)
	}
	s.apply(c)
	if err := s.validate(); err != nil {
		return nil, err
	}
	if s.Concurrency > r.Workers {
		return nil, unusablef("name no more, or begin the run anew", "the run has %d workers, and cannot have %d requests in flight", r.Workers, s.Concurrency)
	}
	s.At, s.Run = now, r.Began
	if u, err := user.Current(); err == nil {
		s.By = u.Username
	}
	return &s, nil
}

// atWorkNow says whether a process is at work that would read a setting.
func (j *Job) atWorkNow() (bool, error) {
	if j.home != nil {
		if running, err := j.home.atWork(j); err != nil || !running {
			return false, err
		}
		return true, j.home.pullFiles(j.home.ctx, j)
	}
	points, err := checkpoint.OpenReadOnly(j.local, checkpoint.Options{Disk: j.ground.Disk})
	var locked *checkpoint.LockedError
	switch {
	case errors.As(err, &locked):
		return true, nil
	case errors.Is(err, checkpoint.ErrNoStore):
		return false, nil
	case err != nil:
		return false, err
	}
	return false, points.Close()
}

// setShards changes the pace of every process that is at work on a shard. Ceilings are
// those of the whole job.
func (j *Job) setShards(c *Change) (*Setting, error) {
	var last *Setting
	now := time.Now().UTC()
	for _, shard := range j.parts() { // one time for all of them
		shard.fresh(paceName)
		if asked, err := shard.readSetting(); err == nil && asked != nil {
			now = behind(now, asked)
		}
	}
	runs := map[*Job]*lastRun{}
	var at []*Job
	for _, shard := range j.parts() {
		if _, locked, err := shard.locked(); err != nil || !locked {
			continue
		}
		r, err := shard.takesSettings()
		if err == nil {
			_, err = shard.changed(c, r, now) // what one of them cannot take none is asked for
		}
		switch {
		case errors.Is(err, ErrNotRunning): // it ended meanwhile
		case err != nil:
			return nil, err
		default:
			runs[shard], at = r, append(at, shard)
		}
	}
	for _, shard := range at {
		s, err := shard.ask(func() (*Setting, error) { return shard.changed(c, runs[shard], now) })
		if err != nil {
			return nil, err
		}
		last = s
	}
	if last == nil {
		return nil, &UnusableError{What: "the job in " + j.Dir, Err: ErrNotRunning, Fix: "give the limits to the run that is begun next"}
	}
	return last, nil
}

func (s *Setting) apply(c *Change) {
	set(&s.Paused, c.Paused)
	set(&s.Concurrency, c.Concurrency)
	set(&s.RequestsPerSecond, c.RequestsPerSecond)
	set(&s.KMSRequestsPerSecond, c.KMSRequestsPerSecond)
	set(&s.BytesPerSecond, c.BytesPerSecond)
}

func set[T any](v, to *T) {
	if to != nil {
		*v = *to
	}
}

// TakenUp waits until the process at work has taken the setting up, or the context
// ends.
func (j *Job) TakenUp(ctx context.Context, s *Setting) bool {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if j.tookUp(s) {
			return true
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
}

// tookUp says whether every process at work has taken the setting up, and there is one that
// has: a worker that was between two shards may have met it at neither.
func (j *Job) tookUp(s *Setting) bool {
	has := func(part *Job) bool {
		l := part.lastLive()
		return l != nil && l.Set != nil && !l.Set.At.Before(s.At)
	}
	if j.Division == nil {
		return has(j)
	}
	one := false
	for _, part := range j.parts() {
		if working, err := part.seemsAtWork(); err != nil || !working {
			continue
		}
		if !has(part) {
			return false
		}
		one = true
	}
	return one || slices.ContainsFunc(j.parts(), has) // and has ended since
}

// seemsAtWork says whether a process may be at work that takes settings. A lease in a bucket
// that was not renewed for long is that of one which died, though nobody has watched it yet.
func (j *Job) seemsAtWork() (bool, error) {
	if j.home != nil {
		return j.home.atWork(j)
	}
	_, locked, err := j.locked()
	return locked, err
}

// readSetting reads pace.json, and believes it only where it is whole, ours, and says
// nothing that is no limit; nil where there is none.
func (j *Job) readSetting() (*Setting, error) {
	data, err := readPlain(j.path(paceName), ofUs, settingSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s := new(Setting)
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(s); err != nil {
		return nil, err
	}
	if len(strings.TrimSpace(string(data[d.InputOffset():]))) > 0 {
		return nil, errors.New("something stands behind the setting")
	}
	return s, s.validate()
}

// takeSetting takes up what pace.json asks for, if it is meant for this run and new.
// Only the teller calls it.
func (t *teller) takeSetting() {
	w := t.w
	s, err := w.job.readSetting()
	if err != nil {
		if text := err.Error(); text != t.refused {
			t.refused = text
			w.log.Warn("a setting of the pace is not followed", "file", w.job.shown(w.job.path(paceName)), "error", err)
		}
		return
	}
	now := w.setting.Load()
	if s == nil || !s.Run.Equal(w.run.Began) || s.At.Equal(now.At) {
		return
	}
	if s.Concurrency > w.run.Workers {
		s.Concurrency = w.run.Workers
	}
	w.setting.Store(s)
	limits := w.inForce()
	w.pacer.SetLimits(limits.pace())
	w.log.Info("pace set", "at", s.At, "by", s.By, "paused", s.Paused, "concurrency", s.Concurrency,
		"requests_per_second", s.RequestsPerSecond, "kms_requests_per_second", s.KMSRequestsPerSecond, "bytes_per_second", s.BytesPerSecond)
}

// waitPaused holds back what begins while the run is paused.
func (w *work) waitPaused(ctx context.Context) error {
	for w.setting.Load().Paused {
		t := time.NewTimer(100 * time.Millisecond)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
	}
	return ctx.Err()
}
