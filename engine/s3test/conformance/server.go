package conformance

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// Login is how to reach a server as somebody.
type Login struct {
	Endpoint string
	// CAFile is the PEM file to trust; empty for HTTP and for the system's roots.
	CAFile                             string
	Region                             string
	AccessKey, SecretKey, SessionToken string
}

// Server is a running S3 and what is known of it beforehand.
type Server struct {
	// Name is what differences.go calls it.
	Name string
	Login
	// Keys are KMS keys as a request names them, Shown how answers do.
	Keys, Shown []string
	// Embedded is the s3test behind it; nil for a real server.
	Embedded *s3test.Server
	// Real is the MinIO behind it; nil for the embedded one.
	Real *realserver.Server
}

// Servers are all that the suite runs against.
var Servers = []struct {
	Name  string
	Start func(tb testing.TB) *Server
}{
	{embedded, startEmbedded(false)},
	{embeddedTLS, startEmbedded(true)},
	{minio, startMinIO(false)},
	{minioKES, startMinIO(true)},
}

// The names that subtests and differences.go use.
const (
	embedded    = "s3test"
	embeddedTLS = "s3test-tls"
	minio       = "minio"
	minioKES    = "minio-kes"
)

func startEmbedded(withTLS bool) func(tb testing.TB) *Server {
	return func(tb testing.TB) *Server {
		tb.Helper()
		srv, err := s3test.Start(s3test.Config{TLS: withTLS})
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(srv.Close)
		keys := []string{srv.KMS.CreateKey("alias/conformance-a"), srv.KMS.CreateKey("alias/conformance-b")}
		s := &Server{Name: embedded, Embedded: srv, Keys: keys, Shown: keys, Login: Login{Endpoint: srv.URL(), Region: "us-east-1",
			AccessKey: s3test.DefaultCredentials.AccessKeyID, SecretKey: s3test.DefaultCredentials.SecretAccessKey}}
		if withTLS {
			s.Name = embeddedTLS
			s.CAFile = filepath.Join(tb.TempDir(), "ca.pem")
			if err := os.WriteFile(s.CAFile, srv.CAPEM(), 0o600); err != nil {
				tb.Fatal(err)
			}
		}
		return s
	}
}

func startMinIO(withKES bool) func(tb testing.TB) *Server {
	return func(tb testing.TB) *Server {
		tb.Helper()
		srv := realserver.StartMinIO(tb, realserver.Options{KES: withKES})
		s := &Server{Name: minio, Real: srv, Keys: srv.Keys, Login: Login{Endpoint: srv.Endpoint, CAFile: srv.CAFile,
			Region: realserver.Region, AccessKey: realserver.AccessKey, SecretKey: realserver.SecretKey}}
		if withKES {
			s.Name = minioKES
		}
		for _, k := range srv.Keys {
			s.Shown = append(s.Shown, realserver.ShownKey(k))
		}
		return s
	}
}

// TLS is whether it can take customer keys.
func (s *Server) TLS() bool { return s.CAFile != "" }

func hasTLS(s *Server) bool     { return s.TLS() }
func hasNoTLS(s *Server) bool   { return !s.TLS() }
func isEmbedded(s *Server) bool { return s.Embedded != nil }

// Client is the independent client of the suite.
func (s *Server) Client() *s3.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil // loopback
	if s.CAFile != "" {
		pem, err := os.ReadFile(s.CAFile)
		if err != nil {
			panic(err) // the suite wrote or was given it a moment ago
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	}
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(s.Endpoint),
		Region:       s.Region,
		Credentials:  credentials.NewStaticCredentialsProvider(s.AccessKey, s.SecretKey, s.SessionToken),
		UsePathStyle: true,
		HTTPClient:   &http.Client{Transport: transport},
		Retryer:      aws.NopRetryer{},
		// The suite states its checksums: the SDK's own would show in HEAD.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	})
}
