package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// TestRealServerPolicy: MinIO takes the policy of iam-policy --for minio, and whoever has no
// more than that can do the job, verify it and prune; and no other bucket or prefix.
func TestRealServerPolicy(t *testing.T) {
	t.Parallel()
	server := realserver.StartKES(t, realserver.Options{})
	b := newBed(t, server, "policy")
	b.bucketVersioning(types.BucketVersioningStatusEnabled)
	for _, key := range []string{"in/1", "in/2", "out/3"} {
		if _, err := b.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &b.bucket, Key: &key, Body: strings.NewReader(key), Tagging: aws.String("a=b")}); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"s3://policy/in/", "--sse", "aws:kms", "--sse-kms-key-id", server.Keys[0]}
	asker := sts.New(sts.Options{BaseEndpoint: &server.Endpoint, Region: realserver.Region, HTTPClient: b.client.Options().HTTPClient,
		Credentials: credentials.NewStaticCredentialsProvider(realserver.AccessKey, realserver.SecretKey, "")})
	assume := func(policy []byte) (env []string) {
		var short bytes.Buffer
		if err := json.Compact(&short, policy); err != nil {
			t.Fatal(err)
		}
		role, err := asker.AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::111122223333:role/r"), RoleSessionName: aws.String("s"),
			Policy: aws.String(short.String())})
		if err != nil {
			t.Fatalf("MinIO refuses the policy: %v\n%s", err, policy)
		}
		c := role.Credentials
		return []string{"AWS_ACCESS_KEY_ID=" + *c.AccessKeyId, "AWS_SECRET_ACCESS_KEY=" + *c.SecretAccessKey, "AWS_SESSION_TOKEN=" + *c.SessionToken}
	}
	policy := b.reseal(0, append([]string{"iam-policy", "--for", "minio", "--prune"}, args...)...)
	across := append(slices.Clone(args), "--dest", "s3://policy/copies/")
	beside := b.reseal(0, append([]string{"iam-policy", "--for", "minio"}, across...)...)
	b.env = assume(policy)
	job := filepath.Join(t.TempDir(), "job")
	b.reseal(0, append(append([]string{"run"}, args...), "--no-progress", "--job", job)...)
	b.reseal(0, "verify", "--job", job)
	if text := string(b.reseal(0, "prune", "--job", job, "--yes", "--json")); !strings.Contains(text, `"deleted":2`) {
		t.Error(text)
	}
	b.env = assume(beside)
	b.reseal(0, append(append([]string{"run"}, across...), "--no-progress", "--job", job+"3")...)
	b.env = assume(policy)
	b.reseal(1, append([]string{"run", "s3://policy/out/", "--no-progress", "--job", job + "2"}, args[1:]...)...)
}
