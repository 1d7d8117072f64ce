package wire

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strconv"
	"time"
)

// This file opens tunnels through SOCKS5 proxies (RFC 1928, and RFC 1929 for the password), which
// net/http does too: a job would see its store through one, and reach no object. The proxy looks
// the name up.

const (
	socksVersion     = 5
	socksPort        = "1080"
	socksOpen        = 0 // a method: without a password
	socksPassword    = 2 // a method
	socksConnect     = 1
	socksIPv4        = 1
	socksName        = 3
	socksIPv6        = 4
	passwordVersion  = 1
	maxSOCKSTextSize = 255
)

// socksRefusals are what the answers to a CONNECT say; the first is success.
var socksRefusals = [...]string{"", "a failure of its own", "a refusal: its rules do not allow it", "that the network cannot be reached", "that the host cannot be reached",
	"that the connection was refused", "that the time ran out", "that it does not know CONNECT", "that it does not know this kind of address"}

// isSOCKS says whether a proxy is one.
func isSOCKS(scheme string) bool { return scheme == "socks5" || scheme == "socks5h" }

// socks asks the proxy for a tunnel. What it reads is read to the byte, and nothing behind it.
func socks(ctx context.Context, nc net.Conn, h *host) error {
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(past) })
	defer stop()
	if err := socksGreet(nc, h); err != nil {
		return err
	}
	request, err := socksRequest(h.addr)
	if err != nil {
		return err
	}
	if _, err := nc.Write(request); err != nil {
		return err
	}
	answer := make([]byte, 5) // with the first byte of the address
	if _, err := io.ReadFull(nc, answer); err != nil {
		return err
	}
	switch code := int(answer[1]); {
	case answer[0] != socksVersion || code >= len(socksRefusals):
		return h.refusal("what is no answer of SOCKS5", 400)
	case code == 2 || code > 6:
		return h.refusal(socksRefusals[code], 403)
	case code > 0:
		return h.refusal(socksRefusals[code], 502)
	}
	rest := map[byte]int{socksIPv4: net.IPv4len, socksIPv6: net.IPv6len, socksName: 1 + int(answer[4])}[answer[3]]
	if rest == 0 {
		return h.refusal("an address of no known kind", 400)
	}
	if _, err := io.ReadFull(nc, make([]byte, rest-1+2)); err != nil { // its own address and port
		return err
	}
	if !stop() {
		return ctx.Err()
	}
	return nc.SetDeadline(time.Time{})
}

// refusal is an answer of the proxy other than success.
func (h *host) refusal(what string, code int) error {
	return &proxyError{h.proxy.Redacted(), what, code}
}

// socksGreet agrees on a method, and gives the password where the proxy wants it.
func socksGreet(nc net.Conn, h *host) error {
	hello := []byte{socksVersion, 1, socksOpen}
	if h.proxy.User != nil {
		hello = []byte{socksVersion, 2, socksOpen, socksPassword}
	}
	if _, err := nc.Write(hello); err != nil {
		return err
	}
	answer := make([]byte, 2)
	if _, err := io.ReadFull(nc, answer); err != nil {
		return err
	}
	switch {
	case answer[0] != socksVersion:
		return h.refusal("what is no answer of SOCKS5", 400)
	case answer[1] == socksOpen:
		return nil
	case answer[1] != socksPassword || h.proxy.User == nil:
		return h.refusal("a refusal of every way to authenticate", 407)
	}
	user := h.proxy.User.Username()
	password, _ := h.proxy.User.Password()
	if len(user) > maxSOCKSTextSize || len(password) > maxSOCKSTextSize {
		return errors.New("a SOCKS5 proxy takes a user and a password of at most 255 bytes")
	}
	login := append([]byte{passwordVersion, byte(len(user))}, user...)
	login = append(append(login, byte(len(password))), password...)
	if _, err := nc.Write(login); err != nil {
		return err
	}
	if _, err := io.ReadFull(nc, answer); err != nil {
		return err
	}
	if answer[1] != 0 {
		return h.refusal("a refusal of user and password", 407)
	}
	return nil
}

func socksRequest(addr string) ([]byte, error) {
	name, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	b := []byte{socksVersion, socksConnect, 0}
	switch ip := net.ParseIP(name); {
	case ip.To4() != nil:
		b = append(append(b, socksIPv4), ip.To4()...)
	case ip != nil:
		b = append(append(b, socksIPv6), ip...)
	case len(name) > maxSOCKSTextSize:
		return nil, errors.New("a SOCKS5 proxy takes a host name of at most 255 bytes")
	default:
		b = append(append(b, socksName, byte(len(name))), name...)
	}
	return binary.BigEndian.AppendUint16(b, uint16(n)), nil
}
