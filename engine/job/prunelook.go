package job

import (
	"context"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// This file looks at a version and at the one above it, and decides. It changes nothing.

// judge decides by what the store shows now. Its error concerns everything.
func (p *pruner) judge(ctx context.Context, c *candidate) error {
	if c.outcome.NewVersionID == "" {
		c.keep(KeptUnnamed, "the store did not tell which version the copy became")
		return nil
	}
	if c.intended != "" {
		if there, err := p.intendedThere(ctx, c); !there {
			return err
		}
	}
	if c.outcome.NewVersionID == object.NullVersion {
		c.keep(KeptVersioning, "the copy became the null version, whose place any write takes where versioning is suspended, so that its ID proves nothing")
		return nil
	}
	if ok, err := p.stands(ctx, c); !ok {
		return err
	}
	below, err := p.below(ctx, c)
	if below == nil {
		return err
	}
	c.old.VersionID = below.VersionID
	return p.mayGo(ctx, c)
}

// stands says whether the current version is the job's own, as it wrote it.
func (p *pruner) stands(ctx context.Context, c *candidate) (bool, error) {
	o := &c.outcome
	h, err := p.head(ctx, c.current(), o.After.Type)
	switch {
	case object.ClassOf(err) == object.ClassGone:
		c.keep(KeptDeleted, "the object was deleted since it was copied, and the version before may be what is wanted back")
		return false, nil
	case err != nil:
		return false, p.aboutOne(ctx, c, KeptUnproved, "the current version cannot be read", err)
	case h.ShownVersionID != o.NewVersionID:
		c.keep(KeptNewer, "the current version is %q, and this job wrote %q", h.ShownVersionID, o.NewVersionID)
		return false, nil
	}
	if what := p.compare(o, &h); what != "" {
		c.keep(KeptUnproved, "of the current version %s", what)
		return false, nil
	}
	c.now = &h
	return p.opens(ctx, c, &h)
}

// below finds the version that lies directly below the job's own.
func (p *pruner) below(ctx context.Context, c *candidate) (*object.Object, error) {
	own, whole, err := p.versionsOf(ctx, c.old, 4)
	if err != nil {
		return nil, p.aboutOne(ctx, c, KeptUnproved, "its versions cannot be listed", err)
	}
	switch {
	case len(own) == 0 && !whole:
		c.keep(KeptUnproved, "no version of it is listed among what the store has still to take out of a tier")
	case len(own) == 0 || own[0].VersionID != c.outcome.NewVersionID || own[0].Noncurrent || own[0].DeleteMarker:
		c.keep(KeptNewer, "the listing does not show the version that this job wrote as the current one")
	case len(own) == 1 && !whole:
		c.keep(KeptUnproved, "the store lists no more than one version of the key together")
	case c.intended != "" && (len(own) == 1 || own[1].VersionID != c.intended):
		c.keep(KeptOther, "another version lies between it and the job's own now")
	case len(own) == 1:
		c.gone("no version lies below the job's own")
	case own[1].DeleteMarker || !own[1].Noncurrent || own[1].VersionID == "":
		c.keep(KeptOther, "what lies below the job's own version is no version that could be copied")
	default:
		return p.same(c, &own[1]), nil
	}
	return nil, nil
}

// intendedThere looks for the version that an earlier prune was about to delete: that
// one alone may go, whatever lies there now.
func (p *pruner) intendedThere(ctx context.Context, c *candidate) (bool, error) {
	c.old.VersionID = c.intended
	switch _, err := p.head(ctx, c.old, c.outcome.Before.Type); {
	case object.ClassOf(err) == object.ClassGone:
		c.earlier = true
		c.deletedNow(deletedEarlier)
		return false, nil
	case err != nil:
		return false, p.aboutOne(ctx, c, KeptUnread, "the old version cannot be read", err)
	}
	return true, nil
}

const deletedEarlier = "an earlier prune of this job was about to delete it, and it is not there any more"

// same is the version if it is the one that the plan saw. An equal ETag alone would
// mean a version of the same bytes too, whoever wrote it.
func (p *pruner) same(c *candidate, o *object.Object) *object.Object {
	row := &c.planned
	switch {
	case row.VersionID != "" && row.VersionID == o.VersionID:
		return o
	case row.VersionID != "":
		c.keep(KeptOther, "version %q lies below the job's own, and %q was planned", o.VersionID, row.VersionID)
	case row.LastModified.IsZero():
		c.keep(KeptTooOld, "the source of the plan told neither version nor date, so which version was copied is not known for certain")
	case row.LastModified.Unix() != o.LastModified.Unix():
		c.keep(KeptOther, "the version below the job's own is of %s, and the one that was planned of %s", o.LastModified.UTC().Format(time.RFC3339), row.LastModified.UTC().Format(time.RFC3339))
	default:
		return o
	}
	return nil
}

// mayGo looks at the old version itself: whether it is what was copied, and whether
// anything locks it.
func (p *pruner) mayGo(ctx context.Context, c *candidate) error {
	h, err := p.head(ctx, c.old, c.outcome.Before.Type)
	switch {
	case object.ClassOf(err) == object.ClassGone:
		c.gone("deleted since it was listed")
		return nil
	case err != nil:
		return p.aboutOne(ctx, c, KeptUnread, "the old version cannot be read", err)
	case h.ETag != c.outcome.ETagBefore || h.Size != c.outcome.Size:
		c.keep(KeptOther, "the version below the job's own has the ETag %s and %d bytes, and what was copied %s and %d", h.ETag, h.Size, c.outcome.ETagBefore, c.outcome.Size)
		return nil
	}
	if ok, err := p.unlocked(ctx, c, &h); !ok || !p.replicated(c, &h) {
		return err
	}
	if ok, err := p.copied(ctx, c, &h); !ok {
		return err
	}
	c.state, c.reason, c.message = PruneWould, "", ""
	return nil
}

// harmed says whether the job's own version is not the current one any more.
func (p *pruner) harmed(ctx context.Context, c *candidate) (string, error) {
	ok, err := p.stands(ctx, c)
	if err != nil || ok {
		return "", err
	}
	return c.message, nil
}

// listed says whether the version is the one below the job's own still.
func (p *pruner) listed(ctx context.Context, c *candidate) (bool, error) {
	below, err := p.below(ctx, c)
	return below != nil && below.VersionID == c.old.VersionID, err
}

// unlocked keeps a version that anything locks, and one of which that cannot be read.
func (p *pruner) unlocked(ctx context.Context, c *candidate, h *object.Head) (bool, error) {
	locked := lockOf(h.LockMode, h.RetainUntil, h.LegalHold, h.EventHold)
	if locked == "" && p.facts.ObjectLock != object.No {
		var mode string
		var until time.Time
		var hold bool
		err := p.reads.Do(ctx, object.Call{Kind: object.ReqGetDetail, Key: c.old.Key}, func(ctx context.Context) (err error) {
			mode, until, hold, err = p.store.Lock(ctx, c.old)
			return err
		})
		if err != nil {
			return false, p.aboutOne(ctx, c, KeptUnread, "whether it is locked cannot be read", err)
		}
		locked = lockOf(mode, until, hold, false)
	}
	if locked != "" {
		c.keep(KeptLocked, "%s", locked)
	}
	return locked == "", nil
}

// clocksDiffer is how far this machine's clock may be ahead of the store's, where a
// retention has run out by this machine's.
const clocksDiffer = 15 * time.Minute

func lockOf(mode string, until time.Time, hold, event bool) string {
	switch {
	case hold:
		return "a legal hold is on it"
	case event:
		return "an event hold is on it"
	case mode != "" && until.IsZero():
		return "a retention (" + mode + ") locks it, and the store does not tell until when"
	case mode != "" && time.Now().Before(until.Add(clocksDiffer)):
		return "a retention (" + mode + ") locks it until " + until.UTC().Format(time.RFC3339)
	}
	return ""
}
