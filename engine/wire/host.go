package wire

import (
	"context"
	"net/url"
	"strings"
)

// host is where the requests for one bucket go.
type host struct {
	pool pool
	keys keyCache
	// header is the Host header, addr host:port to connect to, name the TLS name.
	header, addr, name string
	// prefix is the percent-encoded path before the key: "/" or "/bucket/".
	prefix string
	// target stands before the path in the request line, for a plain HTTP proxy.
	target string
	// unsigned are the header lines that are not signed: the user agent, and the
	// password of a plain HTTP proxy.
	unsigned  string
	tls       bool
	proxy     *url.URL
	proxyAuth string
}

// host finds the host of a bucket. The map is replaced, never changed, so that
// reading it takes no lock.
func (c *Client) host(ctx context.Context, bucket string) (*host, error) {
	if h := (*c.hosts.Load())[bucket]; h != nil {
		return h, nil
	}
	c.hostsMu.Lock()
	defer c.hostsMu.Unlock()
	old := *c.hosts.Load()
	if h := old[bucket]; h != nil {
		return h, nil
	}
	a, err := c.opt.Resolve(ctx, bucket)
	if err != nil {
		return nil, err
	}
	h, err := c.newHost(a)
	if err != nil {
		return nil, err
	}
	hosts := map[string]*host{bucket: h}
	for b, other := range old {
		hosts[b] = other
	}
	c.hosts.Store(&hosts)
	return h, nil
}

func (c *Client) newHost(a Address) (*host, error) {
	u := &url.URL{Scheme: a.Scheme, Host: a.Host, Path: "/"}
	h := &host{header: hostHeader(u), addr: hostPort(u), name: u.Hostname(), prefix: a.Path + "/", tls: a.Scheme == "https"}
	h.unsigned = "user-agent: " + c.opt.UserAgent + "\r\n"
	h.keys.fetch, h.keys.region, h.keys.service = c.credentials, a.Region, a.Service
	proxy, err := c.opt.Proxy(u)
	if err != nil || proxy == nil {
		return h, err
	}
	switch {
	case isSOCKS(proxy.Scheme):
		h.proxy = proxy
		password, _ := proxy.User.Password()
		c.secrets.Add(password)
		return h, nil
	case proxy.Scheme != "http" && proxy.Scheme != "https":
		return nil, errProxyScheme
	}
	h.proxy, h.proxyAuth = proxy, basicAuth(proxy.User)
	c.secrets.Add(h.proxyAuth)
	if !h.tls {
		h.target = "http://" + h.header
		if h.proxyAuth != "" {
			h.unsigned += "proxy-authorization: " + h.proxyAuth + "\r\n"
		}
	}
	return h, nil
}

// hostHeader leaves out a scheme's own port, as every HTTP client does; it is
// signed, so it has to be what the server sees.
func hostHeader(u *url.URL) string {
	if p := u.Port(); (p == "80" && u.Scheme == "http") || (p == "443" && u.Scheme == "https") {
		return strings.TrimSuffix(u.Host, ":"+p)
	}
	return u.Host
}
