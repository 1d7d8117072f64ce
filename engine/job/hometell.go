package job

import (
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/resealhq/reseal/engine/ledger"
)

// This file takes along to the bucket what a process tells of itself. Nothing is decided by
// it.

// told says whether a file of a job directory is taken along to the bucket as it is.
func told(name string) bool {
	switch name {
	case runName, statusName, paceName, historyName, verifiedName, estimateName:
		return true
	}
	return strings.HasPrefix(name, probeName)
}

// pullFiles makes the copies of the small files of a job or shard what the bucket has.
func (h *home) pullFiles(ctx context.Context, j *Job) error {
	entries, err := h.place.List(ctx, j.partPath())
	for _, e := range entries {
		if err == nil && told(e.Name) {
			_, err = h.pull(ctx, j.inHome(e.Name))
		}
	}
	return err
}

// fresh makes the copy of one small file what the bucket has, unless this process writes
// it. What cannot be had is left as it was: such a file decides nothing.
func (j *Job) fresh(name string) {
	if h := j.home; h != nil && !h.holds(j) {
		_, _ = h.pull(h.ctx, j.inHome(name))
	}
}

// tell takes a small file along to the bucket, unless another process may have the job by
// now, which tells of itself. What cannot be written is no reason to stop.
func (j *Job) tell(name string) {
	h := j.home
	if h == nil {
		return
	}
	data, err := os.ReadFile(j.path(name))
	sum := sha256.Sum256(data)
	h.mu.Lock()
	same := h.mu.sent[j.inHome(name)] == sum
	lease := h.mu.held[j.leaseName()]
	h.mu.Unlock()
	if err != nil || same || lease != nil && lease.Taken() {
		return
	}
	if h.place.Write(h.life, j.inHome(name), data) == nil {
		h.mu.Lock()
		h.mu.sent[j.inHome(name)] = sum
		h.mu.Unlock()
	}
}

// tellAgain takes a small file along once more where the bucket has not what was taken along
// last: somebody has changed it or taken it away.
func (j *Job) tellAgain(ctx context.Context, name string) {
	h := j.home
	data, _, err := h.place.Read(ctx, j.inHome(name))
	if err != nil && !errors.Is(err, ledger.ErrNone) {
		return
	}
	h.mu.Lock()
	if h.mu.sent[j.inHome(name)] != sha256.Sum256(data) {
		delete(h.mu.sent, j.inHome(name))
	}
	h.mu.Unlock()
	j.tell(name)
}

const (
	// tellEvery is how often what a process tells of itself is taken along to the bucket,
	// and the pace that others ask for is looked at.
	tellEvery = 5 * time.Second
	// lookEvery is after how many times it is looked whether the bucket still has it.
	lookEvery = 3
)

// tellHome takes along what is told of this process until the function that it returns
// is called.
func (s *session) tellHome() (end func() error) {
	j, h := s.job, s.job.home
	ctx, cancel := context.WithCancel(h.life)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		// The first time there is little to tell yet, and somebody may want to pause it.
		for n, wait := 1, time.Second; ; n, wait = n+1, tellEvery {
			j.tell(runName)
			j.tell(statusName)
			if n%lookEvery == 0 {
				j.tellAgain(ctx, runName)
			}
			select {
			case <-time.After(wait):
				_, _ = h.pull(ctx, j.inHome(paceName))
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() error {
		cancel()
		<-ended
		for _, name := range []string{runName, statusName, historyName} {
			j.tell(name)
		}
		return nil
	}
}
