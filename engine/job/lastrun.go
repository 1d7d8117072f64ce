package job

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/user"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/resealhq/reseal/engine/report"
)

// lastRun is run.json: what the last process that planned the job or worked on it
// says of itself. It is written at the beginning and at the end, so that one that
// began and has no end was killed. The file has its size from the beginning and is
// written over in place: a full disk, which may be the very reason for the end, has
// room for it.
type lastRun struct {
	Verb    string `json:"verb"`              // plan or run
	Resumed bool   `json:"resumed,omitempty"` // an earlier process had begun the job
	report.Standing
	// Workers it has, and the limits that it began with.
	Workers int     `json:"workers"`
	Pace    Setting `json:"pace"`

	path   string
	wrote  []byte
	warned time.Time  // that it was not what was written
	mu     sync.Mutex // a panic of any goroutine may end it
}

// runSize is the size of run.json; runCut bounds the longest word in it.
const (
	runSize = 16 << 10
	runCut  = 2 << 10
)

// beginRun records that this process begins. What cannot be recorded is no reason
// to stop.
func (s *session) beginRun(verb string) {
	host, _ := os.Hostname()
	r := &lastRun{Verb: verb, Resumed: s.resumed, path: s.job.path(runName)}
	r.Began, r.PID, r.Host, r.Version = time.Now().UTC().Truncate(time.Millisecond), os.Getpid(), host, s.opt.Version
	if u, err := user.Current(); err == nil {
		r.User = u.Username
	}
	l := s.opt.pace()
	r.Workers, r.Pace = l.Workers(), s.opt.setting(r.Began)
	s.run = r
	s.keepRun()
}

// identityWithin is how long STS may take to tell the identity. A network that lets nobody
// through to it costs the shortest run so much, and no other run anything.
const identityWithin = 2 * time.Second

// askIdentity records whoever signs the requests, beside the work. What is not told is no
// reason to stop.
func (s *session) askIdentity() (end func()) {
	if !s.store.IsAWS() {
		return func() {}
	}
	ctx, cancel := context.WithTimeout(context.Background(), identityWithin)
	var asking sync.WaitGroup
	asking.Go(func() {
		defer cancel()
		arn, err := s.store.Identity(ctx)
		if err != nil {
			s.log.Debug("whoever signs the requests is not known", "error", err)
			return
		}
		s.run.mu.Lock()
		defer s.run.mu.Unlock()
		if s.run.Identity = arn; s.run.Ended.IsZero() {
			s.keepRun()
		}
	})
	return asking.Wait
}

// endRun records the end and why, once; nil is that the work came to its end.
func (s *session) endRun(cause error) {
	r := s.run
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.Ended.IsZero() {
		return
	}
	r.Ended = time.Now().UTC().Truncate(time.Millisecond)
	r.ElapsedSeconds = r.Ended.Sub(r.Began).Seconds()
	r.Cause = stopCause(cause)
	s.keepRun()
}

// panicked records the end of a process that is about to die.
func (s *session) panicked(value any) {
	s.endRun(panicError{value})
}

// mendRun writes run.json again where it is not what this process wrote: whoever wants to
// change the pace, or to know where the job stands, would find nobody at work.
func (s *session) mendRun() {
	r := s.run
	r.mu.Lock()
	defer r.mu.Unlock()
	data, err := readPlain(r.path, ofUs, runSize+1)
	switch {
	case !r.Ended.IsZero() || r.wrote == nil || err == nil && bytes.Equal(data, r.wrote):
		return
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE): // it was not looked at
		return
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) || len(data) > runSize { // none that can be written over
		_ = os.Remove(r.path)
	}
	if time.Since(r.warned) > time.Minute {
		r.warned = time.Now()
		s.log.Warn("the file that says which process is at work was changed or taken away by others; it is written again", "file", s.job.shown(r.path))
	}
	s.keepRun()
}

func (s *session) keepRun() {
	if err := s.run.write(); err != nil {
		s.log.Debug("begin or end not recorded", "error", err)
	}
}

func (r *lastRun) write() error {
	if c := r.Cause; c != nil && len(c.Message) > runCut {
		r.Cause = &report.StopCause{Class: c.Class, Message: strings.ToValidUTF8(c.Message[:runCut], "") + "…"}
	}
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	data = append(data, bytes.Repeat([]byte{' '}, max(0, runSize-1-len(data)))...)
	data = append(data, '\n')
	f, err := os.OpenFile(r.path, os.O_CREATE|os.O_WRONLY|plainly, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New(r.path + " is no ordinary file")
	}
	if err == nil {
		_, err = f.WriteAt(data, 0)
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		r.wrote = data
	}
	return err
}

// readRun reads run.json; nil where there is none that can be read: the jobs of
// older reseals have none, and a power cut may have torn it.
func (j *Job) readRun() *lastRun {
	j.fresh(runName)
	return j.lastRun()
}

// lastRun is readRun of what was read of a bucket before.
func (j *Job) lastRun() *lastRun {
	for range 3 { // it may be written at this moment
		data, err := readPlain(j.path(runName), ofUs, runSize)
		if err != nil {
			return nil
		}
		r := new(lastRun)
		if json.Unmarshal(data, r) == nil && !r.Began.IsZero() {
			return r
		}
	}
	return nil
}

// resumed says whether the last process went on with what an earlier one had begun; readRun comes first.
func (j *Job) resumed() bool {
	r := j.lastRun()
	return r != nil && r.Resumed
}

// standing is what the process says of itself, of a job that is complete or not.
func (r *lastRun) standing(complete bool) report.Standing {
	s := r.Standing
	switch {
	case complete:
		s.State, s.Cause = report.StateFinished, nil
	case r.Verb == verbPlan && s.Cause == nil && !s.Ended.IsZero():
		s.State = report.StatePlanned
		s.Cause = &report.StopCause{Class: CausePlanned, Message: "the plan is complete, and nothing of it was begun"}
	default:
		s.State = report.StateStopped
	}
	return s
}

// keepRates takes the last minute's rates along into the record of the end.
func (w *work) keepRates() {
	if w.tell != nil {
		p := w.tell.progress.Snapshot(time.Now())
		w.run.ObjectsPerSecond, w.run.BytesPerSecond = p.ObjectsPerSecond, p.BytesPerSecond
	}
}

// tellPanic records, of a process that is about to die of a panic, that it is. The
// panic goes on.
func (w *work) tellPanic() {
	if p := recover(); p != nil {
		w.panicked(p)
		panic(p)
	}
}
