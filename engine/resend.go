package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/resealhq/reseal/engine/carry"
	"github.com/resealhq/reseal/engine/object"
)

const (
	// maxWhole is up to what size an object is rewritten in one piece, and in what parts
	// a larger one is.
	maxWhole = 16 << 20
	// maxSentPart is the largest part that is held here, where an object keeps the parts
	// that it was uploaded in.
	maxSentPart = maxBytesHeld
)

// resend is rewrite in parts, of any size: stretches are read and sent at the same
// time, by an upload that carries everything and is completed on the condition that
// nobody wrote meanwhile.
func (it *item) resend(ctx context.Context, c object.Choice) (*object.Outcome, error) {
	it.out.Operation = object.OpRewrite
	sizes, err := it.sentSizes(ctx, c)
	if err != nil {
		return nil, err
	}
	if sizes == nil {
		return it.left(object.ReasonComposite, "its composite checksum cannot be reproduced, since the boundaries of its parts cannot be had, or one is larger than the 256 MiB that are held here; "+
			"--accept composite-checksum lets it change (the data does not)"), nil
	}
	noted, out, err := it.mayReplaceWithTags(ctx)
	if out != nil || err != nil {
		return out, err
	}
	defer noted()
	p := &passage{it: it, size: it.obj.Size, parts: sizes, own: c.SourceParts}
	return p.inParts(ctx)
}

// sentSizes are partSizes for an object that goes through this process; nil also where
// a part of it is too large for that.
func (it *item) sentSizes(ctx context.Context, c object.Choice) ([]int64, error) {
	if !c.SourceParts {
		return carry.Split(it.obj.Size, min(it.run.cfg.PartSize, maxWhole)), nil
	}
	sizes, err := it.partSizes(ctx, c)
	if len(sizes) > 0 && slices.Max(sizes) > maxSentPart {
		return nil, err
	}
	return sizes, err
}

// sameChecksum compares what was read with the checksum that the store showed of the
// source, before it takes the source's place: what comes back wrong from a disk, or
// breaks in this machine's memory, is nobody's object.
func (p *passage) sameChecksum() error {
	it := p.it
	alg, typ := it.obj.ChecksumAlgorithm, it.obj.ChecksumType
	want := it.attrs.Checksums[alg]
	read := it.sums
	if p.up != nil { // what was sent is something else
		read = p.source
	}
	if want == "" || typ == "" || read == nil || typ == object.Composite && !p.own {
		return nil // one that is composed of other parts tells nothing
	}
	got := read.whole(typ)
	if got == "" || got == want {
		return nil
	}
	return &object.Error{Class: object.ClassInvalid, Op: "GetObject", Ref: it.obj.Ref,
		Message: fmt.Sprintf("the bytes that the store gave do not have the object's %s", alg),
		Hint:    "nothing was written; read the object by another client, and restore it from a version or a backup if that finds the same"}
}

// endSent ends the upload that an earlier process left of this object, since nobody
// goes on with parts of another process. If it was completed, what the store has
// dropped is written again.
func (it *item) endSent(ctx context.Context, u *object.Upload) error {
	completed, err := it.parts().End(ctx, u)
	if err != nil {
		return err
	}
	if completed && !u.Reapply.IsZero() {
		h, err := it.run.look.Head(ctx, it.run.cfg.Store.Hot, u.Target)
		switch {
		case object.ClassOf(err) == object.ClassGone:
		case err != nil:
			return err
		case u.MayHaveMade(&h.Object) && it.run.rules.Target.Satisfied(&h.Object):
			if err := it.run.uploads.Reapply(ctx, u.Target, h.ETag, u.Reapply, time.Time{}); err != nil && object.ClassOf(err) != object.ClassChanged {
				return err
			}
		}
	}
	if u.CreateLost { // the answer to an earlier creation may have been lost, which no record tells any more
		return it.endIntent(ctx, u)
	}
	return it.run.uploads.Forget(it.task.Seq)
}
