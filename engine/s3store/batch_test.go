package s3store_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/s3control"
)

// batchStage is a store with two objects and a manifest of them, and an S3 Control.
func batchStage(t *testing.T, cfg s3control.Config) (*s3control.Server, *s3store.Store, *s3store.BatchOperations, *s3store.BatchJob) {
	t.Helper()
	server := s3test.New(s3test.Config{})
	t.Cleanup(server.Close)
	cfg.Store = server
	ctl := s3control.New(cfg)
	t.Cleanup(ctl.Close)
	creds := s3test.DefaultCredentials
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": creds.AccessKeyID, "AWS_SECRET_ACCESS_KEY": creds.SecretAccessKey, "AWS_REGION": "us-east-1",
		"AWS_ENDPOINT_URL": server.URL(), "AWS_ENDPOINT_URL_S3_CONTROL": ctl.URL(), "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"} {
		t.Setenv(name, value)
	}
	server.CreateBucket("data", s3test.BucketConfig{})
	server.Fill("data", 2, func(i int) string { return string(rune('a' + i)) }, s3test.Bytes("x"), s3test.Attrs{Encryption: object.Encryption{Type: object.SSES3}})
	s, err := s3store.Open(t.Context(), s3store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	b, err := s.BatchOperations(t.Context(), "111122223333", "data")
	if err != nil {
		t.Fatal(err)
	}
	manifest := []byte("data,a\ndata,b\n")
	ref := object.Ref{Bucket: "data", Key: "jobs/m.csv"}
	etag, err := s.PutFile(t.Context(), ref, bytes.NewReader(manifest), int64(len(manifest)))
	if err != nil {
		t.Fatal(err)
	}
	return ctl, s, b, &s3store.BatchJob{Token: "token", Description: "of a test", RoleARN: "arn:aws:iam::111122223333:role/r", Priority: 3, Bucket: "data", Manifest: s3store.BatchObject{Bucket: ref.Bucket, Key: ref.Key}, ETag: etag,
		Report: s3store.BatchObject{Bucket: "data", Key: "reports"}, Update: true, KMSKey: server.KMS.CreateKey("alias/k")}
}

func TestBatchJobFromBeginningToEnd(t *testing.T) {
	ctl, _, b, j := batchStage(t, s3control.Config{})
	ctx := t.Context()
	if id, err := b.Find(ctx, j.Description); id != "" || err != nil {
		t.Fatalf("%q %v", id, err)
	}
	ctl.LoseReply("CreateJob")
	if _, err := b.Create(ctx, j); !object.ClassOf(err).Ambiguous() {
		t.Fatalf("a lost answer is %v", err)
	}
	id, err := b.Create(ctx, j)
	if err != nil || len(ctl.Jobs()) != 1 {
		t.Fatalf("%v %+v", err, ctl.Jobs())
	}
	if found, err := b.Find(ctx, j.Description); found != id || err != nil {
		t.Errorf("%q %v", found, err)
	}
	ctl.Wait(s3control.Suspended, 5*time.Second)
	if s, err := b.Describe(ctx, id); err != nil || s.Status != "Suspended" || s.Total != 2 {
		t.Errorf("%+v %v", s, err)
	}
	if err := b.Prioritize(ctx, id, 9); err != nil {
		t.Error(err)
	}
	if err := b.Confirm(ctx, id); err != nil {
		t.Error(err)
	}
	ctl.Wait(s3control.Complete, 5*time.Second)
	if s, err := b.Describe(ctx, id); err != nil || s.Status != "Complete" || s.Succeeded != 2 {
		t.Errorf("%+v %v", s, err)
	}
	if err := b.Cancel(ctx, id); object.ClassOf(err) != object.ClassInvalid {
		t.Errorf("a job that has ended was cancelled: %v", err)
	}
	if _, err := b.Describe(ctx, "none-at-all"); object.ClassOf(err) != object.ClassGone {
		t.Errorf("a job that there is none of: %v", err)
	}
}

func TestBatchErrors(t *testing.T) {
	_, s, b, j := batchStage(t, s3control.Config{ThrottleEvery: 1})
	if _, err := b.Create(t.Context(), j); object.ClassOf(err) != object.ClassThrottled {
		t.Errorf("too many requests: %v", err)
	}
	other, err := s.BatchOperations(t.Context(), "999999999999", "data")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Describe(t.Context(), "some-id"); object.ClassOf(err) != object.ClassDenied {
		t.Errorf("another account: %v", err)
	}
	for _, account := range []string{"", "12"} { // no STS is asked off AWS
		if _, err := s.BatchOperations(t.Context(), account, "data"); object.ClassOf(err) != object.ClassInvalid {
			t.Errorf("account %q: %v", account, err)
		}
	}
	t.Setenv("AWS_ENDPOINT_URL_S3_CONTROL", "")
	if _, err := s.BatchOperations(t.Context(), "111122223333", "data"); object.ClassOf(err) != object.ClassUnsupported {
		t.Errorf("another store: %v", err)
	}
}

// TestPutFileAsksForSSES3: whatever the default of the bucket is, since no job reads a
// manifest under another encryption.
func TestPutFileAsksForSSES3(t *testing.T) {
	server := s3test.New(s3test.Config{})
	defer server.Close()
	key := server.KMS.CreateKey("alias/k")
	server.CreateBucket("b", s3test.BucketConfig{DefaultEncryption: object.Encryption{Type: object.SSEKMS, KMSKeyID: key}})
	creds := s3test.DefaultCredentials
	t.Setenv("AWS_ACCESS_KEY_ID", creds.AccessKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", creds.SecretAccessKey)
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	s, err := s3store.Open(t.Context(), s3store.Options{EndpointURL: server.URL(), Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	body := bytes.Repeat([]byte("row\n"), 1<<20)
	if _, err := s.PutFile(t.Context(), object.Ref{Bucket: "b", Key: "m +.csv"}, bytes.NewReader(body), int64(len(body))); err != nil {
		t.Fatal(err)
	}
	if o := server.Snapshot("b").Objects[0]; o.Encryption.Type != object.SSES3 || o.Body.Size() != int64(len(body)) {
		t.Errorf("%+v", o)
	}
}
