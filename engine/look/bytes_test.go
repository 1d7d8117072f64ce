package look

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/carry"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/retry"
	"github.com/resealhq/reseal/engine/store"
)

type open struct{ bytes int64 }

func (open) Enter(ctx context.Context, _ *object.Call) error { return ctx.Err() }
func (open) Leave(*object.Call, object.Result)               {}
func (o *open) Requested(call *object.Call, _ object.Result) { o.bytes += call.Bytes }

// slow is a store whose bodies take their time.
type slow struct {
	store.Reader
	size int64
	took time.Duration
}

type slowBody struct {
	ctx  context.Context // of the one request that it is the answer of
	left int64
	took time.Duration
}

func (s slow) Open(ctx context.Context, _ object.Ref, _ object.CustomerKey, _ string) (io.ReadCloser, error) {
	return &slowBody{ctx, s.size, s.took}, nil
}

func (b *slowBody) Read(p []byte) (int, error) {
	time.Sleep(b.took)
	b.took = 0
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	if b.left == 0 {
		return 0, io.EOF
	}
	n := min(b.left, int64(len(p)))
	b.left -= n
	return int(n), nil
}

func (b *slowBody) Close() error { return nil }

// TestDigestHasTheTimeThatItsBytesTake: a large object is read in more than the time that
// a request has which moves no data, and its bytes count for the bandwidth.
func TestDigestHasTheTimeThatItsBytesTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 64 << 20
		told := &open{}
		l := &Looker{Rules: &carry.Rules{}, Loop: &retry.Loop{Pace: told, Observer: told, Log: slog.New(slog.DiscardHandler), MaxAttempts: 1,
			RequestTimeout: 10 * time.Second, Backoff: func(int, time.Duration) time.Duration { return time.Second },
			Stopping: make(chan struct{}), Stop: func(error) {}}}
		sum, err := l.Digest(t.Context(), store.Store{Reader: slow{size: size, took: 20 * time.Second}}, &object.Object{Ref: object.Ref{Bucket: "b", Key: "k"}, Size: size})
		if err != nil || len(sum) == 0 || told.bytes != size {
			t.Errorf("%x of %d bytes, %v", sum, told.bytes, err)
		}
	})
}
