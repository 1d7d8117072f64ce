package listing

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/resealhq/reseal/engine/object"
)

// busyStore gains and loses keys between any two requests.
type busyStore struct {
	*fakeStore
	mu    sync.Mutex
	r     *rand.Rand
	added []string
}

func (b *busyStore) ListPage(ctx context.Context, q object.ListRequest) (object.ListReply, error) {
	if err := b.wait(ctx, q.StartAfter+q.ContinuationToken+q.KeyMarker+q.VersionIDMarker); err != nil {
		return object.ListReply{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.r.IntN(3) == 0 {
		k := fmt.Sprintf("%08x-new", b.r.Uint32())
		b.insert(k)
		b.added = append(b.added, k)
	}
	if len(b.added) > 0 && b.r.IntN(4) == 0 {
		i := b.r.IntN(len(b.added))
		b.remove(b.added[i])
		b.added = slices.Delete(b.added, i, i+1)
	}
	// The fake's tokens are indexes, which would mean other keys by now.
	if q.ContinuationToken != "" {
		q.StartAfter, q.ContinuationToken = q.ContinuationToken, ""
	}
	reply, err := b.fakeStore.pageOf(q)
	if n := len(reply.Objects); reply.Truncated && n > 0 {
		reply.NextToken = reply.Objects[n-1].Key
	}
	return reply, err
}

func (b *busyStore) insert(k string) {
	i := b.behind(k)
	b.rows = slices.Insert(b.rows, i, object.Object{Ref: object.Ref{Bucket: "b", Key: k}})
}

func (b *busyStore) remove(k string) {
	i := b.behind(k) - 1
	b.rows = slices.Delete(b.rows, i, i+1)
}
