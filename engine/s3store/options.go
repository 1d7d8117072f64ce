package s3store

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// Options says how to reach the store. The zero value is what the environment
// and the shared configuration files say, as in every AWS tool.
type Options struct {
	// EndpointURL overrides AWS_ENDPOINT_URL_S3 and AWS_ENDPOINT_URL.
	EndpointURL string
	// Region and Profile override the environment.
	Region  string
	Profile string
	// PathStyle addressing. Default: path style for endpoints that are not AWS's.
	PathStyle object.Switch
	// CABundle is a PEM file that replaces the system's roots; it overrides
	// AWS_CA_BUNDLE.
	CABundle string
	// NoVerifySSL accepts any certificate.
	NoVerifySSL bool
	// RequestPayer is "requester" or empty.
	RequestPayer string
	// ExpectedBucketOwner is an account ID that every bucket must belong to.
	ExpectedBucketOwner string
	// UserAgent, such as reseal/1.2.3.
	UserAgent string
	// MaxConnections that are kept open to one host; 0 means 256.
	MaxConnections int
	// RequestTimeout bounds a request whose caller has not set a limit for this one
	// attempt, but for one that streams an object: a store that hangs must not hang a
	// canary. 0 means a minute.
	RequestTimeout time.Duration
	// Dial opens the connections; nil is this machine's network.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Validate tells what is not usable about o.
func (o Options) Validate() error {
	if o.EndpointURL != "" {
		u, err := url.Parse(o.EndpointURL)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			return fmt.Errorf("--endpoint-url %q: give it as https://host[:port]", o.EndpointURL)
		}
	}
	if o.RequestPayer != "" && o.RequestPayer != "requester" {
		return fmt.Errorf("--request-payer %q: the only value is requester", o.RequestPayer)
	}
	if o.MaxConnections < 0 {
		return fmt.Errorf("max connections %d: must not be negative", o.MaxConnections)
	}
	return nil
}
