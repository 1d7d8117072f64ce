package wire

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// closeAfter answers n requests on every connection, then closes it.
func closeAfter(n int, last string) func(*store, int, net.Conn, *bufio.Reader) {
	return func(s *store, _ int, c net.Conn, r *bufio.Reader) {
		for range n {
			req := s.read(r)
			if req == nil {
				return
			}
			io.WriteString(c, canned(req))
		}
		if last != "" && s.read(r) != nil {
			io.WriteString(c, last)
		}
	}
}

// A store that closes a connection between two requests without a word is the
// ordinary case of a stale connection.
func TestStaleConnections(t *testing.T) {
	for _, idempotent := range []bool{true, false} {
		closed := make(chan struct{}, 16)
		s := serve(t, func(s *store, _ int, c net.Conn, r *bufio.Reader) {
			io.WriteString(c, canned(s.read(r)))
			s.read(r) // the second one is read, applied perhaps, and not answered
			c.Close()
			closed <- struct{}{}
		})
		c := open(t, s, nil)
		ctx := context.Background()
		if _, err := c.Head(ctx, someRef, object.CustomerKey{}); err != nil {
			t.Fatal(err)
		}
		if idempotent {
			if _, err := c.Head(ctx, someRef, object.CustomerKey{}); err != nil {
				t.Errorf("a HEAD was not sent again: %v", err)
			}
			continue
		}
		_, err := c.Copy(ctx, someCopy)
		if e := asError(t, err); e.Class != object.ClassTransient || e.NotSent || !object.MaybeApplied(err) {
			t.Errorf("a copy whose answer was lost: %+v", e)
		}
		<-closed
		if _, requests := s.seen(); requests != 2 {
			t.Errorf("%d requests: the copy was sent again", requests)
		}
	}
}

// A connection that rested is looked at before a mutation is trusted to it.
func TestARestedConnectionIsLookedAt(t *testing.T) {
	gone := make(chan struct{})
	s := serve(t, func(s *store, n int, c net.Conn, r *bufio.Reader) {
		io.WriteString(c, canned(s.read(r)))
		if n == 1 {
			c.Close()
			close(gone)
			return
		}
		s.read(r)
	})
	c := open(t, s, nil)
	ctx := context.Background()
	if _, err := c.Head(ctx, someRef, object.CustomerKey{}); err != nil {
		t.Fatal(err)
	}
	<-gone
	h, err := c.host(ctx, "bucket")
	if err != nil {
		t.Fatal(err)
	}
	k := h.pool.get(c.hash(someRef.Key), time.Time{})
	k.lastUsed = k.lastUsed.Add(-2 * time.Second)
	// Wait until the FIN is here: a read of it ends at once.
	k.SetReadDeadline(time.Now().Add(5 * time.Second))
	for alive(k.Conn) {
		if _, err := k.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("the connection was not closed")
		}
	}
	k.SetReadDeadline(time.Time{})
	h.pool.put(k, c.hash(someRef.Key), 10, time.Time{})
	if _, err := c.Copy(ctx, someCopy); err != nil {
		t.Errorf("the copy went over a dead connection: %v", err)
	}
	if conns, _ := s.seen(); conns != 2 {
		t.Errorf("%d connections", conns)
	}
}

func TestConnectionsThatMayNotBeReused(t *testing.T) {
	for name, reply := range map[string]string{
		"close":             "HTTP/1.1 200 OK\r\nConnection: foo, Close\r\nETag: \"e\"\r\nContent-Length: 1\r\n\r\n",
		"http 1.0":          "HTTP/1.0 200 OK\r\nETag: \"e\"\r\nContent-Length: 1\r\n\r\n",
		"unasked bytes":     "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 1\r\n\r\nHTTP/1.1 200 OK",
		"body of a HEAD":    "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 1\r\n\r\nx",
		"kept though 1.0":   "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nETag: \"e\"\r\nContent-Length: 1\r\n\r\n",
		"an ordinary reply": headReply,
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, closeAfter(0, reply))
			c := open(t, s, nil)
			if _, err := c.Head(context.Background(), someRef, object.CustomerKey{}); err != nil {
				t.Fatal(err)
			}
			h, err := c.host(context.Background(), "bucket")
			if err != nil {
				t.Fatal(err)
			}
			kept := h.pool.idle.Load() == 1
			if want := name == "an ordinary reply" || name == "kept though 1.0"; kept != want {
				t.Errorf("kept %v, want %v", kept, want)
			}
		})
	}
}

// blackHole accepts, reads and never answers.
func blackHole(arrived chan<- struct{}) func(*store, int, net.Conn, *bufio.Reader) {
	return func(s *store, _ int, c net.Conn, r *bufio.Reader) {
		for s.read(r) != nil {
			arrived <- struct{}{}
		}
	}
}

func TestCancelAndDeadlines(t *testing.T) {
	arrived := make(chan struct{}, 100)
	t.Run("cancelled while waiting", func(t *testing.T) {
		c := open(t, serve(t, blackHole(arrived)), nil)
		ctx, cancel := context.WithCancel(context.Background())
		go func() { <-arrived; cancel() }()
		_, err := c.Copy(ctx, someCopy)
		if e := asError(t, err); e.Class != object.ClassCanceled || e.NotSent || !errors.Is(err, context.Canceled) || !object.MaybeApplied(err) {
			t.Errorf("got %+v", e)
		}
		_, err = c.Copy(ctx, someCopy)
		if e := asError(t, err); e.Class != object.ClassCanceled || !e.NotSent || object.MaybeApplied(err) {
			t.Errorf("cancelled before: %+v", e)
		}
	})
	t.Run("cancelled on a used connection", func(t *testing.T) {
		s := serve(t, func(s *store, _ int, c net.Conn, r *bufio.Reader) {
			for i := 0; ; i++ {
				req := s.read(r)
				if req == nil {
					return
				}
				if i == 3 {
					arrived <- struct{}{}
					continue
				}
				io.WriteString(c, canned(req))
			}
		})
		c := open(t, s, nil)
		ctx, cancel := context.WithCancel(context.Background())
		for range 3 {
			if _, err := c.Head(ctx, someRef, object.CustomerKey{}); err != nil {
				t.Fatal(err)
			}
		}
		go func() { <-arrived; cancel() }()
		if _, err := c.Copy(ctx, someCopy); object.ClassOf(err) != object.ClassCanceled {
			t.Errorf("got %v", err)
		}
	})
	t.Run("cancelled between requests", func(t *testing.T) {
		s := serve(t, answers(canned))
		c := open(t, s, nil)
		ctx, cancel := context.WithCancel(context.Background())
		if _, err := c.Head(ctx, someRef, object.CustomerKey{}); err != nil {
			t.Fatal(err)
		}
		cancel()
		if _, err := c.Copy(context.Background(), someCopy); err != nil {
			t.Errorf("another context's end broke the connection: %v", err)
		}
		if conns, _ := s.seen(); conns != 1 {
			t.Errorf("%d connections", conns)
		}
	})
	t.Run("deadline", func(t *testing.T) {
		c := open(t, serve(t, blackHole(arrived)), nil)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err := c.Copy(ctx, someCopy)
		if e := asError(t, err); e.Class != object.ClassTransient || e.NotSent || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %+v", e)
		}
	})
	t.Run("silence", func(t *testing.T) {
		c := open(t, serve(t, blackHole(arrived)), func(o *Options) { o.CopyTimeout = 20 * time.Millisecond })
		_, err := c.Copy(context.Background(), someCopy)
		if e := asError(t, err); e.Class != object.ClassTransient || e.NotSent || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %+v", e)
		}
	})
	t.Run("a store that keeps talking", func(t *testing.T) {
		// Its white space comes more slowly than the allowed silence in all, and faster
		// than that from byte to byte.
		const silence = 200 * time.Millisecond
		s := serve(t, func(s *store, _ int, c net.Conn, r *bufio.Reader) {
			s.read(r)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
			tick := time.NewTicker(silence / 4)
			defer tick.Stop()
			for range 8 {
				<-tick.C
				io.WriteString(c, "1\r\n \r\n")
			}
			fmt.Fprintf(c, "%x\r\n%s\r\n0\r\n\r\n", len(copyXML), copyXML)
		})
		c := open(t, s, func(o *Options) { o.CopyTimeout = silence })
		if _, err := c.Copy(context.Background(), someCopy); err != nil {
			// The XML declaration after white space is not well-formed, but S3 sends it so.
			t.Error(err)
		}
	})
}

func TestUnreachable(t *testing.T) {
	s := serve(t, answers(canned))
	c := open(t, s, nil)
	s.Listener.Close()
	_, err := c.Copy(context.Background(), someCopy)
	if e := asError(t, err); e.Class != object.ClassUnreachable || !e.NotSent {
		t.Errorf("got %+v", e)
	}
}

// failingConn fails its writes, having taken n bytes of each.
type failingConn struct {
	net.Conn
	fail *bool
	n    int
}

func (f failingConn) Write(b []byte) (int, error) {
	if *f.fail {
		f.Conn.Close()
		return f.n, net.ErrClosed
	}
	return f.Conn.Write(b)
}

func TestAWriteThatFails(t *testing.T) {
	for _, n := range []int{0, 1} {
		s := serve(t, answers(canned))
		broken := make([]bool, 3)
		dials := 0
		c := open(t, s, func(o *Options) {
			o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				nc, err := (&net.Dialer{}).DialContext(ctx, network, addr)
				dials++
				return failingConn{nc, &broken[dials-1], n}, err
			}
		})
		ctx := context.Background()
		if _, err := c.Copy(ctx, someCopy); err != nil {
			t.Fatal(err)
		}
		broken[0] = true
		_, err := c.Copy(ctx, someCopy)
		if n == 0 && (err != nil || dials != 2) {
			t.Errorf("nothing was written, and the copy did not take another connection: %v", err)
		}
		if n == 1 && (!object.MaybeApplied(err) || dials != 1) {
			t.Errorf("a byte was written: %v", err)
		}
		// A fresh connection that fails is not replaced: the store is ill.
		broken[0], broken[1], broken[2] = true, true, true
		c.Close()
		_, err = c.Copy(ctx, someCopy)
		if e := asError(t, err); e.NotSent != (n == 0) {
			t.Errorf("n=%d: %+v", n, e)
		}
	}
}

func TestManyWorkersKeepToTheirConnections(t *testing.T) {
	s := serve(t, answers(canned))
	c := open(t, s, nil)
	const workers = 32
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range 50 {
				ref := object.Ref{Bucket: "bucket", Key: fmt.Sprintf("w%d/%d", w, i)}
				if _, err := c.Head(context.Background(), ref, object.CustomerKey{}); err != nil {
					t.Error(err)
				}
				if _, err := c.Copy(context.Background(), &object.CopyRequest{Source: ref, Dest: ref}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := c.Dials(); n > 2*workers {
		t.Errorf("%d connections for %d workers", n, workers)
	}
}

func TestIdleConnectionsAreBoundedAndAge(t *testing.T) {
	s := serve(t, answers(canned))
	c := open(t, s, func(o *Options) { o.MaxIdle = 2 })
	h, err := c.host(context.Background(), "bucket")
	if err != nil {
		t.Fatal(err)
	}
	base := time.Now()
	for i := range 3 {
		k, err := c.dial(context.Background(), h)
		if err != nil {
			t.Fatal(err)
		}
		k.lastUsed = base.Add(time.Duration(i) * time.Second)
		h.pool.put(k, 0, 2, base)
	}
	if n := h.pool.idle.Load(); n != 2 {
		t.Errorf("%d kept, want 2", n)
	}
	if k := h.pool.get(5, base.Add(time.Hour)); k != nil || h.pool.idle.Load() != 0 {
		t.Error("connections older than allowed were given out or kept")
	}
}
