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
