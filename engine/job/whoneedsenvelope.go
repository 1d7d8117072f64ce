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
	denied atomic.Bool
	found  sync.Map // of object.Ref: bool
}

// newWrapAsker is nil where there is no KMS to ask, or no key that it knows.
func (w *whoNeeds) newWrapAsker() *wrapAsker {
	k, err := w.store.KMSWraps()
	if err != nil || w.answer.ARN == "" {
		return nil
	}
	return &wrapAsker{who: w, kms: k}
}

// inspector asks about the envelope of every object that shows one.
func (e *wrapAsker) inspector(inspect planner.Inspector) planner.Inspector {
	if e == nil {
		return inspect
	}
	return func(ctx context.Context, o *object.Object) (object.Head, error) {
		h, err := inspect(ctx, o)
		if err == nil && h.ClientSide.Encrypted() && !e.denied.Load() {
			err = e.ask(ctx, o.Ref, &h)
		}
		return h, err
	}
}

// wrapped tells what was found out of an object, once.
func (e *wrapAsker) wrapped(ref object.Ref) (is, known bool) {
	if e == nil {
		return false, false
	}
	v, known := e.found.LoadAndDelete(ref)
	return known && v.(bool), known
}

// ask finds out about one object. Its error is one that concerns all of them.
func (e *wrapAsker) ask(ctx context.Context, ref object.Ref, h *object.Head) error {
	env, err := e.envelope(ctx, h)
	if err != nil || env.Format == cse.None || env.NeedsFile {
		return ctx.Err() // it cannot be read, and is told as not known
	}
	if !env.Wrap.KMS() {
		e.found.Store(ref, false) // a raw key wraps it
		return nil
	}
	call := object.Call{Kind: object.ReqKMS, Key: ref.Key, KMSKey: e.who.answer.ARN}
	err = e.who.reads.Do(ctx, call, func(ctx context.Context) error {
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

// envelope reads it from the metadata, or from the instruction file.
func (e *wrapAsker) envelope(ctx context.Context, h *object.Head) (cse.Envelope, error) {
	env, err := cse.Parse(h.Metadata)
	if err != nil || !env.NeedsFile {
		return env, err
	}
	var text []byte
	file := object.Ref{Bucket: h.Bucket, Key: h.Key + cse.InstructionSuffix}
	err = e.who.reads.Do(ctx, object.Call{Kind: object.ReqGet, Key: file.Key}, func(ctx context.Context) error {
		body, err := e.who.store.Open(ctx, file, object.CustomerKey{}, "")
		if err != nil {
			return err
		}
		defer body.Close()
		text, err = io.ReadAll(io.LimitReader(body, maxInstruction))
		return err
	})
	if err != nil {
		return env, err
	}
	return cse.ParseFile(h.Metadata, text)
}
