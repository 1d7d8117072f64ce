package s3store

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// attempts of one request of the canary, or of one that reads a setting of a
// bucket: a reply that is lost by chance must not become a finding, nor end a job
// before it has begun.
const attempts = 6

// patiently sends a request until it is answered. These few requests go out
// before there is a run whose retry loop could take care of them.
func patiently(ctx context.Context, bucket string, send func() error) error {
	for n := 1; ; n++ {
		err := send()
		if err == nil || n == attempts || !object.ClassOf(err).Retryable() || emptySuccess(err) {
			return err
		}
		if err := pause(ctx, bucket, n, err); err != nil {
			return err
		}
	}
}

// emptySuccess: the store did answer, with 200 and nothing to read.
func emptySuccess(err error) bool {
	var e *object.Error
	return errors.As(err, &e) && e.HTTPStatus == http.StatusOK && e.Code == ""
}

// pause waits before attempt n+1.
func pause(ctx context.Context, bucket string, n int, err error) error {
	wait := 20 * time.Millisecond << n
	var e *object.Error
	if errors.As(err, &e) && e.RetryAfter > wait {
		wait = min(e.RetryAfter, 10*time.Second)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return FailedToSend("Wait", object.Ref{Bucket: bucket}, ctx, ctx.Err())
	case <-timer.C:
		return nil
	}
}
