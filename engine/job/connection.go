package job

import (
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
)

// Connection is how the store is reached. Credentials are no part of it: they come
// from where every AWS tool finds them, at every run.
type Connection struct {
	// EndpointURL of a store that is not AWS; that of the environment where empty.
	EndpointURL string `json:"endpoint_url,omitempty"`
	Region      string `json:"region,omitempty"`
	Profile     string `json:"profile,omitempty"`
	// PathStyle is on, off, or empty for the endpoint's default.
	PathStyle string `json:"path_style,omitempty"`
	CABundle  string `json:"ca_bundle,omitempty"`
	// NoVerifySSL accepts any certificate.
	NoVerifySSL bool `json:"no_verify_ssl,omitempty"`
	// RequestPayer is requester or empty.
	RequestPayer        string `json:"request_payer,omitempty"`
	ExpectedBucketOwner string `json:"expected_bucket_owner,omitempty"`
}

// Validate also fills in the endpoint of the environment, so that a job is
// frozen to the store that it was begun on.
func (c *Connection) Validate() error {
	told := "Connection.EndpointURL"
	if c.EndpointURL == "" {
		c.EndpointURL, told = EndpointOfEnvironment(), "AWS_ENDPOINT_URL"
	}
	if c.EndpointURL != "" {
		if err := checkEndpoint(told, c.EndpointURL); err != nil {
			return err
		}
		c.EndpointURL = strings.TrimRight(c.EndpointURL, "/")
	}
	if c.RequestPayer != "" && c.RequestPayer != "requester" {
		return unusablef("the only value is \"requester\"", "Connection.RequestPayer %q is unknown", c.RequestPayer)
	}
	if err := oneLine("Connection.ExpectedBucketOwner", c.ExpectedBucketOwner); err != nil {
		return err
	}
	if c.CABundle != "" {
		if _, err := os.Stat(c.CABundle); err != nil {
			return unusableBecause(err, "Connection.CABundle", "name a readable PEM file")
		}
	}
	return oneOf("Connection.PathStyle", c.PathStyle, "", "on", "off")
}

// checkEndpoint refuses what is more than a place. Its messages name who told it,
// and show nothing of what may be a secret.
func checkEndpoint(told, endpoint string) error {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return unusablef("write it as https://HOST[:PORT]", "%s %q is no endpoint", told, placeOnly(endpoint))
	case strings.Contains(u.Hostname(), "%"):
		return unusablef("name the host by its name, or by an address that needs no zone", "%s %s names the zone of an IPv6 address, which no request can carry in its signature", told, placeOnly(endpoint))
	case u.User != nil:
		return unusable(told+" carries credentials", "take them out and give them as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	case strings.Contains(endpoint, "?"):
		return unusablef("leave away what begins with ?; requests have queries of their own", "%s %s carries a query", told, placeOnly(endpoint))
	case strings.Contains(endpoint, "#"):
		return unusablef("leave away what begins with #", "%s %s carries a fragment", told, placeOnly(endpoint))
	}
	return nil
}

// EndpointOfEnvironment is the endpoint that the environment names for S3; empty
// for none.
func EndpointOfEnvironment() string {
	if strings.EqualFold(os.Getenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"), "true") {
		return ""
	}
	if e := os.Getenv("AWS_ENDPOINT_URL_S3"); e != "" {
		return e
	}
	return os.Getenv("AWS_ENDPOINT_URL")
}

// placeOnly is an endpoint for messages, without query and fragment and without
// anything that may be a password, however the text was mistyped.
func placeOnly(endpoint string) string {
	scheme, rest, ok := strings.Cut(endpoint, "://")
	if !ok {
		scheme, rest = "", endpoint
	}
	if at := strings.LastIndex(rest, "@"); at >= 0 {
		rest = rest[at+1:]
	}
	if end := strings.IndexAny(rest, "?#"); end >= 0 {
		rest = rest[:end]
	}
	if ok {
		return scheme + "://" + rest
	}
	return rest
}

// plaintext says whether requests would travel unencrypted.
func (c *Connection) plaintext() bool {
	return strings.HasPrefix(strings.ToLower(c.EndpointURL), "http://")
}

// Dial is how one process uses a connection. The zero value of each is the
// store's own choice.
type Dial struct {
	Version     string
	Connections int
	Timeout     time.Duration
	// Conn opens the connections; nil is this machine's network.
	Conn func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Open resolves the connection. A profile or a bundle that does not exist is
// wrong usage.
func (c *Connection) Open(ctx context.Context, d Dial) (*s3store.Store, error) {
	o := s3store.Options{EndpointURL: c.EndpointURL, Region: c.Region, Profile: c.Profile, CABundle: c.CABundle, NoVerifySSL: c.NoVerifySSL,
		RequestPayer: c.RequestPayer, ExpectedBucketOwner: c.ExpectedBucketOwner, UserAgent: "reseal", MaxConnections: d.Connections, RequestTimeout: d.Timeout, Dial: d.Conn}
	if d.Version != "" {
		o.UserAgent += "/" + d.Version
	}
	switch c.PathStyle {
	case "on":
		o.PathStyle = object.On
	case "off":
		o.PathStyle = object.Off
	}
	store, err := s3store.Open(ctx, o)
	if err != nil {
		return nil, unusableBecause(err, "the connection", "")
	}
	if e := store.Endpoint(); e != "" && c.EndpointURL == "" {
		if err := checkEndpoint("endpoint_url of the shared configuration files", e); err != nil {
			store.Close()
			return nil, err
		}
	}
	return store, nil
}

// reach asks the bucket one thing, once. Later requests wait for hours where a
// store or its credentials fail; somebody who mistyped either shall know at once.
// A bucket that may not be listed was reached.
func reach(ctx context.Context, store *s3store.Store, bucket, prefix string) error {
	_, err := store.ListPage(ctx, object.ListRequest{Bucket: bucket, Prefix: prefix, MaxKeys: 1})
	var e *object.Error
	if errors.As(err, &e) && (e.NotSent || e.Class == object.ClassCredentials || e.Class == object.ClassUnreachable) {
		return err
	}
	return nil
}
