package sim

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// exchange is the listener of a store that is reached without a network.
type exchange struct {
	calls  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newExchange() *exchange {
	return &exchange{calls: make(chan net.Conn), closed: make(chan struct{})}
}

func (x *exchange) Accept() (net.Conn, error) {
	select {
	case c := <-x.calls:
		return c, nil
	case <-x.closed:
		return nil, net.ErrClosed
	}
}

func (x *exchange) Close() error {
	x.once.Do(func() { close(x.closed) })
	return nil
}

func (x *exchange) Addr() net.Addr { return place{} }

type place struct{}

func (place) Network() string { return "memory" }
func (place) String() string  { return "store.sim:80" }

// lines are the connections of one process. They die with it.
type lines struct {
	x  *exchange
	mu struct {
		sync.Mutex
		dead bool
		open []net.Conn
	}
}

var errDead = &net.OpError{Op: "dial", Net: "memory", Err: errors.Join(syscall.ECONNREFUSED)}

func (l *lines) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	l.mu.Lock()
	if l.mu.dead {
		l.mu.Unlock()
		return nil, errDead
	}
	l.mu.open = append(l.mu.open, ours)
	l.mu.Unlock()
	slow := &wire{ours}
	select {
	case l.x.calls <- theirs:
		return slow, nil
	case <-l.x.closed:
		return nil, errDead
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// wire takes its time: what is sent in the moment in which a process dies has not left it.
type wire struct{ net.Conn }

func (w *wire) Write(b []byte) (int, error) {
	time.Sleep(time.Microsecond)
	return w.Conn.Write(b)
}

// cut ends every connection, and there will be no other.
func (l *lines) cut() {
	l.mu.Lock()
	l.mu.dead = true
	open := l.mu.open
	l.mu.open = nil
	l.mu.Unlock()
	for _, c := range open {
		_ = c.Close()
	}
}
