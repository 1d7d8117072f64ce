package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// Address is where the requests for one bucket go and what they are signed for.
type Address struct {
	// Scheme and Host, with the bucket in the host where addressing is virtual.
	Scheme, Host string
	// Path stands before "/" and the key: "/bucket" for path style, else empty or
	// the path of the endpoint URL. It is escaped already.
	Path string
	// Region and Service for the signature.
	Region, Service string
}

// PathStyle resolves every bucket to the path of one endpoint,
// scheme://host[:port][/path].
func PathStyle(endpoint, region string) (func(context.Context, string) (Address, error), error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.User != nil || u.RawQuery != "" {
		return nil, errors.New("wire: an endpoint is http(s)://host[:port][/path]")
	}
	base := strings.TrimSuffix(u.EscapedPath(), "/")
	return func(_ context.Context, bucket string) (Address, error) {
		return Address{Scheme: u.Scheme, Host: u.Host, Path: string(appendPath([]byte(base+"/"), bucket)),
			Region: region, Service: "s3"}, nil
	}, nil
}

// Options say where the requests go and how. Resolve, Credentials and Classify
// are needed; everything else has a useful zero value.
type Options struct {
	// Resolve gives a bucket's address. It is called once a bucket.
	Resolve func(ctx context.Context, bucket string) (Address, error)
	// Credentials gives the credentials now. It is called when there are none and
	// before they expire, not once a request.
	Credentials func(context.Context) (Credentials, error)
	// Classify is the table of errors. It may ask the store where the reply cannot
	// tell.
	Classify func(context.Context, object.FailedReply) *object.Error
	// Whose is told of each success by its operation, whether it has the ID of its request, and
	// whether any header of S3, and says whether somebody else than the store gave it; nil where
	// nobody can tell.
	Whose func(op string, id, amz bool) (foreign bool)
	// TLS brings custom roots, a client certificate or InsecureSkipVerify. It is
	// cloned; sessions are resumed in any case.
	TLS *tls.Config
	// Proxy names the proxy for a URL, nil for none; the default reads HTTP_PROXY,
	// HTTPS_PROXY and NO_PROXY as net/http does.
	Proxy func(*url.URL) (*url.URL, error)
	// Dial opens the TCP connection; the default is a net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// UserAgent; empty is "reseal".
	UserAgent string
	// RequestPayer sends x-amz-request-payer: requester.
	RequestPayer bool
	// ExpectedBucketOwner is the account that must own the buckets of a request.
	ExpectedBucketOwner string
	// NoChecksums leaves out x-amz-checksum-mode, so that HEAD shows no checksums.
	NoChecksums bool
	// DialTimeout is for a connection with its TLS handshake; 15 s.
	DialTimeout time.Duration
	// HeadTimeout and CopyTimeout are the longest silence of the store during a
	// HEAD (30 s) and during everything else (10 min: a copy of 5 GiB may take as
	// long before the first byte of its reply). The context's deadline comes
	// on top.
	HeadTimeout, CopyTimeout time.Duration
	// IdleTimeout is how long an unused connection is kept; 15 s, which is less
	// than what S3 and MinIO do.
	IdleTimeout time.Duration
	// MaxIdle is how many unused connections a host may have; 1,024.
	MaxIdle int
	// Now is the clock to sign by; nil is time.Now.
	Now func() time.Time
}

// Validate says what is missing or cannot be.
func (o *Options) Validate() error {
	if o.Resolve == nil || o.Credentials == nil || o.Classify == nil {
		return errors.New("wire: Resolve, Credentials and Classify are needed")
	}
	return nil
}

func (o *Options) setDefaults() {
	if o.Proxy == nil {
		o.Proxy = func(u *url.URL) (*url.URL, error) { return http.ProxyFromEnvironment(&http.Request{URL: u}) }
	}
	if o.UserAgent == "" {
		o.UserAgent = "reseal"
	}
	if o.MaxIdle == 0 {
		o.MaxIdle = 1024
	}
	for d, def := range map[*time.Duration]time.Duration{
		&o.DialTimeout: 15 * time.Second, &o.HeadTimeout: 30 * time.Second,
		&o.CopyTimeout: 10 * time.Minute, &o.IdleTimeout: 15 * time.Second,
	} {
		if *d == 0 {
			*d = def
		}
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{KeepAlive: 15 * time.Second}).DialContext
	}
}
