package upload

import (
	"bytes"
	"cmp"
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
func (m *Copy) complete(ctx context.Context, src Source, u *object.Upload, parts []object.Part) (reply object.CopyReply, err error) {
	ctx = retry.Ending(ctx)
	var lost error
	for began := time.Now(); ; {
		reply, err = m.completeSoon(ctx, src, u, parts, &lost)
		late, ok := errors.AsType[*retry.LateError](err)
		switch {
		case !ok:
			return reply, err
		case retry.LongAgo(began, max(m.c.Loop.ThrottleWait, m.c.Loop.OutageWait)):
			return reply, cmp.Or(lost, late.Cause)
		}
	}
}

// completeSoon looks at the object, and completes if the request need not wait for long. lost
// is the error of the last one that may have been applied: what became of it is asked first.
func (m *Copy) completeSoon(ctx context.Context, src Source, u *object.Upload, parts []object.Part, lost *error) (reply object.CopyReply, err error) {
	looked := time.Now()
	ask := retry.AskFunc(func(ctx context.Context, unanswered error) (bool, error) {
		*lost, looked = unanswered, time.Now()
		found, err := m.becameOf(ctx, src, u)
		switch {
		case found != nil:
			reply = *found
			return true, nil
		case errors.Is(err, retry.ErrStopping), object.ClassOf(err) == object.ClassChanged, object.ClassOf(err) == object.ClassGone:
			return false, err
		case err != nil:
			return false, unanswered // what became of it is not known: the upload's record has to stay
		}
		return false, nil
	})
	if *lost == nil {
		err = m.lookAgain(ctx, src, u)
	} else if applied, aerr := ask(ctx, *lost); applied || aerr != nil {
		return reply, aerr
	}
	if err != nil {
		return reply, err
	}
	var cause error // of the attempt before
	req := m.c.Rules.Complete(u, src.Object, parts)
	call := object.Call{Kind: object.ReqComplete, Key: u.Target.Key, KMSKey: m.c.Rules.KMSKey(src.Object), OtherKey: m.c.Rules.OtherKey(src.Object)}
	send := func(ctx context.Context) (err error) {
		if cause != nil && retry.LongAgo(looked, retry.LookedWithin) {
			return &retry.LateError{Cause: cause}
		}
		m.Attempts++
		reply, err = m.c.Store.CompleteUpload(ctx, req)
		cause = err
		return noUpload(err)
	}
	_, err = m.c.Loop.Certain(ctx, call, send, ask)
	return reply, err
}

// becameOf finds what a Complete whose answer was lost has made; nil where it may be sent
// again, on an object that has what it had.
func (m *Copy) becameOf(ctx context.Context, src Source, u *object.Upload) (*object.CopyReply, error) {
	found, err := m.completedAlready(ctx, u)
	if found != nil || err != nil {
		return found, err
	}
	if err = m.looksTheSame(ctx, src, u); object.ClassOf(err) == object.ClassChanged { // or the request came through meanwhile
		if found, ferr := m.completedAlready(ctx, u); found != nil || ferr != nil {
			return found, ferr
		}
	}
	return nil, err
}

// lookAgain narrows the window in which what others change is lost. Nothing in S3
// guards tags, annotations, grants, lock and metadata; the parts of a long copy give people
// hours to change them, and so do requests that wait for the store. Where a single part was
// copied at once, that window is no longer than a CopyObject's, and only the bytes are looked
// at, where Complete honours no condition on them.
func (m *Copy) lookAgain(ctx context.Context, src Source, u *object.Upload) error {
	switch {
	case len(u.PartSizes) > 1, retry.LongAgo(u.Begun, retry.LookedWithin):
		return m.looksTheSame(ctx, src, u)
	case !u.Sent && m.c.Rules.Caps.CompleteIfMatch == object.Yes, u.Sent && m.c.Rules.Caps.Guarded(object.RouteSend), !m.c.Rules.Dest.InPlace():
		return nil
	}
	h, err := m.c.Look.Head(ctx, m.c.Store.Hot, u.Target)
	if err == nil && h.ETag != u.ETag {
		return look.ChangedSince(completeOp, u.Target)
	}
	return err
}

// looksTheSame inspects the object for unchanged.
func (m *Copy) looksTheSame(ctx context.Context, src Source, u *object.Upload) error {
	now, err := m.c.Look.Inspect(ctx, &m.row, src.Changed)
	if err != nil {
		return err
	}
	return m.unchanged(ctx, now, u)
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
