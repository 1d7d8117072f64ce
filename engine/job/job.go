package job

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/resealhq/reseal/engine"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/pace"
	"github.com/resealhq/reseal/engine/report"
)

// Job is one job in its directory. Its fields are for reading. Plan, Run and
// Verify take the directory for as long as they work; a Job is used by one
// goroutine at a time.
type Job struct {
	// Dir is the job's directory, by its full path, or the place in a bucket where its
	// state lies (s3://BUCKET/PREFIX).
	Dir    string
	ID     string
	Begun  time.Time
	Spec   Spec
	Policy Policy
	// Division is how the job is divided into shards; nil where it is not.
	Division *Division
	// Part is what this shard has of a divided job; nil where it is a whole job.
	Part *Part

	local   string // on this disk; of a job in a bucket the copy that this process works in
	home    *home  // of a job in a bucket; nil for a directory
	whole   *Job   // that this is a shard of
	digest  [sha256.Size]byte
	begun   bool // job.json is there
	madeDir bool // the directory was made for this job
	claim   *claim
	ground  Ground
}

// Options are what one process brings to a job. The zero value of each is useful.
type Options struct {
	Limits
	// Log gets what a person should know while the job works.
	Log *slog.Logger
	// LogFile makes the handler of the job's own log, reseal.log; text from info on
	// where it is nil, or makes none.
	LogFile func(io.Writer) slog.Handler
	// Observers are told of every request and every object.
	Observers []engine.Observer
	// Committed is told how long each commit of the checkpoint took.
	Committed func(time.Duration)
	// Watch is called when the work begins, with what can be looked at while it
	// lasts; what it returns, unless nil, is called when the work ends.
	Watch func(*Running) (end func(), err error)
	// Stop, when closed, lets what is in flight finish and begins nothing new.
	Stop <-chan struct{}
	// Stdin is what a manifest "-" is read from.
	Stdin io.Reader
	// Version of the program, for job.json and the user agent.
	Version string
	// Free takes of a divided job the shards that are free, one after another, and
	// leaves those alone that other processes are at work on.
	Free bool
	// Await waits for a shard that another process is at work on, until it is free.
	Await bool
	// Again is how a further command line names a job or shard, by its Dir, and how the
	// bucket is reached that it lies in; --job and the place where it is nil.
	Again func(dir string) string

	crew *crew // of the shards that this process works on
}

func (o *Options) again(dir string) string {
	if o.Again != nil {
		return o.Again(dir)
	}
	return "--job " + object.ShellWord(dir)
}

// Running is a job at work.
type Running struct {
	Progress *report.Progress
	// Log is the job's own.
	Log *slog.Logger
	// Pace, Setting and Totals may be asked at any time, by any goroutine.
	Pace    func() pace.State
	Setting func() *Setting
	Totals  func() object.Totals
	// OfShards: this is one shard of a divided job. Watch is called for each, and but for
	// Row, which finds those of the one at work, all of this is of all shards together.
	OfShards bool
	// Row finds an object of the plan, and what became of it.
	Row func(seq uint64) (object.Task, *object.Outcome, error)
}

func (o *Options) setDefaults() {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.LogFile == nil {
		o.LogFile = func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) }
	}
}

// Create prepares a job in dir, or takes up the one that is there if it is the
// same: another one is a *DifferentError. The policy replaces the recorded one.
// What the job does to the store begins with Plan or Run; so does job.json, since
// a store that cannot be used leaves no job behind.
func Create(dir string, spec Spec, policy Policy) (*Job, error) {
	return CreateContext(context.Background(), dir, spec, policy)
}

// CreateContext is Create for a dir that may be a place in a bucket (s3://BUCKET/PREFIX),
// which is reached as Spec.Connection says. The context is that of all requests about
// the job's state.
func CreateContext(ctx context.Context, dir string, spec Spec, policy Policy) (*Job, error) {
	if err := CheckRewrap(&spec, &policy); err != nil {
		return nil, err
	}
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	if err := policy.Validate(); err != nil {
		return nil, err
	}
	if dir == "" {
		return nil, unusable("the job directory is not named", "name one; it will be created")
	}
	if inBucket(dir) && spec.hasFolder() {
		return nil, unusablef("name a directory", "the state of a job on the folder %s cannot lie in a bucket: no other machine has that folder", cmp.Or(spec.Source.Folder, spec.Target.DestFolder))
	}
	j, claimed, err := readOrClaimIn(ctx, dir, &spec)
	if err != nil {
		return nil, err
	}
	if err := spec.refuseJobWithin(j.local); err != nil {
		return nil, errors.Join(err, j.Close())
	}
	if claimed {
		j.Spec = spec
	} else if diff := j.Spec.Differences(&spec); len(diff) > 0 {
		return nil, errors.Join(&DifferentError{Dir: j.Dir, Differences: diff}, j.Close())
	}
	// Ages mean what they meant when the job began, and a manifest is the one that
	// was opened then; keys may have moved.
	j.Spec.Target, j.Spec.Connection.NoVerifySSL = spec.Target, spec.Connection.NoVerifySSL
	j.Policy = policy
	return j, nil
}

func readOrClaimIn(ctx context.Context, dir string, spec *Spec) (j *Job, claimed bool, err error) {
	if err := mistyped(dir); err != nil {
		return nil, false, err
	}
	defer func() {
		if j != nil {
			j.ground = groundOf(ctx)
		}
	}()
	if !inBucket(dir) {
		return readOrClaim(dir)
	}
	if j, err = openShard(ctx, dir, spec.Connection); j != nil || err != nil {
		return j, false, err
	}
	h, err := openHome(ctx, dir, spec.Connection)
	if err != nil {
		return nil, false, err
	}
	if j, claimed, err = h.readOrClaim(ctx, spec); err != nil {
		return nil, false, errors.Join(h.nowhere(err), h.Close())
	}
	return j, claimed, nil
}

// readOrClaim reads the job in dir, or claims the directory for a new one before
// any store is asked: of two that begin at the same moment one is refused at once.
func readOrClaim(dir string) (j *Job, claimed bool, err error) {
	if j, err = read(dir); err != nil {
		return nil, false, err
	}
	if j != nil {
		_, err = checkWritable(j.local)
		return j, false, err
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, false, unusableBecause(err, "the job directory "+dir, "name a directory")
	}
	j = &Job{Dir: abs, local: abs}
	if j.madeDir, err = checkWritable(abs); err != nil {
		return nil, false, err
	}
	if j.claim, err = takeClaim(abs, j.path(claimName)); err != nil {
		return nil, false, err
	}
	begun, err := read(dir) // by another, between our look and our claim
	if begun != nil || err != nil {
		j.claim.release()
		return begun, false, err
	}
	return j, true, nil
}

// Open takes up the job in dir. Where there is none the error wraps ErrNone.
func Open(dir string) (*Job, error) {
	if dir == "" {
		return nil, unusable("the job directory is not named", "name that of a job")
	}
	if inBucket(dir) {
		return OpenContext(context.Background(), dir, Connection{})
	}
	if err := mistyped(dir); err != nil {
		return nil, err
	}
	if _, err := os.Stat(dir); err != nil {
		if s, serr := shardOf(dir); s != nil || serr != nil {
			return s, serr
		}
		return nil, &UnusableError{What: "the job directory", Err: noJob{err}, Fix: "name the directory of a job that was begun"}
	}
	j, err := read(dir)
	if err == nil && j == nil {
		err = &UnusableError{What: dir, Err: ErrNone, Fix: "name the directory of a job that was begun"}
	}
	return j, err
}

// OpenContext is Open for a dir that may be a place in a bucket (s3://BUCKET/PREFIX),
// which is reached by the connection. The context is that of all requests about the
// job's state.
func OpenContext(ctx context.Context, dir string, c Connection) (*Job, error) {
	if !inBucket(dir) {
		j, err := Open(dir)
		if j != nil {
			j.ground = groundOf(ctx)
		}
		return j, err
	}
	if s, err := openShard(ctx, dir, c); s != nil || err != nil {
		return s, err
	}
	h, err := openHome(ctx, dir, c)
	if err != nil {
		return nil, err
	}
	j, err := h.read(ctx)
	if j != nil {
		j.ground = groundOf(ctx)
	}
	if err == nil && j == nil {
		err = &UnusableError{What: h.name, Err: ErrNone, Fix: "name the place of a job that was begun"}
	}
	if err != nil {
		return nil, errors.Join(h.nowhere(err), h.Close())
	}
	return j, nil
}

// InBucket says whether the job's state lies in a bucket, and Dir is its place there.
func (j *Job) InBucket() bool { return j.home != nil }

// noJob is a directory that is not there.
type noJob struct{ error }

func (e noJob) Unwrap() error        { return e.error }
func (e noJob) Is(target error) bool { return target == ErrNone }

// KeyFiles says where the files of the job's customer and wrapping keys are now, if not where
// they were when it began. Empty is where they were.
func (j *Job) KeyFiles(customer string, sources []string, wrapping, sourceWrapping string) error {
	c := &j.Spec.Target.ClientSide
	c.KeyFile, c.SourceKeyFile = firstNonEmpty(wrapping, c.KeyFile), firstNonEmpty(sourceWrapping, c.SourceKeyFile)
	if customer != "" {
		j.Spec.Target.CustomerKeyFile = customer
	}
	if len(sources) > 0 {
		j.Spec.Target.SourceKeyFile, j.Spec.Target.MoreSourceKeyFiles = sources[0], sources[1:]
	}
	return errors.Join(j.Spec.Target.readKeys(), j.Spec.Target.ClientSide.readKeys())
}

// Close gives back a directory that became no job, and the folder in which this process
// worked on the copy of a job in a bucket. Of a divided job, closing a shard closes all.
func (j *Job) Close() error {
	j.giveBack()
	if j.home != nil {
		return j.home.Close()
	}
	if !j.begun && j.madeDir {
		_ = os.Remove(j.local) // empty: there is no job
	}
	return nil
}

// giveBack ends the claim: there is a job now, or there will be none.
func (j *Job) giveBack() {
	j.claim.release()
	j.claim = nil
	if j.home != nil && (!j.begun || j.Division != nil) { // otherwise the run goes on with it
		_ = j.home.release(wholeLease)
	}
}
