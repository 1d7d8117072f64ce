package engine

import (
	"context"
	"errors"
	"maps"

	"github.com/resealhq/reseal/engine/cse"
	"github.com/resealhq/reseal/engine/object"
)

// Reupload brings objects into, up to, or out of client-side encryption. Their bytes go
// through this process.
type Reupload struct {
	// Format is V3 or V2, or None to end client-side encryption.
	Format cse.Format
	// Target has a wrap that is not Keep, unless Format is None.
	Target cse.Target
	// KMS sends single requests; the engine paces and repeats them. It may be nil
	// where no KMS key takes part.
	KMS cse.KMS
	// Usable asks whether the target's key can be used; nil where nobody can be asked.
	Usable func(context.Context) error
	// KeepsSSE leaves each object under its own server-side encryption; else it comes
	// under Config.Target in the same write.
	KeepsSSE bool

	// What the operator accepts by name: another kind of key for readers; a source
	// without a tag; an object that lies unencrypted afterwards; an instruction file
	// that stays behind, and that readers may find beside the new object.
	OtherReaders, Unauthenticated, Plaintext, InstructionGap bool
}

// keyring is what envelopes are opened and made with.
type keyring struct {
	kms    cse.KMS // paced; nil for none
	target cse.Target
	usable func(context.Context) error
}

// makesAnew says whether an upload of this run is of no use to another attempt: every
// wrap is made anew.
func (r *run) makesAnew() bool { return r.cfg.Rewrap != nil || r.cfg.Reupload != nil }

func (r *run) keyring() keyring {
	var k keyring
	var raw cse.KMS
	if w := r.cfg.Rewrap; w != nil {
		raw, k.target, k.usable = w.KMS, w.Target, w.Usable
	} else if w := r.cfg.Reupload; w != nil {
		raw, k.target, k.usable = w.KMS, w.Target, w.Usable
	}
	if raw != nil {
		k.kms = pacedKMS{r, raw}
	}
	return k
}

// reupload reads an object, opens it where a client has encrypted it, and writes the
// text again under a data key of its own, or under none. Each attempt has a new data
// key and message ID, and an attempt that fails leaves nothing but an upload that is
// aborted. Nothing becomes visible before the tag of the source has verified.
func (it *item) reupload(ctx context.Context, c object.Choice) (*object.Outcome, error) {
	it.out.Operation = object.OpRewrite
	e, out, err := it.envelope(ctx)
	if out != nil || err != nil {
		return out, err
	}
	it.out.ClientSideBefore = shown(e)
	if it.run.cfg.Dest.InPlace() {
		if out, err := it.isThere(ctx, e); out != nil || err != nil {
			return it.orLiesOver(ctx, out, err)
		}
	}
	if out := it.leftAsItIs(e); out != nil {
		return out, nil
	}
	if out, err := it.besideFile(ctx, e); out != nil || err != nil {
		return out, err
	}
	p := &passage{it: it, e: e, size: it.obj.Size}
	if out, err := p.unlock(ctx); out != nil || err != nil {
		return out, err
	}
	if out, err := p.makeEnvelope(ctx); out != nil || err != nil {
		return out, err
	}
	noted, out, err := it.mayReplaceWithTags(ctx)
	if out != nil || err != nil {
		return out, err
	}
	defer noted()
	size := it.obj.Size
	if c.Route == object.RouteSend {
		out, err = p.inParts(ctx)
	} else {
		out, err = p.inOne(ctx)
	}
	if out != nil && out.State == object.Done {
		out.Size = it.obj.Size
	}
	it.obj.Size = size // of what another round would read
	return out, err
}

// isThere is the outcome of an object that is as wanted already. Of an envelope only
// the key tells, so that it is opened with the wanted one.
func (it *item) isThere(ctx context.Context, e cse.Envelope) (*object.Outcome, error) {
	w := it.run.cfg.Reupload
	t := &w.Target
	switch {
	case e.Format != w.Format, e.Content == cse.CBC, !w.KeepsSSE && !it.run.rules.Target.Satisfied(&it.obj):
		return nil, nil
	case e.Format == cse.None:
		return it.underAlready(object.NoEnvelope), nil
	case e.Wrap != t.Wrap, t.Entries != nil && !maps.Equal(t.Entries, e.Entries()):
		return nil, nil
	}
	_, err := e.Unwrap(ctx, cse.Opener{KMS: it.run.keyring().kms, KMSKeyID: t.KMSKeyID, Key: t.Key})
	switch {
	case err == nil:
		return it.underAlready(shown(e)), nil
	case errors.Is(err, cse.ErrIncorrectKey), errors.Is(err, cse.ErrWrongKey):
		return nil, nil
	}
	return it.refusedEnvelope(it.whoseKey(ctx, err))
}

// leftAsItIs leaves what may not be brought there, and what would lose something that
// was not accepted by name.
func (it *item) leftAsItIs(e cse.Envelope) *object.Outcome {
	w := it.run.cfg.Reupload
	inPlace := it.run.cfg.Dest.InPlace() // elsewhere the object stays for those who read it as it is
	switch {
	case e.Format == cse.V3 && w.Format == cse.V2:
		return it.left(object.ReasonExcluded, "it is of version 3, which commits to its data key, and nothing is brought back to version 2; use --client-side v3 or none")
	case e.InFile && w.Format == cse.None && inPlace:
		return it.left(cse.ReasonInstruction, "its envelope is in an instruction file, by which everybody would go on taking the text for encrypted; "+
			"bring it to --client-side v3 with --accept instruction-gap, delete the file, then end client-side encryption")
	case e.InFile && !w.InstructionGap && inPlace:
		return it.left(cse.ReasonInstruction, "its envelope is in an instruction file, which stays behind, and readers that look there first would not read the new object; "+
			"--accept instruction-gap writes it all the same")
	case e.Content == cse.CBC && !w.Unauthenticated:
		return it.left(object.ReasonUnauthentic, "it is under AES-CBC, which has no tag: whether somebody has changed it cannot be told, and the new object would vouch for it; "+
			"--accept unauthenticated takes it as it is")
	case w.Format == cse.None && !w.Plaintext && it.wouldLiePlain():
		return it.left(object.ReasonPlaintext, "it would lie unencrypted, since it has no server-side encryption; name one with --sse, or --accept plaintext")
	case e.Format != cse.None && w.Format != cse.None && inPlace && otherKind(e.Wrap, w.Target.Wrap) && !w.OtherReaders:
		return it.left(object.ReasonReaders, "its data key is wrapped by "+e.Wrap.String()+", and whoever reads it has no key for "+w.Target.Wrap.String()+
			"; give the readers that key too, then --accept cse-readers")
	}
	if e.Format == w.Format {
		return nil // it comes under another key; its size was right before
	}
	if _, reason, message := cse.Reupload(e, it.obj.Size, w.Format, true); reason != "" {
		return it.left(reason, message)
	}
	return nil
}

// besideFile leaves an object that is to have no envelope and has an old instruction
// file beside it: by that everybody would take the text for encrypted.
func (it *item) besideFile(ctx context.Context, e cse.Envelope) (*object.Outcome, error) {
	if it.run.cfg.Reupload.Format != cse.None || e.Format == cse.None || !it.run.cfg.Dest.InPlace() {
		return nil, nil
	}
	file, err := it.instructionFile(ctx)
	if err != nil || file == nil {
		return nil, err
	}
	return it.left(cse.ReasonInstruction, "an old instruction file lies beside it, by which everybody would take the text for encrypted; delete "+it.obj.Key+cse.InstructionSuffix+" first"), nil
}

// wouldLiePlain says whether nobody encrypts the object once the client does not.
func (it *item) wouldLiePlain() bool {
	byDefault := it.run.rules.Facts.DefaultEncryption.Type
	return it.run.cfg.Reupload.KeepsSSE && it.obj.Encryption.Type == object.SSENone && !it.run.rules.Caps.IsAWS() &&
		(byDefault == object.SSENone || byDefault == object.SSEUnknown)
}

// unlock gets the data key of the source.
func (p *passage) unlock(ctx context.Context) (*object.Outcome, error) {
	if p.e.Format == cse.None {
		return nil, nil
	}
	it, k := p.it, p.it.run.keyring()
	o := cse.Opener{KMS: k.kms, KMSKeyID: k.target.SourceKMSKeyID, Key: k.target.SourceKey}
	if o.Key.IsZero() {
		o.Key = k.target.Key
	}
	if !p.e.Wrap.KMS() && o.Key.IsZero() {
		return it.left(cse.ReasonOtherWrap, "its data key is under a raw key: give that by --source-cse-key-file"), nil
	}
	var err error
	p.key, err = p.e.Unwrap(ctx, o)
	switch {
	case err == nil:
		return nil, nil
	case errors.Is(err, cse.ErrWrongKey), errors.Is(err, cse.ErrIncorrectKey) && o.KMSKeyID != "":
		return it.left(cse.ReasonOtherKey, "the given key does not open its envelope"), nil
	}
	return it.refusedEnvelope(it.whoseKey(ctx, err))
}

// makeEnvelope makes the data key of this attempt and what the metadata become, which
// are the user's own and nothing of an older envelope.
func (p *passage) makeEnvelope(ctx context.Context) (*object.Outcome, error) {
	it, w := p.it, p.it.run.cfg.Reupload
	had := it.rules().WithMtime(&it.obj, it.attrs.Metadata)
	if w.Format == cse.None {
		m := cse.Without(had)
		if m == nil {
			m = map[string]string{}
		}
		it.writes(&anew{metadata: m, shown: object.NoEnvelope, plain: true})
		return nil, nil
	}
	t := w.Target
	if t.Entries == nil {
		t.Entries = p.e.Entries() // readers compare them
	}
	var err error
	if p.up, err = cse.NewUpload(ctx, it.run.keyring().kms, w.Format, t); err != nil {
		return it.refusedEnvelope(it.whoseKey(ctx, err))
	}
	metadata, err := p.up.Metadata(had)
	if err != nil {
		return it.refusedEnvelope(err)
	}
	if out, err := it.opened(ctx, p.up.Envelope()); out != nil || err != nil {
		return out, err
	}
	it.writes(&anew{metadata: metadata, shown: shown(p.up.Envelope())})
	return nil, nil
}
