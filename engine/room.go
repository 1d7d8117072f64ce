package engine

import (
	"context"
	"math/bits"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/resealhq/reseal/engine/object"
)

// maxBytesHeld bounds the objects' bytes that a run holds at a time, whatever its
// workers are.
const maxBytesHeld = 256 << 20

// room is where the bytes of objects lie while they are rewritten.
type room struct {
	free    *semaphore.Weighted
	size    int64
	buffers sync.Pool // of *[]byte
	// classes are buffers that hold gives out.
	classes [64]sync.Pool // of *[]byte
}

func newRoom(size int64) *room { return &room{free: semaphore.NewWeighted(size), size: size} }

// take waits until there is room for n bytes. done gives it back, and then the
// buffer, whatever it has become, belongs to somebody else.
func (m *room) take(ctx context.Context, n int64) (buf *[]byte, done func(), err error) {
	n = min(n, m.size)
	if err := m.free.Acquire(ctx, n); err != nil {
		return nil, nil, &object.Error{Class: object.ClassCanceled, Op: "GetObject", Message: "not sent: " + err.Error(), NotSent: true, Err: err}
	}
	buf, _ = m.buffers.Get().(*[]byte)
	if buf == nil {
		buf = new([]byte)
	}
	return buf, func() {
		m.buffers.Put(buf)
		m.free.Release(n)
	}, nil
}

// hold is take for somebody who fills n bytes himself, and will add a tag or two. Its
// buffers are of few sizes, so that each serves again, and count as large as they are.
func (m *room) hold(ctx context.Context, n int64) (b []byte, done func(), err error) {
	class, size := classOf(n)
	weight := min(size, m.size)
	if err := m.free.Acquire(ctx, weight); err != nil {
		return nil, nil, &object.Error{Class: object.ClassCanceled, Op: "GetObject", Message: "not sent: " + err.Error(), NotSent: true, Err: err}
	}
	buf, _ := m.classes[class].Get().(*[]byte)
	if buf == nil {
		fresh := make([]byte, size)
		buf = &fresh
	}
	return (*buf)[:n], func() {
		m.classes[class].Put(buf)
		m.free.Release(weight)
	}, nil
}

// classOf is the size of the buffer for n bytes: a power of two, or in between half a
// part and a part.
func classOf(n int64) (class int, size int64) {
	const half, whole, above = 22, 23, 2
	switch n -= 2 * tagSize; {
	case n <= 1<<20:
		class = bits.Len64(uint64(max(n, 4<<10) - 1))
		size = 1 << class
	case n <= sentPart/2:
		class, size = half, sentPart/2
	case n <= sentPart:
		class, size = whole, sentPart
	default:
		class = bits.Len64(uint64(n - 1))
		size = 1 << class
		class += above
	}
	return class, size + 2*tagSize
}
