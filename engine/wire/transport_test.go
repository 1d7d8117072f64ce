package wire

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/resealhq/reseal/engine/object"
)

// TestMain lets this test binary be its own server process, so that the CPU of
// the transports is not mixed with that of what they talk to.
func TestMain(m *testing.M) {
	if os.Getenv("WIRE_TEST_SERVER") == "" {
		os.Exit(m.Run())
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(l.Addr())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go quick(nil, 0, c, nil)
	}
}

// serverProcess starts one and gives its address.
func serverProcess(b *testing.B) string {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "WIRE_TEST_SERVER=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { stdin.Close(); cmd.Wait() })
	addr, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return addr[:len(addr)-1]
}

// BenchmarkTransport sends one CopyObject after the other, built, signed and read
// by the code of this package, over three transports. README.md has the figures.
func BenchmarkTransport(b *testing.B) {
	addr := serverProcess(b)
	resolve, err := PathStyle("http://"+addr, "us-east-1")
	if err != nil {
		b.Fatal(err)
	}
	c, err := New(Options{Resolve: resolve, Classify: classified, Proxy: func(*url.URL) (*url.URL, error) { return nil, nil },
		Credentials: func(context.Context) (Credentials, error) { return testCredentials(""), nil }})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	for _, workers := range []int{1, 64} {
		for name, send := range map[string]func(*testing.B) func() error{
			"own": func(*testing.B) func() error {
				return func() error { _, err := c.Copy(context.Background(), someCopy); return err }
			},
			"fasthttp": func(b *testing.B) func() error { return overFastHTTP(b, c, addr) },
			"nethttp":  func(b *testing.B) func() error { return overNetHTTP(b, c, workers) },
		} {
			b.Run(fmt.Sprintf("%s/workers=%d", name, workers), func(b *testing.B) { drive(b, workers, send(b)) })
		}
	}
}

// drive calls one from so many goroutines and reports this process's CPU.
func drive(b *testing.B, workers int, one func() error) {
	b.ReportAllocs()
	before := cpu(b)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for next.Add(1) <= int64(b.N) {
				if err := one(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/1e3/float64(b.N), "cpu-µs/op")
}

func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// signedCopy is a request as the other transports want it: not yet bytes.
func signedCopy(b *testing.B, c *Client) (h *host, sign func(*request)) {
	b.Helper()
	h, err := c.host(context.Background(), "bucket")
	if err != nil {
		b.Fatal(err)
	}
	return h, func(q *request) {
		key, err := h.keys.get(context.Background(), time.Now())
		if err != nil {
			b.Error(err)
			return
		}
		c.buildCopy(q, h, someCopy)
		q.sign(key, h, time.Now())
	}
}

// authorization is the header's value within the bytes of the request.
func (q *request) authorization() string {
	const name = "authorization: "
	for i := len(q.out) - 5; i >= 0; i-- {
		if q.out[i] == '\n' {
			return string(q.out[i+1+len(name) : len(q.out)-4])
		}
	}
	return ""
}

func overFastHTTP(b *testing.B, c *Client, addr string) func() error {
	_, sign := signedCopy(b, c)
	client := &fasthttp.HostClient{Addr: addr, NoDefaultUserAgentHeader: true, DisableHeaderNamesNormalizing: true,
		DisablePathNormalizing: true, MaxConns: 64, ReadTimeout: time.Minute, RetryIfErr: func(*fasthttp.Request, int, error) (bool, bool) { return false, false }}
	b.Cleanup(client.CloseIdleConnections)
	var pool sync.Pool
	return func() error {
		k, _ := pool.Get().(*conn)
		if k == nil {
			k = newConn(nil)
		}
		defer pool.Put(k)
		sign(&k.req)
		req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
		defer fasthttp.ReleaseRequest(req)
		defer fasthttp.ReleaseResponse(resp)
		req.Header.DisableNormalizing()
		req.Header.SetMethod("PUT")
		req.URI().DisablePathNormalizing = true
		req.SetRequestURI("http://" + addr + string(k.req.path))
		for _, f := range k.req.fields {
			if f.name != "host" {
				req.Header.SetBytesV(f.name, k.req.vals[f.from:f.to])
			}
		}
		req.Header.Set("authorization", k.req.authorization())
		if err := client.Do(req, resp); err != nil {
			return err
		}
		r := &reply{status: resp.StatusCode(), body: resp.Body()}
		resp.Header.All()(func(name, value []byte) bool {
			r.fields = append(r.fields, replyField{name, value})
			return true
		})
		var out object.CopyReply
		return k.parseCopy(r, "CopyObjectResult", &out)
	}
}

func overNetHTTP(b *testing.B, c *Client, workers int) func() error {
	h, sign := signedCopy(b, c)
	transport := &http.Transport{MaxIdleConnsPerHost: workers, DisableCompression: true}
	b.Cleanup(transport.CloseIdleConnections)
	var pool sync.Pool
	return func() error {
		k, _ := pool.Get().(*conn)
		if k == nil {
			k = newConn(nil)
		}
		defer pool.Put(k)
		sign(&k.req)
		req := &http.Request{Method: "PUT", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Host: h.header,
			URL: &url.URL{Scheme: "http", Host: h.header, Opaque: "//" + h.header + string(k.req.path)}, Header: make(http.Header, 8)}
		for _, f := range k.req.fields {
			if f.name != "host" {
				req.Header.Set(f.name, string(k.req.vals[f.from:f.to]))
			}
		}
		req.Header.Set("authorization", k.req.authorization())
		resp, err := transport.RoundTrip(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		r := &reply{status: resp.StatusCode, body: body}
		for name, values := range resp.Header {
			r.fields = append(r.fields, replyField{[]byte(name), []byte(values[0])})
		}
		var out object.CopyReply
		return k.parseCopy(r, "CopyObjectResult", &out)
	}
}
