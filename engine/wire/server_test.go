package wire

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	wanted "github.com/resealhq/reseal/engine/store"
)

var _ wanted.Hot = (*Client)(nil)

// store is a server whose every byte the test decides.
type store struct {
	net.Listener
	wg sync.WaitGroup
	mu struct {
		sync.Mutex
		conns    int
		open     []net.Conn
		requests []*http.Request
	}
}

// serve accepts connections and gives each to handle, which returns to close it.
func serve(t testing.TB, handle func(s *store, n int, c net.Conn, r *bufio.Reader)) *store {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, l, handle)
}

func serveOn(t testing.TB, l net.Listener, handle func(s *store, n int, c net.Conn, r *bufio.Reader)) *store {
	s := &store{Listener: l}
	s.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.mu.conns++
			n := s.mu.conns
			s.mu.open = append(s.mu.open, c)
			s.mu.Unlock()
			s.wg.Go(func() {
				defer c.Close()
				handle(s, n, c, bufio.NewReader(c))
			})
		}
	})
	return s
}

// read takes one request off a connection; nil at its end.
func (s *store) read(r *bufio.Reader) *http.Request {
	req, err := http.ReadRequest(r)
	if err != nil {
		return nil
	}
	io.Copy(io.Discard, req.Body)
	s.mu.Lock()
	s.mu.requests = append(s.mu.requests, req)
	s.mu.Unlock()
	return req
}

// shut closes everything and waits for the handlers.
func (s *store) shut() {
	s.Listener.Close()
	s.mu.Lock()
	for _, c := range s.mu.open {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

func (s *store) seen() (conns, requests int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.conns, len(s.mu.requests)
}

// answers replies to every request with what f makes of it.
func answers(f func(*http.Request) string) func(*store, int, net.Conn, *bufio.Reader) {
	return func(s *store, _ int, c net.Conn, r *bufio.Reader) {
		for req := s.read(r); req != nil; req = s.read(r) {
			if _, err := io.WriteString(c, f(req)); err != nil {
				return
			}
		}
	}
}

const copyXML = `<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
	`<CopyObjectResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LastModified>2026-11-23T19:10:05.000Z</LastModified><ETag>&quot;9b2cf535f27731c974343645a3985328&quot;</ETag></CopyObjectResult>`

func withLength(header, body string) string {
	return "HTTP/1.1 200 OK\r\n" + header + "Content-Length: " + itoa(len(body)) + "\r\n\r\n" + body
}

func itoa(n int) string {
	var b [20]byte
	i := len(b)
	for {
		i--
		b[i] = byte('0' + n%10)
		if n /= 10; n == 0 {
			return string(b[i:])
		}
	}
}

const headReply = "HTTP/1.1 200 OK\r\nContent-Length: 1024\r\nETag: \"9b2cf535f27731c974343645a3985328\"\r\n" +
	"Last-Modified: Mon, 23 Nov 2026 19:10:05 GMT\r\nContent-Type: application/octet-stream\r\nAccept-Ranges: bytes\r\n" +
	"Server: null\r\nx-amz-request-id: 17D6B4A1C2E3F405\r\nx-amz-id-2: dd9025bab4ad464b049177c95eb6ebf374d3b3fd1af9251148b658df7ac2e3e8\r\n" +
	"x-amz-server-side-encryption: aws:kms\r\nx-amz-server-side-encryption-aws-kms-key-id: arn:aws:kms:key-a\r\n\r\n"

// canned answers HEAD and PUT as a store would.
func canned(r *http.Request) string {
	if r.Method == "HEAD" {
		return headReply
	}
	return withLength("x-amz-request-id: 17D6B4A1C2E3F405\r\n", copyXML)
}

// classified is a small stand-in for the table, which is s3store's.
func classified(_ context.Context, f object.FailedReply) *object.Error {
	e := &object.Error{Class: object.ClassOther, Op: f.Op, Ref: f.Ref, HTTPStatus: f.Status, RequestID: f.Header("X-Amz-Request-Id")}
	if i := strings.Index(string(f.Body), "<Code>"); i >= 0 {
		e.Code, _, _ = strings.Cut(string(f.Body[i+6:]), "<")
	}
	if e.Code == "ExpiredToken" {
		e.Class = object.ClassCredentials
	}
	return e
}

func open(t testing.TB, s *store, change func(*Options)) *Client {
	t.Helper()
	resolve, err := PathStyle("http://"+s.Addr().String(), "us-east-1")
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Resolve: resolve, Classify: classified, Proxy: func(*url.URL) (*url.URL, error) { return nil, nil },
		Credentials: func(context.Context) (Credentials, error) { return testCredentials(""), nil }}
	if change != nil {
		change(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		s.shut()
	})
	return c
}

var (
	someRef  = object.Ref{Bucket: "bucket", Key: "dir/key"}
	someCopy = &object.CopyRequest{Source: someRef, Dest: someRef, SourceETag: "9b2cf535f27731c974343645a3985328",
		Target: &object.Target{SSE: object.SSEKMS, KMSKeyID: "key-a"}}
)
