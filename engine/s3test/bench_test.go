package s3test_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/resealhq/reseal/engine/s3test"
)

// BenchmarkList reads a page of 1,000 in the middle of 1,000,000 keys.
func BenchmarkList(b *testing.B) {
	s := s3test.New(s3test.Config{NoAuth: true, NoLog: true})
	defer s.Close()
	s.CreateBucket("b", s3test.BucketConfig{})
	s.Fill("b", 1_000_000, func(i int) string { return fmt.Sprintf("%08d/%08d", i/1000, i) }, s3test.Bytes("x"), s3test.Attrs{})
	for b.Loop() {
		resp, err := http.Get(s.URL() + "/b?list-type=2&encoding-type=url&start-after=00000500/00500500")
		if err != nil {
			b.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
}

// BenchmarkCopy is CopyObject by the SDK, client and server in one process.
func BenchmarkCopy(b *testing.B) {
	s := s3test.New(s3test.Config{NoLog: true})
	defer s.Close()
	s.CreateBucket("b", s3test.BucketConfig{})
	s.Put("b", s3test.Object{Key: "k", Body: s3test.Bytes("x")})
	c := s3.New(s3.Options{Region: "us-east-1", BaseEndpoint: aws.String(s.URL()), UsePathStyle: true,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: s3test.DefaultCredentials.AccessKeyID, SecretAccessKey: s3test.DefaultCredentials.SecretAccessKey}, nil
		})})
	for b.Loop() {
		_, err := c.CopyObject(context.Background(), &s3.CopyObjectInput{Bucket: aws.String("b"), Key: aws.String("k"), CopySource: aws.String("b/k"), ServerSideEncryption: "AES256"})
		if err != nil {
			b.Fatal(err)
		}
	}
}
