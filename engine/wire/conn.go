package wire

import (
	"context"
	"net"
	"os"
	"sync"
	"time"
)

// conn is one connection with everything that an exchange over it needs, so
// that a request in the steady state allocates next to nothing. One goroutine
// at a time uses it, but for interrupt.
type conn struct {
	net.Conn
	buf  []byte // read, not taken: buf[r:w]
	r, w int
	body []byte // a chunked body, put together
	sink *sink  // takes the body of a GET; nil for everything else
	// detail: a success with an ETag is the object itself, which is not read.
	detail bool
	reply  reply
	req    request
	words  interned
	// fresh until its first reply: a failure cannot be that of a stale connection.
	fresh bool
	// deadline is the one that is set for reading, limit the context's own, and
	// silence how long the store may say nothing.
	deadline, limit time.Time
	silence         time.Duration
	filled          bool
	lastUsed        time.Time
	// watched is the context whose end interrupts this connection. One that comes
	// again, as a run's does, stays registered from exchange to exchange; last is
	// that of the exchange before.
	watched, last <-chan struct{}
	unwatch       func() bool
	mu            struct {
		sync.Mutex
		busy        <-chan struct{} // the context of the exchange going on
		interrupted bool
	}
}

func newConn(nc net.Conn) *conn {
	return &conn{Conn: nc, buf: make([]byte, 4096), fresh: true}
}

var past = time.Unix(1, 0)

// begin makes the connection follow ctx, its limit and the silence that is
// allowed. It fails if ctx has ended.
func (k *conn) begin(ctx context.Context, limit time.Time, silence time.Duration, now time.Time) error {
	done := ctx.Done()
	k.mu.Lock()
	k.mu.busy = done
	k.mu.Unlock()
	if done != k.watched {
		k.stopWatching()
		if done != nil {
			k.watched = done
			k.unwatch = context.AfterFunc(ctx, func() { k.interrupt(done) })
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	k.silence, k.filled, k.limit = silence, false, limit
	return k.extend(now)
}

// end is the opposite of begin. It reports whether the connection can go on: not
// if the context ended meanwhile.
func (k *conn) end() bool {
	k.mu.Lock()
	ok := !k.mu.interrupted
	k.mu.busy = nil
	k.mu.Unlock()
	if k.watched != k.last {
		k.last = k.watched
		k.stopWatching()
	}
	return ok
}

func (k *conn) stopWatching() {
	if k.unwatch != nil {
		k.unwatch()
	}
	k.watched, k.unwatch = nil, nil
}

// interrupt wakes the exchange that goes on under the context done, if any.
func (k *conn) interrupt(done <-chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.mu.busy == done {
		k.mu.interrupted = true
		k.SetDeadline(past)
	}
}

// extend moves the deadline to silence from now, but only when it has come
// nearer by a quarter: setting one costs as much as parsing a reply.
func (k *conn) extend(now time.Time) error {
	if !k.limit.IsZero() && k.limit.Before(now.Add(k.silence)) {
		return k.setDeadline(k.limit)
	}
	left := k.deadline.Sub(now)
	if left > k.silence*3/4 && left <= k.silence*5/4 {
		return nil
	}
	return k.setDeadline(now.Add(k.silence))
}

func (k *conn) setDeadline(t time.Time) error {
	if t.Equal(k.deadline) {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.mu.interrupted {
		return os.ErrDeadlineExceeded
	}
	k.deadline = t
	return k.SetReadDeadline(t) // a request fits into the socket's buffer
}

// writeOut writes the request and reports how much of it went out. An object's
// bytes may not fit into the socket's buffer, so that a store which does not take
// them has to be given up too.
func (k *conn) writeOut(now time.Time) (int64, error) {
	data := k.req.data
	k.req.data = nil // lent
	if len(data) == 0 {
		n, err := k.Write(k.req.out)
		return int64(n), err
	}
	until := now.Add(k.silence + time.Duration(len(data)/slowest)*time.Second)
	if !k.limit.IsZero() && k.limit.Before(until) {
		until = k.limit
	}
	if err := k.setWriteDeadline(until); err != nil {
		return 0, err
	}
	both := net.Buffers{k.req.out, data}
	n, err := both.WriteTo(k.Conn)
	if err == nil {
		err = k.setWriteDeadline(time.Time{})
	}
	return n, err
}

// slowest is how many bytes a second a store takes at least.
const slowest = 64 << 10

// earlyReply is the refusal that a store gave before it had taken the whole
// request, after which it may close the connection; nil where there is none.
func (k *conn) earlyReply(cause error) *reply {
	if k.req.method != "PUT" || isTimeout(cause) {
		return nil
	}
	r, err := k.readReply(k.req.method)
	if err != nil || r.status/100 == 2 {
		return nil
	}
	return r
}

func (k *conn) setWriteDeadline(t time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.mu.interrupted {
		return os.ErrDeadlineExceeded
	}
	return k.SetWriteDeadline(t)
}

// fill reads more into buf, growing it as needed; the callers bound what they
// wait for.
func (k *conn) fill() error {
	if k.w == len(k.buf) {
		if k.w > maxHeader+2*maxBody {
			return errTooLong
		}
		grown := make([]byte, 2*len(k.buf))
		copy(grown, k.buf[:k.w]) // what was parsed already keeps its old array
		k.buf = grown
	}
	if k.filled { // the store has spoken: its silence begins again
		if err := k.extend(time.Now()); err != nil {
			return err
		}
	}
	k.filled = true
	n, err := k.Read(k.buf[k.w:])
	k.w += n
	if n > 0 {
		return nil
	}
	return err
}

// compact starts a reply at the beginning of a buffer of ordinary size.
func (k *conn) compact() {
	if k.r == k.w {
		k.r, k.w = 0, 0
		if len(k.buf) > keepBuffer {
			k.buf = make([]byte, 4096)
		}
		if cap(k.body) > keepBuffer {
			k.body = nil
		}
	}
}

func (k *conn) close() {
	k.stopWatching()
	k.Conn.Close()
}
