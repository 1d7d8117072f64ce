package conformance

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Recorded is one thing that S3 was seen to do: requests that prepare for it,
// one that is asked, and the answer. Where it was seen stands beside it, so that
// a doubt can be settled at its source.
type Recorded struct {
	Name string
	// Kind of bucket that it is about.
	Kind Kind
	// TLS and KMS are needed for it.
	TLS, KMS bool
	Before   []Ask
	Ask      Ask
	Status   int
	// Code of the error; empty where there is none, or HEAD tells none.
	Code string
	// Has are texts of the body (beginning with <) and headers ("name", "name: value")
	// that the answer must have, Lacks those that it must not have.
	Has, Lacks []string
	Source     string
}

// Kind of a bucket.
type Kind string

// The kinds. A suspended bucket has had versions.
const (
	Unversioned Kind = "unversioned"
	Versioned   Kind = "versioned"
	Suspended   Kind = "suspended"
	Locking     Kind = "locking"
)

// Kinds of buckets that facts are about.
var Kinds = []Kind{Unversioned, Versioned, Suspended, Locking}

// Ask is one request. In all its texts, $at is bucket and prefix, $prefix the
// prefix, $bucket the bucket, $key a KMS key, $md5 the digest of the body, and $NAME.etag, $NAME.version and
// $NAME.upload what the answer of that name told.
type Ask struct {
	As string
	// Do is METHOD /KEY?QUERY; the key is below the prefix of the row, and the bucket
	// itself where there is none.
	Do string
	// Headers are "Name: value", one a line.
	Headers string
	Body    string
}

// Answer is what a request led to.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Asker sends the requests of facts to one bucket of a server.
type Asker struct {
	Endpoint, Region, Bucket, Key string
	Client                        *http.Client
	Credentials                   aws.CredentialsProvider
}

// Differs sends the requests of a row and tells in what the answer differs from
// the recorded one; each row needs a prefix of its own. An error means that the
// fact could not be asked for.
func (a *Asker) Differs(ctx context.Context, r *Recorded, prefix string) (differences []string, err error) {
	seen := map[string]Answer{}
	for i, ask := range r.Before {
		got, err := a.send(ctx, ask, prefix, seen)
		if err != nil {
			return nil, err
		}
		if got.Status >= 300 {
			return nil, fmt.Errorf("preparing by request %d, %s: %d %s", i+1, ask.Do, got.Status, got.code())
		}
		if ask.As != "" {
			seen[ask.As] = got
		}
	}
	got, err := a.send(ctx, r.Ask, prefix, seen)
	if err != nil {
		return nil, err
	}
	return got.differs(r, func(s string) string { return a.expand(s, prefix, seen) }), nil
}

func (g Answer) differs(r *Recorded, expand func(string) string) (out []string) {
	if g.Status != r.Status {
		out = append(out, fmt.Sprintf("status %d, recorded %d", g.Status, r.Status))
	}
	if code := g.code(); code != r.Code {
		out = append(out, fmt.Sprintf("code %q, recorded %q", code, r.Code))
	}
	for _, want := range r.Has {
		if !g.has(expand(want)) {
			out = append(out, "without "+want)
		}
	}
	for _, no := range r.Lacks {
		if g.has(expand(no)) {
			out = append(out, "with "+no)
		}
	}
	return out
}

func (g Answer) has(what string) bool {
	if strings.HasPrefix(what, "<") {
		return strings.Contains(g.Body, what)
	}
	name, value, valued := strings.Cut(what, ": ")
	vs := g.Header.Values(name)
	return len(vs) > 0 && (!valued || vs[0] == value)
}

// code is the code of an error, wherever in the body it stands: in a 200 too.
func (g Answer) code() string {
	_, rest, ok := strings.Cut(g.Body, "<Code>")
	code, _, closed := strings.Cut(rest, "</Code>")
	if !ok || !closed {
		return ""
	}
	return code
}

var reference = regexp.MustCompile(`\$(\w+)\.(etag|version|upload)`)

func (a *Asker) expand(s, prefix string, seen map[string]Answer) string {
	s = reference.ReplaceAllStringFunc(s, func(ref string) string {
		name, what, _ := strings.Cut(ref[1:], ".")
		g := seen[name]
		switch what {
		case "etag":
			if e := g.Header.Get("ETag"); e != "" {
				return strings.Trim(e, `"`)
			}
			return strings.NewReplacer(`"`, "", "&quot;", "", "&#34;", "").Replace(g.element("ETag"))
		case "version":
			return g.Header.Get("x-amz-version-id")
		}
		return g.element("UploadId")
	})
	return strings.NewReplacer("$at", a.Bucket+"/"+prefix, "$prefix", prefix, "$bucket", a.Bucket, "$key", a.Key).Replace(s)
}

func (g Answer) element(name string) string {
	_, rest, _ := strings.Cut(g.Body, "<"+name+">")
	text, _, _ := strings.Cut(rest, "</"+name+">")
	return text
}

func (a *Asker) send(ctx context.Context, ask Ask, prefix string, seen map[string]Answer) (Answer, error) {
	method, path, _ := strings.Cut(a.expand(ask.Do, prefix, seen), " ")
	key, query, _ := strings.Cut(strings.TrimPrefix(path, "/"), "?")
	target := a.Endpoint + "/" + a.Bucket
	if key != "" {
		target += "/" + prefix + "/" + (&url.URL{Path: key}).EscapedPath()
	}
	if query != "" {
		target += "?" + query
	}
	body := a.expand(ask.Body, prefix, seen)
	req, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	headers := strings.ReplaceAll(ask.Headers, "$md5", digest(body))
	for line := range strings.SplitSeq(a.expand(headers, prefix, seen), "\n") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			req.Header.Set(strings.TrimSpace(name), value)
		}
	}
	if err := a.sign(ctx, req, body); err != nil {
		return Answer{}, err
	}
	resp, err := a.Client.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return Answer{resp.StatusCode, resp.Header, string(b)}, err
}

func digest(body string) string {
	sum := md5.Sum([]byte(body))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func (a *Asker) sign(ctx context.Context, req *http.Request, body string) error {
	creds, err := a.Credentials.Retrieve(ctx)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(body))
	payload := hex.EncodeToString(sum[:])
	req.Header.Set("X-Amz-Content-Sha256", payload)
	return v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }).
		SignHTTP(ctx, creds, req, payload, "s3", a.Region, time.Now())
}

// RecordedFacts are all facts.
func RecordedFacts() []Recorded {
	all := append([]Recorded{}, recordedUploads...)
	all = append(all, recordedObjects...)
	all = append(all, recordedBuckets...)
	for i := range all {
		if all[i].Kind == "" {
			all[i].Kind = Unversioned
		}
	}
	return all
}
