package s3test_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/resealhq/reseal/engine/s3test"
)

// client is an SDK client of the server that retries nothing.
func client(t *testing.T, s *s3test.Server, change ...func(*s3.Options)) *s3.Client {
	t.Helper()
	transport := &http.Transport{
		// Virtual-host names resolve to the server, whatever the resolver says.
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, s.Addr())
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	if pem := s.CAPEM(); pem != nil {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	o := s3.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(s.URL()), UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(s3test.DefaultCredentials.AccessKeyID, s3test.DefaultCredentials.SecretAccessKey, ""),
		HTTPClient:  &http.Client{Transport: transport}, Retryer: aws.NopRetryer{},
	}
	for _, f := range change {
		f(&o)
	}
	return s3.New(o)
}

func start(t *testing.T, cfg s3test.Config) *s3test.Server {
	t.Helper()
	s := s3test.New(cfg)
	t.Cleanup(s.Close)
	return s
}

// code is the error code of an SDK error, or its HTTP status where it has none.
func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func copySource(bucket, key string) *string {
	return aws.String(bucket + "/" + strings.ReplaceAll(url.QueryEscape(key), "+", "%20"))
}

// oddKeys are keys that encoders get wrong.
var oddKeys = []string{"a b", "a+b", "a%b", "a%2Fb", "é", "e\u0301", "😀", "a//b", "/lead", "trail/", `q"u'o`, "a&<>b", "a=b;c",
	"x\x01y", "dir/../up", "./dot", "..", "~tilde-._*()!", "?q=1#frag", strings.Repeat("k", 1024)}

func TestOddKeysRoundTrip(t *testing.T) {
	for _, cfg := range []s3test.Config{{}, {TLS: true}} {
		s := start(t, cfg)
		s.CreateBucket("b", s3test.BucketConfig{})
		for _, virtual := range []bool{false, true} {
			c := client(t, s, func(o *s3.Options) {
				if virtual {
					_, port, _ := net.SplitHostPort(s.Addr())
					scheme, _, _ := strings.Cut(s.URL(), ":")
					o.UsePathStyle, o.BaseEndpoint = false, aws.String(scheme+"://localhost:"+port)
				}
			})
			for _, k := range oddKeys {
				roundTrip(t, c, k)
			}
		}
		got := map[string]bool{}
		p := s3.NewListObjectsV2Paginator(client(t, s), &s3.ListObjectsV2Input{Bucket: aws.String("b"), MaxKeys: aws.Int32(3), EncodingType: types.EncodingTypeUrl})
		for p.HasMorePages() {
			page := must[*s3.ListObjectsV2Output](t)(p.NextPage(context.Background()))
			for _, o := range page.Contents {
				k := must[string](t)(url.QueryUnescape(*o.Key))
				if got[k] {
					t.Errorf("%q listed twice", k)
				}
				got[k] = true
			}
		}
		if len(got) != len(oddKeys) {
			t.Errorf("listed %d keys of %d", len(got), len(oddKeys))
		}
	}
}

func roundTrip(t *testing.T, c *s3.Client, key string) {
	t.Helper()
	ctx := context.Background()
	body := []byte("body of " + key)
	_, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("b"), Key: aws.String(key), Body: bytes.NewReader(body),
		Metadata: map[string]string{"Name": "value  with  spaces"}, Tagging: aws.String("k%20k=v%2Bv")})
	if err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
	_, err = c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: aws.String("b"), Key: aws.String(key), CopySource: copySource("b", key),
		ServerSideEncryption: types.ServerSideEncryptionAes256})
	if err != nil {
		t.Fatalf("copy %q: %v", key, err)
	}
	g, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("b"), Key: aws.String(key)})
	if err != nil {
		t.Fatalf("get %q: %v", key, err)
	}
	defer g.Body.Close()
	if b, err := io.ReadAll(g.Body); err != nil || !bytes.Equal(b, body) {
		t.Errorf("%q: read %q, %v", key, b, err)
	}
	if g.ServerSideEncryption != "AES256" || g.Metadata["name"] == "" || aws.ToInt32(g.TagCount) != 1 {
		t.Errorf("%q: SSE %q, metadata %v, tags %v", key, g.ServerSideEncryption, g.Metadata, g.TagCount)
	}
}

func TestSignatureIsChecked(t *testing.T) {
	s := start(t, s3test.Config{})
	s.CreateBucket("b", s3test.BucketConfig{})
	s.AddCredentials(s3test.Credentials{AccessKeyID: "TEMP", SecretAccessKey: "secret", SessionToken: "token"})
	head := func(id, secret, token string) string {
		c := client(t, s, func(o *s3.Options) {
			o.Credentials = credentials.NewStaticCredentialsProvider(id, secret, token)
		})
		_, err := c.ListObjectsV2(context.Background(), &s3.ListObjectsV2Input{Bucket: aws.String("b"), Prefix: aws.String("a b/ü")})
		return code(err)
	}
	for _, c := range []struct{ id, secret, token, want string }{
		{"TEMP", "secret", "token", ""},
		{"TEMP", "wrong", "token", "SignatureDoesNotMatch"},
		{"TEMP", "secret", "other", "InvalidToken"},
		{"NOBODY", "secret", "", "InvalidAccessKeyId"},
	} {
		if got := head(c.id, c.secret, c.token); got != c.want {
			t.Errorf("%v: %s", c, got)
		}
	}
	s.ExpireCredentials("TEMP")
	if got := head("TEMP", "secret", "token"); got != "ExpiredToken" {
		t.Errorf("expired: %s", got)
	}
	resp := must[*http.Response](t)(http.Get(s.URL() + "/b/k"))
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("unsigned request: %s", resp.Status)
	}
}
