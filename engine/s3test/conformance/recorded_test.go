package conformance_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/resealhq/reseal/engine/s3test/conformance"
)

// TestRecorded asks the embedded store for everything that S3 was seen to do.
func TestRecorded(t *testing.T) {
	for _, server := range conformance.Servers[:2] {
		t.Run(server.Name, func(t *testing.T) {
			srv := server.Start(t)
			for name, differences := range ask(t, srv, buckets(t, srv)) {
				if len(differences) > 0 {
					t.Errorf("%s: %v", name, differences)
				}
			}
		})
	}
}

// TestRecordedOnMinIO lists where MinIO differs from what S3 was seen to do. It
// is for information: the engine learns by its canary what it must know.
func TestRecordedOnMinIO(t *testing.T) {
	srv := conformance.Servers[3].Start(t)
	equal, all := 0, 0
	for name, differences := range ask(t, srv, buckets(t, srv)) {
		all++
		if len(differences) == 0 {
			equal++
			continue
		}
		t.Logf("%s: %v", name, differences)
	}
	t.Logf("%d of %d facts as recorded on S3", equal, all)
	if equal == 0 {
		t.Error("not one: nothing was asked")
	}
}

// TestRecordedOnAWS asks S3 itself, in the bucket that RESEAL_AWS_BUCKET names,
// for the facts about buckets of its kind; RESEAL_AWS_KMS_KEY names a key. Where
// no bucket is named, nothing is asked.
func TestRecordedOnAWS(t *testing.T) {
	bucket := os.Getenv("RESEAL_AWS_BUCKET")
	if bucket == "" {
		return
	}
	cfg, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	client := s3.NewFromConfig(cfg)
	kind := kindOf(t, client, bucket)
	a := &conformance.Asker{Endpoint: "https://s3." + cfg.Region + ".amazonaws.com", Region: cfg.Region, Bucket: bucket,
		Key: os.Getenv("RESEAL_AWS_KMS_KEY"), Client: http.DefaultClient, Credentials: cfg.Credentials}
	for i, r := range conformance.RecordedFacts() {
		if r.Kind != kind || r.KMS && a.Key == "" {
			continue
		}
		prefix := fmt.Sprintf("reseal-facts-%d", i)
		t.Cleanup(func() { sweep(t, client, bucket, prefix+"/") })
		differences, err := a.Differs(t.Context(), &r, prefix)
		if err != nil || len(differences) > 0 {
			t.Errorf("%s: %v %v", r.Name, differences, err)
		}
	}
}

// ask gives the differences of every fact that the server can be asked for.
func ask(t *testing.T, srv *conformance.Server, buckets map[conformance.Kind]string) map[string][]string {
	t.Helper()
	a := conformance.Asker{Endpoint: srv.Endpoint, Region: srv.Region, Key: srv.Keys[0], Client: httpClient(t, srv),
		Credentials: credentials.NewStaticCredentialsProvider(srv.AccessKey, srv.SecretKey, "")}
	found := map[string][]string{}
	for i, r := range conformance.RecordedFacts() {
		if r.TLS && !srv.TLS() {
			continue
		}
		a.Bucket = buckets[r.Kind]
		differences, err := a.Differs(t.Context(), &r, fmt.Sprintf("f%03d", i))
		if err != nil {
			differences = append(differences, err.Error())
		}
		if _, twice := found[r.Name]; twice {
			t.Errorf("two facts are called %q", r.Name)
		}
		found[r.Name] = differences
	}
	return found
}

func httpClient(t *testing.T, srv *conformance.Server) *http.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	if srv.CAFile != "" {
		pem, err := os.ReadFile(srv.CAFile)
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	}
	return &http.Client{Transport: transport}
}

// buckets makes one of each kind.
func buckets(t *testing.T, srv *conformance.Server) map[conformance.Kind]string {
	t.Helper()
	client, made := srv.Client(), map[conformance.Kind]string{}
	for _, kind := range conformance.Kinds {
		name := "facts-" + string(kind)
		in := &s3.CreateBucketInput{Bucket: &name, ObjectLockEnabledForBucket: aws.Bool(kind == conformance.Locking)}
		if _, err := client.CreateBucket(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		made[kind] = name
		states := map[conformance.Kind][]types.BucketVersioningStatus{
			conformance.Versioned: {"Enabled"}, conformance.Suspended: {"Enabled", "Suspended"}}[kind]
		for _, state := range states {
			if _, err := client.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{Bucket: &name,
				VersioningConfiguration: &types.VersioningConfiguration{Status: state}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	return made
}

func kindOf(t *testing.T, client *s3.Client, bucket string) conformance.Kind {
	t.Helper()
	if lock, err := client.GetObjectLockConfiguration(t.Context(), &s3.GetObjectLockConfigurationInput{Bucket: &bucket}); err == nil && lock.ObjectLockConfiguration != nil {
		return conformance.Locking
	}
	v, err := client.GetBucketVersioning(t.Context(), &s3.GetBucketVersioningInput{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	switch v.Status {
	case types.BucketVersioningStatusEnabled:
		return conformance.Versioned
	case types.BucketVersioningStatusSuspended:
		return conformance.Suspended
	}
	return conformance.Unversioned
}

// sweep deletes every version and upload below a prefix that this test made.
func sweep(t *testing.T, client *s3.Client, bucket, prefix string) {
	ctx := context.WithoutCancel(t.Context()) // which has ended when cleanups run
	out, err := client.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: &bucket, Prefix: &prefix})
	if err != nil {
		t.Errorf("what is left below %s in %s: %v", prefix, bucket, err)
		return
	}
	remove := func(key, id *string) {
		if _, err := client.PutObjectLegalHold(ctx, &s3.PutObjectLegalHoldInput{Bucket: &bucket, Key: key, VersionId: id,
			LegalHold: &types.ObjectLockLegalHold{Status: types.ObjectLockLegalHoldStatusOff}}); err != nil {
			t.Logf("lifting the hold of %s: %v", *key, err)
		}
		if _, err := client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: key, VersionId: id}); err != nil {
			t.Errorf("left behind: %s version %s: %v", *key, *id, err)
		}
	}
	for _, v := range out.Versions {
		remove(v.Key, v.VersionId)
	}
	for _, m := range out.DeleteMarkers {
		remove(m.Key, m.VersionId)
	}
	uploads, err := client.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: &bucket, Prefix: &prefix})
	if err != nil {
		t.Errorf("uploads left below %s in %s: %v", prefix, bucket, err)
		return
	}
	for _, u := range uploads.Uploads {
		if _, err := client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &bucket, Key: u.Key, UploadId: u.UploadId}); err != nil {
			t.Errorf("left behind: upload %s of %s: %v", *u.UploadId, *u.Key, err)
		}
	}
}
