package job

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/resealhq/reseal/engine"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/pace"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/engine/wire"
)

// VerifyOptions are what a verification takes. Of the limits it uses those of the
// pace.
type VerifyOptions struct {
	Options
	// Findings gets every difference, and every object and version under another
	// key, as CSV.
	Findings io.Writer
	// NoDependents leaves out the look for objects and versions under other keys.
	NoDependents bool
}

// Verdict is what Verify found.
type Verdict struct {
	Job string `json:"job"`
	// Checked rows of done and already objects, and what became of them: Verified as
	// the report says; Changed by somebody since, and as wanted all the same; Gone;
	// Different: not as the report says, and not as wanted, or unreadable.
	Checked   uint64 `json:"checked"`
	Verified  uint64 `json:"verified"`
	Changed   uint64 `json:"changed"`
	Gone      uint64 `json:"gone"`
	Different uint64 `json:"different"`
	// NotDone are the objects that the report itself calls left, failed or remaining.
	NotDone uint64 `json:"not_done"`
	// Dependents are the objects and versions under the source that the target does
	// not describe; absent where they were not looked for.
	Dependents []Dependents `json:"dependents"`
	// ClientSide are the objects and versions under the source, where dependents were looked
	// for, that show an envelope of client-side encryption or may hold one. Which keys wrap
	// their data keys nobody has asked.
	ClientSide uint64    `json:"client_side,omitempty"`
	Examples   []Finding `json:"examples,omitempty"`
	// KeyUnusable tells of the key that verified objects are under, where nobody can read
	// them with it now: it is disabled, about to be deleted, or gone.
	KeyUnusable []string `json:"key_unusable,omitempty"`
	// Unread is why the store could not be asked about everything; empty where it was.
	// What was found is true then, and may be less than there is.
	Unread string `json:"unread,omitempty"`
	// OK: every object of the job is as wanted, and as the report says, and everything
	// was looked at.
	OK bool `json:"ok"`
}

// Finding is one object that is not as the report says.
type Finding struct {
	Object string `json:"object"`
	What   string `json:"what"`
}

// Dependents are the objects and versions under one encryption and key that is
// not the target's.
type Dependents struct {
	Encryption string `json:"encryption"`
	KMSKeyID   string `json:"kms_key_id,omitempty"`
	Current    uint64 `json:"current"`
	Noncurrent uint64 `json:"noncurrent"`
	Bytes      int64  `json:"bytes"`
	Example    string `json:"example"`
}

// Verify asks the store about every object of the job, by a client of its own, and
// compares the answer with the report. Then it looks at every object and version
// that lies under the source now, and tells which of them still depend on another
// key than the job's.
func (j *Job) Verify(ctx context.Context, opt VerifyOptions) (_ *Verdict, err error) {
	opt.setDefaults()
	if err := opt.Limits.Validate(); err != nil {
		return nil, err
	}
	if err := errors.Join(j.Spec.Target.readKeys(), j.Spec.Target.ClientSide.readKeys(), j.Spec.Target.refusePlaintext(&j.Spec.Connection)); err != nil {
		return nil, err
	}
	j.Spec.Target.warnOfKeys(&j.Spec.Connection, opt.Log)
	points, err := j.openRecords()
	if err != nil {
		return nil, jobUnusable(err)
	}
	defer func() { err = errors.Join(err, points.Close()) }()
	v, err := j.newVerifier(ctx, points, &opt)
	if err != nil {
		return nil, err
	}
	defer v.store.Close()
	if err := v.openFolder(); err != nil {
		return nil, err
	}
	defer v.closeFolder()
	if err := v.work(ctx, &opt); err != nil {
		return nil, err
	}
	d := &v.verdict
	// Where objects are not done anyway, that says it already.
	if why := points.missing(); why != "" && d.Unread == "" && (j.Division != nil || d.NotDone == 0) {
		d.Unread = why
	}
	d.Job, d.OK = j.Dir, d.Different == 0 && d.Gone == 0 && d.NotDone == 0 && d.Unread == ""
	j.keepVerified(d, opt.Log)
	return d, nil
}

func (j *Job) newVerifier(ctx context.Context, points *records, opt *VerifyOptions) (*verifier, error) {
	known, found, err := points.learnt()
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, unusable("the job has planned nothing yet", "run it first")
	}
	v := &verifier{job: j, points: points, workers: min(opt.pace().Workers(), 64)}
	v.at(nil, &j.Spec, &known)
	conn := j.Spec.WholeDestConnection()
	opt.NoDependents = opt.NoDependents || j.Spec.DestConnection != nil || j.Spec.hasFolder() // they lie in the source, which other credentials read
	if v.store, err = conn.Open(ctx, Dial{Version: opt.Version, Connections: opt.Concurrency, Conn: j.ground.Dial}); err != nil {
		return nil, err
	}
	v.reads = readsOf(v.store, pace.New(opt.pace()), v.learnt.Bucket, opt.Log)
	if c := &j.Spec.Target.ClientSide; c.Given() {
		opt.NoDependents = opt.NoDependents || j.Spec.Target.SSE == object.SSEUnknown // they are about server-side encryption
		v.envelopes = &envelopes{v: v, target: c.target(), format: formats[c.Format], remakes: c.remakes()}
		if k, err := v.store.KMSWraps(); err == nil {
			v.envelopes.kms = k
		} else if c.asksKMS() {
			v.store.Close()
			return nil, unusableBecause(err, "the job's keys are in KMS, and no KMS can be asked", "set AWS_ENDPOINT_URL_KMS")
		}
	}
	return v, nil
}

// readsOf sends single requests outside of a run: paced, and repeated as their
// class allows.
func readsOf(store *s3store.Store, p *pace.Pacer, bucket string, log *slog.Logger) *engine.Reads {
	s := engine.Store{Hot: store, Uploads: store, Details: store, Reader: store}
	return engine.NewReads(engine.Config{Store: s, Pace: p, Log: log, Answers: answersOf(store, bucket), Renew: func(ctx context.Context) error {
		store.Invalidate()
		_, _, _, _, err := store.Credentials(ctx)
		return err
	}})
}

// inspecting is readsOf for many objects of any bucket, by the client of the hot requests, with
// the customer keys of a target.
func inspecting(client *wire.Client, store *s3store.Store, p *pace.Pacer, keys object.Target, log *slog.Logger) *engine.Reads {
	return engine.NewReads(engine.Config{Store: engine.Store{Hot: client, Uploads: store, Details: store, Reader: store},
		Target: keys, Pace: p, Log: log, Answers: answersOf(store, ""), Renew: func(context.Context) error { store.Invalidate(); return nil }})
}

// answersOf asks a store whether it answers anybody.
func answersOf(store *s3store.Store, bucket string) func(context.Context) error {
	return func(ctx context.Context) error { return store.Answers(ctx, bucket) }
}

// work verifies the rows and looks for dependents, and writes the findings where
// they are asked for.
func (v *verifier) work(ctx context.Context, opt *VerifyOptions) error {
	w := opt.Findings
	if w == nil {
		w = io.Discard
	}
	v.file(w)
	if v.job.Division == nil || v.job.Division.Kind != ByBuckets {
		if err := v.onePlace(ctx, opt); err != nil {
			return err
		}
		return v.endFile()
	}
	for i := range v.job.Division.Places {
		found := &v.job.Division.Places[i]
		if found.Unread != "" {
			continue // the verdict tells of it
		}
		spec := v.job.Spec
		spec.Source = found.source()
		v.at(&found.Place, &spec, found.Learnt)
		switch err := v.onePlace(ctx, opt); {
		case err == nil:
		case ofOnePlace(err) && ctx.Err() == nil:
			v.unread(fmt.Errorf("%s: %w", found.Place, err))
		default:
			return err
		}
	}
	return v.endFile()
}

// at turns to one place, or to the whole of a job that has but one.
func (v *verifier) at(place *Place, spec *Spec, known *learnt) {
	v.place, v.spec, v.learnt, v.dest = place, spec, *known, spec.Dest()
	v.target = known.target(spec)
	if known.twoStores(spec) {
		v.target.SourceKey, v.target.MoreSourceKeys = object.CustomerKey{}, nil
	}
}

// onePlace verifies the rows of a place, and looks for dependents there.
func (v *verifier) onePlace(ctx context.Context, opt *VerifyOptions) error {
	bucket, prefix := v.learnt.Bucket, v.spec.Source.Prefix
	if t := &v.spec.Target; t.DestBucket != "" {
		bucket, prefix = t.DestBucket, t.DestPrefix
	}
	if v.written == nil {
		if err := reach(ctx, v.store, bucket, prefix); err != nil {
			return err
		}
	}
	err := v.rows(ctx)
	if err == nil {
		err = v.targetKey(ctx)
	}
	if d := &v.verdict; err != nil {
		d.Checked = d.Verified + d.Changed + d.Gone + d.Different // the others were not
	}
	if err == nil && !opt.NoDependents {
		v.looked = true
		err = v.dependents(ctx)
	}
	if err != nil && endedEarly(ctx, err) {
		v.unread(err)
		return nil
	}
	return err
}

// unread notes why not everything was looked at, also in the file of findings.
func (v *verifier) unread(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.verdict.Unread = cmp.Or(v.verdict.Unread, err.Error())
	v.write("unread", object.Ref{Bucket: v.learnt.Bucket}, &object.Object{Size: -1}, err.Error())
}
