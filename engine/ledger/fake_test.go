package ledger

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// bucket is a store in memory, whose answers a test can lose.
type bucket struct {
	mu      sync.Mutex
	objects map[string]stored
	writes  int
	// fault, where set, is asked before each write what is to become of it.
	fault func(write int, key string) fault
	// blind ignores conditions.
	blind bool
	// quotes makes no If-Match hold.
	quotes bool
}

type stored struct {
	data []byte
	etag string
	at   time.Time
}

type fault int

const (
	works   fault = iota
	fails         // not applied, and answered with an error
	loses         // applied, and the answer is lost
	repeats       // applied twice, as by a proxy that sends it again: the second answer comes
)

func newBucket() *bucket { return &bucket{objects: map[string]stored{}} }

func (b *bucket) Get(_ context.Context, r *object.GetRequest) (object.GetReply, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	o, ok := b.objects[r.Ref.Key]
	if !ok {
		return object.GetReply{}, &object.Error{Class: object.ClassGone, Op: "GetObject", Ref: r.Ref}
	}
	reply := object.GetReply{Body: slices.Clone(o.data)}
	reply.ETag = o.etag
	return reply, nil
}

func (b *bucket) Put(ctx context.Context, r *object.PutRequest) (object.CopyReply, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.writes++
	what := works
	if b.fault != nil {
		what = b.fault(b.writes, r.Dest.Key)
	}
	lost := &object.Error{Class: object.ClassTransient, Op: "PutObject", Ref: r.Dest, HTTPStatus: 500}
	if what == fails {
		return object.CopyReply{}, lost
	}
	reply, err := b.apply(r)
	switch what {
	case loses:
		return object.CopyReply{}, lost
	case repeats:
		return b.apply(r)
	}
	return reply, err
}

func (b *bucket) apply(r *object.PutRequest) (object.CopyReply, error) {
	o, ok := b.objects[r.Dest.Key]
	refused := &object.Error{Class: object.ClassChanged, Op: "PutObject", Ref: r.Dest, HTTPStatus: 412}
	switch {
	case b.blind:
	case r.DestETag != "" && b.quotes, r.DestAbsent && ok, r.DestETag != "" && ok && o.etag != r.DestETag:
		return object.CopyReply{}, refused
	case r.DestETag != "" && !ok:
		return object.CopyReply{}, &object.Error{Class: object.ClassGone, Op: "PutObject", Ref: r.Dest, HTTPStatus: 404}
	}
	sum := md5.Sum(r.Body)
	b.objects[r.Dest.Key] = stored{slices.Clone(r.Body), hex.EncodeToString(sum[:]), time.Now()}
	return object.CopyReply{ETag: hex.EncodeToString(sum[:])}, nil
}

func (b *bucket) ListPage(_ context.Context, q object.ListRequest) (reply object.ListReply, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	const page = 7
	for _, key := range slices.Sorted(maps.Keys(b.objects)) {
		rest, ok := strings.CutPrefix(key, q.Prefix)
		if !ok || strings.Contains(rest, "/") || key <= q.ContinuationToken {
			continue
		}
		if len(reply.Objects) == page {
			reply.Truncated, reply.NextToken = true, reply.Objects[page-1].Key
			return reply, nil
		}
		reply.Objects = append(reply.Objects, object.Object{Ref: object.Ref{Key: key}, Size: int64(len(b.objects[key].data)), LastModified: b.objects[key].at})
	}
	return reply, nil
}

// set puts an object there, or takes it away, behind every client's back.
func (b *bucket) set(key string, o *stored) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if o == nil {
		delete(b.objects, key)
		return
	}
	b.objects[key] = *o
}

func (b *bucket) place() *Place {
	return &Place{Store: b, Bucket: "state", Prefix: "jobs/a/", Backoff: func(n int, _ time.Duration) time.Duration { return time.Duration(n) * 10 * time.Millisecond }}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// killed ends a holder as SIGKILL does: it renews nothing more, and gives nothing back.
func killed(l *Lease) {
	l.stop()
	<-l.ended
}

// read tells the segments of a log as text.
func read(t *testing.T, p *Place) []string {
	t.Helper()
	var all []string
	for s, err := range NewLog(p, "log", "id").Segments(t.Context(), nil) {
		must(t, err)
		all = append(all, string(s))
	}
	return all
}

// take is a new holder of the log, with what it found there.
func take(t *testing.T, p *Place, l *Lease) (*Log, []string) {
	t.Helper()
	log := NewLog(p, "log", "id")
	var all []string
	for s, err := range log.Segments(t.Context(), l) {
		must(t, err)
		all = append(all, string(s))
	}
	return log, all
}

func words(from, to int) (w []string) {
	for i := from; i < to; i++ {
		w = append(w, fmt.Sprintf("segment %d", i))
	}
	return w
}
