package s3store

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/logging"

	"github.com/resealhq/reseal/engine/object"
)

// Store talks to one endpoint. It is safe for concurrent use.
type Store struct {
	opts      Options
	cfg       aws.Config
	sdk       s3.Options // resolved: endpoint, region, FIPS, dual stack …
	pathStyle bool
	aws       bool
	transport *http.Transport
	client    *http.Client
	signer    *v4.Signer

	// detail reads sub-resources at less cost; see ReadBy.
	detail func(context.Context, Detail) (DetailReply, error)

	// clockOffset is added to this machine's clock when signing, in nanoseconds.
	clockOffset atomic.Int64

	// pages is the memory of listings that were read, rows of what came of them; long
	// is held while an unusually long reply is read.
	pages, rows sync.Pool
	long        sync.Mutex

	// secrets are those that were sent.
	secrets object.Secrets

	// signed are the kinds of answers that were seen to carry the ID of their request.
	signed atomic.Uint32
	// completesByUpload: the last Complete that was refused another customer key wanted the upload's.
	completesByUpload atomic.Bool

	mu struct {
		sync.Mutex
		addresses map[string]*Address
		// region of the bucket that was addressed last; its keys are there too.
		region string
	}
	// creds is replaced as a whole when files were rotated.
	creds struct {
		sync.Mutex
		provider aws.CredentialsProvider
		stale    bool
	}
}

// Open resolves the configuration. It sends no request to the store; the
// credential chain may talk to its own services when credentials are first asked
// for.
func Open(ctx context.Context, o Options) (*Store, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if err := readableProxies(); err != nil {
		return nil, err
	}
	if o.RequestTimeout == 0 {
		o.RequestTimeout = time.Minute
	}
	cfg, err := loadConfig(ctx, o)
	if err != nil {
		return nil, err
	}
	s := &Store{opts: o, cfg: cfg, signer: v4.NewSigner(func(so *v4.SignerOptions) {
		so.DisableURIPathEscaping = true // S3 signs the path as it is sent
	})}
	s.mu.addresses = map[string]*Address{}
	s.creds.provider = cfg.Credentials
	s.sdk = s3.NewFromConfig(cfg, func(so *s3.Options) {
		if o.EndpointURL != "" {
			so.BaseEndpoint = aws.String(o.EndpointURL)
		}
	}).Options()
	if s.sdk.Region == "" {
		s.sdk.Region = "us-east-1"
	}
	if !printable(s.sdk.Region) || strings.ContainsAny(s.sdk.Region, "/,") {
		return nil, fmt.Errorf("the region %q cannot stand in a signature; check --region, AWS_REGION and the profile", object.Cut(s.sdk.Region, object.MaxCode))
	}
	s.aws = s.sdk.BaseEndpoint == nil || isAWSHost(*s.sdk.BaseEndpoint)
	switch o.PathStyle {
	case object.On:
		s.pathStyle = true
	case object.Default:
		s.pathStyle = !s.aws
	}
	s.transport = transportOf(cfg, o)
	s.client = &http.Client{
		Transport: s.transport,
		// A redirect of S3 means another region: it is an error with a hint, and
		// following it would send the signature of one host to another.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	// KMS, STS and S3's control are reached by the same connections, under the same bounds, and
	// Close ends them all.
	s.cfg.HTTPClient = s.client
	return s, nil
}

func loadConfig(ctx context.Context, o Options) (aws.Config, error) {
	// Credentials are fetched now and then, by clients that Close does not reach.
	passing := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { t.DisableKeepAlives = true })
	load := []func(*config.LoadOptions) error{
		// The SDK would write its own warnings to standard error, among ours.
		config.WithLogger(logging.Nop{}),
		config.WithHTTPClient(passing.WithTransportOptions(func(t *http.Transport) {
			if o.NoVerifySSL {
				t.TLSClientConfig.InsecureSkipVerify = true
			}
		})),
		config.WithEndpointCredentialOptions(func(eo *endpointcreds.Options) { eo.HTTPClient = passing }),
	}
	if o.Region != "" {
		load = append(load, config.WithRegion(o.Region))
	}
	if o.Profile != "" {
		load = append(load, config.WithSharedConfigProfile(o.Profile))
	}
	if o.CABundle != "" {
		f, err := os.Open(o.CABundle)
		if err != nil {
			return aws.Config{}, fmt.Errorf("--ca-bundle: %w", err)
		}
		defer f.Close()
		load = append(load, config.WithCustomCABundle(f))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if known := configError(err); known != nil {
		return aws.Config{}, known
	}
	if err != nil {
		return aws.Config{}, fmt.Errorf("AWS configuration: %w; check the profile, the shared config files and AWS_CA_BUNDLE", err)
	}
	requoted(&cfg, o)
	return cfg, nil
}

// transportOf is the connection pool. HTTP/2 is off: a server that speaks it
// would put all workers on one connection.
func transportOf(cfg aws.Config, o Options) *http.Transport {
	t := &http.Transport{Proxy: http.ProxyFromEnvironment}
	if b, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok {
		t = b.GetTransport()
	}
	if o.Dial != nil {
		t.DialContext = o.Dial
	}
	n := o.MaxConnections
	if n == 0 {
		n = 256
	}
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, n
	t.DisableKeepAlives, t.DisableCompression = false, true
	t.MaxResponseHeaderBytes = maxHeader
	t.ForceAttemptHTTP2 = false
	t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	if t.TLSClientConfig == nil {
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	// The SDK's transport came with an offer of it, which servers may take.
	t.TLSClientConfig.NextProtos = []string{"http/1.1"}
	t.TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(n)
	return t
}

// IsAWS says whether the endpoint is Amazon's own, whose abilities are known.
func (s *Store) IsAWS() bool { return s.aws }

// Endpoint is the configured endpoint URL, empty for AWS's default.
func (s *Store) Endpoint() string { return aws.ToString(s.sdk.BaseEndpoint) }

// Region is the configured region; a bucket's own is in its Address.
func (s *Store) Region() string { return s.sdk.Region }

// PathStyle says whether buckets stand in the path rather than in the host.
func (s *Store) PathStyle() bool { return s.pathStyle }

// Options are those that the store was opened with.
func (s *Store) Options() Options { return s.opts }

// Transport is a copy of the HTTP transport: TLS configuration, proxy, dialer.
func (s *Store) Transport() *http.Transport { return s.transport.Clone() }

// Credentials are the current ones, refreshed when they are about to expire;
// expires is zero for those that never do. Cheap when nothing has to be fetched,
// but not free: callers on a hot path keep the answer until expires.
func (s *Store) Credentials(ctx context.Context) (accessKey, secret, sessionToken string, expires time.Time, err error) {
	c, err := s.retrieve(ctx)
	if err != nil {
		return "", "", "", time.Time{}, err
	}
	if c.CanExpire {
		expires = c.Expires
	}
	return c.AccessKeyID, c.SecretAccessKey, c.SessionToken, expires, nil
}

func (s *Store) retrieve(ctx context.Context) (aws.Credentials, error) {
	provider, err := s.provider(ctx)
	if err != nil || provider == nil {
		return aws.Credentials{}, noCredentials(err)
	}
	limit := credentialsWithin(ctx)
	soon, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c, err := provider.Retrieve(soon)
	if err != nil {
		if soon.Err() == nil {
			return c, noCredentials(err)
		}
		e := FailedToSend("GetCredentials", object.Ref{}, ctx, err)
		if e.Class == object.ClassTransient {
			e = noneCame(limit)
			s.giveUp(provider, limit)
		}
		e.NotSent = true
		return c, e
	}
	s.secrets.Add(c.SecretAccessKey)
	s.secrets.Add(c.SessionToken)
	return c, sendable(c)
}

// provider gives the chain's provider. After Invalidate the whole chain is built
// again, since the SDK reads the shared files only then: keys that were rotated
// in them would else never be seen.
func (s *Store) provider(ctx context.Context) (aws.CredentialsProvider, error) {
	s.creds.Lock()
	defer s.creds.Unlock()
	if s.creds.stale {
		cfg, err := loadConfig(ctx, s.opts)
		if err != nil {
			return nil, err // a file in the middle of being written: the next request asks again
		}
		s.creds.provider, s.creds.stale = cfg.Credentials, false
	}
	return s.creds.provider, nil
}

// giveUp lets the next request ask anew, where this one has waited for a provider: all would
// wait for the answer to the first question, which may never come.
func (s *Store) giveUp(provider aws.CredentialsProvider, waited time.Duration) {
	s.creds.Lock()
	defer s.creds.Unlock()
	if waited > 0 && s.creds.provider == provider {
		s.creds.stale = true
	}
}

// Invalidate forgets the cached credentials, so that the next request fetches
// new ones: after ExpiredToken, or when files were rotated. Those of the
// environment stay what they are.
func (s *Store) Invalidate() {
	s.creds.Lock()
	defer s.creds.Unlock()
	s.creds.stale = true
}

// Now is the time to sign with: this machine's, corrected by what the store told
// when it found the clock skewed.
func (s *Store) Now() time.Time { return time.Now().Add(s.ClockOffset()) }

// Close drops idle connections.
func (s *Store) Close() { s.client.CloseIdleConnections() }
