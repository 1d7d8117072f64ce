// Package badproxy stands between a client and a real S3 server and misbehaves:
// it answers in the server's place, resets connections before or after the
// server has applied a request, stalls, cuts replies short. What it did is
// counted, so that a test can compare it with what the client says it met.
//
// What happens to a request depends on the seed and on how many requests came
// before it; nothing depends on the clock but the length of a burst.
package badproxy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// Fault is what happens to one request.
type Fault uint8

// Whether the server sees the request, and what the client gets. Faults that do
// not fit the request (a HEAD has no body to cut) become a reset of the same
// kind.
const (
	None        Fault = iota
	SlowDown          // 503; the server never sees the request
	SlowDownFor       // the same, with Retry-After: 1
	ResetBefore       // a reset connection; the server never sees the request
	ResetAfter        // a reset connection; the server has answered
	StallBefore       // no answer until the client gives up; never seen
	StallAfter        // no answer until the client gives up; the server has answered
	Truncated         // the server's headers, half of its body, a reset
	Empty             // the server's status, and no body; it has applied the request
	ErrorIn200        // 200 and an <Error>; the server never sees the request
	numFaults
)

var names = [numFaults]string{"none", "SlowDown", "SlowDown with Retry-After", "reset before", "reset after",
	"stall before", "stall after", "truncated", "empty", "error in 200"}

func (f Fault) String() string { return names[f] }

// Config says how bad it is. The zero value passes everything on.
type Config struct {
	// Server is the base URL of the real server, over HTTP.
	Server string
	Seed   uint64
	// Share of the requests that meet one of Faults, each as often as the others.
	Share  float64
	Faults []Fault
	// BurstEvery is after how many requests a burst of SlowDown begins, with and
	// without Retry-After in turn; it lasts for Burst, and refuses everything.
	BurstEvery int
	Burst      time.Duration
}

// Proxy is one running proxy on loopback.
type Proxy struct {
	// URL to use as the endpoint.
	URL string

	server    *http.Server
	transport *http.Transport
	target    *url.URL

	mu struct {
		sync.Mutex
		cfg      Config
		random   *rand.Rand
		seen     int
		bursts   int
		burst    time.Time // its end
		forBurst Fault
		counts   map[Fault]int
		passed   map[string]int // requests that the server saw, by method
		watch    func(r *http.Request)
	}
}

// Start listens on a port of its own.
func Start(cfg Config) (*Proxy, error) {
	target, err := url.Parse(cfg.Server)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{URL: "http://" + l.Addr().String(), target: target,
		transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}}
	p.server = &http.Server{Handler: p}
	p.mu.counts, p.mu.passed = map[Fault]int{}, map[string]int{}
	p.Set(cfg)
	go func() { _ = p.server.Serve(l) }()
	return p, nil
}

// Set changes how bad it is from now on; Server is kept.
func (p *Proxy) Set(cfg Config) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.cfg, p.mu.random, p.mu.burst = cfg, rand.New(rand.NewPCG(cfg.Seed, 0)), time.Time{}
}

// Watch lets f see every request before anything happens to it; nil ends that.
func (p *Proxy) Watch(f func(*http.Request)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.watch = f
}

// Counts is how often each fault happened.
func (p *Proxy) Counts() map[Fault]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.mu.counts)
}

// Passed is how many requests of the method the server saw.
func (p *Proxy) Passed(method string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.passed[method]
}

// Close ends every connection.
func (p *Proxy) Close() error {
	err := p.server.Close()
	p.transport.CloseIdleConnections()
	return err
}

// choose is the fault of the next request.
func (p *Proxy) choose(now time.Time) Fault {
	c := &p.mu.cfg
	p.mu.seen++
	if c.BurstEvery > 0 && p.mu.seen%c.BurstEvery == 0 {
		p.mu.burst = now.Add(c.Burst)
		p.mu.forBurst = []Fault{SlowDown, SlowDownFor}[p.mu.bursts%2]
		p.mu.bursts++
	}
	switch {
	case now.Before(p.mu.burst):
		return p.mu.forBurst
	case len(c.Faults) > 0 && p.mu.random.Float64() < c.Share:
		return c.Faults[p.mu.random.IntN(len(c.Faults))]
	}
	return None
}

func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone
	}
	p.mu.Lock()
	watch := p.mu.watch
	fault := p.choose(time.Now())
	if r.Method == http.MethodHead && (fault == Truncated || fault == Empty || fault == ErrorIn200) {
		fault = ResetAfter
	}
	p.mu.counts[fault]++
	p.mu.Unlock()
	if watch != nil {
		watch(r)
	}
	switch fault {
	case SlowDown, SlowDownFor:
		if fault == SlowDownFor {
			w.Header().Set("Retry-After", "1")
		}
		p.say(w, http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate.")
		return
	case ErrorIn200:
		p.say(w, http.StatusOK, "InternalError", "We encountered an internal error. Please try again.")
		return
	case ResetBefore:
		reset(w, nil)
		return
	case StallBefore:
		stall(w, r)
		return
	}
	p.pass(w, r, body, fault)
}

// pass asks the server, and gives what it said on as far as the fault lets it.
func (p *Proxy) pass(w http.ResponseWriter, r *http.Request, body []byte, fault Fault) {
	// The server shall apply it whatever becomes of the client.
	reply, content, err := p.ask(context.WithoutCancel(r.Context()), r, body)
	if err != nil {
		reset(w, nil) // the server is down
		return
	}
	switch fault {
	case ResetAfter:
		reset(w, nil)
		return
	case StallAfter:
		stall(w, r)
		return
	case Truncated:
		reset(w, truncated(reply, content))
		return
	case Empty:
		content = nil
		reply.Header.Set("Content-Length", "0")
	}
	maps.Copy(w.Header(), reply.Header)
	w.WriteHeader(reply.StatusCode)
	_, _ = w.Write(content)
}

func (p *Proxy) ask(ctx context.Context, r *http.Request, body []byte) (*http.Response, []byte, error) {
	out := r.Clone(ctx)
	out.RequestURI = ""
	// The path goes on byte by byte as it came, and so does the host, which the
	// client has signed.
	out.URL = &url.URL{Scheme: p.target.Scheme, Host: p.target.Host, Opaque: r.URL.EscapedPath(), RawQuery: r.URL.RawQuery}
	out.Body, out.ContentLength, out.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	if len(body) == 0 {
		out.Body = http.NoBody
	}
	p.mu.Lock()
	p.mu.passed[r.Method]++
	p.mu.Unlock()
	reply, err := p.transport.RoundTrip(out)
	if err != nil {
		return nil, nil, err
	}
	defer reply.Body.Close()
	content, err := io.ReadAll(reply.Body)
	return reply, content, err
}

func (p *Proxy) say(w http.ResponseWriter, status int, code, message string) {
	body := fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?>`+"\n<Error><Code>%s</Code><Message>%s</Message><RequestId>badproxy</RequestId></Error>", code, message)
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// truncated is the reply's head and half of its body.
func truncated(reply *http.Response, content []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %s\r\n", reply.Status)
	reply.Header.Set("Content-Length", strconv.Itoa(len(content)))
	reply.Header.Del("Transfer-Encoding")
	_ = reply.Header.Write(&b)
	b.WriteString("\r\n")
	b.Write(content[:len(content)/2])
	return b.Bytes()
}

// reset sends last and ends the connection with an RST where the system can.
func reset(w http.ResponseWriter, last []byte) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	if len(last) > 0 {
		_, _ = conn.Write(last)
		return // an RST could overtake what was sent
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}

// stall holds the connection without a word until the client gives up.
func stall(w http.ResponseWriter, r *http.Request) {
	conn, buf, err := w.(http.Hijacker).Hijack()
	if err != nil {
		<-r.Context().Done()
		return
	}
	defer conn.Close()
	_, _ = buf.ReadByte() // returns when the client hangs up
}
