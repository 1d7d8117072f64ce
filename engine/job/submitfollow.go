package job

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
)

// slowestPoll is how long a job may be left alone: DescribeJob costs little, and a night's
// work is no shorter for being looked at.
const slowestPoll = 30 * time.Second

// makeAll makes the jobs that are intended and that nobody knows yet.
func (s *submitter) makeAll(ctx context.Context) error {
	for _, sub := range s.record.open() {
		if sub.ID != "" {
			continue
		}
		if err := s.make(ctx, sub); err != nil {
			return err
		}
	}
	return nil
}

// make makes one job. One that an earlier process intended may be there already: it is
// looked for, and the token keeps a second one from being made all the same.
func (s *submitter) make(ctx context.Context, sub *Submission) (err error) {
	id := ""
	if !s.fresh[sub.N] {
		if id, err = s.find(ctx, sub); err != nil {
			return err
		}
	}
	if id == "" && s.opt.Cancel {
		return s.withdraw(sub)
	}
	asked := 0
	if id == "" {
		if err := s.putManifest(ctx, sub); err != nil {
			return s.notMade(sub, asked, err)
		}
		err := s.control(ctx, object.ReqPutDetail, func(ctx context.Context) (err error) {
			asked++
			id, err = s.batch.Create(ctx, &sub.Job)
			return err
		})
		if err != nil {
			return s.notMade(sub, asked, fmt.Errorf("making job %d of S3 Batch Operations: %w", sub.N, err))
		}
	}
	s.log.Info("a job of S3 Batch Operations was made", "n", sub.N, "id", id, "operation", sub.Operation(), "objects", sub.Objects)
	return s.record.write(submitLine{Kind: lineCreated, N: sub.N, ID: id})
}

// notMade gives up what S3 has refused for good, so that Run is free to do it, and other
// words can be given: the one request that could have made the job was answered.
func (s *submitter) notMade(sub *Submission, asked int, cause error) error {
	var e *object.Error
	if !errors.As(cause, &e) || !s.fresh[sub.N] || asked > 1 {
		return cause
	}
	switch e.Class {
	case object.ClassDenied, object.ClassInvalid, object.ClassNoBucket:
	default:
		return cause
	}
	for _, o := range s.record.open() {
		if o.ID == "" && s.fresh[o.N] {
			if err := s.withdraw(o); err != nil {
				return errors.Join(cause, err)
			}
		}
	}
	return cause
}

func (s *submitter) withdraw(sub *Submission) error {
	err := s.record.write(submitLine{Kind: lineWithdrawn, N: sub.N})
	if err == nil {
		s.removeFiles(sub)
	}
	return err
}

// removeFiles takes away what nobody needs any more; the record stays.
func (s *submitter) removeFiles(sub *Submission) {
	path := s.job.submissionFile(sub.N)
	_, _ = os.Remove(path), os.Remove(path+".members")
}

func (s *submitter) find(ctx context.Context, sub *Submission) (id string, err error) {
	err = s.control(ctx, object.ReqGetDetail, func(ctx context.Context) (err error) {
		id, err = s.batch.Find(ctx, sub.Job.Description)
		return err
	})
	if err != nil {
		err = fmt.Errorf("looking whether job %d of S3 Batch Operations was made: %w", sub.N, err)
	}
	return id, err
}

// control sends a request to S3 Control, by the retry loop of all others.
func (s *submitter) control(ctx context.Context, kind object.RequestKind, f func(context.Context) error) error {
	return s.reads.Do(ctx, object.Call{Kind: kind}, f)
}

func (s *submitter) putManifest(ctx context.Context, sub *Submission) error {
	path := s.job.submissionFile(sub.N)
	f, err := os.OpenFile(path, os.O_RDONLY|plainly, 0)
	if err != nil {
		return unusableBecause(err, "the manifest of submission "+fmt.Sprint(sub.N), "restore the job directory, or cancel the submission")
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	ref, etag := sub.Job.Manifest.Ref(), ""
	err = s.reads.Do(ctx, object.Call{Kind: object.ReqPut, Key: ref.Key, Bytes: info.Size()}, func(ctx context.Context) (err error) {
		etag, err = s.store.PutFile(ctx, ref, f, info.Size())
		return err
	})
	switch {
	case err != nil:
		return fmt.Errorf("writing the manifest %s: %w", ref, err)
	case etag != sub.Job.ETag:
		return unusable("the manifest "+path+" is not as it was written", "restore the job directory, or cancel the submission")
	}
	return nil
}

// describe asks where a job stands, and records a status that is new. What ended stays so,
// whatever an older answer tells.
func (s *submitter) describe(ctx context.Context, sub *Submission) error {
	if batchEnded(sub.Status) {
		return nil
	}
	var now s3store.BatchState
	err := s.control(ctx, object.ReqGetDetail, func(ctx context.Context) (err error) {
		now, err = s.batch.Describe(ctx, sub.ID)
		return err
	})
	switch {
	case object.ClassOf(err) == object.ClassGone && s.opt.Cancel: // it ended more than 90 days ago
		now.Status = "Cancelled"
	case object.ClassOf(err) == object.ClassGone:
		return fmt.Errorf("asking about job %s of S3 Batch Operations: %w; if it has ended more than 90 days ago, Cancel finds out what it did", sub.ID, err)
	case err != nil:
		return fmt.Errorf("asking about job %s of S3 Batch Operations: %w", sub.ID, err)
	}
	if _, known := batchStates[now.Status]; !known {
		return &object.Error{Class: object.ClassOther, Op: "DescribeJob", Message: "the status " + object.Printable(now.Status) + " is not known"}
	}
	changed := now.Status != sub.Status
	if changed || batchEnded(now.Status) {
		l := submitLine{Kind: lineSeen, N: sub.N, Status: now.Status, Total: now.Total, Succeeded: now.Succeeded, Failed: now.Failed, Reasons: now.Reasons, At: time.Now().UTC().Truncate(time.Second)}
		if err := s.record.write(l); err != nil {
			return err
		}
	} else {
		sub.Total, sub.Succeeded, sub.Failed = now.Total, now.Succeeded, now.Failed
	}
	if s.opt.Progress != nil {
		s.opt.Progress(sub)
	}
	return nil
}

// pauses are the times between two looks at a job: they grow while nothing happens.
type pauses struct{ next time.Duration }

func (p *pauses) wait(ctx context.Context) error {
	t := time.NewTimer(p.next)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	p.next = min(p.next*3/2, slowestPoll)
	return nil
}

// confirmAll waits until S3 has read the manifests, and lets the jobs begin that are to.
func (s *submitter) confirmAll(ctx context.Context) error {
	var waiting []*Submission
	for _, sub := range s.record.open() {
		if sub.Confirmed {
			continue
		}
		for p := (pauses{s.opt.Poll}); ; {
			if err := s.describe(ctx, sub); err != nil {
				return err
			}
			if !slices.Contains([]string{"New", "Preparing"}, sub.Status) {
				break
			}
			if err := p.wait(ctx); err != nil {
				return err
			}
		}
		switch {
		case batchEnded(sub.Status) || sub.Status == "Failing" || sub.Status == "Cancelling":
			s.opt.Follow = true
		case sub.Status != "Suspended": // somebody let it begin, or we did and could not say so
			if err := s.record.write(submitLine{Kind: lineConfirmed, N: sub.N}); err != nil {
				return err
			}
		case uint64(sub.Total) != sub.Objects:
			return fmt.Errorf("S3 has read %d rows in the manifest %s of job %s, and %d were written: it was not let begin; cancel it",
				sub.Total, sub.Job.Manifest.Ref(), sub.ID, sub.Objects)
		default:
			waiting = append(waiting, sub)
		}
	}
	if len(waiting) == 0 {
		return nil
	}
	if yes, err := s.mayBegin(waiting); err != nil || !yes {
		return cmp.Or(err, ErrUnconfirmed)
	}
	for _, sub := range waiting {
		if err := s.confirm(ctx, sub); err != nil {
			return err
		}
	}
	return nil
}

func (s *submitter) mayBegin(waiting []*Submission) (bool, error) {
	if s.opt.Confirm == nil {
		return false, nil
	}
	order := s.result.Order
	if order == nil { // of an earlier process
		order = new(SubmitOrder)
		for _, sub := range waiting {
			order.add(sub.Job.Update, sub.Job.Class, sub.Objects, sub.Bytes)
		}
		s.price(order)
	}
	return s.opt.Confirm(order)
}

// confirm lets a job begin. That its status is another one by now is no error.
func (s *submitter) confirm(ctx context.Context, sub *Submission) error {
	err := s.control(ctx, object.ReqPutDetail, func(ctx context.Context) error { return s.batch.Confirm(ctx, sub.ID) })
	if err != nil && object.ClassOf(err) != object.ClassInvalid {
		return fmt.Errorf("confirming job %s of S3 Batch Operations: %w", sub.ID, err)
	}
	if sub.Confirmed {
		return nil
	}
	return s.record.write(submitLine{Kind: lineConfirmed, N: sub.N})
}

// prioritize gives jobs of earlier calls another priority, where one is given. One that
// has ended meanwhile is no error.
func (s *submitter) prioritize(ctx context.Context) error {
	for _, sub := range s.record.open() {
		if s.opt.Priority == 0 || s.fresh[sub.N] || sub.ID == "" {
			continue
		}
		err := s.control(ctx, object.ReqPutDetail, func(ctx context.Context) error {
			return s.batch.Prioritize(ctx, sub.ID, int32(s.opt.Priority))
		})
		if class := object.ClassOf(err); err != nil && class != object.ClassInvalid && class != object.ClassGone {
			return fmt.Errorf("changing the priority of job %s of S3 Batch Operations: %w", sub.ID, err)
		}
	}
	return nil
}

// cancelAll asks for the end of every job. One that has ended meanwhile is no error.
func (s *submitter) cancelAll(ctx context.Context) error {
	for _, sub := range s.record.open() {
		err := s.control(ctx, object.ReqPutDetail, func(ctx context.Context) error { return s.batch.Cancel(ctx, sub.ID) })
		if class := object.ClassOf(err); err != nil && class != object.ClassInvalid && class != object.ClassGone {
			return fmt.Errorf("cancelling job %s of S3 Batch Operations: %w", sub.ID, err)
		}
	}
	return nil
}

// followAll waits for the end of each job and reads its report.
func (s *submitter) followAll(ctx context.Context) error {
	var failed, cancelled []string
	suspended := map[int]int{} // how often a confirmed job was seen to wait
	for p := (pauses{s.opt.Poll}); ; {
		open := s.record.open()
		if len(open) == 0 {
			break
		}
		ended := false
		for _, sub := range open {
			if err := s.describe(ctx, sub); err != nil {
				return err
			}
			if sub.Status == "Suspended" && sub.Confirmed && !s.opt.Cancel {
				if suspended[sub.N]++; suspended[sub.N]%4 == 0 { // the confirmation was lost
					if err := s.confirm(ctx, sub); err != nil {
						return err
					}
				}
			}
			if !batchEnded(sub.Status) {
				continue
			}
			if err := s.collect(ctx, sub); err != nil {
				return err
			}
			ended = true
			switch sub.Status {
			case "Failed":
				failed = append(failed, sub.ID)
			case "Cancelled":
				cancelled = append(cancelled, sub.ID)
			}
		}
		if ended {
			continue
		}
		if err := p.wait(ctx); err != nil {
			return err
		}
	}
	switch {
	case len(failed) > 0:
		return fmt.Errorf("%w: %s", ErrBatchFailed, failed[0])
	case len(cancelled) > 0:
		return fmt.Errorf("%w: %s", ErrBatchCanceled, cancelled[0])
	}
	return nil
}
