// Package awsface shows the embedded store under AWS's own host names, so that a
// whole job can be run as it runs against AWS: virtual hosts, the search for the
// bucket's region, KMS and STS at their endpoints, and capabilities that are known
// instead of probed.
//
// A Face is an HTTPS proxy on loopback. Whoever is told of it by HTTPS_PROXY and
// trusts its authority by AWS_CA_BUNDLE reaches the embedded store under names
// such as bucket.s3.us-east-1.amazonaws.com; the way to every other host is
// closed, so that no test can reach the real ones.
package awsface

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"github.com/resealhq/reseal/engine/s3test"
)

// Face is a running proxy with the store behind it.
type Face struct {
	// Store that answers; its URL is reachable without the proxy as well.
	Store *s3test.Server

	dir   string
	creds s3test.Credentials
	serve *http.Server
	addr  string
	done  chan struct{}

	mu struct {
		sync.Mutex
		asked   []string
		tunnels map[net.Conn]bool
	}
}

// Start starts a store as cfg says, over TLS in any case, and the proxy before
// it. The authority's certificate is written into dir, which no other Face may
// use. Close stops both.
func Start(cfg s3test.Config, dir string) (*Face, error) {
	cfg.TLS = true
	store, err := s3test.Start(cfg)
	if err != nil {
		return nil, err
	}
	f := &Face{Store: store, dir: dir, creds: s3test.DefaultCredentials, done: make(chan struct{})}
	if len(cfg.Credentials) > 0 {
		f.creds = cfg.Credentials[0]
	}
	f.mu.tunnels = map[net.Conn]bool{}
	l, err := f.listen()
	if err != nil {
		store.Close()
		return nil, fmt.Errorf("awsface: %w", err)
	}
	f.addr = l.Addr().String()
	f.serve = &http.Server{Handler: http.HandlerFunc(f.connect)}
	go func() {
		defer close(f.done)
		_ = f.serve.Serve(l) // ends with Close
	}()
	return f, nil
}

func (f *Face) listen() (net.Listener, error) {
	if err := os.WriteFile(f.CAFile(), f.Store.CAPEM(), 0o600); err != nil {
		return nil, err
	}
	return net.Listen("tcp", "127.0.0.1:0")
}

// Close drops every connection and waits for the proxy and the store.
func (f *Face) Close() {
	f.serve.Close()
	f.mu.Lock()
	for c := range f.mu.tunnels {
		c.Close()
	}
	f.mu.Unlock()
	<-f.done
	f.Store.Close()
}

// CAFile is the certificate to trust, as PEM.
func (f *Face) CAFile() string { return filepath.Join(f.dir, "aws-ca.pem") }

// ProxyURL is where the proxy listens.
func (f *Face) ProxyURL() *url.URL { return &url.URL{Scheme: "http", Host: f.addr} }

// Asked are the hosts, with their ports, that the proxy was asked for.
func (f *Face) Asked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.mu.asked...)
}

// setting is a variable of the environment; unset where the value is empty.
type setting struct{ name, value string }

// settings lead a client to the proxy and keep it from everything of the
// machine's own configuration.
func (f *Face) settings() []setting {
	none := filepath.Join(f.dir, "none")
	return []setting{
		{"HTTPS_PROXY", f.ProxyURL().String()}, {"https_proxy", ""}, {"NO_PROXY", ""}, {"no_proxy", ""}, {"ALL_PROXY", ""},
		{"AWS_CA_BUNDLE", f.CAFile()}, {"AWS_ACCESS_KEY_ID", f.creds.AccessKeyID}, {"AWS_SECRET_ACCESS_KEY", f.creds.SecretAccessKey},
		{"AWS_SESSION_TOKEN", f.creds.SessionToken}, {"AWS_REGION", ""}, {"AWS_DEFAULT_REGION", ""}, {"AWS_PROFILE", ""},
		{"AWS_CONFIG_FILE", none}, {"AWS_SHARED_CREDENTIALS_FILE", none}, {"AWS_EC2_METADATA_DISABLED", "true"},
		{"AWS_ENDPOINT_URL", ""}, {"AWS_ENDPOINT_URL_S3", ""}, {"AWS_ENDPOINT_URL_KMS", ""}, {"AWS_ENDPOINT_URL_STS", ""},
	}
}

// Env is the environment of a child process: base (os.Environ, say) with the
// settings in it.
func (f *Face) Env(base []string) []string {
	ours := map[string]bool{}
	var env []string
	for _, s := range f.settings() {
		ours[s.name] = true
		if s.value != "" {
			env = append(env, s.name+"="+s.value)
		}
	}
	for _, kv := range base {
		if name := beforeEquals(kv); !ours[name] {
			env = append(env, kv)
		}
	}
	return env
}

func beforeEquals(kv string) string {
	for i := range len(kv) {
		if kv[i] == '=' {
			return kv[:i]
		}
	}
	return kv
}

// Setenv gives this process the settings through set, a test's own Setenv.
// net/http reads the proxy once in a process: where something has asked for one
// before, the process will not come to this Face, which is an error. A package
// has one Face in its process then; more of them are for child processes.
func (f *Face) Setenv(set func(name, value string)) error {
	for _, s := range f.settings() {
		set(s.name, s.value)
		if s.value == "" {
			os.Unsetenv(s.name) // set has noted what to put back
		}
	}
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: &url.URL{Scheme: "https", Host: "s3.us-east-1.amazonaws.com"}})
	if err != nil || proxy == nil || proxy.Host != f.addr {
		return fmt.Errorf("awsface: this process has settled for the proxy %v before: %w", proxy, errSettled)
	}
	return nil
}

var errSettled = fmt.Errorf("the environment is read once")

// connect answers CONNECT: a tunnel to the store for the hosts of AWS.
func (f *Face) connect(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.mu.asked = append(f.mu.asked, r.Host)
	f.mu.Unlock()
	if _, ok := s3test.ParseAWSHost(r.Host); !ok || r.Method != http.MethodConnect {
		http.Error(w, "only hosts of AWS, and they are not the real ones", http.StatusForbidden)
		return
	}
	to, err := net.Dial("tcp", f.Store.Addr())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	from, buf, err := w.(http.Hijacker).Hijack()
	if err != nil {
		to.Close()
		return
	}
	if _, err := io.WriteString(from, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		from.Close()
		to.Close()
		return
	}
	f.tunnel(from, to, buf)
}

// tunnel carries bytes both ways until one side ends.
func (f *Face) tunnel(from, to net.Conn, ahead io.Reader) {
	f.mu.Lock()
	f.mu.tunnels[from], f.mu.tunnels[to] = true, true
	f.mu.Unlock()
	ended := make(chan struct{}, 2)
	carry := func(dst net.Conn, src io.Reader) {
		_, _ = io.Copy(dst, src) // either end may go away: so does the tunnel
		ended <- struct{}{}
	}
	go carry(to, ahead)
	go carry(from, to)
	<-ended
	from.Close()
	to.Close()
	<-ended
	f.mu.Lock()
	delete(f.mu.tunnels, from)
	delete(f.mu.tunnels, to)
	f.mu.Unlock()
}
