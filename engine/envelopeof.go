package engine

import (
	"context"
	"strings"

	"github.com/resealhq/reseal/engine/cse"
	"github.com/resealhq/reseal/engine/object"
)

// envelope is that of the object, wherever it lies. Whoever took an object whose
// envelope is in a file for one without would encrypt a second time what nobody could
// read then, so every object without a mark is asked for its file. An outcome means
// that the object is left.
func (it *item) envelope(ctx context.Context) (cse.Envelope, *object.Outcome, error) {
	if it.run.cfg.FromFiles {
		return cse.Envelope{}, nil, nil
	}
	e, err := cse.Parse(it.attrs.Metadata)
	switch {
	case err != nil:
		out, err := it.refusedEnvelope(err)
		return e, out, err
	case e.Format != cse.None && !e.NeedsFile:
		return e, nil, nil
	case e.Format == cse.None:
		if out, err := it.isItself(ctx); out != nil || err != nil {
			return e, out, err
		}
	}
	file, err := it.instructionFile(ctx)
	switch {
	case err != nil:
		return e, nil, err
	case file == nil && e.NeedsFile:
		return e, it.left(cse.ReasonNoEnvelope, "its wrapped key is in an instruction file, which is gone"), nil
	case file == nil:
		return e, nil, nil
	}
	if e, err = cse.ParseFile(it.attrs.Metadata, file); err != nil {
		out, err := it.refusedEnvelope(err)
		return e, out, err
	}
	return e, nil, nil
}

// isItself leaves an instruction file: by its mark, or, since some clients give it none,
// by its name, the object that it belongs to, and what it holds. One that cannot be read
// as it is may be the only place of a data key: were it encrypted, nobody could mend it.
func (it *item) isItself(ctx context.Context) (*object.Outcome, error) {
	marked := cse.IsInstructionFile(it.attrs.Metadata)
	if !it.namedInstruction() {
		if marked {
			return it.left(object.ReasonOrphan, "it is an instruction file, and its name is no other object's"), nil
		}
		return nil, nil
	}
	ref := object.Ref{Bucket: it.obj.Bucket, Key: strings.TrimSuffix(it.obj.Key, cse.InstructionSuffix)}
	h, err := it.run.look.Head(ctx, it.run.cfg.Source.Hot, ref)
	switch {
	case object.ClassOf(err) == object.ClassGone && marked:
		return it.left(object.ReasonOrphan, "it is an instruction file, and "+ref.String()+" is not there"), nil
	case object.ClassOf(err) == object.ClassGone:
		return nil, nil
	case err != nil:
		return nil, err
	}
	if !marked {
		if it.obj.Size > maxInstruction {
			return nil, nil
		}
		got, err := it.run.look.Read(ctx, &it.obj, true, nil)
		if err != nil {
			return nil, err
		}
		_, withObject := cse.ParseFile(h.Metadata, got.Body)
		_, alone := cse.ParseFile(nil, got.Body)
		switch {
		case withObject == nil || alone == nil:
		case cse.HoldsKey(got.Body):
			return it.left(cse.ReasonEnvelope, "it holds the wrapped key of "+ref.String()+" but is not whole: "+withObject.Error()), nil
		default:
			return nil, nil
		}
	}
	return it.left(object.ReasonInstruction, "it is the instruction file of "+ref.String()+", and goes with it"), nil
}

// instructionFile reads the file beside the object; nil where there is none.
func (it *item) instructionFile(ctx context.Context) ([]byte, error) {
	row := object.Object{Ref: object.Ref{Bucket: it.obj.Bucket, Key: it.obj.Key + cse.InstructionSuffix}}
	if len(row.Key) > object.MaxKey {
		return nil, nil
	}
	h, err := it.run.look.Head(ctx, it.run.cfg.Source.Hot, row.Ref)
	switch {
	case object.ClassOf(err) == object.ClassGone:
		return nil, nil
	case err != nil:
		return nil, err
	}
	row = h.Object
	row.Ref.VersionID = ""
	if row.Size > maxInstruction {
		return nil, nil
	}
	got, err := it.run.look.Read(ctx, &row, true, nil)
	if err != nil {
		return nil, err
	}
	return append([]byte{}, got.Body...), nil
}
