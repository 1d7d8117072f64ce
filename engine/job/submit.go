package job

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/planner"
)

// SubmitOptions say how planned work is given to S3 Batch Operations.
type SubmitOptions struct {
	Options
	// RoleARN that S3 assumes to do the tasks. It, ManifestTo and ReportTo are needed
	// while nothing of the job was submitted, and again for what an earlier submission
	// left.
	RoleARN string
	// ManifestTo is where manifests go, ReportTo where completion reports do; ManifestTo
	// where ReportTo names no bucket.
	ManifestTo, ReportTo Place
	// ObjectsPerJob bounds each; 10,000,000, which is the most, where 0.
	ObjectsPerJob uint64
	// Priority among the jobs of the account; 10 where 0. Given again it changes that of
	// the jobs that are under way.
	Priority int
	// AccountID that owns the jobs; that of the credentials where empty.
	AccountID string
	// Follow waits for the end of every job and reads its report. It is implied where jobs
	// of an earlier call are under way.
	Follow bool
	// Cancel ends the jobs that are under way, and reads what they have done.
	Cancel bool
	// Tell is called with what is about to be made, before anything is sent to S3.
	Tell func(*SubmitOrder)
	// Confirm says whether the jobs may begin, once S3 has read their manifests; nil does
	// not let them.
	Confirm func(*SubmitOrder) (bool, error)
	// Progress is called when the status of a job has changed.
	Progress func(*Submission)
	// Prices for the order; the built-in list where nil.
	Prices *planner.Prices
	// Poll is how often a job is asked about at first; a second where 0. ReportWait is how
	// long a report may be late; 10 minutes where 0.
	Poll, ReportWait time.Duration
}

// Submitted is where the submissions of a job stand when Submit returns.
type Submitted struct {
	Job  string        `json:"job"`
	Jobs []*Submission `json:"jobs"`
	// Order is what this call has made; nil where it made nothing.
	Order *SubmitOrder `json:"order,omitempty"`
	// Planned objects of the job, and those that have no outcome yet.
	Planned   uint64 `json:"planned"`
	Remaining uint64 `json:"remaining"`
	// Open submissions are under way, or wait for somebody.
	Open int `json:"open"`
}

// Why a Submit ended before its jobs did, or its jobs before their work was done. Nothing
// is lost by any of them.
var (
	ErrUnconfirmed   = errors.New("the jobs wait to be confirmed")
	ErrNothingToGive = errors.New("there is nothing that S3 Batch Operations could do")
	ErrBatchCanceled = errors.New("a job was cancelled")
	ErrBatchFailed   = errors.New("a job failed")
)

// submitter is one process that submits, or follows what was submitted.
type submitter struct {
	*work
	opt     *SubmitOptions
	record  *submitRecord
	choose  *batchChooser
	batch   *s3store.BatchOperations
	lookers int
	// fresh are the submissions that this process intended.
	fresh  map[int]bool
	looked atomic.Uint64
	result Submitted
}

const verbSubmit = "submit"

// Submit gives to S3 Batch Operations what it can do of a planned job without a loss, and
// follows it; what it cannot do, and what it failed to do, is left for Run, which is
// refused meanwhile. Called again it goes on where it was, also after it was killed at any
// instant: no job is made twice, and no outcome comes from a report alone unless
// Policy.Verify is VerifyResponse.
//
// The result says where the submissions stand, also beside one of the errors above.
func (j *Job) Submit(ctx context.Context, opt SubmitOptions) (_ *Submitted, err error) {
	if err := j.submittable(&opt); err != nil {
		return nil, err
	}
	w, end, err := j.begin(ctx, &opt.Options, verbSubmit)
	if err != nil {
		return nil, err
	}
	defer func() { err = withClose(err, end()) }()
	defer w.tellPanic()
	s := &submitter{work: w, opt: &opt, choose: j.newBatchChooser(&w.learnt), lookers: min(opt.pace().Workers(), 64), fresh: map[int]bool{}}
	watched, err := w.watched()
	if err != nil {
		w.endRun(err)
		return nil, err
	}
	err = s.submit(ctx)
	watched()
	w.elapse(time.Now())
	if ferr := w.points.Flush(); ferr != nil && err == nil {
		err = ferr
	}
	w.endRun(err)
	var unusable *UnusableError
	if errors.As(err, &unusable) || s.record == nil {
		return nil, err
	}
	t := w.points.Totals()
	r := &s.result
	r.Job, r.Jobs, r.Open = j.Dir, s.record.all, len(s.record.open())
	r.Planned, r.Remaining = t.Planned.Objects, t.States[object.Remaining].Objects
	return r, errors.Join(err, s.record.Close())
}

// submittable refuses what can be seen without asking anybody.
func (j *Job) submittable(o *SubmitOptions) error {
	o.setDefaults()
	if o.ObjectsPerJob == 0 || o.ObjectsPerJob > maxMembers {
		o.ObjectsPerJob = maxMembers
	}
	o.Poll, o.ReportWait = cmp.Or(o.Poll, time.Second), cmp.Or(o.ReportWait, 10*time.Minute)
	if o.ReportTo.Bucket == "" {
		o.ReportTo = o.ManifestTo
	}
	switch {
	case !j.begun:
		return unusablef("plan it first", "the job in %s has not begun", j.Dir)
	case j.home != nil:
		return unusablef("plan it again in a directory of this machine, and submit that",
			"the state of the job lies in %s, and what was submitted is recorded in a directory only", j.Dir)
	case j.Division != nil || j.Part != nil:
		return unusablef("do it with Run, or begin a job without shards for a single bucket: S3 Batch Operations divides the work itself", "the job in %s is divided", j.Dir)
	case o.Priority < 0 || o.Priority > 1<<31-1:
		return unusable("SubmitOptions.Priority is out of range", "give it a number from 1 to 2147483647")
	case o.RoleARN != "" && (!strings.HasPrefix(o.RoleARN, "arn:") || !strings.Contains(o.RoleARN, ":role/")):
		return unusable("SubmitOptions.RoleARN "+o.RoleARN+" is not the ARN of a role", "give it as arn:aws:iam::ACCOUNT:role/NAME")
	}
	for _, p := range []Place{o.ManifestTo, o.ReportTo} {
		if object.IsAccessPoint(p.Bucket) {
			return unusable("S3 Batch Operations reads manifests and writes reports in buckets, and not through access points", "name a bucket")
		}
	}
	return nil
}

// submit makes what is to be made, and follows what is to be followed.
func (s *submitter) submit(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go s.stop.relay(ctx, cancel)
	defer func() {
		if err != nil && s.stop.cause() != nil {
			err = s.stop.cause()
		}
	}()
	if !s.points.PlanIsComplete() {
		return unusablef("plan it to its end first", "the job in %s is not planned", s.job.Dir)
	}
	if err := s.job.refuseBatch(&s.learnt); err != nil {
		return err
	}
	record, err := s.job.openSubmitRecord(true)
	if err != nil {
		return err
	}
	s.record = record
	open := record.open()
	if len(open) == 0 && s.opt.Cancel {
		return nil // nothing is under way
	}
	if len(open) == 0 {
		if err := s.wanting(); err != nil {
			return err
		}
	}
	if s.batch, err = s.store.BatchOperations(ctx, s.accountID(), s.learnt.Bucket); err != nil {
		return s.orUnusable(err)
	}
	follow := s.opt.Follow || s.opt.Cancel
	for _, o := range open {
		follow = follow || o.Confirmed
	}
	if len(open) == 0 {
		if err := s.order(ctx); err != nil {
			return err
		}
	}
	if err := s.makeAll(ctx); err != nil {
		return err
	}
	if err := s.prioritize(ctx); err != nil {
		return err
	}
	if s.opt.Cancel {
		if err := s.cancelAll(ctx); err != nil {
			return err
		}
	} else if err := s.confirmAll(ctx); err != nil {
		return err
	}
	if !follow && !s.opt.Follow { // a job that has ended is read in any case
		return nil
	}
	return s.followAll(ctx)
}

// orUnusable makes what nothing was sent for a refusal.
func (s *submitter) orUnusable(err error) error {
	var e *object.Error
	if errors.As(err, &e) && e.NotSent && (e.Class == object.ClassUnsupported || e.Class == object.ClassInvalid) {
		return &UnusableError{What: e.Message, Fix: e.Hint, told: err}
	}
	return err
}

// accountID is that of the jobs that are under way, since they are looked for there, or of
// the role, which S3 assumes in the account of its job only.
func (s *submitter) accountID() string {
	if open := s.record.open(); len(open) > 0 {
		return open[0].Account
	}
	if part := strings.SplitN(s.opt.RoleARN, ":", 6); s.opt.AccountID == "" && len(part) == 6 {
		return part[4]
	}
	return s.opt.AccountID
}

// wanting refuses to make jobs without what they need.
func (s *submitter) wanting() error {
	switch {
	case s.opt.RoleARN == "":
		return unusable("SubmitOptions.RoleARN is missing", "name the role that S3 Batch Operations assumes; planner/doctor.BatchRole prints what it needs")
	case s.opt.ManifestTo.Bucket == "":
		return unusable("SubmitOptions.ManifestTo is missing", "name the bucket and the prefix that manifests and reports go to")
	}
	return nil
}

// order picks the tasks, tells what it amounts to, and records each submission before
// anything of it is sent.
func (s *submitter) order(ctx context.Context) error {
	drafts, order, err := s.draft(ctx)
	defer func() {
		for _, d := range drafts {
			d.discard()
		}
	}()
	if err != nil {
		return err
	}
	s.result.Order = order
	s.price(order)
	if s.opt.Tell != nil {
		s.opt.Tell(order)
	}
	if len(drafts) == 0 {
		return ErrNothingToGive
	}
	if err := s.entrust(drafts); err != nil {
		return err
	}
	account, region := s.batch.Account()
	for len(drafts) > 0 {
		sub := s.submission(len(s.record.all)+1, drafts[0])
		sub.Account, sub.Region = account, region
		if err := s.record.write(submitLine{Kind: lineIntended, N: sub.N, Intended: sub}); err != nil {
			return err
		}
		s.fresh[sub.N] = true
		drafts = drafts[1:]
	}
	return nil
}

// entrust makes durable that S3 may work on the tasks: from now on each is asked about
// before anything is sent.
func (s *submitter) entrust(drafts []*draft) error {
	for _, d := range drafts {
		seqs, err := d.numbersOf()
		if err != nil {
			return err
		}
		if err := s.points.Entrust(seqs); err != nil {
			return err
		}
	}
	return nil
}

// submission is what a draft becomes. Whoever makes it again from the same plan makes the
// same token.
func (s *submitter) submission(n int, d *draft) *Submission {
	job := hex.EncodeToString(s.job.digest[:])
	etag, members := hex.EncodeToString(d.md5.Sum(nil)), hex.EncodeToString(d.sha256.Sum(nil))
	name := fmt.Sprintf("%s/%04d-%s.csv", s.job.ID, n, etag[:12])
	t := s.target()
	b := s3store.BatchJob{RoleARN: s.opt.RoleARN, Priority: int32(cmp.Or(s.opt.Priority, 10)), Bucket: s.learnt.Bucket, ETag: etag, Versions: d.group.versions,
		Manifest: s3store.BatchObject{Bucket: s.opt.ManifestTo.Bucket, Key: inPrefix(s.opt.ManifestTo.Prefix, name)},
		Report:   s3store.BatchObject{Bucket: s.opt.ReportTo.Bucket, Key: inPrefix(s.opt.ReportTo.Prefix, s.job.ID)}, Update: d.group.update}
	if t.SSE == object.SSEKMS {
		b.KMSKey, b.BucketKey = t.KMSKeyID, t.BucketKey == object.On
	}
	if !d.group.update {
		b.Class, b.Since = d.group.class, d.since(s.job.Begun)
	}
	b.Token = hex.EncodeToString(sha256Of(job, s.job.ID, fmt.Sprint(n), etag, members))
	b.Description = fmt.Sprintf("reseal %s %d %s", s.job.ID, n, b.Token[:16])
	return &Submission{N: n, Job: b, Objects: d.objects, Bytes: d.bytes, Members: members, At: time.Now().UTC().Truncate(time.Second)}
}

func inPrefix(prefix, name string) string {
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		return prefix + "/" + name
	}
	return name
}
