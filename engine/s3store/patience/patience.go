// Package patience repeats the few requests that go out before there is a run whose
// retry loop could take care of them: those of the canary, and those that read the
// settings of a bucket. A reply that is lost by chance must not become a finding, nor
// end a job before it has begun.
package patience

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// Attempts of one request.
const Attempts = 6

// Try sends a request until it is answered. It is for requests that do no harm when
// they are done twice.
func Try(ctx context.Context, bucket string, send func() error) error {
	for n := 1; ; n++ {
		err := send()
		if err == nil || n == Attempts || !object.ClassOf(err).Retryable() || EmptySuccess(err) {
			return err
		}
		if err := Pause(ctx, bucket, n, err); err != nil {
			return err
		}
	}
}

// EmptySuccess: the store did answer, with 200 and nothing to read.
func EmptySuccess(err error) bool {
	var e *object.Error
	return errors.As(err, &e) && e.HTTPStatus == http.StatusOK && e.Code == ""
}

// Pause waits before attempt n+1; err is what attempt n met.
func Pause(ctx context.Context, bucket string, n int, err error) error {
	wait := 20 * time.Millisecond << n
	var e *object.Error
	if errors.As(err, &e) && e.RetryAfter > wait {
		wait = min(e.RetryAfter, 10*time.Second)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return Ended(ctx, "Wait", bucket)
	case <-timer.C:
		return nil
	}
}

// Ended is the error of what was not sent because ctx had ended.
func Ended(ctx context.Context, op, bucket string) *object.Error {
	e := &object.Error{Class: object.ClassTransient, Op: op, Ref: object.Ref{Bucket: bucket}, Message: ctx.Err().Error(), NotSent: true, Err: ctx.Err()}
	if errors.Is(ctx.Err(), context.Canceled) {
		e.Class = object.ClassCanceled
	}
	return e
}
