package s3control

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// task is a row of a manifest.
type task struct{ bucket, key, written, version string }

// result is what became of a task. Its error is nil where it succeeded.
type result struct {
	task
	fault *Fault
}

// taskWorkers is how many tasks of all jobs are under way at a time.
const taskWorkers = 8

// run takes a job from its creation to its end.
func (s *Server) run(j *job) {
	if !s.advance(j, Preparing) {
		return
	}
	tasks, err := s.prepare(j)
	if err != nil {
		s.failed(j, "InvalidManifest", err.Error())
		return
	}
	s.mu.Lock()
	j.progress = &progress{Total: len(tasks)}
	cancelled, ready := j.cancel, j.ready
	s.mu.Unlock()
	switch {
	case cancelled:
		s.conclude(j, Cancelling, Cancelled)
		return
	case !ready:
		if !s.advance(j, Suspended) || !s.awaitConfirmation(j) {
			return
		}
	}
	if !s.advance(j, Ready) || !s.turn(j) {
		return
	}
	s.perform(j, tasks)
}

// awaitConfirmation waits in Suspended. A job that is cancelled there ends.
func (s *Server) awaitConfirmation(j *job) bool {
	s.mu.Lock()
	for !j.ready && !j.cancel && !s.stopped() {
		s.mu.changed.Wait()
	}
	cancelled := j.cancel
	s.mu.Unlock()
	if cancelled {
		s.conclude(j, Cancelling, Cancelled)
	}
	return !cancelled && !s.stopped()
}

// turn waits until no job of a higher priority is at work, in Ready or Paused, and
// makes the job Active. One that is cancelled meanwhile ends.
func (s *Server) turn(j *job) bool {
	s.mu.Lock()
	for s.outranked(j) && !j.cancel && !s.stopped() {
		s.mu.changed.Wait()
	}
	cancelled := j.cancel
	s.mu.Unlock()
	if s.stopped() {
		return false
	}
	if cancelled {
		s.conclude(j, Cancelling, Cancelled)
		return false
	}
	return s.advance(j, Active)
}

// outranked says whether a job of a higher priority wants to work. REQUIRES: s.mu.
func (s *Server) outranked(j *job) bool {
	for _, o := range s.mu.jobs {
		if o != j && o.priority > j.priority && (o.state == Ready || o.state == Active) {
			return true
		}
	}
	return false
}

// perform does the tasks, and brings the job to its end.
func (s *Server) perform(j *job, tasks []task) {
	for len(tasks) > 0 {
		s.mu.Lock()
		outranked, cancelled := s.outranked(j), j.cancel
		s.mu.Unlock()
		switch {
		case s.stopped():
			return
		case cancelled:
			s.conclude(j, Cancelling, Cancelled)
			return
		case outranked:
			if !s.advance(j, Pausing) || !s.advance(j, Paused) || !s.turn(j) {
				return
			}
			continue
		}
		n := min(len(tasks), taskWorkers)
		s.chunk(j, tasks[:n])
		tasks = tasks[n:]
		s.mu.Lock()
		done, failures := j.progress.Succeeded+j.progress.Failed, j.progress.Failed
		s.mu.Unlock()
		if done >= s.cfg.FailAfter && failures*2 > done {
			s.failed(j, "JobFailureThresholdReached", fmt.Sprintf("%d of %d tasks failed, more than half of them", failures, done))
			return
		}
	}
	s.conclude(j, Completing, Complete)
}

// chunk does a few tasks at a time.
func (s *Server) chunk(j *job, tasks []task) {
	results := make([]result, len(tasks))
	var each sync.WaitGroup
	for i, t := range tasks {
		if s.cfg.Rate > 0 {
			<-time.After(time.Second / time.Duration(s.cfg.Rate))
		}
		each.Go(func() { results[i] = result{t, s.do(j, t)} })
	}
	each.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range results {
		if r.fault == nil {
			j.progress.Succeeded++
		} else {
			j.progress.Failed++
		}
	}
	j.results = append(j.results, results...)
}

func (s *Server) failed(j *job, code, reason string) {
	s.mu.Lock()
	j.failures = append(j.failures, failure{code, reason})
	s.mu.Unlock()
	s.conclude(j, Failing, Failed)
}

// conclude writes the report and ends the job. The report may be late.
func (s *Server) conclude(j *job, ending, end State) {
	if !s.advance(j, ending) {
		return
	}
	late := s.cfg.ReportLate
	if late == 0 {
		s.writeReport(j)
	}
	if s.advance(j, end) && late > 0 {
		select {
		case <-time.After(late):
			s.writeReport(j)
		case <-s.stop:
		}
	}
}

// prepare reads the manifest. Its error fails the job.
func (s *Server) prepare(j *job) ([]task, error) {
	bucket, key := j.req.Manifest.place()
	ctx := context.Background()
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return nil, fmt.Errorf("the manifest cannot be read: %w", err)
	}
	defer out.Body.Close()
	switch {
	case strings.Trim(aws.ToString(out.ETag), `"`) != strings.Trim(j.req.Manifest.ETag, `"`):
		return nil, errors.New("the manifest's ETag is not the one that the job names")
	case out.ServerSideEncryption != types.ServerSideEncryptionAes256:
		return nil, errors.New("the manifest is not under SSE-S3")
	}
	data, err := io.ReadAll(out.Body)
	if err != nil {
		return nil, err
	}
	return rows(data, len(j.req.Manifest.Fields) == 3)
}

// rows reads a manifest: of one bucket, with version IDs in all rows or none.
func rows(data []byte, versions bool) (tasks []task, err error) {
	r := csv.NewReader(bytes.NewReader(data))
	r.FieldsPerRecord = 2
	if versions {
		r.FieldsPerRecord = 3
	}
	for {
		row, err := r.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("the manifest: %w", err)
		}
		key, err := url.QueryUnescape(row[1])
		if err != nil {
			return nil, fmt.Errorf("a key of the manifest is not URL-encoded: %w", err)
		}
		t := task{bucket: row[0], key: key, written: row[1]}
		if versions {
			t.version = row[2]
		}
		switch {
		case t.bucket == "" || t.key == "":
			return nil, errors.New("a row of the manifest has no bucket or no key")
		case versions && t.version == "":
			return nil, errors.New("rows of the manifest with and without version ID are mixed")
		case len(tasks) > 0 && tasks[0].bucket != t.bucket:
			return nil, errors.New("the manifest names several buckets")
		}
		tasks = append(tasks, t)
	}
	if len(tasks) == 0 {
		return nil, errors.New("the manifest is empty")
	}
	return tasks, nil
}
