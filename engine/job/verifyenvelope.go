package job

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/resealhq/reseal/engine/cse"
	"github.com/resealhq/reseal/engine/object"
)

// envelopes tells whether data keys are under the key that a job wanted. It asks as a
// second run would, and writes nothing.
type envelopes struct {
	v      *verifier
	target cse.Target
	kms    cse.KMS
	// format is what objects were brought to, where remakes is set.
	format  cse.Format
	remakes bool
}

// compare says how the envelope of an object is not as wanted; empty where it is. Its
// error is one that concerns all objects.
func (e *envelopes) compare(ctx context.Context, o *object.Outcome, h *object.Head) (string, error) {
	var err error
	if e.remakes {
		err = e.remade(ctx, o, h)
	} else {
		var env cse.Envelope
		if env, err = e.read(ctx, h); err == nil {
			err = e.wanted(ctx, env)
		}
	}
	var refused *cse.Refusal
	switch class := object.ClassOf(err); {
	case err == nil:
		return "", nil
	case errors.As(err, &refused):
		return "its envelope: " + refused.Message, nil
	case errors.Is(err, errOtherKey), errors.Is(err, errOtherFormat):
		return err.Error(), nil
	case class.Fatal() && class != object.ClassKey, class.Retryable(), class == object.ClassCanceled, ctx.Err() != nil:
		return "", err
	}
	return "its envelope cannot be checked: " + err.Error(), nil
}

var (
	errOtherKey    = errors.New("its data key is not under the key of the job")
	errOtherFormat = errors.New("its client-side encryption is not the one of the job")
)

// remade says whether an object has the client-side encryption that it was written
// again for, and whether the key of the job opens its envelope.
func (e *envelopes) remade(ctx context.Context, o *object.Outcome, h *object.Head) error {
	env, err := cse.Parse(h.Metadata)
	// An envelope of version 2 that lies in a file leaves no mark on its object. The file is
	// believed of the bytes that it was seen beside, and of no others: these may be plain.
	unmarked := env.Format == cse.None && o.ClientSideAfter.InFile() && o.ETagAfter == h.ETag
	if err == nil && (env.NeedsFile || unmarked) {
		env, err = e.read(ctx, h)
	}
	switch {
	case err != nil:
		return err
	case env.Format != e.format:
		return fmt.Errorf("%w: it shows %s", errOtherFormat, env)
	case env.Format == cse.None:
		return nil
	}
	_, err = e.open(ctx, env)
	return err
}

// open gives the data key of an envelope that is under the key of the job.
func (e *envelopes) open(ctx context.Context, env cse.Envelope) (key cse.DataKey, err error) {
	o := cse.Opener{KMS: e.kms, KMSKeyID: e.target.KMSKeyID, Key: e.target.Key}
	if e.kms == nil {
		key, err = env.Unwrap(ctx, o)
	} else {
		call := object.Call{Kind: object.ReqKMS, KMSKey: e.target.KMSKeyID, OtherKey: true}
		err = e.v.reads.Do(ctx, call, func(ctx context.Context) (err error) {
			key, err = env.Unwrap(ctx, o)
			return err
		})
	}
	if errors.Is(err, cse.ErrIncorrectKey) || errors.Is(err, cse.ErrWrongKey) {
		return key, errOtherKey
	}
	return key, err
}

func (e *envelopes) wanted(ctx context.Context, env cse.Envelope) error {
	d, err := cse.Decide(env, e.target)
	if err != nil {
		return err
	}
	var res cse.Result
	if e.kms == nil {
		res, err = d.Do(ctx, nil)
	} else {
		call := object.Call{Kind: object.ReqKMS, KMSKey: e.target.KMSKeyID, OtherKey: true}
		err = e.v.reads.Do(ctx, call, func(ctx context.Context) (err error) {
			res, err = d.Do(ctx, e.kms)
			return err
		})
	}
	if err == nil && !res.Already && !res.Older { // the key may have been rotated since the job
		err = errOtherKey
	}
	return err
}

// read finds the envelope: in the metadata, or in the instruction file.
func (e *envelopes) read(ctx context.Context, h *object.Head) (cse.Envelope, error) {
	env, err := cse.Parse(h.Metadata)
	if err != nil || env.Format != cse.None && !env.NeedsFile {
		return env, err
	}
	above, file := h.Metadata, object.Ref{Bucket: h.Bucket, Key: h.Key}
	if base, is := strings.CutSuffix(h.Key, cse.InstructionSuffix); is && env.Format == cse.None {
		b, err := e.v.head(ctx, object.Ref{Bucket: h.Bucket, Key: base}, object.SSEUnknown)
		if err != nil {
			return env, err
		}
		above = b.Metadata
	} else {
		file.Key += cse.InstructionSuffix
	}
	var key object.CustomerKey
	if h.Encryption.Type == object.SSEC { // the pair is under one key, as a rule
		key = e.v.target.From(&h.Encryption).SourceKey
	}
	body, err := e.v.text(ctx, file, key)
	if err != nil {
		return env, err
	}
	return cse.ParseFile(above, body)
}

// text is a small object.
func (v *verifier) text(ctx context.Context, ref object.Ref, key object.CustomerKey) (body []byte, err error) {
	err = v.reads.Do(ctx, object.Call{Kind: object.ReqGet, Key: ref.Key}, func(ctx context.Context) error {
		r, err := v.store.Open(ctx, ref, key, "")
		if err != nil {
			return err
		}
		defer r.Close()
		body, err = io.ReadAll(io.LimitReader(r, 1<<20))
		return err
	})
	return body, err
}
