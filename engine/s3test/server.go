package s3test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/resealhq/reseal/engine/s3test/fault"
	"github.com/resealhq/reseal/engine/s3test/kms"
)

// Config says what kind of store to start. The zero value is AWS over plain
// HTTP on a free port, with the credentials of DefaultCredentials.
type Config struct {
	// Profile is the store to play; the zero value is AWS.
	Profile Profile
	// TLS serves HTTPS under a certificate made in memory (see Server.CAPEM), and
	// under AWS's host names to whoever connects to one; see awsface.
	TLS bool
	// Addr to listen on; 127.0.0.1 and a free port where empty.
	Addr string
	// Listener is listened on instead of Addr where it is set; Restart cannot open
	// it again.
	Listener net.Listener
	// Domain makes "bucket.Domain" a virtual host beside "bucket.localhost".
	Domain string
	// Region of the store; us-east-1 where empty. Account is the owner of the
	// buckets; 111122223333 where empty.
	Region, Account string
	// Credentials that are accepted; DefaultCredentials where empty.
	Credentials []Credentials
	// NoAuth accepts every request.
	NoAuth bool
	// NoLog keeps no log of requests, only the counters.
	NoLog bool
	// MinPartSize is 5 MiB where zero.
	MinPartSize int64
	// MaxPage is the most rows of a list page; 1,000 where zero.
	MaxPage int
	// Seed of everything random: version IDs, ETags under KMS, probabilities of
	// fault rules.
	Seed uint64
	// Rules of faults, one a line; see fault.Parse.
	Rules string
	// Limits on the rate of requests.
	Limits Limits
	// Latency of every reply by operation name (ListObjectsV2, or List as in fault
	// rules); "" is for all others.
	Latency map[string]time.Duration
	// KeepsBucketKeys opens what is under a bucket key although its KMS key cannot be used
	// any more, as S3 does for a while.
	KeepsBucketKeys bool
	// Now is the clock; time.Now where nil.
	Now func() time.Time
}

// Server is a running store. Its methods are safe for concurrent use.
type Server struct {
	cfg     Config
	profile Profile
	auth    *auth
	KMS     *kms.Service
	faults  fault.Rules
	journal journal
	limits  limiter
	latency atomic.Pointer[map[string]time.Duration]
	gate    gate
	issued  atomic.Pointer[issued]
	ids     ids
	calls   ids // apart, so that what is made is named alike in whatever order requests arrive
	cert    *certificate
	ops     map[string]operation

	// state is guarded by mu: whoever reads or writes buckets holds it.
	mu      sync.RWMutex
	buckets map[string]*bucket

	lifecycle struct {
		sync.Mutex
		addr string
		http *http.Server
		done chan struct{}
	}
}

// New starts a server. It panics where it cannot listen on loopback, or where
// the configuration is wrong, since there is no test without it; Start returns
// the error instead.
func New(cfg Config) *Server {
	s, err := Start(cfg)
	if err != nil {
		panic(err)
	}
	return s
}

// Start starts a server. Close stops it.
func Start(cfg Config) (*Server, error) {
	if cfg.Region == "" {
		cfg.Region = "us-east-1"
	}
	if cfg.Account == "" {
		cfg.Account = "111122223333"
	}
	if cfg.MinPartSize == 0 {
		cfg.MinPartSize = 5 << 20
	}
	if cfg.MaxPage == 0 {
		cfg.MaxPage = 1000
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if len(cfg.Credentials) == 0 {
		cfg.Credentials = []Credentials{DefaultCredentials}
	}
	s := &Server{cfg: cfg, profile: cfg.Profile, buckets: map[string]*bucket{}, ops: operations()}
	cfg.NoAuth = cfg.NoAuth || cfg.Profile.NoAuth
	s.auth = newAuth(cfg)
	s.KMS = kms.New(kms.Config{Region: cfg.Region, Account: cfg.Account, Now: cfg.Now, NoLog: cfg.NoLog})
	s.ids.state.Store(cfg.Seed)
	s.calls.state.Store(^cfg.Seed)
	s.journal.off = cfg.NoLog
	s.SetLatency(cfg.Latency)
	s.limits.set(cfg.Limits, time.Now())
	if err := s.SetRules(cfg.Rules); err != nil {
		return nil, err
	}
	if cfg.TLS {
		var err error
		if s.cert, err = newCertificate(); err != nil {
			return nil, err
		}
	}
	addr := cfg.Addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	return s, s.listen(addr)
}

func (s *Server) listen(addr string) error {
	l, err := s.cfg.Listener, error(nil)
	if l == nil {
		if l, err = net.Listen("tcp", addr); err != nil {
			return fmt.Errorf("s3test: %w", err)
		}
	}
	h := &http.Server{Handler: http.HandlerFunc(s.serve), ErrorLog: log.New(io.Discard, "", 0), MaxHeaderBytes: 1 << 20}
	s.lifecycle.Lock()
	s.lifecycle.addr = l.Addr().String()
	s.lifecycle.http = h
	s.lifecycle.done = make(chan struct{})
	done := s.lifecycle.done
	s.lifecycle.Unlock()
	if s.cert != nil {
		// A test has thousands of connections; the exchange that withstands quantum
		// computers, which a real server shows, would be a third of what each costs.
		l = tls.NewListener(l, &tls.Config{GetCertificate: (&awsCertificates{authority: s.cert}).get, MinVersion: tls.VersionTLS12,
			CurvePreferences: []tls.CurveID{tls.X25519}})
	}
	go func() {
		defer close(done)
		if err := h.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			panic(err) // the listener is ours: nobody else can have closed it
		}
	}()
	return nil
}

// Addr is host:port. It stays the same over Kill and Restart.
func (s *Server) Addr() string {
	s.lifecycle.Lock()
	defer s.lifecycle.Unlock()
	return s.lifecycle.addr
}

// URL is the endpoint URL for S3, and for KMS and STS as well.
func (s *Server) URL() string {
	if s.cert != nil {
		return "https://" + s.Addr()
	}
	return "http://" + s.Addr()
}

// CAPEM is the certificate authority that clients of a TLS server must trust,
// nil without TLS.
func (s *Server) CAPEM() []byte {
	if s.cert == nil {
		return nil
	}
	return s.cert.pem
}

// Close stops the server at once and waits for it.
func (s *Server) Close() { s.Kill() }

// Kill drops every connection and stops listening; what is stored stays. From
// then on clients see connections refused.
func (s *Server) Kill() {
	s.lifecycle.Lock()
	h, done := s.lifecycle.http, s.lifecycle.done
	s.lifecycle.http = nil
	s.lifecycle.Unlock()
	if h == nil {
		return
	}
	s.gate.release()
	h.Close()
	<-done
}

// Restart listens again on the same port after Kill, with all that was stored.
func (s *Server) Restart() error { return s.listen(s.Addr()) }

// Pause lets every request hang from now on, as a frozen process would, until
// Resume.
func (s *Server) Pause() { s.gate.pause() }

// Held is how many requests hang.
func (s *Server) Held() int { return int(s.gate.held.Load()) }

// Resume lets paused requests go on.
func (s *Server) Resume() { s.gate.release() }

// SetLatency replaces the latencies; see Config.Latency.
func (s *Server) SetLatency(by map[string]time.Duration) {
	full := make(map[string]time.Duration, len(by))
	for op, d := range by {
		if a, ok := aliases[op]; ok {
			op = a
		}
		full[op] = d
	}
	s.latency.Store(&full)
}

// Now is the server's clock.
func (s *Server) now() time.Time { return s.cfg.Now().UTC().Truncate(time.Second) }

func (s *Server) delay(ctx context.Context, op string) {
	by := *s.latency.Load()
	d, ok := by[op]
	if !ok {
		d = by[""]
	}
	wait(ctx, d)
}

// gate holds requests while the server is paused.
type gate struct {
	mu   sync.Mutex
	open chan struct{} // nil when not paused
	held atomic.Int64
}

func (g *gate) pause() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open == nil {
		g.open = make(chan struct{})
	}
}

func (g *gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open != nil {
		close(g.open)
		g.open = nil
	}
}

func (g *gate) pass(ctx context.Context) {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	if open == nil {
		return
	}
	g.held.Add(1)
	defer g.held.Add(-1)
	select {
	case <-open:
	case <-ctx.Done():
	}
}
