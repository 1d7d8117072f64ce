package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/check"
	"github.com/resealhq/reseal/engine/s3test/s3control"
)

// TestSubmitOnAWS goes the whole way with a store that the binary takes for AWS itself:
// nothing is probed, the account is the role's, and annotations are asked for.
func TestSubmitOnAWS(t *testing.T) {
	t.Parallel()
	st := newAWS(t, s3test.Config{Seed: 1})
	ctl := s3control.New(s3control.Config{Store: st.server, ThrottleEvery: 15})
	t.Cleanup(ctl.Close)
	st.env = append(st.env, "AWS_ENDPOINT_URL_S3_CONTROL="+ctl.URL())
	st.server.CreateBucket("docs", s3test.BucketConfig{Versioning: "Enabled"})
	st.server.CreateBucket("control", s3test.BucketConfig{})
	put := func(key string, a s3test.Attrs) {
		st.server.Put("docs", s3test.Object{Key: key, Body: s3test.Bytes("of " + key), Attrs: a})
	}
	for _, k := range []string{"1", "2", "3"} {
		put("plain/"+k, s3test.Attrs{Metadata: map[string]string{"a": "b"}})
		put("sse/"+k, s3test.Attrs{Encryption: object.Encryption{Type: object.SSES3}})
	}
	put("annotated", s3test.Attrs{Annotations: map[string]string{"note": "text"}})
	before := st.server.Snapshot("docs")
	job := filepath.Join(t.TempDir(), "job")
	if s := st.reseal(t, "plan", "s3://docs", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--job", job, "--quiet"); s.code != 0 {
		t.Fatal(s.stderr)
	}
	s := st.reseal(t, "submit", "--job", job, "--role-arn", "arn:aws:iam::111122223333:role/batch", "--manifest-to", "s3://control", "--yes", "--follow")
	if s.code != 3 || !strings.Contains(s.stderr, "3 updates, 3 copies") || !strings.Contains(s.stderr, "annotations 1") {
		t.Fatalf("exit code %d\n%s%s", s.code, s.stdout, s.stderr)
	}
	if s := st.reseal(t, "run", "--job", job, "--no-progress"); s.code != 0 {
		t.Fatalf("exit code %d\n%s", s.code, s.stderr)
	}
	st.differences(t, before, check.Expectation{Target: object.Target{SSE: object.SSEKMS, KMSKeyID: st.keyB, BucketKey: object.On}})
	if s := st.reseal(t, "prune", "--job", job, "--yes"); s.code != 0 || len(st.server.Snapshot("docs").Objects) != 7 {
		t.Errorf("prune: exit code %d, %d versions\n%s%s", s.code, len(st.server.Snapshot("docs").Objects), s.stdout, s.stderr)
	}
}
