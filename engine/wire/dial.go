package wire

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

// proxyError is a proxy that said no; it is not the store's word.
type proxyError struct {
	proxy  string
	status string
	code   int
}

func (e *proxyError) Error() string {
	return fmt.Sprintf("the proxy %s answered CONNECT with %s", e.proxy, e.status)
}

var errProxyScheme = errors.New("only http, https and socks5 proxies are supported")

// dial opens a connection to a host: TCP, through the proxy where there is one,
// TLS where the endpoint wants it.
func (c *Client) dial(ctx context.Context, h *host) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opt.DialTimeout)
	defer cancel()
	nc, err := c.dialRaw(ctx, h)
	if err != nil {
		return nil, err
	}
	c.dials.Add(1)
	return newConn(nc), nil
}

func (c *Client) dialRaw(ctx context.Context, h *host) (net.Conn, error) {
	if h.proxy == nil {
		nc, err := c.opt.Dial(ctx, "tcp", h.addr)
		if err != nil || !h.tls {
			return nc, err
		}
		return c.handshake(ctx, nc, h.name)
	}
	nc, err := c.opt.Dial(ctx, "tcp", hostPort(h.proxy))
	if err != nil {
		return nil, err
	}
	if h.proxy.Scheme == "https" {
		if nc, err = c.handshake(ctx, nc, h.proxy.Hostname()); err != nil {
			return nil, err
		}
	}
	tunnel := connect
	switch {
	case isSOCKS(h.proxy.Scheme):
		tunnel = socks
	case !h.tls:
		return nc, nil
	}
	if err := tunnel(ctx, nc, h); err != nil {
		nc.Close()
		return nil, err
	}
	if !h.tls {
		return nc, nil
	}
	return c.handshake(ctx, nc, h.name)
}

func (c *Client) handshake(ctx context.Context, nc net.Conn, name string) (net.Conn, error) {
	config := c.tls
	if config.ServerName == "" {
		config = config.Clone()
		config.ServerName = name
	}
	t := tls.Client(nc, config)
	if err := t.HandshakeContext(ctx); err != nil {
		nc.Close()
		return nil, err
	}
	return t, nil
}

// connect asks the proxy for a tunnel.
func connect(ctx context.Context, nc net.Conn, h *host) error {
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(past) })
	defer stop()
	req := "CONNECT " + h.addr + " HTTP/1.1\r\nHost: " + h.addr + "\r\n"
	if h.proxyAuth != "" {
		req += "Proxy-Authorization: " + h.proxyAuth + "\r\n"
	}
	if _, err := nc.Write([]byte(req + "\r\n")); err != nil {
		return err
	}
	// The server speaks first in no protocol that we tunnel, so the reader takes
	// nothing that belongs to TLS.
	resp, err := http.ReadResponse(bufio.NewReader(nc), &http.Request{Method: "CONNECT"})
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return &proxyError{h.proxy.Redacted(), resp.Status, resp.StatusCode}
	}
	if !stop() {
		return ctx.Err()
	}
	return nc.SetDeadline(time.Time{})
}

func basicAuth(u *url.Userinfo) string {
	if u == nil {
		return ""
	}
	password, _ := u.Password()
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password))
}

func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": socksPort, "socks5h": socksPort}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}
