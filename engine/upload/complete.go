package upload

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/resealhq/reseal/engine/look"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/retry"
)

const completeOp = "CompleteMultipartUpload"

// complete ends the upload, conditional on the destination. Where the answer is
// lost, ListParts tells whether the upload is still there to be completed.
func (m *Copy) complete(ctx context.Context, src Source, u *object.Upload, parts []object.Part) (object.CopyReply, error) {
	ctx = retry.Ending(ctx)
	c := &completion{m: m, src: src, u: u, req: m.c.Rules.Complete(u, src.Object, parts)}
	if len(parts) == 1 && !look.MayHide(src.Object, &m.c.Rules.Caps) { // the parts have shown that the key can be used
		c.looked = src.Looked
	}
	if !c.Late() && !c.guarded() {
		if err := c.standsAsBefore(ctx); err != nil {
			return c.reply, err
		}
	}
	call := object.Call{Kind: object.ReqComplete, Key: u.Target.Key, KMSKey: m.c.Rules.KMSKey(src.Object), OtherKey: m.c.Rules.OtherKey(src.Object)}
	lost, err := m.c.Loop.Certain(ctx, call, c.send, c)
	m.CompleteLost = m.CompleteLost || lost
	if class := object.ClassOf(err); err != nil && lost && class != object.ClassChanged && class != object.ClassGone {
		err = unansweredError{err}
	}
	return c.reply, err
}

// unansweredError is why an upload is given up of which a Complete got no answer. It may have
// been completed, or be yet, so that its record has to stay.
type unansweredError struct{ error }

func (e unansweredError) Unwrap() error { return e.error }

// mayBeCompleted says whether an upload that is given up for that reason may be complete.
func mayBeCompleted(cause error) bool {
	_, unanswered := errors.AsType[unansweredError](cause)
	return unanswered || object.MaybeApplied(cause)
}

// completion is the Complete of an upload, and what it has come to. It narrows the window in
// which what others change is lost. Nothing in S3 guards tags, annotations, grants, lock and
// metadata; the parts of a long copy give people hours to change them, and so do requests that
// wait for the store.
type completion struct {
	m   *Copy
	src Source
	u   *object.Upload
	req *object.CompleteRequest
	// looked is when the object was seen to be what the upload was begun for; zero where it
	// has to be looked at in any case.
	looked time.Time
	reply  object.CopyReply
}

func (c *completion) send(ctx context.Context) (err error) {
	c.m.Attempts++
	c.reply, err = c.m.c.Store.CompleteUpload(ctx, c.req)
	return noUpload(err)
}

// Late says whether the object has to be looked at before Complete is sent. Where a single
// part was copied at once, that window is no longer than a CopyObject's.
func (c *completion) Late() bool { return retry.LongAgo(c.looked, retry.LookedWithin) }

// Ask finds out what became of a Complete whose answer was lost, and looks at the object.
func (c *completion) Ask(ctx context.Context, _ object.Call, lost error) (applied bool, err error) {
	if lost == nil {
		return false, c.looksTheSame(ctx)
	}
	found, err := c.becameOf(ctx)
	switch {
	case found != nil:
		c.reply = *found
		return true, nil
	case err == nil, errors.Is(err, retry.ErrStopping), object.ClassOf(err) == object.ClassChanged, object.ClassOf(err) == object.ClassGone:
		return false, err
	}
	return false, lost // what became of it is not known: the upload's record has to stay
}

// becameOf finds what a Complete whose answer was lost has made; nil where it may be sent
// again, on an object that has what it had. Where that has something else, or is gone, the upload
// is ended, or the request would come through later, when nobody knows any more what it drops.
func (c *completion) becameOf(ctx context.Context) (*object.CopyReply, error) {
	found, err := c.m.completedAlready(ctx, c.u)
	if found != nil || err != nil {
		return found, err
	}
	err = c.looksTheSame(ctx)
	if class := object.ClassOf(err); class != object.ClassChanged && class != object.ClassGone {
		return nil, err
	}
	if found, ferr := c.m.completedAlready(ctx, c.u); found != nil || ferr != nil { // it came through meanwhile
		return found, ferr
	}
	switch gone, eerr := c.m.c.end(ctx, c.u); {
	case eerr != nil:
		return nil, eerr
	case gone: // since then
		if found, ferr := c.m.completedAlready(ctx, c.u); found != nil || ferr != nil {
			return found, ferr
		}
	}
	return nil, err
}

// guarded says whether Complete has a condition on the bytes that stand where it goes.
func (c *completion) guarded() bool { return c.req.DestETag != "" || c.req.DestAbsent }

// standsAsBefore looks at what stands where the upload goes.
func (c *completion) standsAsBefore(ctx context.Context) error {
	h, err := c.m.c.Look.Head(ctx, c.m.c.Store.Hot, c.u.Target)
	inPlace := c.m.c.Rules.Dest.InPlace()
	switch {
	case object.ClassOf(err) == object.ClassGone && !inPlace:
		return nil
	case err != nil:
		return err
	case !inPlace, h.ETag != c.u.ETag:
		return look.ChangedSince(completeOp, c.u.Target)
	}
	return nil
}

// looksTheSame inspects the object for unchanged.
func (c *completion) looksTheSame(ctx context.Context) error {
	now, err := c.m.c.Look.Inspect(ctx, &c.m.row, c.src.Changed || !c.guarded())
	if err == nil && !c.guarded() && !c.m.c.Rules.Dest.InPlace() {
		err = c.standsAsBefore(ctx)
	}
	switch {
	case err != nil:
		return err
	case now.Encryption != c.src.Encryption, look.Revealed(c.src.Object, &now.Object):
		return look.ChangedSince(completeOp, c.u.Target)
	}
	if err = c.m.unchanged(ctx, now, c.u); err == nil {
		c.looked = now.At
	}
	return err
}

// unchanged is an error of ClassChanged where the object, inspected just now, is
// another one than the upload was begun for, or carries something else. The request
// tells only what can be carried: tags that this store shows the number of, and not
// the text, are no part of it, so that the object is decided on again as well.
func (m *Copy) unchanged(ctx context.Context, now *object.Head, u *object.Upload) error {
	if now.ETag == u.ETag && now.Size == u.Size {
		if err := m.c.Look.ReadTags(ctx, now.Ref, &now.Attributes); err != nil {
			return err
		}
		if err := m.c.Look.ListAnnotations(ctx, &now.Object, &now.Attributes); err != nil {
			return err
		}
		req := m.c.Rules.Copy(&now.Object, &now.Attributes, object.Choice{Operation: object.OpMultipart}, time.Now())
		if bytes.Equal(req.Carries(), u.Carries) && (m.Leaves == nil || !m.Leaves(now)) {
			return nil
		}
	}
	return look.ChangedSince(completeOp, u.Target)
}

// completedAlready asks what became of a Complete whose answer was lost. An upload
// that is still listed was not completed.
func (m *Copy) completedAlready(ctx context.Context, u *object.Upload) (*object.CopyReply, error) {
	_, err := m.c.listParts(ctx, u)
	if object.ClassOf(err) != object.ClassNoUpload {
		return nil, err
	}
	h, err := m.c.Look.Head(ctx, m.c.Store.Hot, u.Target)
	if err != nil {
		return nil, err
	}
	made := h.Size == u.NewSize() && (m.keptNone() || m.c.Rules.Target.Satisfied(&h.Object))
	if made && m.made != nil {
		if made, err = m.made(ctx, h); err != nil {
			return nil, err
		}
	}
	if !made {
		return nil, look.ChangedSince(completeOp, u.Target)
	}
	return &object.CopyReply{ETag: h.ETag, VersionID: h.ShownVersionID, Encryption: h.Encryption, RequestID: h.RequestID, Inferred: true}, nil
}

// keptNone: an object that nobody encrypted may have become anything.
func (m *Copy) keptNone() bool {
	return m.made != nil && m.c.Rules.Keeps && m.c.Rules.Target.SSE == object.SSENone
}

func (c *Copier) listParts(ctx context.Context, u *object.Upload) (parts []object.Part, err error) {
	call := object.Call{Kind: object.ReqListParts, Key: u.Target.Key}
	err = c.Loop.Do(ctx, call, func(ctx context.Context) (err error) {
		parts, err = c.Store.ListParts(ctx, u.Target, u.ID, &c.Rules.Target)
		return noUpload(err)
	})
	return parts, err
}

// noUpload makes one error of the two by which stores say that an upload is not
// there. Ceph answers NoSuchKey, which would say of any other request that the object
// is gone; whether it is, only a HEAD tells.
func noUpload(err error) error {
	e, ok := errors.AsType[*object.Error](err)
	if !ok || e.Class != object.ClassGone {
		return err
	}
	named := *e
	named.Class = object.ClassNoUpload
	return &named
}
