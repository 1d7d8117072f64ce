package engine

import (
	"context"
	"fmt"
	"sync"

	"github.com/resealhq/reseal/engine/object"
)

// keeping is whether the bucket that is written to keeps versions: as its settings said
// when the run began, until the reply to a copy shows otherwise.
type keeping struct {
	mu sync.Mutex
	// now decides how objects are taken and what their rows say.
	now object.Versioning
	// settled: replies contradict the settings, and the store was asked and stands by these.
	settled bool
}

// versioning is how the bucket is taken to keep versions at this moment.
func (r *run) versioning() object.Versioning {
	r.versions.mu.Lock()
	defer r.versions.mu.Unlock()
	return r.versions.now
}

// noticed compares what the reply to a copy names with what the bucket was taken for.
//
//	taken for    the reply names    the store says now    then
//	enabled      the null version   enabled               some keys keep none (MinIO can exclude
//	                                                      prefixes): each is looked at from now on
//	enabled      the null version   anything else         the run stops
//	otherwise    anything else      whatever it says      it is taken for that
func (it *item) noticed(ctx context.Context, reply *object.CopyReply) {
	r, id := it.run, reply.VersionID
	if id == "" || reply.Inferred || !r.cfg.Dest.InPlace() || r.cfg.Versioning == nil {
		return
	}
	v := &r.versions
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.settled || !contradicts(id, v.now) {
		return
	}
	now, err := r.cfg.Versioning(ctx)
	if err != nil {
		now = object.VersioningUnknown
	}
	was := v.now
	v.now, v.settled = now, now == was
	switch {
	case was != object.VersioningEnabled:
		if now != was {
			r.cfg.Log.Warn("the bucket has changed since the run began", "versioning", was.String(), "now", now.String())
		}
	case now == was:
		v.now = object.VersioningSuspended
		r.cfg.Log.Warn("the bucket says that it keeps versions, and keeps none of this key; each object is looked at before it is copied from now on", "object", it.obj.Ref.String())
	default:
		r.fail(fmt.Errorf("versioning of s3://%s was enabled when the run began and is %s now: the copy of %s took the place of the key's null version. "+
			"Set it back and run again", it.obj.Bucket, now, it.obj.Key))
	}
}

// contradicts says whether a version that a copy made is one that no bucket makes which
// keeps versions like that.
func contradicts(id string, kept object.Versioning) bool {
	switch kept {
	case object.VersioningEnabled:
		return id == object.NullVersion
	case object.VersioningSuspended:
		return id != object.NullVersion
	}
	return kept == object.VersioningOff
}

// keepsOldVersion says whether a copy left the previous version behind: by the version that
// the store says it made, since the bucket may have changed after its settings were read.
func (it *item) keepsOldVersion() bool {
	id, began := it.out.NewVersionID, it.run.cfg.Facts.Versioning
	switch {
	case id == object.NullVersion, id == "" && began == object.VersioningSuspended:
		return it.version != "" && it.version != object.NullVersion
	case id == "": // the store names none, so that nothing newer is known
		return began == object.VersioningEnabled
	case it.run.rules.Caps.IsAWS(): // nothing but a bucket that keeps versions has one there
		return true
	}
	now := it.run.versioning()
	return now == object.VersioningEnabled || now == object.VersioningSuspended
}

// overNull is an outcome that says so where the copy became the null version in a bucket
// that was taken for one that keeps versions, so that nobody had looked for an older one.
func (it *item) overNull(out *object.Outcome) {
	if it.run.cfg.Facts.Versioning != object.VersioningEnabled || out.NewVersionID != object.NullVersion || it.noNull || out.Inferred {
		return
	}
	adds(out, "the bucket did not keep versions of it by then: the copy took the place of the key's null version, if there was one")
}
