package s3test

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Credentials are one key pair that the server accepts.
type Credentials struct {
	AccessKeyID, SecretAccessKey, SessionToken string
	// Account that the requester belongs to; the server's own where empty.
	Account string
}

// DefaultCredentials are accepted where Config names no others.
var DefaultCredentials = Credentials{AccessKeyID: "AKIDRESEALTEST", SecretAccessKey: "s3test-secret-access-key"}

// auth verifies SigV4 signatures in the Authorization header.
type auth struct {
	off bool
	now func() time.Time

	mu struct {
		sync.RWMutex
		creds   map[string]Credentials
		expired map[string]bool
		keys    map[string][]byte // signing keys by scope
	}
}

func newAuth(cfg Config) *auth {
	a := &auth{off: cfg.NoAuth, now: cfg.Now}
	a.mu.creds = map[string]Credentials{}
	a.mu.expired = map[string]bool{}
	a.mu.keys = map[string][]byte{}
	for _, c := range cfg.Credentials {
		if c.Account == "" {
			c.Account = cfg.Account
		}
		a.mu.creds[c.AccessKeyID] = c
	}
	return a
}

// AddCredentials accepts one more key pair, as after a rotation.
func (s *Server) AddCredentials(c Credentials) {
	if c.Account == "" {
		c.Account = s.cfg.Account
	}
	s.auth.mu.Lock()
	defer s.auth.mu.Unlock()
	s.auth.mu.creds[c.AccessKeyID] = c
	delete(s.auth.mu.expired, c.AccessKeyID)
}

// ExpireCredentials answers requests under the key with ExpiredToken from now on.
func (s *Server) ExpireCredentials(accessKeyID string) {
	s.auth.mu.Lock()
	defer s.auth.mu.Unlock()
	s.auth.mu.expired[accessKeyID] = true
}

// RemoveCredentials answers requests under the key with InvalidAccessKeyId.
func (s *Server) RemoveCredentials(accessKeyID string) {
	s.auth.mu.Lock()
	defer s.auth.mu.Unlock()
	delete(s.auth.mu.creds, accessKeyID)
}

// signed is what the Authorization header says.
type signed struct {
	key, date, region, service string
	headers                    []string
	signature                  string
	amzDate                    string
	payload                    string // x-amz-content-sha256
	signingKey                 []byte
	creds                      Credentials
}

func (g *signed) scope() string {
	return g.date + "/" + g.region + "/" + g.service + "/aws4_request"
}

func parseAuthorization(h string) (g signed, ok bool) {
	rest, ok := strings.CutPrefix(h, "AWS4-HMAC-SHA256")
	if !ok {
		return g, false
	}
	for f := range strings.SplitSeq(rest, ",") {
		name, v, _ := strings.Cut(strings.TrimSpace(f), "=")
		switch name {
		case "Credential":
			p := strings.Split(v, "/")
			if len(p) != 5 || p[4] != "aws4_request" {
				return g, false
			}
			g.key, g.date, g.region, g.service = p[0], p[1], p[2], p[3]
		case "SignedHeaders":
			g.headers = strings.Split(v, ";")
		case "Signature":
			g.signature = v
		}
	}
	return g, g.key != "" && g.signature != "" && len(g.headers) > 0
}

// verify checks the request's signature. The payload's hash is checked later,
// when the body has been read.
func (a *auth) verify(q *request) *s3Error {
	if a.off {
		return nil
	}
	h := q.http.Header.Get("Authorization")
	if h == "" {
		return errAccessDenied("Anonymous access is forbidden for this operation")
	}
	g, ok := parseAuthorization(h)
	if !ok {
		return fail(http.StatusBadRequest, "AuthorizationHeaderMalformed", "The authorization header is malformed.")
	}
	a.mu.RLock()
	c, known := a.mu.creds[g.key]
	expired := a.mu.expired[g.key]
	a.mu.RUnlock()
	switch {
	case !known:
		return fail(http.StatusForbidden, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")
	case expired:
		return errExpired
	case q.http.Header.Get("X-Amz-Security-Token") != c.SessionToken:
		return fail(http.StatusBadRequest, "InvalidToken", "The provided token is malformed or otherwise invalid.")
	}
	g.creds, g.amzDate = c, q.http.Header.Get("X-Amz-Date")
	at, err := time.Parse("20060102T150405Z", g.amzDate)
	if d := a.now().Sub(at); err != nil || d > 15*time.Minute || d < -15*time.Minute {
		return fail(http.StatusForbidden, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.")
	}
	if g.payload = q.http.Header.Get("X-Amz-Content-Sha256"); g.payload == "" {
		if g.service == "s3" {
			return fail(http.StatusBadRequest, "MissingSecurityHeader", "Your request was missing a required header: x-amz-content-sha256")
		}
		sum := sha256.Sum256(q.body)
		g.payload = hex.EncodeToString(sum[:])
	}
	g.signingKey = a.signingKey(&g)
	want := a.signature(&g, canonicalRequest(q, &g))
	if !hmac.Equal([]byte(want), []byte(g.signature)) || !coversNeeded(q, &g) {
		return fail(http.StatusForbidden, "SignatureDoesNotMatch",
			"The request signature we calculated does not match the signature you provided. Check your key and signing method.")
	}
	q.signed = &g
	return nil
}

// coversNeeded: the host and every x-amz- header must be signed.
func coversNeeded(q *request, g *signed) bool {
	if !slices.Contains(g.headers, "host") {
		return false
	}
	for name := range q.http.Header {
		name = strings.ToLower(name)
		if strings.HasPrefix(name, "x-amz-") && !slices.Contains(g.headers, name) {
			return false
		}
	}
	return true
}

func (a *auth) signingKey(g *signed) []byte {
	id := g.key + "/" + g.scope() + g.creds.SecretAccessKey
	a.mu.RLock()
	k := a.mu.keys[id]
	a.mu.RUnlock()
	if k != nil {
		return k
	}
	k = mac([]byte("AWS4"+g.creds.SecretAccessKey), g.date)
	k = mac(mac(mac(k, g.region), g.service), "aws4_request")
	a.mu.Lock()
	a.mu.keys[id] = k
	a.mu.Unlock()
	return k
}

func (a *auth) signature(g *signed, canonical string) string {
	sum := sha256.Sum256([]byte(canonical))
	return hex.EncodeToString(mac(g.signingKey,
		"AWS4-HMAC-SHA256\n"+g.amzDate+"\n"+g.scope()+"\n"+hex.EncodeToString(sum[:])))
}

func mac(key []byte, data string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(data))
	return h.Sum(nil)
}

func canonicalRequest(q *request, g *signed) string {
	var b strings.Builder
	b.WriteString(q.http.Method)
	b.WriteByte('\n')
	b.WriteString(escape(q.path, true))
	b.WriteByte('\n')
	b.WriteString(canonicalQuery(q.query))
	b.WriteByte('\n')
	for _, name := range g.headers {
		b.WriteString(name)
		b.WriteByte(':')
		b.WriteString(canonicalHeader(q.http, name))
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	b.WriteString(strings.Join(g.headers, ";"))
	b.WriteByte('\n')
	b.WriteString(g.payload)
	return b.String()
}

// canonicalQuery sorts by encoded name, then by encoded value.
func canonicalQuery(query map[string][]string) string {
	type pair struct{ k, v string }
	pairs := make([]pair, 0, len(query))
	for k, vs := range query {
		for _, v := range vs {
			pairs = append(pairs, pair{escape(k, false), escape(v, false)})
		}
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		return cmp.Or(strings.Compare(a.k, b.k), strings.Compare(a.v, b.v))
	})
	var b strings.Builder
	for i, p := range pairs {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p.k + "=" + p.v)
	}
	return b.String()
}

func canonicalHeader(r *http.Request, name string) string {
	switch name {
	case "host":
		return r.Host
	case "content-length":
		if v := r.Header.Get("Content-Length"); v != "" {
			return v
		}
		return itoa(r.ContentLength)
	case "transfer-encoding":
		return strings.Join(r.TransferEncoding, ",")
	}
	vs := r.Header[http.CanonicalHeaderKey(name)]
	out := make([]string, len(vs))
	for i, v := range vs {
		out[i] = strings.Join(strings.Fields(v), " ")
	}
	return strings.Join(out, ",")
}

const unreserved = "-_.~"

// escape is URI encoding as SigV4 wants it.
func escape(s string, path bool) string {
	const hexDigits = "0123456789ABCDEF"
	var b strings.Builder
	b.Grow(len(s) + 8)
	for i := 0; i < len(s); i++ {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
			strings.IndexByte(unreserved, c) >= 0 || path && c == '/' {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hexDigits[c>>4])
		b.WriteByte(hexDigits[c&15])
	}
	return b.String()
}
