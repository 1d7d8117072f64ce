package canary

import (
	"context"
	"errors"
	"strings"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store/patience"
)

// awayError is the answer of a store that is away, or whose KMS fails under every key, so that it
// says nothing of what was asked.
type awayError struct{ error }

func (e awayError) Unwrap() error { return e.error }

// unlessAway looks at the last answer to a request: where the KMS of the store is away, it is none.
// A target that needs no KMS does without; see instead.
func (c *canary) unlessAway(ctx context.Context, err error) error {
	switch {
	case object.ClassOf(err) != object.ClassKMSAway:
		return err
	case c.target.SSE != object.SSES3 && !c.target.SSE.KMS():
		c.litter.kmsFailed(err)
		return err
	case c.kmsIsAway(ctx, err):
		return awayError{err}
	}
	return err
}

// kmsIsAway says whether the KMS fails under the store's own key, too, so that nothing is known
// of another. MinIO says the same where KES takes no key of the name that is asked for.
func (c *canary) kmsIsAway(ctx context.Context, err error) (away bool) {
	if e, ok := errors.AsType[*object.Error](err); ok && !strings.HasPrefix(e.Code, "kms:") {
		return true // AWS's words say what they mean
	}
	t, p := c.throwaway("kms", func(p *object.PutRequest) { p.Target = &object.Target{SSE: object.SSES3} })
	_ = patience.Try(ctx, c.o.Bucket, func() error {
		rep, err := c.s.Put(ctx, p)
		if err == nil {
			c.litter.object(t.ref, rep.VersionID)
		}
		if away = object.ClassOf(err) == object.ClassKMSAway; away {
			return nil
		}
		return err
	})
	return away
}

// instead is the error of a KMS that failed where a job needs none, and something was seen otherwise
// than by an earlier process: it is not the store that has changed.
func (c *canary) instead() error {
	if err := c.litter.kmsErr(); err != nil && c.o.Known != nil && len(Differences(c.o.Known, c.caps)) > 0 {
		return err
	}
	return nil
}
