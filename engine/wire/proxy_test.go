package wire

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// tlsStore is a store behind TLS, and the roots to trust it by.
func tlsStore(t *testing.T, handle func(*store, int, net.Conn, *bufio.Reader)) (*store, *x509.CertPool) {
	t.Helper()
	cert := httptest.NewUnstartedServer(nil)
	cert.StartTLS()
	defer cert.Close()
	roots := x509.NewCertPool()
	roots.AddCert(cert.Certificate())
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: cert.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, l, handle), roots
}

func overTLS(s *store, roots *x509.CertPool) func(*Options) {
	return func(o *Options) {
		o.Resolve, _ = PathStyle("https://"+s.Addr().String(), "us-east-1")
		o.TLS = &tls.Config{RootCAs: roots}
	}
}

func TestTLSWithResumption(t *testing.T) {
	resumed := make(chan bool, 10)
	s, roots := tlsStore(t, func(s *store, _ int, c net.Conn, r *bufio.Reader) {
		req := s.read(r)
		if req == nil {
			return
		}
		resumed <- c.(*tls.Conn).ConnectionState().DidResume
		io.WriteString(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nETag: \"e\"\r\nContent-Length: 1\r\n\r\n")
	})
	c := open(t, s, overTLS(s, roots))
	for _, want := range []bool{false, true, true} {
		key, err := object.ParseCustomerKey([]byte("0123456789abcdef0123456789abcdef"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Head(context.Background(), someRef, key); err != nil {
			t.Fatal(err)
		}
		if got := <-resumed; got != want {
			t.Errorf("resumed %v, want %v", got, want)
		}
	}
}

func TestTLSThatIsNotTrusted(t *testing.T) {
	s, roots := tlsStore(t, answers(canned))
	ctx := context.Background()
	c := open(t, s, func(o *Options) { overTLS(s, roots)(o); o.TLS = nil })
	_, err := c.Copy(ctx, someCopy)
	if e := asError(t, err); e.Class != object.ClassOther || !e.NotSent || e.Hint == "" {
		t.Errorf("an unknown authority: %+v", e)
	}
	c = open(t, s, func(o *Options) { overTLS(s, roots)(o); o.TLS = &tls.Config{InsecureSkipVerify: true} })
	if _, err := c.Copy(ctx, someCopy); err != nil {
		t.Errorf("without verification: %v", err)
	}
	if _, err := c.Copy(ctx, someCopy); err != nil || c.Dials() != 1 {
		t.Errorf("%v, %d connections", err, c.Dials())
	}
	plain := serve(t, func(_ *store, _ int, c net.Conn, r *bufio.Reader) {
		io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
		io.Copy(io.Discard, r)
	})
	c = open(t, plain, overTLS(plain, roots))
	_, err = c.Copy(ctx, someCopy)
	if e := asError(t, err); e.Class != object.ClassOther || !e.NotSent {
		t.Errorf("TLS to a plain server: %+v", e)
	}
}

// proxy is a forward proxy that knows one user. It notes what it was asked for.
func proxy(t *testing.T, asked chan<- string) *store {
	return serve(t, func(s *store, _ int, c net.Conn, r *bufio.Reader) {
		for {
			req := s.read(r)
			if req == nil {
				return
			}
			asked <- req.Method + " " + req.RequestURI
			if user, password, ok := proxyAuth(req); !ok || user != "u ser" || password != "p:w" {
				io.WriteString(c, "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
				return
			}
			if req.Method != "CONNECT" {
				io.WriteString(c, canned(req))
				continue
			}
			up, err := net.Dial("tcp", req.Host)
			if err != nil {
				io.WriteString(c, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
				return
			}
			defer up.Close()
			io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n")
			s.wg.Go(func() { io.Copy(up, r); up.Close() })
			io.Copy(c, up)
			return
		}
	})
}

func proxyAuth(r *http.Request) (user, password string, ok bool) {
	r.Header.Set("Authorization", r.Header.Get("Proxy-Authorization"))
	return r.BasicAuth()
}

func through(p *store, user *url.Userinfo) func(*url.URL) (*url.URL, error) {
	return func(*url.URL) (*url.URL, error) {
		return &url.URL{Scheme: "http", Host: p.Addr().String(), User: user}, nil
	}
}

func TestProxies(t *testing.T) {
	asked := make(chan string, 100)
	p := proxy(t, asked)
	user := url.UserPassword("u ser", "p:w")
	ctx := context.Background()

	s, roots := tlsStore(t, answers(canned))
	c := open(t, s, func(o *Options) { overTLS(s, roots)(o); o.Proxy = through(p, user) })
	for range 2 {
		if _, err := c.Copy(ctx, someCopy); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := <-asked, "CONNECT "+s.Addr().String(); got != want || len(asked) != 0 {
		t.Errorf("the proxy was asked for %q and %d more, want %q", got, len(asked), want)
	}

	c = open(t, s, func(o *Options) { overTLS(s, roots)(o); o.Proxy = through(p, nil) })
	_, err := c.Copy(ctx, someCopy)
	if e := asError(t, err); e.Class != object.ClassOther || !e.NotSent || e.Hint == "" {
		t.Errorf("a proxy that wants a password: %+v", e)
	}
	<-asked

	s.Listener.Close()
	c = open(t, s, func(o *Options) { overTLS(s, roots)(o); o.Proxy = through(p, user) })
	_, err = c.Copy(ctx, someCopy)
	if e := asError(t, err); e.Class != object.ClassUnreachable || !e.NotSent {
		t.Errorf("a store that the proxy cannot reach: %+v", e)
	}
	<-asked

	c = open(t, p, func(o *Options) {
		o.Resolve, _ = PathStyle("http://store.example:80", "us-east-1")
		o.Proxy = through(p, user)
	})
	if _, err := c.Copy(ctx, someCopy); err != nil {
		t.Errorf("plain HTTP through a proxy: %v", err)
	}
	if got, want := <-asked, "PUT http://store.example/bucket/dir/key"; got != want {
		t.Errorf("the proxy was asked for %q, want %q", got, want)
	}
}

func TestProxyFromTheEnvironment(t *testing.T) {
	asked := make(chan string, 10)
	p := proxy(t, asked)
	t.Setenv("HTTP_PROXY", fmt.Sprintf("http://%s@%s", url.UserPassword("u ser", "p:w"), p.Addr()))
	t.Setenv("NO_PROXY", "direct.example")
	c := open(t, p, func(o *Options) {
		o.Resolve, _ = PathStyle("http://store.example", "us-east-1")
		o.Proxy = nil
	})
	if _, err := c.Copy(context.Background(), someCopy); err != nil {
		t.Fatal(err)
	}
	h, err := c.newHost(Address{Scheme: "http", Host: "direct.example"})
	if err != nil || h.proxy != nil {
		t.Errorf("NO_PROXY is not followed: %v, %v", h.proxy, err)
	}
}
