package job

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/resealhq/reseal/checkpoint"
	"github.com/resealhq/reseal/engine/object"
)

// PruneOptions are what a prune takes. Of the limits it uses those of the pace.
type PruneOptions struct {
	Options
	// Delete does it. Without it nothing is changed, and everything is told.
	Delete bool
	// Noncurrent, where set, takes the noncurrent versions under the job's source that it
	// selects, whoever made them, in place of those that copies of the job left behind.
	// Its Versions and OnlyClientSide are not used; its Limit is one of all prunes of the job
	// together.
	Noncurrent *Selection
	// OverMarkers takes with Noncurrent also the versions of objects that were deleted,
	// so that a delete marker is all that is left of them.
	OverMarkers bool
	// Rows gets one row a version that was looked at, as CSV.
	Rows io.Writer
}

// The states of a version in the rows of a prune.
const (
	PruneWould   = "would-delete" // it may go, and Delete was not asked for
	PruneDeleted = "deleted"      // by this prune or an earlier one of the job
	PruneGone    = "gone"         // deleted by somebody else
	PruneKept    = "kept"         // not touched, for a reason
	PruneFailed  = "failed"       // the store refused to delete it
)

// Why a version is kept.
const (
	KeptNewer      = "newer-version" // another client has written the object since
	KeptDeleted    = "delete-marker" // the object was deleted since
	KeptUnproved   = "unproved"      // the store does not show the current version as this job wrote it
	KeptOther      = "other-version" // what lies below is not what the job copied
	KeptLocked     = "locked"        // a retention, a legal hold or an event hold
	KeptVersioning = "versioning"    // the bucket stopped to keep versions
	KeptUnnamed    = "no-version-id" // the job was not told which version it wrote
	KeptUnread     = "not-readable"  // the old version or its lock cannot be looked at
	KeptTooOld     = "not-in-plan"   // the plan does not tell which version was copied
	KeptCurrent    = "current"       // it has become the current version
	KeptUnreadable = "key-unusable"  // nobody can read the current version with its KMS key now
	KeptReplica    = "replication"   // its deletion would be replicated, and the current version was not
)

// Pruned is what a prune did, or would do.
type Pruned struct {
	Job string `json:"job"`
	// Dry: nothing was to be changed.
	Dry bool `json:"dry"`
	// Noncurrent: the versions were selected, and are not those of the job's copies.
	Noncurrent bool `json:"noncurrent,omitempty"`
	// Versions that copies of the job left behind, or that were selected, and what became
	// of them.
	Versions    uint64 `json:"versions"`
	WouldDelete uint64 `json:"would_delete"`
	Deleted     uint64 `json:"deleted"`
	// Earlier are those of Deleted that earlier prunes of the job deleted.
	Earlier uint64 `json:"deleted_earlier"`
	Gone    uint64 `json:"gone"`
	Kept    uint64 `json:"kept"`
	Failed  uint64 `json:"failed"`
	// Bytes of those that were deleted, or would be.
	Bytes int64 `json:"bytes"`
	// Reasons of those that were kept or failed.
	Reasons  map[string]uint64 `json:"reasons"`
	Examples []Finding         `json:"examples,omitempty"`
	Seconds  float64           `json:"seconds"`
	// Complete: every version was looked at.
	Complete bool `json:"complete"`
}

// Prune deletes the versions that this job's own copies left behind under their old
// encryption, each by its exact version ID. It is dry unless Delete is asked for.
//
// What the job recorded leads to nothing by itself: the store has to show, twice and
// at different times, that the current version is the one that the job wrote, as it
// wrote it and under the target; that the version below it is the one that was
// planned and copied; and that nothing locks that. Everything else is left where it
// is, with the reason. A prune that was killed goes on where it was.
//
// With Noncurrent see versionPruner: what has to be proved is the current version.
//
// With an error that is about all of them comes what was done until then.
func (j *Job) Prune(ctx context.Context, opt PruneOptions) (_ *Pruned, err error) {
	opt.setDefaults()
	if err := errors.Join(opt.Limits.Validate(), j.prunable(), opt.selectable(j)); err != nil {
		return nil, err
	}
	if j.Division != nil {
		return j.pruneShards(ctx, opt)
	}
	if err := errors.Join(j.Spec.Target.readKeys(), j.Spec.Target.refusePlaintext(&j.Spec.Connection)); err != nil {
		return nil, err
	}
	if j.home != nil {
		end, err := j.holdForPrune(ctx, &opt)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, end()) }()
	}
	points, err := checkpoint.OpenReadOnly(j.local, checkpoint.Options{Job: j.digest, Disk: j.ground.Disk})
	if err != nil {
		return nil, jobUnusable(err)
	}
	defer func() { err = errors.Join(err, points.Close()) }()
	v, err := j.newVerifier(ctx, recordsOf(j, points, false), &VerifyOptions{Options: opt.Options, NoDependents: true})
	if err != nil {
		return nil, err
	}
	defer v.store.Close()
	if err := reach(ctx, v.store, v.learnt.Bucket, j.Spec.Source.Prefix); err != nil {
		return nil, err
	}
	if r := opt.RequestsPerSecond; r > 0 { // those that are looked at together do not wait for one another's deletions
		v.workers = min(v.workers, 1+int(r/10))
	}
	p := &pruner{verifier: v, opt: &opt, began: time.Now()}
	p.result = Pruned{Job: j.Dir, Dry: !opt.Delete, Noncurrent: opt.Noncurrent != nil, Reasons: map[string]uint64{}}
	work, err := p.open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.journal.Close()) }()
	err = work(ctx)
	p.result.Seconds = time.Since(p.began).Seconds()
	p.result.Complete = err == nil
	return &p.result, err
}

// open looks at the settings and opens the record of what was pruned before. What it gives
// does the work.
func (p *pruner) open(ctx context.Context) (work func(context.Context) error, err error) {
	if p.opt.Noncurrent != nil {
		return p.openVersions(ctx)
	}
	if err := p.settings(ctx); err != nil {
		return nil, err
	}
	if p.record, err = openPruneRecord(p.job, p.points.Totals().Planned.Objects, p.opt.Delete); err != nil {
		return nil, err
	}
	p.rule, p.journal = p, p.record
	return p.work, nil
}

// prunable refuses a job that leaves no version behind that it could answer for.
func (j *Job) prunable() error {
	switch {
	case j.Spec.Target.ClientSide.Given():
		return unusablef("delete its noncurrent versions by a lifecycle rule, once its readers have the new key",
			"the job in %s brought client-side encryption under another key, and prune proves server-side encryption only", j.Dir)
	case j.Spec.Target.DestBucket != "", j.Spec.Target.DestFolder != "":
		return unusablef("there is nothing to do", "the job in %s wrote to another place, and left no version of its sources behind", j.Dir)
	}
	return nil
}

// settings refuses a bucket that does not keep versions now, or did not when the job began
// and left none behind, or that does not tell whether it locks them.
func (p *pruner) settings(ctx context.Context) (err error) {
	was := p.learnt.Facts.Versioning
	if was != object.VersioningEnabled && p.points.Totals().OldVersions.Objects == 0 {
		return leftNone(&p.learnt)
	}
	if err := p.knownSettings(ctx); err != nil {
		return err
	}
	if p.facts.Versioning != object.VersioningEnabled {
		before := map[object.Versioning]string{object.VersioningEnabled: "enabled when the job began", object.VersioningOff: "enabled while the job ran"}[was]
		return &UnusableError{told: errKeepsNone, Fix: "look at who changed it and why; enable it again, or delete old versions by a lifecycle rule",
			What: fmt.Sprintf("versioning of s3://%s was %s and is %s now", p.learnt.Bucket, cmp.Or(before, was.String()+" when the job began"), p.facts.Versioning)}
	}
	return nil
}

// errKeepsNone is wrapped by what says that a bucket keeps no versions now.
var errKeepsNone = errors.New("the bucket keeps no versions now")

// leftNone is the error of a job of which no row tells of an old version.
func leftNone(l *learnt) error {
	return unusablef("there is nothing to do", "versioning of s3://%s was %s when the job began, so that its copies left no version behind that could be named", l.Bucket, l.Facts.Versioning)
}

// knownSettings refuses a bucket that does not tell whether it keeps versions, and whether
// it locks them.
func (p *pruner) knownSettings(ctx context.Context) (err error) {
	if p.facts, err = p.store.BucketFacts(ctx, p.learnt.Bucket); err != nil {
		return err
	}
	switch {
	case p.facts.Versioning == object.VersioningUnknown:
		return unusable("whether s3://"+p.learnt.Bucket+" keeps versions is not known", "grant s3:GetBucketVersioning")
	case p.facts.ObjectLock == object.Unknown:
		return unusable("whether s3://"+p.learnt.Bucket+" locks objects is not known", "grant s3:GetBucketObjectLockConfiguration")
	}
	return p.replicaRules(ctx)
}

// errDoubt is about everything: a store that deletes something else.
var errDoubt = errors.New("nothing more was deleted")

func doubt(c *candidate, err error) error {
	return fmt.Errorf("%w, since %s was not deleted as it was asked for: %w", errDoubt, c.old, err)
}
