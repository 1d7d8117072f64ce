package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// field is one request header; its value lies in request.vals.
type field struct {
	name     string
	from, to int
}

// request is one request being built. It lives on a connection, so that its
// buffers are reused; nothing in it outlives the exchange.
type request struct {
	method  string
	path    []byte // percent-encoded, as signed and as sent
	query   []byte // canonical: sorted, every name with "="
	vals    []byte
	fields  []field
	body    []byte
	data    []byte // an object's bytes: the body instead, lent for the exchange
	out     []byte // the request as sent
	canon   []byte // the canonical request
	scratch []byte
	err     error // the first value that no header can carry
	secret  bool  // a customer key is among the headers
	// second is the one that date was formatted for.
	second int64
	date   [16]byte
}

func (q *request) reset(method string) {
	q.method = method
	q.path, q.query, q.vals = q.path[:0], q.query[:0], q.vals[:0]
	q.fields, q.body, q.data, q.err = q.fields[:0], q.body[:0], nil, nil
	q.secret = false
}

// badValueError names the header that cannot be sent; it does not quote the
// value, which may be secret.
type badValueError struct{ name string }

func (e *badValueError) Error() string {
	return "header " + e.name + " would hold a control character"
}

// add appends a header. Its name is in lower case.
func (q *request) add(name, value string) {
	q.begin(name)
	q.vals = append(q.vals, value...)
	q.end()
}

// addSet is add for a value that may be empty: then nothing is sent.
func (q *request) addSet(name, value string) {
	if value != "" {
		q.add(name, value)
	}
}

// begin and end enclose a value that is appended to vals piece by piece.
func (q *request) begin(name string) {
	q.fields = append(q.fields, field{name: name, from: len(q.vals)})
}

func (q *request) end() {
	f := &q.fields[len(q.fields)-1]
	f.to = len(q.vals)
	for _, c := range q.vals[f.from:] {
		if (c < ' ' && c != '\t') || c == 0x7f {
			if q.err == nil {
				q.err = &badValueError{f.name}
			}
			return
		}
	}
}

// param appends a query parameter; the caller keeps them in order of name.
func (q *request) param(name, value string) {
	if len(q.query) > 0 {
		q.query = append(q.query, '&')
	}
	q.query = append(q.query, name...)
	q.query = append(q.query, '=')
	q.query = appendQuery(q.query, value)
}

// setDate formats now, which changes once a second at most.
func (q *request) setDate(now time.Time) {
	if s := now.Unix(); s != q.second {
		q.second = s
		now.UTC().AppendFormat(q.date[:0], "20060102T150405Z")
	}
}

// sign completes the request: it adds the headers that every request has, signs
// and writes it to q.out.
func (q *request) sign(k *signingKey, h *host, now time.Time) {
	q.setDate(now)
	q.add("host", h.header)
	q.begin("x-amz-content-sha256")
	if body := q.payload(); len(body) == 0 {
		q.vals = append(q.vals, emptySHA256...)
	} else {
		sum := sha256.Sum256(body)
		q.vals = hex.AppendEncode(q.vals, sum[:])
		q.end()
		q.begin("content-length")
		q.vals = strconv.AppendInt(q.vals, int64(len(body)), 10)
	}
	q.end()
	q.begin("x-amz-date")
	q.vals = append(q.vals, q.date[:]...)
	q.end()
	q.addSet("x-amz-security-token", k.creds.SessionToken)
	q.sortFields()
	q.writeHead(h)
	q.out = append(q.out, "authorization: "...)
	q.out = append(q.out, k.prefix...)
	q.appendSigned(&q.out)
	q.out = append(q.out, ", Signature="...)
	q.canonical()
	q.out, q.scratch = k.appendSignature(q.out, q.date[:], q.canon, q.scratch)
	q.out = append(q.out, "\r\n\r\n"...)
	q.out = append(q.out, q.body...)
	if len(q.data) <= oneWrite {
		q.out, q.data = append(q.out, q.data...), nil
	}
}

// oneWrite is the length up to which an object's bytes are put behind the header
// instead of being written after it.
const oneWrite = 16 << 10

func (q *request) payload() []byte {
	if q.data != nil {
		return q.data
	}
	return q.body
}

// sortFields is an insertion sort: there are about ten, and nearly in order.
func (q *request) sortFields() {
	for i := 1; i < len(q.fields); i++ {
		for j := i; j > 0 && q.fields[j].name < q.fields[j-1].name; j-- {
			q.fields[j], q.fields[j-1] = q.fields[j-1], q.fields[j]
		}
	}
}

func (q *request) writeHead(h *host) {
	o := append(q.out[:0], q.method...)
	o = append(o, ' ')
	o = append(o, h.target...)
	o = append(o, q.path...)
	if len(q.query) > 0 {
		o = append(o, '?')
		o = append(o, q.query...)
	}
	o = append(o, " HTTP/1.1\r\n"...)
	for _, f := range q.fields {
		o = append(o, f.name...)
		o = append(o, ": "...)
		o = append(o, q.vals[f.from:f.to]...)
		o = append(o, "\r\n"...)
	}
	o = append(o, h.unsigned...)
	if len(q.payload()) == 0 && q.method == "PUT" {
		o = append(o, "content-length: 0\r\n"...)
	}
	q.out = o
}

// canonical writes the canonical request of SigV4.
func (q *request) canonical() {
	b := append(q.canon[:0], q.method...)
	b = append(b, '\n')
	b = append(b, q.path...)
	b = append(b, '\n')
	b = append(b, q.query...)
	b = append(b, '\n')
	from, to := 0, 0
	for _, f := range q.fields {
		b = append(b, f.name...)
		b = append(b, ':')
		at := len(b)
		b = appendTrimmed(b, q.vals[f.from:f.to])
		if f.name == "x-amz-content-sha256" {
			from, to = at, len(b)
		}
		b = append(b, '\n')
	}
	b = append(b, '\n')
	q.canon = b
	q.appendSigned(&q.canon)
	q.canon = append(q.canon, '\n')
	q.canon = append(q.canon, q.canon[from:to]...)
}

func (q *request) appendSigned(dst *[]byte) {
	b := *dst
	for i, f := range q.fields {
		if i > 0 {
			b = append(b, ';')
		}
		b = append(b, f.name...)
	}
	*dst = b
}

// appendTrimmed appends a header value as SigV4 canonicalises it: without
// surrounding white space, runs of spaces as one. A tab counts as a space, as
// MinIO and most SDKs have it: with the Go SDK's signer, which keeps tabs, MinIO
// refuses metadata that holds one.
func appendTrimmed(dst, v []byte) []byte {
	for len(v) > 0 && (v[0] == ' ' || v[0] == '\t') {
		v = v[1:]
	}
	for len(v) > 0 && (v[len(v)-1] == ' ' || v[len(v)-1] == '\t') {
		v = v[:len(v)-1]
	}
	blank := false
	for _, c := range v {
		if c == '\t' {
			c = ' '
		}
		if c == ' ' && blank {
			continue
		}
		blank = c == ' '
		dst = append(dst, c)
	}
	return dst
}

// tokenName says whether a user metadata name can be a header's name.
func tokenName(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte("()<>@,;:\\\"/[]?={}", c) >= 0 {
			return false
		}
	}
	return s != ""
}
