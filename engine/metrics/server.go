package metrics

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"time"
)

// orInf shows the absence of a limit as Prometheus does.
func orInf(limit float64) float64 {
	if limit == 0 {
		return math.Inf(1)
	}
	return limit
}

// Server serves /metrics.
type Server struct {
	http     *http.Server
	listener net.Listener
	done     chan struct{}
}

// Address is where an address of the command line listens: without a host only
// this machine can ask, since figures of a bucket are nobody else's business.
func Address(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("%q is no address; write it as :9090 or HOST:9090: %w", addr, err)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

// Listen serves the metrics at an address as Address understands it, until
// Close.
func Listen(addr string, m *Metrics) (*Server, error) {
	at, err := Address(addr)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", at)
	if err != nil {
		return nil, fmt.Errorf("serving metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m.Handler())
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "reseal: the metrics are at /metrics")
	})
	s := &Server{listener: l, done: make(chan struct{}),
		http: &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10}}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(l) // it ends with Close, and a scraper that fails is the scraper's trouble
	}()
	return s, nil
}

// Addr is where it listens: of port 0 the one that was found.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Close lets a scrape that is under way end, for a second, and waits.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	<-s.done
	return err
}
