package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/retry"
)

// end gives what was written its outcome. Where a write of another client lies below it, it is taken away
// again, and the object is decided on anew. err says that rows could not be had.
func (b *below) end(ctx context.Context, l *laid, rows []object.Object, err error) {
	for n := 0; ; n++ {
		if err != nil {
			if ctx.Err() != nil || concernsRun(err) {
				b.r.abandon(&l.task, true, err) // who goes on with the job looks
				return
			}
			adds(&l.out, "whether a write of another client lies below it could not be seen: "+err.Error())
			rows = nil
		}
		other := l.between(rows)
		if other == nil {
			b.r.record(l.orAlone(rows))
			return
		}
		switch twice := other.ETag == rows[0].ETag && other.Size == rows[0].Size; {
		case twice && (l.out.Inferred || l.lost): // the request took effect twice
			b.r.record(&l.out)
			return
		case l.out.Inferred:
			b.r.record(l.withoutAnswer(other))
			return
		case n == belowRounds:
			err = errors.New("others kept writing to it")
		default:
			err = b.takeBack(ctx, l)
		}
		switch {
		case object.ClassOf(err) == object.ClassChanged:
		case err != nil:
			b.r.record(l.failed(other, err))
			return
		default:
			if l = b.anew(ctx, l, other); l == nil {
				return
			}
			wait(ctx, time.Until(l.ripe))
		}
		rows, err = b.rows(ctx, &l.task.Object)
	}
}

// concernsRun says whether an error is about no single object, so that none has its outcome by it.
func concernsRun(err error) bool {
	switch object.ClassOf(err) {
	case object.ClassCanceled, object.ClassNoBucket, object.ClassCredentials, object.ClassUnreachable:
		return true
	}
	return errors.Is(err, retry.ErrStopping)
}

// anew does the object as others have left it. It gives what is to be looked at again; nil where that
// has its outcome.
func (b *below) anew(ctx context.Context, l *laid, other *object.Object) *laid {
	it := new(item)
	out, err := b.r.do(ctx, it, &l.task, true)
	if err != nil {
		b.r.abandon(&l.task, true, err)
		return nil
	}
	out.NeverSent = false // what was taken away again was sent
	adds(out, fmt.Sprintf("version %s, which another client wrote meanwhile, had come to lie below version %s, a copy of what was there before, which was removed", other.VersionID, l.made))
	next := it.laid(out)
	if next != nil {
		return next
	}
	if l.replicated && out.State != object.Done {
		adds(out, "where it was replicated to, and deletions of versions are not, it is current still: remove it there, too")
	}
	b.r.record(out)
	return nil
}

// takeBack removes the version that this run made. An error of ClassChanged says that nothing is to be
// removed any more, as the versions lie now.
func (b *below) takeBack(ctx context.Context, l *laid) error {
	ref := l.task.Object.Ref
	ref.VersionID = l.made
	_, err := b.r.loop.Certain(ctx, object.Call{Kind: object.ReqDelete, Key: ref.Key}, func(ctx context.Context) error {
		_, err := b.versions.DeleteVersion(ctx, ref)
		return err
	}, &takingBack{b: b, l: l, ref: ref})
	return err
}

// takingBack asks, in the turn of the request that removes a version, for everything that allows it:
// others may say something of the version while the request waits.
type takingBack struct {
	b   *below
	l   *laid
	ref object.Ref
	at  time.Time // when all of it was seen last
}

// Late says whether it was seen too long ago, as before the first time.
func (t *takingBack) Late() bool { return retry.LongAgo(t.at, retry.LookedWithin) }

// Ask is an error unless the version is the one that this run made and as it made it: the store's reply
// named it, and the listing shows it with the ETag and the size of that reply, over another client's. What
// it was made of is there still, and nobody has given it other tags or grants since. A lock that it was
// given the store does not pass over.
func (t *takingBack) Ask(ctx context.Context, _ object.Call, lost error) (gone bool, err error) {
	b, l, at := t.b, t.l, time.Now()
	h, err := b.r.look.Head(ctx, b.r.cfg.Store.Hot, t.ref)
	switch {
	case lost != nil && object.ClassOf(err) == object.ClassGone:
		return true, nil
	case object.ClassOf(err) == object.ClassGone:
	case err != nil:
		return false, err
	default:
		l.replicated = h.Replication != ""
	}
	rows, err := b.rows(ctx, &l.task.Object)
	switch {
	case err != nil:
		return false, err
	case b.blind():
		return false, errors.New("its versions may not be listed any more")
	case l.between(rows) == nil:
		return false, &object.Error{Class: object.ClassChanged, Op: "ListObjectVersions", Ref: t.ref, Message: "others have written or removed versions meanwhile"}
	case rows[0].ETag != l.out.ETagAfter || rows[0].Size != l.out.Size:
		return false, errors.New("the listing shows another object under that ID than was written")
	}
	if err := b.isAsMade(ctx, l); err != nil {
		return false, err
	}
	if t.at.IsZero() {
		b.r.cfg.Log.Info("a write of another client lies below what this run wrote, which is removed", "object", t.ref.String())
	}
	t.at = at
	return false, nil
}

// isAsMade says by an error that the version that this run made has other tags or grants than the one that
// it was made of: whoever wrote the one in between, and says something more of the object, says it of the
// copy. What a copy had to drop is another thing, too, and keeps it as well.
func (b *below) isAsMade(ctx context.Context, l *laid) error {
	made, over := l.task.Object.Ref, l.task.Object.Ref
	made.VersionID, over.VersionID = l.made, l.over
	for _, ask := range []func() (bool, error){
		func() (bool, error) { return b.r.look.SameGrants(ctx, over, made) },
		func() (bool, error) { return b.r.look.SameTags(ctx, over, made) }, // its own are seen last
	} {
		switch same, err := ask(); {
		case err != nil:
			return err
		case !same:
			return errors.New("it has other tags or grants than what it was made of, which another client may have meant for its own write: give them to that one first")
		}
	}
	return nil
}

// withoutAnswer is the outcome of what a request without an answer has made, as it seems, over another
// client's write. Nobody knows whose it is, so that it stays.
func (l *laid) withoutAnswer(other *object.Object) *object.Outcome {
	return l.unproved(fmt.Sprintf("version %s lies between its version %s and version %s, which this job sent a copy of and got no answer; "+
		"if that is the copy, another client's write is not current any more: see which of the two the object is to hold, and remove the other one", other.VersionID, l.made, l.over))
}

// failed is the outcome of what could not be taken away again.
func (l *laid) failed(other *object.Object, err error) *object.Outcome {
	return l.unproved(fmt.Sprintf("version %s, which another client wrote meanwhile, lies below it, since the store dates a write before that has its turn. "+
		"To bring it back, remove version %s, a copy of what was there before, which this job could not: %v", other.VersionID, l.made, err))
}

// orAlone is the outcome of what lies over nothing of another client's, as far as that can be told where what
// it was made of is not there any more: then it is all that is left of that, and stays.
func (l *laid) orAlone(rows []object.Object) *object.Outcome {
	if len(rows) < 2 || rows[0].VersionID != l.made || l.was.IsZero() || slices.ContainsFunc(rows, func(o object.Object) bool { return o.VersionID == l.over }) ||
		!rows[1].LastModified.Truncate(time.Second).After(l.was) {
		return &l.out
	}
	return l.unproved(fmt.Sprintf("version %s, which was written after version %s, lies below its version %s, a copy of that one, which is not there any more: "+
		"see which of the two the object is to hold, and remove the other one", rows[1].VersionID, l.over, l.made))
}

func (l *laid) unproved(but string) *object.Outcome {
	l.out.State, l.out.Reason = object.Failed, object.Reason(object.ClassUnproved.String())
	l.out.Message = "the object is under the new encryption, and " + but
	return &l.out
}
