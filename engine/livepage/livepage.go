// Package livepage serves the page of a job that renews itself while the job works.
//
// It promises to be nobody else's: it listens on this machine alone, under an address
// that holds a random token; it answers only to the names of this machine, so that no
// page of the web can reach it by a name of its own; it changes something only for a
// request that its own page sent; and it loads nothing from anywhere.
package livepage

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/resealhq/reseal/engine/report"
)

//go:embed assets/app.js
var script []byte

// Options of a page.
type Options struct {
	// Addr is where it listens: 127.0.0.1:8080, localhost:0, :8080 for this machine.
	Addr string
	// Title of the page before the first picture.
	Title string
	// Picture is asked about once a second for everybody who watches.
	Picture func() *report.Picture
	// Set changes the pace, and says in words what came of it.
	Set func(context.Context, Ask) (string, error)
}

// Ask is what a person wants changed; what is nil stays.
type Ask struct {
	Paused            *bool    `json:"paused,omitempty"`
	RequestsPerSecond *float64 `json:"requests_per_second,omitempty"`
}

// Server serves the page until Close.
type Server struct {
	opt      Options
	token    string
	listener net.Listener
	http     *http.Server
	done     chan struct{}
	closing  chan struct{}
}

// ErrNotThisMachine is wrapped by the error of an address that others could reach: the
// page has no encryption of its own.
var ErrNotThisMachine = errors.New("the page is served on this machine alone")

// renew is how often a picture is sent.
const renew = time.Second

// Listen begins to serve.
func Listen(o Options) (*Server, error) {
	host, port, err := net.SplitHostPort(o.Addr)
	if err != nil {
		return nil, fmt.Errorf("%q is no address: %w", o.Addr, err)
	}
	if host == "" || host == "localhost" {
		host = "127.0.0.1"
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("%w, and %s is another address", ErrNotThisMachine, o.Addr)
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, err
	}
	s := &Server{opt: o, token: rand.Text(), listener: l, done: make(chan struct{}), closing: make(chan struct{})}
	s.http = &http.Server{Handler: s.guarded(s.routes()), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(&few{Listener: l}) // it ends with Close
	}()
	return s, nil
}

// maxConns is how many connections are open at a time. Others on this machine can open
// them without the token, and the run needs files of its own.
const maxConns = 64

// few closes the connections that are too many.
type few struct {
	net.Listener
	open atomic.Int64
}

func (f *few) Accept() (net.Conn, error) {
	for {
		c, err := f.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if f.open.Add(1) <= maxConns {
			return &counted{Conn: c, gone: sync.OnceFunc(func() { f.open.Add(-1) })}, nil
		}
		f.open.Add(-1)
		_ = c.Close() // nothing was said on it
	}
}

type counted struct {
	net.Conn
	gone func()
}

func (c *counted) Close() error {
	c.gone()
	return c.Conn.Close()
}

// URL is the page's, with its token.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() + "/" + s.token + "/" }

// Close tells everybody who watches that it is over, with a last picture, and waits.
func (s *Server) Close() error {
	close(s.closing)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	<-s.done
	return err
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		var b bytes.Buffer
		if err := report.WriteLivePage(&b, s.opt.Title); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		serve(w, "text/html; charset=utf-8", b.Bytes())
	})
	mux.HandleFunc("GET /app.js", func(w http.ResponseWriter, _ *http.Request) { serve(w, "text/javascript; charset=utf-8", script) })
	mux.HandleFunc("GET /style.css", func(w http.ResponseWriter, _ *http.Request) {
		serve(w, "text/css; charset=utf-8", []byte(report.PageStyle()))
	})
	mux.HandleFunc("GET /events", s.events)
	mux.HandleFunc("POST /set", s.set)
	return mux
}

func serve(w http.ResponseWriter, kind string, data []byte) {
	w.Header().Set("Content-Type", kind)
	_, _ = w.Write(data) // whoever has gone does not miss it
}

// policy lets the page load what is served beside it, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// guarded refuses whoever came by another name than this machine's, whoever does not
// know the token, and every change that the page itself did not ask for.
func (s *Server) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if !named(r.Host) {
			http.Error(w, "this page is served under the name of its own machine", http.StatusMisdirectedRequest)
			return
		}
		token, rest, found := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		if !found || subtle.ConstantTimeCompare([]byte(token), []byte(s.token)) != 1 {
			http.Error(w, "open the address that reseal has printed; it ends in a token and a slash", http.StatusForbidden)
			return
		}
		if r.Method != http.MethodGet && !s.ours(r) {
			http.Error(w, "only the page itself may ask for a change", http.StatusForbidden)
			return
		}
		own := r.Clone(r.Context())
		own.URL.Path, own.URL.RawPath = "/"+rest, ""
		next.ServeHTTP(w, own)
	})
}

// named says whether a Host is one of this machine. A tunnel may begin at any port, and a
// browser names none for port 80; it is the name that a page of the web cannot have.
func named(host string) bool {
	name := strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if n, _, err := net.SplitHostPort(host); err == nil {
		name = n
	}
	ip := net.ParseIP(name)
	return name == "localhost" || ip != nil && ip.IsLoopback()
}

// ours says whether a request that changes something comes from the page.
func (s *Server) ours(r *http.Request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	site := r.Header.Get("Sec-Fetch-Site")
	return err == nil && kind == "application/json" && r.Header.Get("Origin") == "http://"+r.Host && (site == "" || site == "same-origin")
}

// event is one picture on its way.
type event struct {
	Title  string            `json:"title"`
	At     string            `json:"at"`
	AtWork bool              `json:"at_work"`
	Paused bool              `json:"paused"`
	Parts  map[string]string `json:"parts"`
}

// events sends a picture at once and then every second, until the watcher goes or the
// server does.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	tick := time.NewTicker(renew)
	defer tick.Stop()
	for last := false; ; {
		if err := s.send(w, control); err != nil || last {
			return
		}
		select {
		case <-tick.C:
		case <-s.closing:
			last = true
		case <-r.Context().Done():
			return
		}
	}
}

func (s *Server) send(w io.Writer, control *http.ResponseController) error {
	p := s.opt.Picture()
	data, err := json.Marshal(event{Title: p.Title, At: time.Now().Format("2006-01-02 15:04:05 MST"), AtWork: p.AtWork(), Paused: p.IsPaused(), Parts: p.Parts()})
	if err != nil {
		return err
	}
	_ = control.SetWriteDeadline(time.Now().Add(10 * time.Second)) // a watcher that does not read is let go
	if _, err := fmt.Fprintf(w, "data: %s\n\n", data); err != nil {
		return err
	}
	return control.Flush()
}

// maxAsk bounds a request for a change, in bytes.
const maxAsk = 4 << 10

func (s *Server) set(w http.ResponseWriter, r *http.Request) {
	var ask Ask
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxAsk))
	d.DisallowUnknownFields()
	if err := d.Decode(&ask); err != nil {
		s.answer(w, http.StatusBadRequest, "not understood: "+err.Error())
		return
	}
	if ask == (Ask{}) {
		s.answer(w, http.StatusBadRequest, "nothing is to be changed")
		return
	}
	text, err := s.opt.Set(r.Context(), ask)
	if err != nil {
		s.answer(w, http.StatusConflict, err.Error())
		return
	}
	s.answer(w, http.StatusOK, text)
}

func (s *Server) answer(w http.ResponseWriter, code int, text string) {
	data, err := json.Marshal(map[string]string{"text": text})
	if err != nil {
		code = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(data) // whoever has gone does not miss it
}
