package livepage

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/report"
)

// served is a page whose job is asked for pictures and changes by the test.
func served(t *testing.T) (*Server, chan Ask) {
	t.Helper()
	asked := make(chan Ask, 10)
	s, err := Listen(Options{Addr: "127.0.0.1:0", Title: "reseal: s3://b",
		Picture: func() *report.Picture {
			return &report.Picture{Title: "t", Standing: report.Standing{State: report.StateRunning}, Now: &report.Snapshot{Planned: 9, Done: 4},
				Failures: []report.CauseSummary{{State: "failed", Reason: "denied", Objects: 1, Example: "s3://b/<script>"}}}
		},
		Set: func(_ context.Context, a Ask) (string, error) {
			asked <- a
			if a.Paused == nil {
				return "", errors.New("no process is at work")
			}
			return "paused", nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	return s, asked
}

// TestPageIsGuarded: nobody gets anything by another name of this machine, or without
// the token; and nothing is changed but for the page itself.
func TestPageIsGuarded(t *testing.T) {
	s, asked := served(t)
	defer s.Close()
	host := strings.TrimPrefix(s.URL(), "http://")
	host = host[:strings.Index(host, "/")]
	_, port, _ := strings.Cut(host, ":")
	page := func(change func(*http.Request)) int { return s.ask(t, "GET", "", "", change) }
	set := func(body string, change func(*http.Request)) int {
		return s.ask(t, "POST", "set", body, func(r *http.Request) {
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Origin", "http://"+r.Host)
			if change != nil {
				change(r)
			}
		})
	}
	const pause = `{"paused":true}`
	for name, c := range map[string]struct{ got, want int }{
		"the page":            {page(nil), 200},
		"localhost":           {page(func(r *http.Request) { r.Host = "localhost:" + port }), 200},
		"another name":        {page(func(r *http.Request) { r.Host = "evil.example:" + port }), 421},
		"a name like ours":    {page(func(r *http.Request) { r.Host = "127.0.0.1.evil.example:" + port }), 421},
		"a tunnel's port":     {page(func(r *http.Request) { r.Host = "127.0.0.1:1" }), 200},
		"port 80":             {page(func(r *http.Request) { r.Host = "127.0.0.1" }), 200},
		"port 80, IPv6":       {page(func(r *http.Request) { r.Host = "[::1]" }), 200},
		"no name":             {page(func(r *http.Request) { r.Host = "evil.example" }), 421},
		"another page here":   {set(pause, func(r *http.Request) { r.Host = "127.0.0.1:1" }), 403},
		"no token":            {page(func(r *http.Request) { r.URL.Path = "/" }), 403},
		"another token":       {page(func(r *http.Request) { r.URL.Path = "/AAAAAAAAAAAAAAAAAAAAAAAAAA/" }), 403},
		"a part of the token": {page(func(r *http.Request) { r.URL.Path = "/" + s.token[:25] + "/" }), 403},
		"events, no token":    {page(func(r *http.Request) { r.URL.Path = "/events" }), 403},
		"out of the token":    {page(func(r *http.Request) { r.URL.Path = "/" + s.token + "/../set" }), 307},
		"a change by GET":     {s.ask(t, "GET", "set", "", nil), 405},
		"no origin":           {set(pause, func(r *http.Request) { r.Header.Del("Origin") }), 403},
		"another origin":      {set(pause, func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") }), 403},
		"an opaque origin":    {set(pause, func(r *http.Request) { r.Header.Set("Origin", "null") }), 403},
		"another site":        {set(pause, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") }), 403},
		"a form":              {set(pause, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }), 403},
		"no word":             {set(`{}`, nil), 400},
		"an unknown word":     {set(`{"paused":true,"concurrency":1}`, nil), 400},
		"too long":            {set(`{"paused":`+strings.Repeat(" ", maxAsk)+`true}`, nil), 400},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d, want %d", name, c.got, c.want)
		}
	}
	if len(asked) > 0 {
		t.Errorf("a change was passed on: %+v", <-asked)
	}
	if got := set(pause, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-origin") }); got != 200 || len(asked) != 1 {
		t.Errorf("the page's own change: %d", got)
	}
	if got := set(`{"requests_per_second":5}`, nil); got != 409 {
		t.Errorf("a change that is refused: %d", got)
	}
}

// ask sends one request and tells the status. Every answer forbids what the page does
// not need.
func (s *Server) ask(t *testing.T, method, path, body string, change func(*http.Request)) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(r)
	}
	reply, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	h := reply.Header
	if h.Get("Content-Security-Policy") != policy || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-store" || h.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%s %s: %v", method, path, h)
	}
	return reply.StatusCode
}

// TestConnectionsAreFew: whoever opens connections and says nothing takes no more files
// from the run than a page needs, and gets in nobody's way once they are closed.
func TestConnectionsAreFew(t *testing.T) {
	s, _ := served(t)
	defer s.Close()
	var kept []net.Conn
	for range 2 * maxConns {
		c, err := net.Dial("tcp", s.listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")) // it may be closed by now
		kept = append(kept, c)
	}
	open := 0
	for _, c := range kept {
		if n, _ := c.Read(make([]byte, 1)); n == 1 {
			open++
		}
	}
	if open != maxConns {
		t.Errorf("%d of %d connections were answered, want %d", open, len(kept), maxConns)
	}
	for _, c := range kept {
		_ = c.Close()
	}
	for ok := false; !ok; { // that they are closed the server notices soon
		reply, err := http.Get(s.URL())
		if ok = err == nil; ok {
			_ = reply.Body.Close()
		}
	}
}

// TestNobodyElseIsServed: no address that others can reach.
func TestNobodyElseIsServed(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", "[::]:0", "192.0.2.1:80", "example.com:80", "*:80"} {
		if s, err := Listen(Options{Addr: addr}); !errors.Is(err, ErrNotThisMachine) {
			t.Errorf("%s: %v %v", addr, s, err)
		}
	}
	if _, err := Listen(Options{Addr: "nonsense"}); err == nil {
		t.Error("no address is taken")
	}
	for _, addr := range []string{":0", "localhost:0", "127.0.0.1:0"} {
		s, err := Listen(Options{Addr: addr})
		if err != nil || !strings.HasPrefix(s.URL(), "http://127.0.0.1:") {
			t.Fatalf("%s: %v", addr, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestEvents: a picture comes at once and then more, escaped; and the end of the server
// ends whoever watches, with a last one.
func TestEvents(t *testing.T) {
	s, _ := served(t)
	reply, err := http.Get(s.URL() + "events")
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	if kind := reply.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Errorf("it is %s", kind)
	}
	b := bufio.NewReader(reply.Body)
	line, err := b.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var e event
	if err := json.Unmarshal([]byte(strings.TrimPrefix(line, "data: ")), &e); err != nil {
		t.Fatalf("%v in %s", err, line)
	}
	if !e.AtWork || e.Paused || !strings.Contains(e.Parts["cards"], "<b>4</b> done") || !strings.Contains(e.Parts["failures"], "&lt;script&gt;") || strings.Contains(line, "<script") {
		t.Errorf("%+v", e)
	}
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	rest, err := io.ReadAll(b)
	if err != nil || !strings.Contains(string(rest), "data: ") {
		t.Errorf("no last picture: %v %q", err, rest)
	}
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the server does not end")
	}
}
