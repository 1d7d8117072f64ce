package job

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/planner"
	"github.com/resealhq/reseal/planner/listing"
)

// versionPruner prunes noncurrent versions that are selected, by whomever they were made.
// One goes, by its exact version ID, only where the store shows twice that it is not the
// current version; that there is a current version, which is no delete marker and is under
// the job's target; that the old one is the one that was listed and is under what was
// selected, and not under the target itself; and that nothing locks it. What lies outside
// the job's own source and patterns is not looked at.
type versionPruner struct {
	*pruner
	own, sel planner.Selection
	record   *versionRecord
	told     map[object.Ref]bool // what an earlier prune left open, and has a row now
	// suspended: the bucket does not keep versions any more, so that the next write may
	// take the place of one. All of them are kept.
	suspended bool
	mu        sync.Mutex
	batch     []*candidate // guarded by mu
}

// errEnough ends the listing where the selection's limit is reached.
var errEnough = errors.New("the limit of the selection is reached")

// selectable refuses what nobody could select noncurrent versions by.
func (o *PruneOptions) selectable(j *Job) error {
	switch {
	case o.Noncurrent == nil && o.OverMarkers:
		return unusable("PruneOptions.OverMarkers was given without PruneOptions.Noncurrent", "leave it out")
	case o.Noncurrent == nil:
		return nil
	case j.Spec.Source.Manifest != "":
		return unusablef("begin a job on s3://BUCKET and prune that one; without PruneOptions.Noncurrent the versions that this job's copies left behind go",
			"the job in %s is about the list %s, and noncurrent versions can be selected of a bucket or a prefix only", j.Dir, j.Spec.Source.Manifest)
	case len(o.Noncurrent.OnlyClientSide) > 0:
		return unusable("Selection.OnlyClientSide cannot select noncurrent versions", "leave it out")
	}
	o.Noncurrent.Versions = "all"
	return o.Noncurrent.Validate()
}

// openVersions looks at the settings and opens the record.
func (p *pruner) openVersions(ctx context.Context) (work func(context.Context) error, err error) {
	v := &versionPruner{pruner: p, told: map[object.Ref]bool{}}
	if v.own, err = (&Selection{Patterns: p.job.Spec.Selection.Patterns, Versions: "all"}).planned(p.job.Spec.Source.Prefix); err != nil {
		return nil, err
	}
	if v.sel, err = p.opt.Noncurrent.planned(p.job.Spec.Source.Prefix); err != nil {
		return nil, err
	}
	if err := errors.Join(p.knownSettings(ctx), p.opt.Noncurrent.refuseAliases(ctx, p.store, p.learnt.Bucket)); err != nil {
		return nil, err
	}
	v.suspended = p.facts.Versioning == object.VersioningSuspended
	if p.facts.Versioning == object.VersioningOff && p.job.whole == nil { // else others may have some
		return nil, unusablef("there is nothing to do", "s3://%s keeps no versions", p.learnt.Bucket)
	}
	if v.record, err = openVersionRecord(p.job, p.opt.Delete); err != nil {
		return nil, err
	}
	p.rule, p.journal = v, v.record
	return v.work, nil
}

// work tells what earlier prunes deleted, and goes through the versions that are listed.
func (v *versionPruner) work(ctx context.Context) error {
	v.begin()
	past := &pastUnreadable{Store: v.store}
	src := v.job.Part.part(&listing.Source{Lister: past, Bucket: v.learnt.Bucket, Prefix: v.spec.Source.Prefix, Versions: true,
		Metadata: v.learnt.Caps.ListMetadata == object.Yes, Send: v.reads.Do})
	err := v.record.earlier(func(c *candidate) {
		v.result.Versions++
		v.row(c)
	})
	if err == nil && v.sel.Limit > 0 {
		err = v.untold(ctx, true)
	}
	if err == nil && v.enough() {
		err = errEnough
	}
	if err == nil {
		err = src.Read(ctx, nil, func(p object.Page) error { return v.page(ctx, p.Objects) })
	}
	if err == nil {
		err = v.flush(ctx)
	}
	if err == nil {
		err = v.untold(ctx, false)
	}
	if errors.Is(err, errEnough) {
		err = nil
	}
	v.out.Flush()
	return errors.Join(cmp.Or(err, past.lost()), v.out.Error())
}

// page takes in the noncurrent versions of a page that may be selected.
func (v *versionPruner) page(ctx context.Context, rows []object.Object) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := range rows {
		o := &rows[i]
		if !o.Noncurrent || v.own.Match(o) == planner.No || v.sel.Match(o) == planner.No {
			continue
		}
		if v.told[o.Ref] {
			continue
		}
		c := &candidate{old: o.Ref, planned: *o}
		c.intended = v.record.listed(c)
		if v.batch = append(v.batch, c); len(v.batch) < v.room() {
			continue
		}
		if err := v.flushBatch(ctx); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// enough says whether as many versions were taken as the limit says, those of earlier prunes
// among them: the same command, given again, goes on with what it had begun.
func (v *versionPruner) enough() bool { return v.sel.Limit > 0 && v.result.Versions >= v.sel.Limit }

// room is how many versions are looked at together: no more than the limit leaves.
func (v *versionPruner) room() int {
	if v.sel.Limit == 0 {
		return pruneBatch
	}
	return int(min(pruneBatch, v.sel.Limit-min(v.result.Versions, v.sel.Limit)))
}

func (v *versionPruner) flush(ctx context.Context) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.flushBatch(ctx)
}

// flushBatch REQUIRES: v.mu.
func (v *versionPruner) flushBatch(ctx context.Context) error {
	batch := v.batch
	v.batch = v.batch[:0]
	err := v.pruner.batch(ctx, batch)
	for _, c := range batch {
		if c.state != "" {
			v.result.Versions++
		}
	}
	if err == nil && v.enough() {
		return errEnough
	}
	return err
}

// untold tells of the versions that an earlier prune was about to delete, and of which it did not
// come to record that they are deleted. Before the listing it leaves to that what is there; where
// nobody tells whether it is, it may have been taken, and counts.
func (v *versionPruner) untold(ctx context.Context, before bool) error {
	var told []*candidate
	for _, c := range v.record.unlisted() {
		_, err := v.head(ctx, c.old, c.outcome.Before.Type)
		switch {
		case err == nil && before:
			continue
		case err == nil:
			c.keep(KeptUnproved, "an earlier prune was about to delete it; it is there, and not listed")
		case object.ClassOf(err) == object.ClassGone:
			c.earlier = true
			c.deletedNow(deletedEarlier)
		default:
			if err := v.aboutOne(ctx, c, KeptUnread, "an earlier prune was about to delete it, and whether it is there is not told", err); err != nil {
				return err
			}
		}
		v.record.listed(c)
		v.told[c.old] = true
		v.result.Versions++
		v.row(c)
		told = append(told, c)
	}
	if v.result.Dry {
		return nil
	}
	return v.record.done(told)
}

// judge looks at the version first: most are not selected.
func (v *versionPruner) judge(ctx context.Context, c *candidate) error {
	h, err := v.old(ctx, c)
	switch {
	case c.state == PruneGone && c.intended != "":
		c.earlier = true
		c.deletedNow(deletedEarlier)
		return nil
	case h == nil:
		return err
	case !v.selected(c, h):
		return nil
	}
	c.outcome = object.Outcome{Size: h.Size, ETagBefore: h.ETag, Before: h.Encryption}
	switch {
	case h.LastModified.Unix() != c.planned.LastModified.Unix():
		c.keep(KeptOther, "it was listed as of %s, and is of %s", c.planned.LastModified.UTC(), h.LastModified.UTC())
		return nil
	case v.suspended:
		c.keep(KeptVersioning, "versioning of the bucket is suspended")
		return nil
	}
	if ok, err := v.stands(ctx, c); !ok {
		return err
	}
	return v.free(ctx, c, h)
}

// mayGo looks a second time.
func (v *versionPruner) mayGo(ctx context.Context, c *candidate) error {
	h, err := v.old(ctx, c)
	switch {
	case h == nil:
		return err
	case h.ETag != c.outcome.ETagBefore || h.Size != c.outcome.Size || h.LastModified.Unix() != c.planned.LastModified.Unix():
		c.keep(KeptOther, "it has the ETag %s and %d bytes, and had %s and %d before", h.ETag, h.Size, c.outcome.ETagBefore, c.outcome.Size)
		return nil
	case !v.selected(c, h):
		c.keep(KeptOther, "it is under %s %s now", h.Encryption.Type, h.Encryption.KMSKeyID)
		return nil
	}
	return v.free(ctx, c, h)
}

// old is what the store shows of the version; nil where that decides already. What is
// wrong with its own key concerns it alone.
func (v *versionPruner) old(ctx context.Context, c *candidate) (*object.Head, error) {
	h, err := v.head(ctx, c.old, object.SSEUnknown)
	switch class := object.ClassOf(err); {
	case err == nil:
		return &h, nil
	case class == object.ClassGone:
		c.gone("deleted since it was listed")
	case class == object.ClassKey && ctx.Err() == nil:
		c.keep(KeptUnread, "the old version cannot be read: %v", err)
	default:
		return nil, v.aboutOne(ctx, c, KeptUnread, "the old version cannot be read", err)
	}
	return nil, nil
}

// selected says whether the version, as a HEAD shows it, is meant. One under the target,
// or under its key, is nothing that a re-encryption left behind.
func (v *versionPruner) selected(c *candidate, h *object.Head) bool {
	o := h.Object
	o.Ref, o.Noncurrent, o.DeleteMarker = c.old, true, false
	e, t := h.Encryption, &v.target
	under := t.MetBy(e) || e.Type.KMS() && e.Type == t.SSE && !t.UnderOtherKey(e)
	return !under && v.sel.Match(&o) == planner.Yes
}

func (v *versionPruner) free(ctx context.Context, c *candidate, h *object.Head) error {
	if ok, err := v.unlocked(ctx, c, h); !ok || !v.replicated(c, h) {
		return err
	}
	c.state, c.reason, c.message = PruneWould, "", ""
	return nil
}

// stands proves the current version: there is one, it is another one, and it is under the
// target.
func (v *versionPruner) stands(ctx context.Context, c *candidate) (bool, error) {
	h, err := v.head(ctx, c.current(), v.target.SSE)
	switch e := &h.Encryption; {
	case object.ClassOf(err) == object.ClassGone && v.opt.OverMarkers:
		return v.marked(ctx, c)
	case object.ClassOf(err) == object.ClassGone:
		c.keep(KeptDeleted, "the object was deleted, and an old version may be what is wanted back")
	case err != nil:
		return false, v.aboutOne(ctx, c, KeptUnproved, "the current version cannot be read", err)
	case h.ShownVersionID == "":
		c.keep(KeptUnproved, "the store does not tell which version is the current one")
	case h.ShownVersionID == c.old.VersionID:
		c.keep(KeptCurrent, "it has become the current version")
	case !v.target.MetBy(*e):
		c.keep(KeptUnproved, "the current version is under %s, which is not the job's target", strings.TrimSpace(e.Type.String()+" "+e.KMSKeyID))
	default:
		c.now, c.outcome.NewVersionID = &h, h.ShownVersionID
		return v.opens(ctx, c, &h)
	}
	return false, nil
}

// marked says whether the newest version of the object is a delete marker.
func (v *versionPruner) marked(ctx context.Context, c *candidate) (bool, error) {
	own, _, err := v.versionsOf(ctx, c.old, 4)
	switch {
	case err != nil:
		return false, v.aboutOne(ctx, c, KeptUnproved, "its versions cannot be listed", err)
	case len(own) == 0 || !own[0].DeleteMarker || own[0].Noncurrent || own[0].VersionID == "":
		c.keep(KeptUnproved, "the object is not there, and no delete marker is listed as its current version")
		return false, nil
	}
	c.now, c.outcome.NewVersionID = nil, own[0].VersionID
	return true, nil
}

// harmed looks for what was the current version by its ID: a newer one is no harm.
func (v *versionPruner) harmed(ctx context.Context, c *candidate) (string, error) {
	if c.now == nil {
		if ok, err := v.marked(ctx, c); err != nil || ok {
			return "", err
		}
		return c.message, nil
	}
	ref := c.current()
	ref.VersionID = c.outcome.NewVersionID
	_, err := v.head(ctx, ref, v.target.SSE)
	if object.ClassOf(err) == object.ClassGone {
		return fmt.Sprintf("the current version %s is gone with it", ref.VersionID), nil
	}
	return "", err
}

func (v *versionPruner) listed(ctx context.Context, c *candidate) (bool, error) {
	own, whole, err := v.versionsOf(ctx, c.old, 0)
	if err != nil {
		return false, v.aboutOne(ctx, c, KeptUnproved, "its versions cannot be listed", err)
	}
	for i := range own {
		if own[i].VersionID == c.old.VersionID {
			return true, nil
		}
	}
	if !whole {
		c.keep(KeptUnproved, "it has more versions than are listed together")
	}
	return false, nil
}

// versionsOf is the first page of one key's versions, and whether those are all. What MinIO lists of
// deleted ones is none; where it leaves no room for others in a short page, a long one is asked for.
func (p *pruner) versionsOf(ctx context.Context, ref object.Ref, most int) (own []object.Object, whole bool, err error) {
	var page object.ListReply
	err = p.reads.Do(ctx, object.Call{Kind: object.ReqList, Key: ref.Key}, func(ctx context.Context) (err error) {
		page, err = p.store.ListVersionsPage(ctx, object.ListRequest{Bucket: ref.Bucket, Prefix: ref.Key, MaxKeys: most})
		return err
	})
	whole, freed := !page.Truncated, false
	for _, o := range page.Objects {
		switch {
		case o.Key != ref.Key:
			whole = true
		case o.Freed():
			freed = true
		default:
			own = append(own, o)
		}
	}
	if freed && !whole && most > 0 {
		return p.versionsOf(ctx, ref, 0)
	}
	return own, whole, err
}
