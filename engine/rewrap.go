package engine

import (
	"context"
	"errors"
	"slices"

	"github.com/resealhq/reseal/engine/cse"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/retry"
)

// Rewrap is what brings the data keys of client-side encryption under another key.
type Rewrap struct {
	Target cse.Target
	// KMS sends single requests; the engine paces and repeats them. It may be nil
	// where no KMS key takes part.
	KMS cse.KMS
	// Usable asks whether the target's key can be used, once KMS has refused a key
	// without saying which; nil where nobody can be asked.
	Usable func(context.Context) error
	// OtherReaders lets a wrap change to one that readers need another kind of key for.
	OtherReaders bool
}

// rewrap brings the envelope of one object under the wanted wrap. The bytes stay where
// they are: of the metadata only what the wrap needs changes, and the whole of it is
// compared afterwards. What is as wanted already, the answer of KMS tells, or the key
// that opens it, so that doing it twice does nothing.
func (it *item) rewrap(ctx context.Context, c object.Choice) (*object.Outcome, error) {
	it.out.Operation = object.OpRewrap
	e, err := cse.Parse(it.attrs.Metadata)
	switch {
	case err != nil:
		return it.refusedEnvelope(err)
	case e.Format == cse.None && it.namedInstruction():
		return it.rewrapThisFile(ctx)
	case e.Format == cse.None || e.NeedsFile:
		return it.rewrapItsFile(ctx)
	case c.Route == object.RouteNone:
		return it.left(object.ReasonUnsupported, "the store shows another envelope now than before"), nil
	}
	res, out, err := it.wrap(ctx, e)
	if out != nil || err != nil {
		return it.orLiesOver(ctx, out, err)
	}
	metadata, err := res.Changes.Metadata(it.attrs.Metadata)
	if err != nil {
		return it.refusedEnvelope(err)
	}
	after, err := cse.Parse(metadata)
	if err != nil {
		return it.refusedEnvelope(err)
	}
	if out, err := it.opened(ctx, after); out != nil || err != nil {
		return out, err
	}
	it.writes(&anew{metadata: metadata, shown: shown(after), underBefore: res.SourceKey, underAfter: res.Key})
	return it.writeMetadata(ctx, c)
}

// wrap asks for the new wrap of a data key. An outcome means that there is nothing to
// write.
func (it *item) wrap(ctx context.Context, e cse.Envelope) (cse.Result, *object.Outcome, error) {
	it.out.ClientSideBefore = shown(e)
	w := it.run.cfg.Rewrap
	d, err := cse.Decide(e, w.Target)
	if err != nil {
		out, err := it.refusedEnvelope(err)
		return cse.Result{}, out, err
	}
	if to := w.Target.Wrap; d.Action != cse.Leave && to != cse.Keep && otherKind(e.Wrap, to) && !w.OtherReaders {
		return cse.Result{}, it.left(object.ReasonReaders, "its data key is wrapped by "+e.Wrap.String()+", and whoever reads it has no key for "+to.String()+
			"; give the readers that key too, then --accept cse-readers"), nil
	}
	res, err := d.Do(ctx, it.run.keyring().kms)
	if err != nil {
		out, err := it.refusedEnvelope(it.whoseKey(ctx, err))
		return res, out, err
	}
	if !res.Already {
		return res, nil, nil
	}
	if out, err := it.opened(ctx, e); out != nil || err != nil {
		return res, out, err
	}
	return res, it.underAlready(shown(e)), nil
}

// otherKind says whether readers of the one wrap need a key of another kind for the
// other.
func otherKind(from, to cse.Wrap) bool { return keyOf(from) != keyOf(to) }

// keyOf is a wrap of today's by the same kind of key.
func keyOf(w cse.Wrap) cse.Wrap {
	switch w {
	case cse.KMSLegacy:
		return cse.KMSContext
	case cse.AESECB, cse.AESWrap:
		return cse.AESGCM
	case cse.RSAPKCS1, cse.RSAOAEP256:
		return cse.RSAOAEP
	}
	return w
}

// underAlready is the outcome of an envelope that is under the wanted key. Where an
// answer of this item was lost, or the object is another one than an interrupted
// process had planned, it is so because of this job.
func (it *item) underAlready(shown object.ClientSide) *object.Outcome {
	op := it.out.Operation
	it.out.ClientSideAfter = shown
	row := &it.task.Object
	if ours := it.past.lost || it.past.doubt && row.WrittenSince(&it.obj); !ours {
		out := it.already()
		if it.past.doubt {
			out.Message = "found as wanted after an interruption; an earlier process of this job may have changed it"
		}
		return out
	}
	if it.past.doubt {
		it.out.ETagBefore = row.ETag
		it.out.Message = "found as wanted after an interruption and written since it was planned, most likely by an earlier process of this job"
	} else {
		it.out.Message = "done by a request whose answer was lost; found as wanted afterwards"
	}
	it.out.Operation, it.out.NewVersionID, it.out.Inferred = op, it.version, true
	return it.done(it.obj.ETag, it.obj.Encryption)
}

// opened unwraps an envelope where --verify unwrap asks for that: of version 3 the
// data key is compared with what the object commits to. No outcome and no error means
// that it opens.
func (it *item) opened(ctx context.Context, e cse.Envelope) (*object.Outcome, error) {
	if it.run.cfg.Verify != VerifyUnwrap {
		return nil, nil
	}
	k := it.run.keyring()
	_, err := e.Unwrap(ctx, cse.Opener{KMS: k.kms, KMSKeyID: k.target.KMSKeyID, Key: k.target.Key})
	if err == nil {
		return nil, nil
	}
	if _, ok := errors.AsType[*object.Error](err); !ok {
		err = it.envelopeError("the new wrap does not open, so that nothing was written: " + err.Error())
	}
	return it.refusedEnvelope(it.whoseKey(ctx, err))
}

// refusedEnvelope is the outcome of an envelope that cannot be, or is not to be,
// wrapped anew.
func (it *item) refusedEnvelope(err error) (*object.Outcome, error) {
	if r, ok := errors.AsType[*cse.Refusal](err); ok {
		return it.left(r.Reason, r.Message), nil
	}
	e, ok := errors.AsType[*object.Error](err)
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, retry.ErrStopping):
		return nil, err
	case !ok:
		return it.failedBy(it.envelopeError(err.Error())), nil
	case e.Class == object.ClassKey && !it.run.isDraining():
		return it.failedBy(e), nil // the object's own key: see whoseKey
	}
	return nil, err
}

func (it *item) envelopeError(message string) *object.Error {
	return &object.Error{Class: object.ClassInvalid, Op: it.out.Operation.String(), Ref: it.obj.Ref, Message: message,
		Hint: "somebody may have changed the envelope: restore it from a version or a backup"}
}

// whoseKey ends the run where the key that KMS refused is the target's, under which
// nothing can come. Any other one is this object's trouble alone.
func (it *item) whoseKey(ctx context.Context, err error) error {
	k := it.run.keyring()
	if object.ClassOf(err) != object.ClassKey || k.usable == nil {
		return err
	}
	if kerr := k.usable(ctx); object.ClassOf(kerr) == object.ClassKey {
		it.run.fail(kerr)
	}
	return err
}

// shown is an envelope in the words of the report.
func shown(e cse.Envelope) object.ClientSide {
	if e.Format == cse.None {
		return object.NoEnvelope
	}
	if e.Content == cse.CBC && e.Format == cse.V2 {
		return object.ClientSide(e.String() + " AES-CBC")
	}
	return object.ClientSide(e.String())
}

// beginAnew ends what an earlier process left of this object: its envelope would be
// another one than the upload carries, since every wrap is made anew. What a write
// that did happen has dropped is written again.
func (it *item) beginAnew(ctx context.Context, u *object.Upload) error {
	completed := u.ID == "" && u.Begun.IsZero()
	switch {
	case u.ID != "":
		var err error
		if completed, err = it.parts().End(ctx, u); err != nil {
			return err
		}
	case !completed:
		return it.endIntent(ctx, u)
	}
	if completed && !u.Reapply.IsZero() {
		if err := it.reapplyMissing(ctx, u); err != nil {
			return err
		}
	}
	return it.run.uploads.Forget(it.task.Seq)
}

// reapplyMissing writes again what the object does not have any more. What it has is
// what it had, or newer than this job's.
func (it *item) reapplyMissing(ctx context.Context, u *object.Upload) error {
	if err := it.inspect(ctx); err != nil {
		return err
	}
	if !u.MayHaveMade(&it.obj) {
		return nil
	}
	missing := u.Reapply
	if len(missing.Tags) > 0 {
		if err := it.run.look.ReadTags(ctx, it.obj.Ref, it.attrs); err != nil {
			return err
		}
		if len(it.attrs.Tags) > 0 {
			missing.Tags = nil
		}
	}
	if it.obj.LockMode != "" {
		missing.LockMode = ""
	}
	missing.LegalHold = missing.LegalHold && !it.obj.LegalHold
	it.attrs = nil // the tags change
	if missing.IsZero() {
		return nil
	}
	return it.run.uploads.Reapply(ctx, it.dest(), it.obj.ETag, missing, it.looked)
}

// sameHeaders says whether what HTTP shows beside the metadata is as it was.
func sameHeaders(a, b *object.Attributes) bool {
	return a.ContentType == b.ContentType && a.CacheControl == b.CacheControl && a.ContentDisposition == b.ContentDisposition &&
		a.ContentEncoding == b.ContentEncoding && a.ContentLanguage == b.ContentLanguage && a.WebsiteRedirect == b.WebsiteRedirect
}

// changedNames are the names whose values differ, for a message.
func changedNames(a, b map[string]string) (names []string) {
	for _, m := range []map[string]string{a, b} {
		for name := range m {
			va, ina := a[name]
			vb, inb := b[name]
			if (va != vb || ina != inb) && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}
