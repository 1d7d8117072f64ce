package wire

import (
	"bufio"
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// quick answers without allocating, so that the benchmarks count the client's
// allocations only: a request without a body ends at the first empty line.
func quick(_ *store, _ int, c net.Conn, _ *bufio.Reader) {
	head, copied := []byte(headReply), []byte(withLength("x-amz-request-id: 17D6B4A1C2E3F405\r\n", copyXML))
	buf := make([]byte, 64<<10)
	for n := 0; ; {
		m, err := c.Read(buf[n:])
		if err != nil {
			return
		}
		if n += m; n < 4 || string(buf[n-4:n]) != "\r\n\r\n" {
			continue
		}
		reply := copied
		if buf[0] == 'H' {
			reply = head
		}
		if _, err := c.Write(reply); err != nil {
			return
		}
		n = 0
	}
}

func BenchmarkHead(b *testing.B) {
	c := open(b, serve(b, quick), nil)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Head(ctx, someRef, object.CustomerKey{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCopy(b *testing.B) {
	c := open(b, serve(b, quick), nil)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Copy(ctx, someCopy); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCopyWithDeadline is Copy under a context of its own, as a caller with
// a time limit for each request makes one.
func BenchmarkCopyWithDeadline(b *testing.B) {
	c := open(b, serve(b, quick), nil)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	b.ReportAllocs()
	for b.Loop() {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		if _, err := c.Copy(ctx, someCopy); err != nil {
			b.Fatal(err)
		}
		cancel()
	}
}

// BenchmarkBuild is what building and signing a CopyObject costs.
func BenchmarkBuild(b *testing.B) {
	c := open(b, serve(b, quick), nil)
	h, err := c.host(context.Background(), "bucket")
	if err != nil {
		b.Fatal(err)
	}
	key, err := h.keys.get(context.Background(), signedAt)
	if err != nil {
		b.Fatal(err)
	}
	var q request
	b.ReportAllocs()
	for b.Loop() {
		c.buildCopy(&q, h, someCopy)
		q.sign(key, h, signedAt)
	}
}

// BenchmarkParse is what reading a HEAD reply costs.
func BenchmarkParse(b *testing.B) {
	k := newConn(&replay{reply: []byte(headReply)})
	k.silence = time.Hour
	b.ReportAllocs()
	for b.Loop() {
		k.filled = false
		r, err := k.readReply("HEAD")
		if err != nil {
			b.Fatal(err)
		}
		var h object.Head
		if err := k.parseHead(r, someRef, &h); err != nil {
			b.Fatal(err)
		}
	}
}

// replay is a connection on which the same reply comes again and again.
type replay struct {
	net.Conn
	reply []byte
}

func (r *replay) Read(b []byte) (int, error) { return copy(b, r.reply), nil }

var _ io.Reader = (*replay)(nil)
