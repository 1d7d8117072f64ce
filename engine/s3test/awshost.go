package s3test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"
)

// AWSHost is the name of a host of AWS, taken apart.
type AWSHost struct {
	// Service is s3, s3-accesspoint, kms or sts; Bucket stands before it, empty for path style;
	// Region is empty in names without one.
	Service, Bucket, Region string
	// wildcard is what the host's certificate is for, as AWS's are.
	wildcard []string
}

var (
	awsSuffixes = []string{".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu"}
	awsRegion   = regexp.MustCompile(`^[a-z]{2,4}(-[a-z]+)+-[0-9]+$`)
)

// ParseAWSHost takes a host name, with or without a port, apart; ok is false for
// what is no host of these services.
//
//	[bucket.]s3[.dualstack][.region].amazonaws.com   name-account.s3-accesspoint.region.amazonaws.com
//	kms.region.amazonaws.com   sts.region.amazonaws.com
func ParseAWSHost(host string) (h AWSHost, ok bool) {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(host)
	for _, suffix := range awsSuffixes {
		name, found := strings.CutSuffix(host, suffix)
		if !found {
			continue
		}
		labels := strings.Split(name, ".")
		last := len(labels) - 1
		if awsRegion.MatchString(labels[last]) && last > 0 {
			h.Region = labels[last]
			last--
		}
		if labels[last] == "dualstack" && last > 0 {
			last--
		}
		h.Service = strings.TrimSuffix(labels[last], "-fips")
		h.Bucket = strings.Join(labels[:last], ".")
		own := strings.Join(labels[last:], ".") + suffix
		h.wildcard = []string{own, "*." + own}
		return h, h.Service == "s3" || h.Service == "s3-accesspoint" && h.Bucket != "" || h.Bucket == "" && (h.Service == "kms" || h.Service == "sts")
	}
	return AWSHost{}, false
}

// elsewhere refuses a request that came to the host of another region than the
// bucket's, and tells the right one.
func (s *Server) elsewhere(q *request, b *bucket) *s3Error {
	h, ok := ParseAWSHost(q.http.Host)
	if !ok || h.Region == "" || h.Region == s.region(b) {
		return nil
	}
	e := fail(http.StatusMovedPermanently, "PermanentRedirect", "The bucket you are attempting to access must be addressed using the specified endpoint. Please send all future requests to this endpoint.").
		with("Endpoint", b.name+".s3."+s.region(b)+".amazonaws.com").with("Bucket", b.name)
	e.extra = map[string]string{"x-amz-bucket-region": s.region(b)}
	return e
}

// awsCertificates are the certificates of AWS's hosts, made when they are asked
// for and signed by the server's own authority.
type awsCertificates struct {
	authority *certificate

	mu struct {
		sync.Mutex
		made map[string]*tls.Certificate
	}
}

// get is the certificate for the name that a client connects to: as AWS's, it
// takes one label before the service's name, so that a bucket whose name has dots
// does not fit it.
func (c *awsCertificates) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	h, ok := ParseAWSHost(hello.ServerName)
	if !ok {
		return &c.authority.pair, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if made := c.mu.made[h.wildcard[0]]; made != nil {
		return made, nil
	}
	made, err := c.authority.sign(h.wildcard)
	if err != nil {
		return nil, err
	}
	if c.mu.made == nil {
		c.mu.made = map[string]*tls.Certificate{}
	}
	c.mu.made[h.wildcard[0]] = made
	return made, nil
}

// sign makes a certificate for these names.
func (c *certificate) sign(names []string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	parent, err := x509.ParseCertificate(c.pair.Certificate[0])
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: names[0]},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(48 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     names,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, &key.PublicKey, c.pair.PrivateKey)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der, c.pair.Certificate[0]}, PrivateKey: key}, nil
}
