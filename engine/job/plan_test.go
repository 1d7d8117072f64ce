package job_test

import (
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/planner"
)

// What is estimated while a plan is made is what its rows say when they are read back.
func TestEstimateIsThatOfTheRows(t *testing.T) {
	srv := s3test.New(s3test.Config{MaxPage: 7})
	defer srv.Close()
	key := srv.KMS.CreateKey()
	t.Setenv("AWS_ACCESS_KEY_ID", s3test.DefaultCredentials.AccessKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", s3test.DefaultCredentials.SecretAccessKey)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_ENDPOINT_URL_KMS", srv.URL())
	srv.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled"})
	for i := range 60 {
		o := s3test.Object{Key: fmt.Sprintf("k%03d", i), Body: s3test.Bytes(fmt.Sprint("of ", i))}
		switch i % 5 {
		case 1:
			o.Attrs.StorageClass = "GLACIER"
		case 2:
			o.Attrs.StorageClass = "STANDARD_IA"
		case 3:
			o.Encryption = object.Encryption{Type: object.SSES3}
		case 4:
			o.Encryption = object.Encryption{Type: object.SSEKMS, KMSKeyID: key}
		}
		srv.Put("b", o)
	}
	for _, versions := range []string{"current", "all"} {
		j, err := job.Create(filepath.Join(t.TempDir(), "job"), job.Spec{Source: job.Source{Bucket: "b"}, Selection: job.Selection{Versions: versions},
			Target: job.Target{SSE: object.SSEKMS, KMSKeyID: key}, Connection: job.Connection{EndpointURL: srv.URL(), Region: "us-east-1"}}, job.Policy{})
		if err != nil {
			t.Fatal(err)
		}
		made, err := j.Plan(t.Context(), job.PlanOptions{})
		if err != nil {
			t.Fatal(err)
		}
		read, err := j.Plan(t.Context(), job.PlanOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if made.Total.Objects != 60 || !reflect.DeepEqual(made.Requests, read.Requests) || said(t, made) != said(t, read) {
			t.Errorf("%s: while it was made %+v\nread back %+v", versions, made, read)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// said is an estimate for people, whose sums are rounded.
func said(t *testing.T, e *planner.Estimate) string {
	var b strings.Builder
	if err := e.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
