package job

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/resealhq/reseal/checkpoint"
	"github.com/resealhq/reseal/engine/hot"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/engine/wire"
	"github.com/resealhq/reseal/planner"
	"github.com/resealhq/reseal/planner/manifest"
)

// session is a job that this process holds: its checkpoint, its log, its store
// and what was learnt of it.
type session struct {
	job    *Job
	opt    *Options
	dir    string // where notes on throwaway objects go
	place  *Place // of a job that has several and is being divided
	points *checkpoint.Store
	log    *slog.Logger
	store  *s3store.Store
	hot    *wire.Client // the store's, for the requests that every object costs
	// to and toHot are of the store that is written to: the same, unless Spec.DestConnection
	// leads elsewhere.
	to     *s3store.Store
	toHot  *wire.Client
	learnt learnt
	// asked is when the settings of the buckets were asked for last.
	asked time.Time
	// manifest is open while the plan is not complete; nil for a listing.
	manifest *manifest.Opened
	resumed  bool     // an earlier process had begun this job
	run      *lastRun // what this process says of itself; nil before it holds the job
	// warned is closed when what is serious was told; nil where nothing is asked.
	warned <-chan struct{}
	// ahead lets the canary's throwaway objects go while the job is begun. Only who plans
	// in this very process waits for them before anything is planned: what is frozen for
	// others to go on from is frozen when they are gone.
	ahead bool
	// tidying waits for the canary's throwaway objects to go; nil where none are going.
	tidying func(context.Context) error
	closers []func() error
	// still waits until this process may send something, and fails where another has taken
	// the job; nil where a lock says so.
	still func(ctx context.Context, stop <-chan struct{}) error
	// lost waits until another process has taken the job; nil in a directory.
	lost   func(ctx context.Context) error
	doctor bool // there is no job, only questions
	// examine is what a doctor was asked, probed what it saw where it was to probe.
	examine  *ExamineOptions
	probed   *Probed
	refusals refusals // the doctor's
	// discard makes Close remove the job: it turned out that none can be begun.
	discard bool
}

// metaLearnt is where the checkpoint keeps what was learnt.
const metaLearnt = "learnt"

// learnt is what the job knows of its buckets, endpoint and key since its
// beginning. It is frozen, so that every run of the job decides alike.
type learnt struct {
	Facts object.BucketFacts `json:"facts"`
	// Dest is of the bucket that Target.Dest names.
	Dest *object.BucketFacts `json:"dest,omitempty"`
	// Source is set where Spec.DestConnection leads elsewhere.
	Source *sourceEnd          `json:"source,omitempty"`
	Caps   object.Capabilities `json:"capabilities"`
	// KMSKeyID is the target's key as requests name it (a full ARN where one could
	// be had), ShownKeyID as the store shows it.
	KMSKeyID   string `json:"kms_key_id,omitempty"`
	ShownKeyID string `json:"shown_key_id,omitempty"`
	// KeyUnresolved is why KMSKeyID is no ARN, where the target's key is given by another name.
	KeyUnresolved planner.KeyUnresolved `json:"key_unresolved,omitempty"`
	// Bucket that the objects are in; from the source or from the manifest.
	Bucket string `json:"bucket"`
	// DestEmpty: nothing stood where a folder's files go when the job began.
	DestEmpty bool `json:"dest_empty,omitempty"`
	// KeyStoreRate is how many requests a second the key store of the target's key
	// takes, all its users together; 0 where that is the account's quota.
	KeyStoreRate int `json:"key_store_rate,omitempty"`
}

// open begins the job or takes it up again. Nothing is written to the store but
// what the canary needs; and a store that cannot be used leaves no job behind, so
// that the specification can be corrected and given again.
//
// verb is what this process is recorded to do.
func (j *Job) open(ctx context.Context, opt *Options, verb string) (_ *session, err error) {
	opt.setDefaults()
	if err := opt.Limits.Validate(); err != nil {
		return nil, err
	}
	if j.begun { // another process may take it up, long after its keys were read
		if err := errors.Join(j.Spec.Target.readKeys(), j.Spec.Target.ClientSide.readKeys()); err != nil {
			return nil, err
		}
	}
	s := &session{job: j, opt: opt, dir: j.local, log: opt.Log}
	defer func() {
		if err != nil {
			s.endRun(err)
			err = withClose(err, s.Close())
		}
	}()
	if j.begun {
		if err := s.openJob(ctx, verb); err != nil {
			return nil, err
		}
	}
	if err := s.openStore(ctx); err != nil {
		return nil, err
	}
	if j.Spec.Source.Manifest != "" && (s.points == nil || !s.points.PlanIsComplete()) {
		if err := s.openManifest(ctx); err != nil {
			return nil, err
		}
	}
	s.ahead = !j.begun && j.whole == nil && j.home == nil
	if err := s.learn(ctx); err != nil {
		return nil, err
	}
	if !j.begun {
		if err := j.freeze(opt.Version); err != nil {
			return nil, err
		}
		if err := s.openJob(ctx, verb); err != nil {
			return nil, err
		}
		j.giveBack() // the checkpoint's lock holds the job now
	}
	if err := s.keepLearnt(); err != nil {
		return nil, err
	}
	s.holdBelowKeyStore()
	if !s.resumed {
		s.beginWarning(ctx)
	}
	return s, nil
}

// openJob takes the job's lock, and then its log.
func (s *session) openJob(ctx context.Context, verb string) (err error) {
	o := checkpoint.Options{Job: s.job.digest, Logger: s.log, Committed: s.opt.Committed, Disk: s.job.ground.Disk}
	if s.job.home != nil {
		if err := s.takeHome(ctx, &o); err != nil {
			return err
		}
	}
	s.points, err = checkpoint.Open(s.job.local, o)
	if err != nil {
		return jobUnusable(err)
	}
	s.closers = append(s.closers, s.points.Close)
	s.resumed = s.points.Existed()
	if err := s.job.keepPolicy(time.Now()); err != nil {
		return err
	}
	file, err := openRotating(s.job.path(logName), logSize)
	if err != nil {
		return unusableBecause(err, "the job's log", "see to it that the job directory can be written")
	}
	own := s.opt.LogFile(file)
	if own == nil {
		own = slog.NewTextHandler(file, nil)
	}
	s.log = slog.New(teeHandler{own, s.opt.Log.Handler()})
	s.closers = append(s.closers, file.Close)
	s.beginRun(verb)
	return nil
}

func (s *session) openStore(ctx context.Context) (err error) {
	c := &s.job.Spec.Connection
	s.store, err = c.Open(ctx, Dial{Version: s.opt.Version, Connections: s.opt.Concurrency, Timeout: s.opt.RequestTimeout, Conn: s.job.ground.Dial})
	if err != nil {
		return err
	}
	s.closers = append(s.closers, func() error { s.store.Close(); return nil })
	if s.hot, err = hot.Client(s.store); err != nil {
		return err
	}
	s.closers = append(s.closers, func() error { s.hot.Close(); return nil })
	endpoint := strings.TrimRight(s.store.Endpoint(), "/") // perhaps of the shared configuration files
	if s.job.begun && c.EndpointURL == "" && endpoint != "" {
		// What was learnt of one store must not be believed of another.
		return unusablef("set AWS_CONFIG_FILE and AWS_PROFILE as they were, or name another directory for a new job",
			"the job in %s was begun on AWS, and the shared configuration files lead to %s now", s.job.Dir, endpoint)
	}
	if c.EndpointURL == "" {
		c.EndpointURL = endpoint
	}
	s.job.Spec.Target.warnOfKeys(c, s.log)
	if err := s.job.Spec.Target.refusePlaintext(c); err != nil {
		return err
	}
	return s.openDest(ctx)
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
	if whole := s.job.whole; err == nil && !found && whole != nil {
		s.learnt = *whole.Division.learntOf(s.job.Part)
		return true, s.keepLearnt()
	}
	if err != nil || !found {
		return false, err
	}
	return true, json.Unmarshal(data, &s.learnt)
}

// triedTarget is the target that the canary tries. Where objects keep what they are under,
// it is an encryption that every store has.
func (s *session) triedTarget() object.Target {
	t := s.target()
	if s.job.Spec.Target.SSE == object.SSEUnknown {
		t.SSE = object.SSES3
	}
	if s.learnt.twoStores(&s.job.Spec) {
		t.SourceKey, t.MoreSourceKeys = object.CustomerKey{}, nil
	}
	return t
}

// target is what the objects of the job are to be like.
func (s *session) target() object.Target { return s.learnt.target(&s.job.Spec) }

func (l *learnt) target(spec *Spec) object.Target {
	t := spec.Target.Object(l.Caps.Source == "aws")
	if l.KMSKeyID != "" {
		t.KMSKeyID = l.KMSKeyID
	}
	t.ShownKeyID = l.ShownKeyID
	if spec.Target.DestFolder != "" {
		t.SSE, t.StampMtime = object.SSENone, true
	}
	return *t
}

// Close gives everything up, the last opened first. The checkpoint's Close makes
// durable what was recorded.
func (s *session) Close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	s.closers = nil
	if s.discard {
		errs = append(errs, s.job.remove())
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
