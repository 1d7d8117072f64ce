package job

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/resealhq/reseal/engine/cse"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/planner"
)

// wrapAsker finds out whether a KMS key wraps the data keys of client-side encryption. It asks
// KMS by dry runs, so that no data key is shown to anybody; who may not decrypt with the key
// is not told, and is not asked again.
type wrapAsker struct {
	who    *whoNeeds
	kms    *s3store.KMSWraps
	denied atomic.Bool // or there is no KMS to ask, or no key that it knows
	found  sync.Map    // of object.Ref: bool
	// filesToo: the instruction files of all objects, in all their versions, are looked at too.
	filesToo bool
}

func (w *whoNeeds) newWrapAsker() *wrapAsker {
	e := &wrapAsker{who: w}
	var err error
	e.kms, err = w.store.KMSWraps()
	e.denied.Store(err != nil || w.answer.ARN == "")
	return e
}

// inspector asks about every object that shows an envelope or may hold one.
func (e *wrapAsker) inspector(inspect planner.Inspector) planner.Inspector {
	return func(ctx context.Context, o *object.Object) (object.Head, error) {
		h, err := inspect(ctx, o)
		if err != nil {
			return h, err
		}
		shown := h.Object
		shown.Ref = o.Ref
		if shown.MayWrap() {
			err = e.ask(ctx, o.Ref, &h)
		}
		return h, err
	}
}

// wrapped tells what was found out of an object, once.
func (e *wrapAsker) wrapped(ref object.Ref) (is, known bool) {
	v, known := e.found.LoadAndDelete(ref)
	return known && v.(bool), known
}

// ask finds out about one object. Its error is one that concerns all of them.
func (e *wrapAsker) ask(ctx context.Context, ref object.Ref, h *object.Head) error {
	env, none := e.envelope(ctx, ref, h)
	switch {
	case none:
		e.found.Store(ref, false)
		return nil
	case env.Format == cse.None || env.NeedsFile:
		return ctx.Err() // it cannot be read, and is told as not known
	case !env.Wrap.KMS():
		e.found.Store(ref, false) // a raw key wraps it
		return nil
	case e.denied.Load():
		return nil
	}
	call := object.Call{Kind: object.ReqKMS, Key: ref.Key, KMSKey: e.who.answer.ARN}
	err := e.who.reads.Do(ctx, call, func(ctx context.Context) error {
		_, err := env.Unwrap(ctx, cse.Opener{KMS: e.kms.Dry(), KMSKeyID: e.who.answer.ARN})
		return err
	})
	switch {
	case errors.Is(err, s3store.ErrWouldDecrypt):
		e.found.Store(ref, true)
	case errors.Is(err, cse.ErrIncorrectKey):
		e.found.Store(ref, false)
	case object.ClassOf(err) == object.ClassDenied, object.ClassOf(err) == object.ClassKey: // or it is disabled, for every object
		e.denied.Store(true)
		e.who.opt.Log.Debug("whether the key wraps client-side encryption is not told", "error", err)
	}
	return ctx.Err()
}

// maxInstruction bounds an instruction file in bytes.
const maxInstruction = 64 << 10

// envelope reads the one that the object has, or that it holds as an instruction file. Its
// format is None where it cannot be read; none says that there is none.
func (e *wrapAsker) envelope(ctx context.Context, ref object.Ref, h *object.Head) (env cse.Envelope, none bool) {
	if !h.ClientSide.Encrypted() {
		return e.held(ctx, ref, h)
	}
	env, err := cse.Parse(h.Metadata)
	if err != nil {
		return cse.Envelope{}, false
	}
	if !env.NeedsFile {
		return env, false
	}
	text, err := e.read(ctx, object.Ref{Bucket: ref.Bucket, Key: ref.Key + cse.InstructionSuffix})
	switch {
	case err != nil:
		return env, false
	case e.filesToo: // in every version of it, of which this one may be another's
		return env, true
	}
	if env, err = cse.ParseFile(h.Metadata, text); err != nil {
		return cse.Envelope{}, false
	}
	return env, false
}

// held reads an object that may be an instruction file. One that has no mark and is none is
// an object of that name.
func (e *wrapAsker) held(ctx context.Context, ref object.Ref, h *object.Head) (env cse.Envelope, none bool) {
	marked := h.ClientSide == object.InstructionFile
	if !marked && h.Size > maxInstruction {
		return env, true
	}
	text, err := e.read(ctx, ref)
	if err != nil {
		return env, false
	}
	if env, err = cse.ParseLoneFile(text); err != nil {
		return cse.Envelope{}, !marked
	}
	return env, false
}

func (e *wrapAsker) read(ctx context.Context, file object.Ref) (text []byte, err error) {
	err = e.who.reads.Do(ctx, object.Call{Kind: object.ReqGet, Key: file.Key}, func(ctx context.Context) error {
		body, err := e.who.store.Open(ctx, file, object.CustomerKey{}, "")
		if err != nil {
			return err
		}
		defer body.Close()
		text, err = io.ReadAll(io.LimitReader(body, maxInstruction+1))
		return err
	})
	return text, err
}
