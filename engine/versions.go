package engine

import (
	"cmp"
	"context"
	"fmt"

	"github.com/resealhq/reseal/engine/object"
)

// keeping is whether the bucket that is written to keeps versions: as its settings said
// when the run began, until the version that a copy made shows otherwise.
type keeping struct {
	// turn is held by who has what follows; whoever asks the store has it for longer, and
	// nothing is decided meanwhile.
	turn chan struct{}
	// now decides how objects are taken and what their rows say.
	now object.Versioning
	// settled: replies contradict the settings, and the store was asked and stands by these.
	settled bool
	// unnamed: the same of replies that name no version, and of no other.
	unnamed bool
	// changed: the settings were seen not to be any more what they were when the run began.
	changed bool
}

// versioning is how the bucket is taken to keep versions at this moment.
func (r *run) versioning() object.Versioning {
	r.versions.turn <- struct{}{}
	defer func() { <-r.versions.turn }()
	return r.versions.now
}

// noteMade notes the version that a request of this item has made, as the reply names it, or
// as the store showed it where no answer came. It is asked about at once: what has to be
// written again, and the proof, may fail.
func (it *item) noteMade(ctx context.Context, reply *object.CopyReply) {
	if it.made == "" && it.wasNull() {
		it.noNull = true // but the one that was copied
	}
	it.made = reply.VersionID
	it.noticed(ctx, reply.Inferred)
}

// wasNull says whether what was looked at before the copy is the null version. MinIO's HEAD
// names none that it keeps no versions of.
func (it *item) wasNull() bool {
	return it.version == object.NullVersion || it.version == "" && it.attrs != nil && it.repliesName()
}

// unnamedOf says whether what was copied was taken for the null version because a HEAD named
// none, which may have been after the bucket had ceased to keep any: then it tells nothing.
func (it *item) unnamedOf() bool {
	if it.version != "" {
		return false
	}
	it.run.versions.turn <- struct{}{}
	defer func() { <-it.run.versions.turn }()
	return it.run.versions.changed
}

// repliesName says whether the store names the versions that it keeps. The canary may have
// been where it keeps none.
func (it *item) repliesName() bool {
	return it.run.rules.Caps.VersionsInReplies == object.Yes || it.run.cfg.Facts.KeepsNoneOfSome
}

// sawMade takes the version from a HEAD that shows what was just written, where the reply
// named none.
func (it *item) sawMade(ctx context.Context, h *object.Head) {
	if it.made == "" && h.ShownVersionID != "" {
		it.made = h.ShownVersionID
		it.noticed(ctx, false)
	}
}

// noticed compares the version that was made with what the bucket was taken for.
//
//	taken for    it is               the store says now    then
//	enabled      the null version    enabled               some keys keep none (MinIO can exclude
//	                                                       prefixes): each is looked at from now on
//	enabled      not named, where    enabled               the same; of AWS, which excludes none,
//	             others were                               that this reply does not name it
//	enabled      either              anything else         the run stops
//	otherwise    anything else       whatever it says      it is taken for that
//
// S3's answers to PutObject and CompleteMultipartUpload name no null version, and MinIO's
// to nothing. Where the version is inferred, and the store stands by its settings, it may be
// an older one, and tells nothing.
func (it *item) noticed(ctx context.Context, inferred bool) {
	r, id := it.run, it.made
	named := it.repliesName()
	if id == "" && (!named || r.cfg.Facts.Versioning != object.VersioningEnabled) || !r.cfg.Dest.InPlace() || r.cfg.Versioning == nil {
		return
	}
	v := &r.versions
	select {
	case v.turn <- struct{}{}:
		defer func() { <-v.turn }()
	case <-ctx.Done():
		return
	}
	if !v.settled && (id != "" || !v.unnamed) && contradicts(id, v.now) {
		r.askVersioning(ctx, v, it, inferred)
	}
	if id == "" && (v.now == object.VersioningOff || v.now == object.VersioningSuspended) {
		it.made = object.NullVersion // which what has no ID is
	}
}

// askVersioning asks the store whether it keeps versions, since what it made says otherwise.
// REQUIRES: v.turn is held.
func (r *run) askVersioning(ctx context.Context, v *keeping, it *item, inferred bool) {
	now, told := r.versioningNow(ctx)
	was := v.now
	if !told || inferred && now == was {
		return
	}
	stands := now == was
	if stands && it.made == "" && r.rules.Caps.IsAWS() {
		v.unnamed = true
		return
	}
	v.now, v.settled, v.changed = now, stands, v.changed || !stands
	switch {
	case stands && was == object.VersioningEnabled:
		v.now = object.VersioningSuspended
		r.cfg.Log.Warn("the bucket says that it keeps versions, and keeps none of this key; each object is looked at before it is copied from now on", "object", it.obj.Ref.String())
	case stands:
	case was != object.VersioningEnabled:
		r.cfg.Log.Warn("the versions that copies make are not those of the bucket as it was; it has changed since the run began", "versioning", was.String(), "now", now.String())
	default:
		r.fail(it.tookNull(now))
	}
}

// versioningTries is how often a store is asked that does not tell: one that is asked too
// much at the moment must not end a run.
const versioningTries = 4

// versioningNow asks whether versions are kept; told is false where the run ended meanwhile.
func (r *run) versioningNow(ctx context.Context) (now object.Versioning, told bool) {
	for n := 1; ; n++ {
		now, err := r.cfg.Versioning(ctx)
		switch {
		case ctx.Err() != nil:
			return object.VersioningUnknown, false
		case err == nil && now != object.VersioningUnknown:
			return now, true
		case n == versioningTries:
			return object.VersioningUnknown, true
		case r.loop.Pause(ctx, n, err) != nil:
			return object.VersioningUnknown, false
		}
	}
}

// tookNull is why a run stops that took the bucket for one that keeps versions.
func (it *item) tookNull(now object.Versioning) error {
	when := "when the run began"
	if it.run.cfg.Facts.Versioning != object.VersioningEnabled {
		when = "while the run went on"
	}
	if now == object.VersioningUnknown {
		return fmt.Errorf("versioning of s3://%s was enabled %s, and the store does not tell whether it still is: the copy of %s took the place of the key's null version, if there was one. "+
			"See that it is enabled, and that it may be read (s3:GetBucketVersioning), and run again", it.obj.Bucket, when, it.obj.Key)
	}
	return fmt.Errorf("versioning of s3://%s was enabled %s and is %s now: the copy of %s took the place of the key's null version, if there was one. "+
		"Set it back and run again", it.obj.Bucket, when, now, it.obj.Key)
}

// contradicts says whether a version that a copy made is one that no bucket makes which
// keeps versions like that; one without an ID is of a store that names them.
func contradicts(id string, kept object.Versioning) bool {
	switch kept {
	case object.VersioningEnabled:
		return id == object.NullVersion || id == ""
	case object.VersioningSuspended:
		return id != object.NullVersion
	}
	return kept == object.VersioningOff && id != ""
}

// keepsOldVersion says whether a copy left the previous version behind: by the version that
// the store says it made, since the bucket may have changed after its settings were read.
func (it *item) keepsOldVersion() bool {
	id, began := cmp.Or(it.out.NewVersionID, it.made), it.run.cfg.Facts.Versioning
	switch {
	case id == object.NullVersion, id == "" && maySuspend(began):
		return it.version != "" && it.version != object.NullVersion
	case id == "": // the store names none, so that nothing newer is known
		return began == object.VersioningEnabled
	case it.run.rules.Caps.IsAWS(): // nothing but a bucket that keeps versions has one there
		return true
	}
	return it.run.versioning() != object.VersioningOff // nor elsewhere, as far as anybody says
}

// TookNullVersion is what the row says of a write that became the null version in a bucket
// that was taken for one that keeps versions.
const TookNullVersion = "the bucket did not keep versions of it by then: the copy took the place of the key's null version, if there was one"

// overNull is an outcome that says so where what was written became the null version in a
// bucket that was taken for one that keeps versions, so that nobody had looked for an older
// one.
func (it *item) overNull(out *object.Outcome) {
	if it.run.cfg.Facts.Versioning != object.VersioningEnabled || it.made != object.NullVersion || it.noNull && !it.unnamedOf() ||
		out.Inferred && it.run.versioning() == object.VersioningEnabled {
		return
	}
	adds(out, TookNullVersion)
	if it.version == "" { // nobody has looked at what was copied
		adds(out, "what was copied may be there still as an older version, which is not counted")
	}
}

// current waits until what objects are decided by is known to hold still, before one is
// copied or written again by it.
func (r *run) current(ctx context.Context, op object.Operation) error {
	switch op {
	case object.OpNone, object.OpUndecided, object.OpUpdate:
		return nil
	}
	if r.cfg.Current == nil {
		return nil
	}
	return r.cfg.Current(ctx)
}

// overNullThere looks for an older null version where --dest leads and nothing is: a delete
// marker hides it, and where versioning is suspended what is written takes its place.
func (it *item) overNullThere(ctx context.Context, dest object.Ref) (*object.Outcome, error) {
	if there := it.run.cfg.DestFacts; there == nil || there.Versioning != object.VersioningSuspended && !there.KeepsNoneOfSome {
		return nil, nil
	}
	there, err := it.run.look.NullVersion(ctx, it.run.cfg.Store.Hot, dest)
	if err != nil || !there {
		return nil, err
	}
	return it.left(object.ReasonNullVersion, "versions of that key are not kept there, and a copy would overwrite the null version of "+dest.String()+", which lies below a delete marker; "+
		"turn versioning on for the time of the job, or remove that version"), nil
}
