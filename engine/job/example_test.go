package job_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// Every object of a bucket is brought under a new KMS key. Killed at any instant,
// the same lines take up exactly the rest.
func Example() {
	dir, done := storeOfTheExample()
	defer done()

	j, err := job.Create(filepath.Join(dir, "job"), job.Spec{
		Source: job.Source{Bucket: "uploads"},
		Target: job.Target{SSE: object.SSEKMS, KMSKeyID: "alias/2026"},
	}, job.Policy{})
	if err != nil {
		log.Fatal(err)
	}
	defer j.Close()
	summary, err := j.Run(context.Background(), job.Options{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(summary.Done, "done,", summary.Left, "left,", summary.Failed, "failed")

	verdict, err := j.Verify(context.Background(), job.VerifyOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(verdict.Verified, "verified:", verdict.OK)
	// Output:
	// 3 done, 0 left, 0 failed
	// 3 verified: true
}

// storeOfTheExample is an embedded S3 with a few objects, in the environment as an
// AWS account would be.
func storeOfTheExample() (dir string, done func()) {
	store := s3test.New(s3test.Config{})
	store.CreateBucket("uploads", s3test.BucketConfig{Versioning: "Enabled"})
	for _, key := range []string{"a", "b", "c"} {
		store.Put("uploads", s3test.Object{Key: key, Body: s3test.Bytes("of " + key)})
	}
	store.KMS.CreateKey("alias/2026")
	for name, value := range map[string]string{"AWS_ENDPOINT_URL": store.URL(), "AWS_REGION": "us-east-1",
		"AWS_ACCESS_KEY_ID": s3test.DefaultCredentials.AccessKeyID, "AWS_SECRET_ACCESS_KEY": s3test.DefaultCredentials.SecretAccessKey,
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull} {
		_ = os.Setenv(name, value)
	}
	dir, err := os.MkdirTemp("", "reseal-example-")
	if err != nil {
		log.Fatal(err)
	}
	return dir, func() { store.Close(); _ = os.RemoveAll(dir) }
}
