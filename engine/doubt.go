package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/resealhq/reseal/engine/cse"
	"github.com/resealhq/reseal/engine/look"
	"github.com/resealhq/reseal/engine/object"
)

// copiedBefore finds the copy that a process that died has made of a version. The
// version itself stays as it was, and is not the current one any more: a second copy
// would be refused by its condition, and look like another client's work.
func (it *item) copiedBefore(ctx context.Context) (*object.Outcome, error) {
	h, err := it.newerVersion(ctx)
	if h == nil {
		return nil, err
	}
	same, err := it.run.look.Same(ctx, &it.obj, it.attrs, it.run.cfg.Store, h)
	if err != nil || !same {
		return nil, err
	}
	if out, err := it.mayLieOver(ctx, h); out != nil || err != nil {
		return out, err
	}
	it.version = h.ShownVersionID
	it.foundDone()
	return it.done(h.ETag, h.Encryption), nil
}

// newerVersion is what has become the current version since this task's was planned as
// that, if it is as wanted; nil where there is none. Another may be a copy in vain.
func (it *item) newerVersion(ctx context.Context) (*object.Head, error) {
	row := &it.task.Object
	if row.VersionID == "" || row.Noncurrent || !it.run.cfg.Dest.InPlace() {
		return nil, nil
	}
	h, err := it.run.look.Head(ctx, it.run.cfg.Store.Hot, it.dest())
	switch {
	case object.ClassOf(err) == object.ClassGone:
		return nil, nil
	case err != nil:
		return nil, err
	case h.ShownVersionID == row.VersionID:
		return nil, nil
	case !it.run.rules.Target.Satisfied(&h.Object):
		it.past.vainBefore = it.mayBeVain(&h.Object)
		return nil, nil
	}
	return h, nil
}

// shows is what is known of the object as it is now.
func (it *item) shows() *object.Head {
	return &object.Head{Object: it.obj, Attributes: *it.attrs, ShownVersionID: it.version}
}

// mayLieOver looks, of a version that is as wanted and that a process which died may have made, for a write
// of another client between it and the one that it is a copy of. Nobody knows whose the copy is, so that it
// stays; no outcome means that there is no such write. is shows the version.
func (it *item) mayLieOver(ctx context.Context, is *object.Head) (*object.Outcome, error) {
	b, row, id := it.run.below, &it.task.Object, is.ShownVersionID
	if b.versions == nil || id == "" || id == object.NullVersion || row.Settled && it.run.rules.Target.Satisfied(row) && !it.run.makesAnew() {
		return nil, nil
	}
	rows, err := b.rows(ctx, row)
	if err != nil {
		return nil, err
	}
	if len(rows) < 3 || rows[0].VersionID != id {
		return nil, nil
	}
	now := *is
	now.Ref.VersionID = id
	told := row.ETag != "" || !row.LastModified.IsZero()
	for i := 1; i < min(len(rows), 2+maxRounds); i++ {
		planned := told && !row.WrittenSince(&rows[i])
		if !planned && !row.WrittenSince(&rows[0]) {
			continue // it was planned as it is, and is no copy of an older one
		}
		switch same, err := it.copyOf(ctx, &rows[i], &now); {
		case err != nil:
			return nil, err
		case same && i == 1:
			return nil, nil
		case same:
			return it.failedBy(&object.Error{Class: object.ClassUnproved, Message: fmt.Sprintf("the object is under the new encryption, and its version %s is a copy of version %s over version %s, which was written in between",
				id, rows[i].VersionID, rows[1].VersionID), Hint: "if a process of this job that was interrupted made that copy, another client's write is not current any more: see which of the two the object is to hold, and remove the other one"}), nil
		case planned:
			return nil, nil // what is older was not copied
		}
	}
	return nil, nil
}

// orLiesOver is the outcome of an object that is found under the wanted envelope, unless it lies over another
// client's write.
func (it *item) orLiesOver(ctx context.Context, out *object.Outcome, err error) (*object.Outcome, error) {
	if err != nil || !it.past.doubt || !it.run.cfg.Dest.InPlace() || out.State != object.Done && out.State != object.Already {
		return out, err
	}
	if over, err := it.mayLieOver(ctx, it.shows()); over != nil || err != nil {
		return over, err
	}
	return out, nil
}

// copyOf says whether a version holds the same as one that lies below it. What cannot be read was not copied.
func (it *item) copyOf(ctx context.Context, below *object.Object, is *object.Head) (bool, error) {
	anew := it.run.cfg.Reupload != nil // so that it is of other bytes
	if below.DeleteMarker || below.Size != is.Size && !anew {
		return false, nil
	}
	was, err := it.run.look.Head(ctx, it.run.cfg.Source.Hot, below.Ref)
	same := false
	switch {
	case err != nil:
	case anew:
		same, err = it.sameTexts(ctx, was, is)
	default:
		same, err = it.run.look.Same(ctx, &was.Object, &was.Attributes, it.run.cfg.Store, is)
	}
	switch class := object.ClassOf(err); {
	case errors.Is(err, look.ErrMissingKey), errors.Is(err, cse.ErrTag):
		return false, nil
	case class == object.ClassGone, class == object.ClassArchived, class == object.ClassDenied, class == object.ClassKey:
		return false, nil
	}
	return same, err
}

// sameTexts compares what is in two versions, as far as their envelopes are in their metadata and the keys of
// the job open them.
func (it *item) sameTexts(ctx context.Context, was, is *object.Head) (bool, error) {
	x, err := cse.Parse(was.Metadata)
	y, yerr := cse.Parse(is.Metadata)
	if err != nil || yerr != nil || x.NeedsFile || y.NeedsFile || otherSize(x, was.Size, y, is.Size) {
		return false, nil //nolint:nilerr // it is none of ours
	}
	of, err := it.textWithAnyKey(ctx, was, x)
	if of == nil || err != nil {
		return false, err
	}
	now, err := it.textWithAnyKey(ctx, is, y)
	return bytes.Equal(of, now), err
}

// textWithAnyKey is the digest of what is in an object; nil where no key of the job opens it.
func (it *item) textWithAnyKey(ctx context.Context, h *object.Head, e cse.Envelope) ([]byte, error) {
	k := it.run.keyring()
	if e.Format == cse.None {
		return it.textDigest(ctx, it.run.cfg.Source, &h.Object, e, cse.DataKey{})
	}
	for _, o := range []cse.Opener{{KMS: k.kms, KMSKeyID: k.target.KMSKeyID, Key: k.target.Key}, {KMS: k.kms, KMSKeyID: k.target.SourceKMSKeyID, Key: k.target.SourceKey}} {
		if !e.Wrap.KMS() && o.Key.IsZero() {
			continue
		}
		key, err := e.Unwrap(ctx, o)
		switch {
		case errors.Is(err, cse.ErrIncorrectKey), errors.Is(err, cse.ErrWrongKey):
		case err != nil:
			return nil, err
		default:
			return it.textDigest(ctx, it.run.cfg.Source, &h.Object, e, key)
		}
	}
	return nil, nil
}
