package s3store

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithyauth "github.com/aws/smithy-go/auth"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/resealhq/reseal/engine/object"
)

// Address is where requests for one bucket go and what they are signed for.
type Address struct {
	// Scheme and Host, with the bucket in the host where addressing is virtual.
	Scheme, Host string
	// Path stands before "/" and the key: "/bucket" for path style, else empty or
	// the path of the endpoint URL. It is escaped already.
	Path string
	// Region and Service for the signature.
	Region, Service string
}

// ErrNoAddress is the cause where a bucket's name leads nowhere that this package
// sends requests to, so that none was sent.
var ErrNoAddress = errors.New("no address")

// awsSuffixes are the DNS suffixes of the AWS partitions.
var awsSuffixes = [...]string{
	".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".amazonaws.eu", ".api.amazonwebservices.com.cn",
	".c2s.ic.gov", ".sc2s.sgov.gov", ".cloud.adc-e.uk", ".csp.hci.ic.gov",
}

// s3Label is the label of a host name that stands before the region, where that
// host is S3 itself; regionLabel is a region.
var (
	s3Label     = regexp.MustCompile(`^s3(-fips|-accesspoint|-accesspoint-fips|-accelerate|-external-1|(-fips)?-[a-z]{2,4}(-[a-z]+)+-[0-9]+)?$`)
	regionLabel = regexp.MustCompile(`^[a-z]{2,4}(-[a-z]+)+-[0-9]+$`)
)

// isAWSHost says whether an endpoint has a name that only S3 itself can have.
// AWS's suffix is not enough: load balancers, EC2 instances, API gateways and
// endpoint services stand under it too, and behind them any store of anybody.
//
//	[bucket.][vpce-….]s3[.dualstack][.region][.vpce].amazonaws.com
func isAWSHost(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil {
		return false
	}
	host := strings.ToLower(u.Hostname())
	for _, suffix := range awsSuffixes {
		name, found := strings.CutSuffix(host, suffix)
		if !found {
			continue
		}
		labels := strings.Split(strings.TrimSuffix(name, ".vpce"), ".")
		last := len(labels) - 1
		if last > 0 && regionLabel.MatchString(labels[last]) {
			last--
		}
		if last > 0 && labels[last] == "dualstack" {
			last--
		}
		return s3Label.MatchString(labels[last])
	}
	return false
}

// isProvedAWS says whether what answers under an endpoint is known to be S3: its name
// is, and TLS proves that it is not another one's.
func (s *Store) isProvedAWS() bool {
	plain := s.sdk.BaseEndpoint != nil && !strings.HasPrefix(strings.ToLower(*s.sdk.BaseEndpoint), "https://")
	return s.aws && !plain && !s.opts.NoVerifySSL
}

// Address resolves a bucket. On AWS the bucket's region is asked for once; a
// bucket that does not tell it is addressed in the configured region.
func (s *Store) Address(ctx context.Context, bucket string) (Address, error) {
	s.mu.Lock()
	known := s.mu.addresses[bucket]
	s.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	a, err := s.resolve(ctx, bucket, s.sdk.Region)
	if err != nil || bucket == "" { // what lists the buckets goes to none
		return a, err
	}
	if s.aws {
		region, err := s.askRegion(ctx, bucket, a)
		if err != nil {
			return Address{}, err
		}
		if region != "" && region != a.Region {
			if a, err = s.resolve(ctx, bucket, region); err != nil {
				return Address{}, err
			}
		}
	}
	s.mu.Lock()
	s.mu.addresses[bucket] = &a
	s.mu.region = a.Region
	s.mu.Unlock()
	return a, nil
}

// askRegion is a HeadBucket, whose every answer, 403 and 301 too, has the region
// in a header. Several workers may ask at the same time; that does no harm.
func (s *Store) askRegion(ctx context.Context, bucket string, a Address) (string, error) {
	r := &request{op: "HeadBucket", ref: object.Ref{Bucket: bucket}, method: http.MethodHead}
	resp, err := s.sendTo(ctx, r, a)
	if err != nil {
		return "", err
	}
	resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		e := Classify(object.FailedReply{Op: r.op, Ref: r.ref, Status: resp.StatusCode, Header: resp.Header.Get})
		s.secrets.CleanError(e, signatureOf(resp))
		return "", e
	}
	region := resp.Header.Get("X-Amz-Bucket-Region")
	if !regionName.MatchString(region) {
		return "", nil // it becomes part of a host's name
	}
	return region, nil
}

func (s *Store) resolve(ctx context.Context, bucket, region string) (Address, error) {
	if object.IsAccessPoint(bucket) && !s.aws {
		return Address{}, &object.Error{Class: object.ClassUnsupported, Op: "ResolveEndpoint", Ref: object.Ref{Bucket: bucket}, NotSent: true,
			Err: ErrNoAddress, Message: "access points are AWS's own, and the endpoint is another store's", Hint: "name the bucket as s3://BUCKET[/PREFIX], or leave --endpoint-url out"}
	}
	name := aws.String(bucket)
	if bucket == "" {
		name = nil
	}
	ep, err := s.sdk.EndpointResolverV2.ResolveEndpoint(ctx, s3.EndpointParameters{
		Bucket:                         name,
		Region:                         aws.String(region),
		Endpoint:                       s.sdk.BaseEndpoint,
		ForcePathStyle:                 aws.Bool(s.pathStyle),
		UseFIPS:                        aws.Bool(s.sdk.EndpointOptions.UseFIPSEndpoint == aws.FIPSEndpointStateEnabled),
		UseDualStack:                   aws.Bool(s.sdk.EndpointOptions.UseDualStackEndpoint == aws.DualStackEndpointStateEnabled),
		Accelerate:                     aws.Bool(false),
		UseGlobalEndpoint:              aws.Bool(false),
		UseArnRegion:                   aws.Bool(true),
		DisableMultiRegionAccessPoints: aws.Bool(s.sdk.DisableMultiRegionAccessPoints),
	})
	if err != nil {
		return Address{}, &object.Error{Class: object.ClassInvalid, Op: "ResolveEndpoint", Ref: object.Ref{Bucket: bucket},
			Message: err.Error(), Hint: "check the bucket name, --region and --endpoint-url", Err: errors.Join(ErrNoAddress, err)}
	}
	a := Address{Scheme: ep.URI.Scheme, Host: ep.URI.Host, Path: strings.TrimSuffix(ep.URI.EscapedPath(), "/"),
		Region: region, Service: "s3"}
	options, _ := smithyauth.GetAuthOptions(&ep.Properties)
	for _, o := range options {
		if o.SchemeID != "sigv4" && o.SchemeID != "aws.auth#sigv4" {
			return Address{}, &object.Error{Class: object.ClassUnsupported, Op: "ResolveEndpoint",
				Ref: object.Ref{Bucket: bucket}, Err: ErrNoAddress,
				Message: fmt.Sprintf("this kind of bucket wants the authentication scheme %s", o.SchemeID),
				Hint:    "directory buckets and multi-Region access points are not supported: name the general purpose bucket"}
		}
		if name, ok := smithyhttp.GetSigV4SigningName(&o.SignerProperties); ok {
			a.Service = name
		}
		if r, ok := smithyhttp.GetSigV4SigningRegion(&o.SignerProperties); ok {
			a.Region = r
		}
	}
	if a.Service != "s3" {
		return Address{}, &object.Error{Class: object.ClassUnsupported, Op: "ResolveEndpoint", Ref: object.Ref{Bucket: bucket}, Err: ErrNoAddress,
			Message: "this is a bucket of " + a.Service + ", which does not do what S3 does",
			Hint:    "name a general purpose bucket, or an access point of one"}
	}
	if strings.HasSuffix(bucket, fsxAlias) && s.isProvedAWS() {
		return Address{}, &object.Error{Class: object.ClassUnsupported, Op: "ResolveEndpoint", Ref: object.Ref{Bucket: bucket}, Err: ErrNoAddress,
			Message: "this is an access point of a file system of Amazon FSx, which is encrypted as a whole and not object by object",
			Hint:    "name a general purpose bucket, or an access point of one"}
	}
	return a, nil
}

// fsxAlias ends the names of access points to file systems of Amazon FSx; S3
// reserves it.
const fsxAlias = "-ext-s3alias"

// EscapeKey percent-encodes every byte of a key but the unreserved characters of
// RFC 3986 and "/". It is right for the path of a request and for CopySource.
func EscapeKey(key string) string {
	n := 0
	for i := 0; i < len(key); i++ {
		if !plain(key[i]) {
			n++
		}
	}
	if n == 0 {
		return key
	}
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(key)+2*n)
	for i := 0; i < len(key); i++ {
		c := key[i]
		if plain(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}

func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~' || c == '/'
}

// CopySource is the value of x-amz-copy-source for an object or one version.
func CopySource(ref object.Ref) string { return copySource(ref, EscapeKey(ref.Key)) }

// CopySourceTwice is CopySource for a store that decodes the key twice.
func CopySourceTwice(ref object.Ref) string { return copySource(ref, EscapeKey(EscapeKey(ref.Key))) }

func copySource(ref object.Ref, key string) string {
	src := ref.Bucket + "/" + key
	if strings.HasPrefix(ref.Bucket, "arn:") {
		src = ref.Bucket + "/object/" + key
	}
	if ref.VersionID != "" {
		src += "?versionId=" + ref.VersionID
	}
	return src
}
