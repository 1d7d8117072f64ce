package main

import (
	"net/url"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
)

// connection is how the store is reached. It is frozen in the job; credentials
// never are.
type connection struct {
	EndpointURL         string `json:"endpoint_url,omitempty"`
	Region              string `json:"region,omitempty"`
	Profile             string `json:"profile,omitempty"`
	PathStyle           string `json:"path_style,omitempty"` // on, off or the endpoint's default
	CABundle            string `json:"ca_bundle,omitempty"`
	NoVerifySSL         bool   `json:"no_verify_ssl,omitempty"`
	RequestPayer        string `json:"request_payer,omitempty"`
	ExpectedBucketOwner string `json:"expected_bucket_owner,omitempty"`
}

func (c *connection) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&c.EndpointURL, "endpoint-url", "", "the S3 endpoint, where it is not AWS")
	f.StringVar(&c.Region, "region", "", "the region of the bucket")
	f.StringVar(&c.Profile, "profile", "", "the profile of the shared configuration files")
	f.Var(&boolWord{&c.PathStyle}, "path-style", "address the bucket in the path, not in the host name; default where the endpoint is not AWS")
	f.Lookup("path-style").NoOptDefVal = "true"
	f.StringVar(&c.CABundle, "ca-bundle", "", "a file of CA certificates to trust")
	f.BoolVar(&c.NoVerifySSL, "no-verify-ssl", false, "do not verify the server's certificate")
	f.StringVar(&c.RequestPayer, "request-payer", "", "\"requester\" confirms that you pay for the requests")
	f.StringVar(&c.ExpectedBucketOwner, "expected-bucket-owner", "", "the account that the bucket must belong to")
}

// fill takes from a frozen connection what the command line did not say. Where
// the whole command line was given again, the environment's endpoint speaks
// too, so that a job is not quietly carried on against another store than the
// person means.
func (c *connection) fill(frozen *connection, given func(string) bool, whole bool) {
	if !given("endpoint-url") && (!whole || endpointOfEnvironment() == "") {
		c.EndpointURL = frozen.EndpointURL
	}
	for _, f := range []struct {
		flag   string
		value  *string
		frozen string
	}{{"region", &c.Region, frozen.Region}, {"profile", &c.Profile, frozen.Profile}, {"ca-bundle", &c.CABundle, frozen.CABundle},
		{"request-payer", &c.RequestPayer, frozen.RequestPayer}, {"expected-bucket-owner", &c.ExpectedBucketOwner, frozen.ExpectedBucketOwner},
		{"path-style", &c.PathStyle, frozen.PathStyle}} {
		if !given(f.flag) {
			*f.value = f.frozen
		}
	}
	if !given("no-verify-ssl") {
		c.NoVerifySSL = frozen.NoVerifySSL
	}
}

// Validate also fills in the endpoint of the environment, so that a job is
// frozen to the store that it was begun on.
func (c *connection) Validate() error {
	told := "--endpoint-url"
	if c.EndpointURL == "" {
		c.EndpointURL, told = endpointOfEnvironment(), "AWS_ENDPOINT_URL"
	}
	if c.EndpointURL != "" {
		if err := checkEndpoint(told, c.EndpointURL); err != nil {
			return err
		}
		c.EndpointURL = strings.TrimRight(c.EndpointURL, "/")
	}
	if c.RequestPayer != "" && c.RequestPayer != "requester" {
		return unusablef("the only value is \"requester\"", "--request-payer %q is unknown", c.RequestPayer)
	}
	if c.CABundle != "" {
		if _, err := os.Stat(c.CABundle); err != nil {
			return unusableBecause(err, "--ca-bundle", "name a readable PEM file")
		}
	}
	return nil
}

// checkEndpoint refuses what is more than a place. Its messages name who told it,
// and show nothing of what may be a secret.
func checkEndpoint(told, endpoint string) error {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return unusablef("write it as https://HOST[:PORT]", "%s %q is no endpoint", told, placeOnly(endpoint))
	case u.User != nil:
		return unusable(told+" carries credentials", "take them out and give them as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	case strings.Contains(endpoint, "?"):
		return unusablef("leave away what begins with ?; requests have queries of their own", "%s %s carries a query", told, placeOnly(endpoint))
	case strings.Contains(endpoint, "#"):
		return unusablef("leave away what begins with #", "%s %s carries a fragment", told, placeOnly(endpoint))
	}
	return nil
}

func endpointOfEnvironment() string {
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
func (c *connection) plaintext() bool {
	return strings.HasPrefix(strings.ToLower(c.EndpointURL), "http://")
}

// Options is what the store is told.
func (c *connection) Options() s3store.Options {
	o := s3store.Options{EndpointURL: c.EndpointURL, Region: c.Region, Profile: c.Profile, CABundle: c.CABundle, NoVerifySSL: c.NoVerifySSL,
		RequestPayer: c.RequestPayer, ExpectedBucketOwner: c.ExpectedBucketOwner, UserAgent: "reseal/" + readVersion().Version}
	switch c.PathStyle {
	case "on":
		o.PathStyle = object.On
	case "off":
		o.PathStyle = object.Off
	}
	return o
}
