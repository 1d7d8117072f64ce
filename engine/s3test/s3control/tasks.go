package s3control

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/resealhq/reseal/engine/s3test"
)

// clientOf is how tasks, manifests and reports reach the store.
func clientOf(store *s3test.Server) *s3.Client {
	creds, transport := s3test.DefaultCredentials, &http.Transport{MaxIdleConnsPerHost: 2 * taskWorkers}
	if pem := store.CAPEM(); pem != nil {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	return s3.New(s3.Options{HTTPClient: &http.Client{Transport: transport}, BaseEndpoint: aws.String(store.URL()), Region: "us-east-1", UsePathStyle: true, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(creds.AccessKeyID, creds.SecretAccessKey, "")})
}

// attempts is how often a task is tried that the store throttles.
const attempts = 8

// do does one task; nil is success.
func (s *Server) do(j *job, t task) *Fault {
	s.mu.Lock()
	decide := s.mu.fault
	s.mu.Unlock()
	var f *Fault
	if decide != nil {
		if f = decide(t.key); f != nil && !f.Applied {
			return f
		}
	}
	var err error
	for n := range attempts {
		if err = s.apply(j, t); !throttled(err) {
			break
		}
		<-time.After(time.Millisecond << n)
	}
	if f != nil || err == nil {
		return f
	}
	return faultOf(err)
}

// apply sends the one request of a task.
func (s *Server) apply(j *job, t task) error {
	ctx := context.Background()
	if u := j.req.Operation.Update; u != nil {
		in := &s3.UpdateObjectEncryptionInput{Bucket: &t.bucket, Key: &t.key,
			ObjectEncryption: &types.ObjectEncryptionMemberSSEKMS{Value: types.SSEKMSEncryption{KMSKeyArn: &u.KMSKeyARN, BucketKeyEnabled: &u.BucketKey}}}
		if t.version != "" {
			in.VersionId = &t.version
		}
		_, err := s.client.UpdateObjectEncryption(ctx, in)
		return err
	}
	c := j.req.Operation.Copy
	source := t.bucket + "/" + strings.NewReplacer("+", "%20", "%2F", "/").Replace(url.QueryEscape(t.key))
	if t.version != "" {
		source += "?versionId=" + t.version
	}
	in := &s3.CopyObjectInput{Bucket: aws.String(strings.TrimPrefix(c.Target, "arn:aws:s3:::")), Key: &t.key, CopySource: &source,
		StorageClass: types.StorageClass(c.Class), CopySourceIfUnmodifiedSince: c.UnmodifiedSince}
	if c.KMSKey != "" {
		in.ServerSideEncryption, in.SSEKMSKeyId, in.BucketKeyEnabled = types.ServerSideEncryptionAwsKms, &c.KMSKey, &c.BucketKey
	}
	_, err := s.client.CopyObject(ctx, in)
	return err
}

func throttled(err error) bool {
	var resp *awshttp.ResponseError
	return errors.As(err, &resp) && resp.HTTPStatusCode() == http.StatusServiceUnavailable
}

func faultOf(err error) *Fault {
	f := &Fault{Status: http.StatusInternalServerError, Code: "InternalError", Message: err.Error()}
	var resp *awshttp.ResponseError
	if errors.As(err, &resp) {
		f.Status = resp.HTTPStatusCode()
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		f.Code, f.Message = api.ErrorCode(), api.ErrorMessage()
	}
	return f
}
