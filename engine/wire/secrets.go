package wire

import (
	"bytes"
	"context"
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// credentials asks for the credentials, and notes them as secrets.
func (c *Client) credentials(ctx context.Context) (Credentials, error) {
	creds, err := c.opt.Credentials(ctx)
	c.secrets.Add(creds.SessionToken)
	c.secrets.Add(creds.SecretAccessKey)
	return creds, err
}

// remember notes the customer keys that a request carries.
func (c *Client) remember(q *request) {
	if !q.secret {
		return
	}
	for _, f := range q.fields {
		if strings.HasSuffix(f.name, "-customer-key") {
			c.secrets.AddBytes(q.vals[f.from:f.to])
		}
	}
}

// signature is that of the request as it was sent, in hex.
func (q *request) signature() []byte {
	_, rest, _ := bytes.Cut(q.out, []byte(", Signature="))
	signature, _, _ := bytes.Cut(rest, crlfcrlf[:2])
	return signature
}

// leaks says whether a reply of success repeats a secret in anything that is read
// of it: it would go into the checkpoint, into reports, or as metadata into the
// next object.
func (c *Client) leaks(r *reply, signature []byte) bool {
	repeats := func(text []byte) bool {
		return object.Repeats(&c.secrets, text) || len(text) >= len(signature) && len(signature) > 0 && bytes.Contains(text, signature)
	}
	if repeats(r.body) {
		return true
	}
	for i := range r.fields {
		if f := &r.fields[i]; isRead(f.name) && repeats(f.value) {
			return true
		}
	}
	return false
}

// isRead says whether anything reads a header of a reply. What a proxy adds under
// names of its own goes nowhere.
func isRead(name []byte) bool {
	switch string(name) {
	case "etag", "content-type", "cache-control", "content-disposition", "content-encoding", "content-language", "expires":
		return true
	case "x-amz-security-token", "x-amz-server-side-encryption-customer-key", "x-amz-copy-source-server-side-encryption-customer-key":
		return false
	}
	return bytes.HasPrefix(name, []byte("x-amz-"))
}
