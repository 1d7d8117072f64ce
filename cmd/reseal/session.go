package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/resealhq/reseal/checkpoint"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/engine/wire"
	"github.com/resealhq/reseal/planner/manifest"
)

// session is a job that this process holds: its checkpoint, its log, its stores
// and what was learnt of them.
type session struct {
	a       *app
	dir     string // of the job, which may not exist yet
	doctor  bool   // there is no job, and there will be none
	job     *job
	order   *order
	points  *checkpoint.Store
	log     *slog.Logger
	console *console
	store   *s3store.Store
	hot     *wire.Client // the store's, for the requests that every object costs
	learnt  learnt
	// manifest is open while the plan is not complete; nil for a listing.
	manifest *manifest.Opened
	resumed  bool // an earlier process had begun this job
	closers  []func() error
	metrics  metricsBox
	// discard makes Close remove the job: it turned out that none can be begun.
	discard bool
}

// metaLearnt is where the checkpoint keeps what was learnt.
const metaLearnt = "learnt"

// learnt is what the job knows of its buckets, endpoint and key since its
// beginning. It is frozen, so that every run of the job decides alike.
type learnt struct {
	Facts object.BucketFacts `json:"facts"`
	// Dest is of the bucket that --dest names.
	Dest *object.BucketFacts `json:"dest,omitempty"`
	Caps object.Capabilities `json:"capabilities"`
	// KMSKeyID is the target's key as requests name it (a full ARN where one could
	// be had), ShownKeyID as the store shows it.
	KMSKeyID   string `json:"kms_key_id,omitempty"`
	ShownKeyID string `json:"shown_key_id,omitempty"`
	// Bucket that the objects are in; from SOURCE or from the manifest.
	Bucket string `json:"bucket"`
}

// openSession begins the job or takes it up again. Nothing is written to the
// store but what the canary needs; and a store that cannot be used leaves no job
// behind, so that the command line can be corrected and given again.
func (a *app) openSession(ctx context.Context, f *jobFlags, o *order) (_ *session, err error) {
	s := &session{a: a, dir: f.dir, job: o.existing, order: o, console: &console{w: a.stderr}}
	defer func() {
		if err != nil {
			err = withClose(err, s.Close())
			if o.madeDir && s.job == nil {
				_ = os.Remove(f.dir) // empty: there is no job
			}
		}
	}()
	if s.job != nil {
		if err := s.openJob(f); err != nil {
			return nil, err
		}
	} else {
		s.log = f.out.openConsoleLog(s.console)
	}
	if err := s.openStore(ctx); err != nil {
		return nil, err
	}
	if o.spec.Source.Manifest != "" && (s.points == nil || !s.points.PlanIsComplete()) {
		if err := s.openManifest(ctx); err != nil {
			return nil, err
		}
	}
	if err := s.learn(ctx); err != nil {
		return nil, err
	}
	if s.job == nil {
		if s.job, err = createJob(f.dir, &o.spec, &o.consent); err != nil {
			return nil, err
		}
		if err := s.openJob(f); err != nil {
			return nil, err
		}
	}
	if err := s.keepLearnt(); err != nil {
		return nil, err
	}
	if !s.resumed {
		s.warnSerious(ctx)
	}
	return s, nil
}

// openJob takes the job's lock, and then its log.
func (s *session) openJob(f *jobFlags) error {
	spec := &s.job.File.Spec
	digest, err := spec.Digest()
	if err != nil {
		return err
	}
	s.points, err = checkpoint.Open(s.job.Dir, checkpoint.Options{Job: digest, Logger: s.log, Committed: s.metrics.committed})
	if err != nil {
		return jobUnusable(err)
	}
	s.closers = append(s.closers, s.points.Close)
	s.resumed = s.points.Existed()
	log, closer, err := f.out.openLog(s.job, s.console)
	if err != nil {
		return err
	}
	s.log = log
	s.closers = append(s.closers, closer.Close)
	return nil
}

// jobUnusable makes the checkpoint's refusals wrong usage: nothing was touched.
func jobUnusable(err error) error {
	var (
		locked   *checkpoint.LockedError
		mismatch *checkpoint.JobMismatchError
		format   *checkpoint.FormatError
		disk     *checkpoint.DiskError
	)
	switch {
	case errors.As(err, &locked), errors.As(err, &mismatch), errors.As(err, &format), errors.As(err, &disk), errors.Is(err, checkpoint.ErrNoStore):
		return &unusableError{what: err.Error()}
	}
	return err
}

func (s *session) openStore(ctx context.Context) error {
	c := &s.order.spec.Connection
	store, err := openStore(ctx, c, s.order.tempo.Concurrency, s.order.tempo.RequestTimeout)
	if err != nil {
		return err
	}
	s.store = store
	s.closers = append(s.closers, func() error { store.Close(); return nil })
	if s.hot, err = hotClient(store); err != nil {
		return err
	}
	s.closers = append(s.closers, func() error { s.hot.Close(); return nil })
	if c.EndpointURL == "" {
		c.EndpointURL = strings.TrimRight(store.Endpoint(), "/") // of the shared configuration files
	}
	if s.job != nil && c.EndpointURL != s.job.File.Spec.Connection.EndpointURL {
		// What was learnt of one store must not be believed of another.
		return unusablef("set AWS_CONFIG_FILE and AWS_PROFILE as they were, or name another directory for a new job",
			"the job in %s was begun on AWS, and the shared configuration files lead to %s now", s.job.Dir, c.EndpointURL)
	}
	return s.order.spec.Target.refusePlaintext(c)
}

// openStore resolves a connection. A profile or a bundle that does not exist is
// wrong usage. A zero connections or timeout leaves the store's own.
func openStore(ctx context.Context, c *connection, connections int, timeout time.Duration) (*s3store.Store, error) {
	o := c.Options()
	o.MaxConnections, o.RequestTimeout = connections, timeout
	store, err := s3store.Open(ctx, o)
	if err != nil {
		return nil, unusableBecause(err, "the connection", "")
	}
	if e := store.Endpoint(); e != "" && c.EndpointURL == "" {
		if err := checkEndpoint("endpoint_url of the shared configuration files", e); err != nil {
			store.Close()
			return nil, err
		}
	}
	return store, nil
}

// reach asks the bucket one thing, once. Later requests wait for hours where a
// store or its credentials fail; somebody who mistyped either shall know at once.
// A bucket that may not be listed was reached.
func reach(ctx context.Context, store *s3store.Store, bucket, prefix string) error {
	_, err := store.ListPage(ctx, object.ListRequest{Bucket: bucket, Prefix: prefix, MaxKeys: 1})
	var e *object.Error
	if errors.As(err, &e) && (e.NotSent || e.Class == object.ClassCredentials || e.Class == object.ClassUnreachable) {
		return err
	}
	return nil
}

// keepLearnt freezes what was learnt, once.
func (s *session) keepLearnt() error {
	if _, found, err := s.points.Meta(metaLearnt); err != nil || found {
		return err
	}
	data, err := json.Marshal(&s.learnt)
	if err != nil {
		return err
	}
	return s.points.SetMeta(metaLearnt, data)
}

// remember reads what an earlier run of the job learnt.
func (s *session) remember() (found bool, err error) {
	if s.points == nil {
		return false, nil
	}
	data, found, err := s.points.Meta(metaLearnt)
	if err != nil || !found {
		return false, err
	}
	return true, json.Unmarshal(data, &s.learnt)
}

// target is what the objects of the job are to be like.
func (s *session) target() object.Target { return targetOf(&s.order.spec, &s.learnt) }

// Close gives everything up, the last opened first. The checkpoint's Close makes
// durable what was recorded.
func (s *session) Close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	s.closers = nil
	if s.discard {
		errs = append(errs, s.job.remove(s.order.madeDir))
	}
	return errors.Join(errs...)
}

// withClose adds what went wrong when a session was closed, unless that is the
// disk's failure, which the error tells already.
func withClose(err, closing error) error {
	var told, again *checkpoint.DiskError
	if errors.As(err, &told) && errors.As(closing, &again) && told == again {
		return err
	}
	return errors.Join(err, closing)
}
