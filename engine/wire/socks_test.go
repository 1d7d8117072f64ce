package wire

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// socksProxy is a SOCKS5 proxy that wants a user and a password, or none where user is nil, and
// answers with code. It notes what it was asked for.
func socksProxy(t *testing.T, user *url.Userinfo, code byte, asked chan<- string) *store {
	return serve(t, func(s *store, _ int, c net.Conn, r *bufio.Reader) {
		field := func(n int) string {
			b := make([]byte, n)
			io.ReadFull(r, b)
			return string(b)
		}
		one := func() int { return int(field(1)[0]) }
		if one() != 5 {
			return
		}
		methods, method := field(one()), byte(0)
		if user != nil {
			method = 2
		}
		if !strings.ContainsRune(methods, rune(method)) {
			c.Write([]byte{5, 0xff})
			return
		}
		c.Write([]byte{5, method})
		if user != nil {
			field(1)
			name := field(one())
			if password, _ := user.Password(); name != user.Username() || field(one()) != password {
				c.Write([]byte{1, 1})
				return
			}
			c.Write([]byte{1, 0})
		}
		field(3)
		host := ""
		switch one() {
		case 1:
			host = net.IP(field(4)).String()
		case 3:
			host = field(one())
		case 4:
			host = net.IP(field(16)).String()
		}
		port := one()<<8 | one()
		addr := net.JoinHostPort(host, fmt.Sprint(port))
		asked <- addr
		c.Write([]byte{5, code, 0, 3, 4, 'h', 'e', 'r', 'e', 0, 80})
		if code != 0 {
			return
		}
		if host == "store.example" { // that one is here itself
			io.WriteString(c, canned(s.read(r)))
			return
		}
		up, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		defer up.Close()
		s.wg.Go(func() { io.Copy(up, r); up.Close() })
		io.Copy(c, up)
	})
}

// TestSOCKS: what net/http reaches through a SOCKS5 proxy is reached here as well.
func TestSOCKS(t *testing.T) {
	user := url.UserPassword("u ser", "p:w/hunter2")
	ctx := context.Background()
	for name, c := range map[string]struct {
		wants, given *url.Userinfo
		code         byte
		class        object.Class // of the error
		ok           bool
	}{
		"open":                   {nil, nil, 0, object.ClassOther, true},
		"open, to who has a key": {nil, user, 0, object.ClassOther, true},
		"with a password":        {user, user, 0, object.ClassOther, true},
		"without":                {user, nil, 0, object.ClassOther, false},
		"a wrong one":            {user, url.UserPassword("u ser", "hunter3"), 0, object.ClassOther, false},
		"it does not allow it":   {nil, nil, 2, object.ClassOther, false},
		"nobody is there":        {nil, nil, 4, object.ClassUnreachable, false},
	} {
		t.Run(name, func(t *testing.T) {
			asked := make(chan string, 100)
			p := socksProxy(t, c.wants, c.code, asked)
			via := func(*url.URL) (*url.URL, error) {
				return &url.URL{Scheme: "socks5", Host: p.Addr().String(), User: c.given}, nil
			}
			s, roots := tlsStore(t, answers(canned))
			client := open(t, s, func(o *Options) { overTLS(s, roots)(o); o.Proxy = via })
			_, err := client.Copy(ctx, someCopy)
			switch e, _ := err.(*object.Error); {
			case c.ok && err != nil:
				t.Fatal(err)
			case c.ok:
				if got := <-asked; got != s.Addr().String() {
					t.Errorf("it was asked for %s, want %s", got, s.Addr())
				}
			case e == nil || e.Class != c.class || !e.NotSent || strings.Contains(e.Error(), "hunter"):
				t.Errorf("%v", err)
			}
			oracle := http.Client{Transport: &http.Transport{Proxy: func(r *http.Request) (*url.URL, error) { return via(r.URL) }, DisableKeepAlives: true}}
			resp, err := oracle.Get("http://store.example/")
			if (err == nil) != c.ok {
				t.Errorf("net/http: %v", err)
			}
			if err == nil {
				resp.Body.Close()
			}
			plain := open(t, p, func(o *Options) {
				o.Resolve, _ = PathStyle("http://store.example", "us-east-1")
				o.Proxy = via
			})
			if _, err := plain.Copy(ctx, someCopy); (err == nil) != c.ok {
				t.Errorf("plain HTTP: %v", err)
			}
		})
	}
}

// TestSOCKSProxiesThatAnswerAnything: whatever a proxy answers, and where it stops, nothing was
// sent to the store, it ends in its time, and no password is told.
func TestSOCKSProxiesThatAnswerAnything(t *testing.T) {
	user := url.UserPassword("user", "hunter2hunter2")
	password := string([]byte{3, 14}) + "hunter2hunter2"
	granted := "\x05\x02\x01\x00"
	for name, c := range map[string]struct {
		says  string
		waits bool // it says no more, and hangs
		class object.Class
	}{
		"nothing":                    {"", true, object.ClassUnreachable},
		"half a method":              {"\x05", true, object.ClassUnreachable},
		"the end":                    {"\x05", false, object.ClassUnreachable},
		"another protocol":           {"HTTP/1.1 400 Bad Request\r\n\r\n", false, object.ClassOther},
		"a method nobody offered":    {"\x05\x01", false, object.ClassOther},
		"a password and nothing":     {"\x05\x02", true, object.ClassUnreachable},
		"a refusal with the secret":  {"\x05\x02\x01" + password, false, object.ClassOther},
		"half an answer":             {granted + "\x05\x00\x00\x01\x01\x02", true, object.ClassUnreachable},
		"a code that none has":       {granted + "\x05\xff\x00\x01\x01\x02\x03\x04\x00\x50", false, object.ClassOther},
		"a kind that none has":       {granted + "\x05\x00\x00\x07\x01\x02\x03\x04\x00\x50", false, object.ClassOther},
		"a name without an end":      {granted + "\x05\x00\x00\x03\xffhunter2hunter2", true, object.ClassUnreachable},
		"a tunnel that is no store":  {granted + "\x05\x00\x00\x03\x00\x00\x50" + "nonsense", false, object.ClassOther},
		"another version of success": {granted + "\x04\x00\x00\x01\x01\x02\x03\x04\x00\x50", false, object.ClassOther},
	} {
		t.Run(name, func(t *testing.T) {
			done := make(chan struct{})
			p := serve(t, func(_ *store, _ int, conn net.Conn, r *bufio.Reader) {
				io.WriteString(conn, c.says)
				if c.waits {
					<-done
				} else {
					io.Copy(io.Discard, r)
				}
			})
			defer p.shut()
			defer close(done)
			s, roots := tlsStore(t, answers(canned))
			client := open(t, s, func(o *Options) {
				overTLS(s, roots)(o)
				o.DialTimeout = 300 * time.Millisecond
				o.Proxy = func(*url.URL) (*url.URL, error) {
					return &url.URL{Scheme: "socks5", Host: p.Addr().String(), User: user}, nil
				}
			})
			began := time.Now()
			_, err := client.Copy(context.Background(), someCopy)
			if e, _ := err.(*object.Error); e == nil || !e.NotSent || e.Class != c.class || strings.Contains(fmt.Sprintf("%v %+v", e, e.Err), "hunter2") {
				t.Errorf("%v", err)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}
