package check_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

func start(t *testing.T) *s3test.Server {
	t.Helper()
	s := s3test.New(s3test.Config{})
	t.Cleanup(s.Close)
	return s
}

// client is an SDK client of the server that retries nothing.
func client(t *testing.T, s *s3test.Server) *s3.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	key := s3test.DefaultCredentials
	return s3.New(s3.Options{Region: "us-east-1", BaseEndpoint: aws.String(s.URL()), UsePathStyle: true, Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider(key.AccessKeyID, key.SecretAccessKey, ""),
		HTTPClient:  &http.Client{Transport: transport}})
}

// full is an object with everything on it that a copy can lose.
func full(key string) s3test.Object {
	return s3test.Object{Key: key, Body: s3test.Bytes("all of " + key), LastModified: time.Date(2022, 5, 1, 12, 0, 0, 0, time.UTC), Attrs: s3test.Attrs{
		ContentType: "text/plain", CacheControl: "max-age=60", ContentDisposition: "inline", ContentEncoding: "gzip",
		ContentLanguage: "de", Expires: "Thu, 01 Dec 2033 16:00:00 GMT", Metadata: map[string]string{"a": "b"},
		Redirect: "/elsewhere", Tags: []object.Tag{{Key: "k", Value: "v"}}, StorageClass: "STANDARD_IA",
		Grants:   []object.Grant{{URI: "http://acs.amazonaws.com/groups/global/AllUsers", Permission: "READ"}},
		LockMode: "GOVERNANCE", RetainUntil: time.Now().Add(time.Hour).UTC().Truncate(time.Second), LegalHold: true,
		Context: "eyJhIjoiYiJ9",
	}}
}
