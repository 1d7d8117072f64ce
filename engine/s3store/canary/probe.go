package canary

import (
	"context"
	"errors"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store/patience"
)

// Probe finds out what the store can do with the job, and takes away what it made.
//
// On a bucket with Object Lock the throwaway objects carry at most a governance
// retention of a few seconds, which is bypassed or waited for.
//
// An error means that nothing is known: no connection, no permission to write, a
// KMS key that cannot be used. A store that does not encrypt is no error; see
// Capabilities.Encrypts and the Notes.
func Probe(ctx context.Context, s Store, o Options) (object.Capabilities, error) {
	caps, clean, err := Ask(ctx, s, o)
	return caps, errors.Join(err, clean(ctx))
}

// Ask is Probe without the end: clean takes away what was made, and is to be called
// whatever the error. It may be called while the answers are used already.
func Ask(ctx context.Context, s Store, o Options) (caps object.Capabilities, clean func(context.Context) error, err error) {
	c := newCanary(s, o, newName(o.Prefix))
	defer func() {
		carryOver(c.caps, o.Known)
		caps = *c.caps
		caps.Notes = c.notes
	}()
	clean = func(ctx context.Context) error {
		if len(c.litter.made) == 0 {
			return nil
		}
		return c.clean(ctx)
	}
	if o.Announce != nil {
		if err := o.Announce(c.name); err != nil {
			return caps, clean, err
		}
	}
	// A request that is broken off may still make an object after everything was
	// removed: once the context ends no other is sent, and the last are waited for.
	c.wanted = func() error {
		if ctx.Err() != nil {
			return patience.Ended(ctx, "Probe", o.Bucket)
		}
		return nil
	}
	asking, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(lateRequest, cancel) })()
	if err = c.prepare(asking); err == nil {
		err = c.probe(asking)
	}
	if err == nil {
		err = c.instead()
	}
	return caps, clean, err
}

// probe asks the most decisive questions first; later ones need their answers.
func (c *canary) probe(ctx context.Context) error {
	if err := c.honesty(ctx); err != nil || c.unfit() {
		return err
	}
	if err := c.together(ctx, (*canary).copying, (*canary).details); err != nil || c.unfit() {
		return err
	}
	c.settleTagging()
	return c.listMetadata(ctx)
}

// unfit says whether the store encrypts nothing, so that there is no use in asking on.
// Who accepts such a store gets findings that are assumed.
func (c *canary) unfit() bool {
	if c.caps.Encrypts != object.No {
		return false
	}
	if !c.o.AcceptUnproven {
		return true
	}
	if c.caps.Source == "canary" {
		c.caps.Source, c.caps.Encrypts = "assumed", object.Unknown
	}
	return false
}

// honesty: does the store look at what it is asked for, and does it do that?
func (c *canary) honesty(ctx context.Context) error {
	honest, seen := object.Unknown, object.Unknown
	err := c.together(ctx,
		func(q *canary, ctx context.Context) (err error) { honest, err = q.madeUpAlgorithm(ctx); return err },
		func(q *canary, ctx context.Context) (err error) {
			seen, err = q.underTarget(ctx)
			// What later questions build upon.
			c.dress, c.kept, c.direct, c.target, c.targetRefused = q.dress, q.kept, q.direct, q.target, q.targetRefused
			return err
		})
	c.caps.Encrypts = seen
	if honest == object.No {
		c.caps.Encrypts = object.No
	}
	if err == nil && c.caps.Encrypts == object.No && !c.o.AcceptUnproven {
		*c.caps = object.Capabilities{Source: c.caps.Source, Encrypts: object.No} // whatever else it shows
	}
	return err
}

// madeUpAlgorithm: a store that takes an encryption that does not exist does not
// look at what it is asked for.
func (c *canary) madeUpAlgorithm(ctx context.Context) (object.Finding, error) {
	err := c.putMadeUp(ctx)
	if class := object.ClassOf(err); class == object.ClassGone || class == object.ClassChanged {
		err = c.putMadeUp(ctx) // no store says that of this request: whose answer was it?
	}
	switch {
	case err == nil:
		c.note("PutObject with an encryption that does not exist answered 200: this store does not encrypt")
		return object.No, nil
	case undecided(err):
		return object.Unknown, err
	case denied(err):
		_, _, err := c.put(ctx, "write", nil) // a missing permission, or a refusal that came as 403?
		return object.Unknown, err
	}
	return object.Unknown, nil
}

func (c *canary) putMadeUp(ctx context.Context) error {
	t, p := c.throwaway("algorithm", nil)
	return c.try(ctx, func() error {
		rep, err := c.s.PutUnder(ctx, p, "reseal-made-up")
		if err == nil {
			c.litter.object(t.ref, rep.VersionID)
		}
		return err
	})
}

// copying is all that is about copies, and about what takes their place.
func (c *canary) copying(ctx context.Context) error {
	err := c.together(ctx, func(q *canary, ctx context.Context) error {
		defer func() { c.uploaded = q.uploaded }()
		return q.routes(ctx)
	}, (*canary).rewrite)
	if err != nil || c.unfit() {
		return err
	}
	return c.together(ctx, (*canary).attributesAnyway, (*canary).single, (*canary).locks, (*canary).otherSums)
}
