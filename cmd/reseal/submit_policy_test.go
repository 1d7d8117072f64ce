package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/s3control"
	"github.com/resealhq/reseal/planner/doctor"
)

// TestThePoliciesCoverASubmit asks of each request of a submit whether the policy allows
// it that iam-policy prints for whoever sent it: the person, or the role of the jobs.
func TestThePoliciesCoverASubmit(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 5})
	for _, b := range []string{"docs", "control"} {
		st.server.CreateBucket(b, s3test.BucketConfig{Versioning: "Enabled"})
	}
	st.server.Put("docs", s3test.Object{Key: "a/copied", Body: s3test.Bytes("x"), Attrs: s3test.Attrs{Tags: []object.Tag{{Key: "k", Value: "v"}}}})
	st.server.Put("docs", s3test.Object{Key: "a/updated", Body: s3test.Bytes("x"), Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSES3}}})
	st.server.Put("docs", s3test.Object{Key: "a/gone", Body: s3test.Bytes("x")})
	ctl := s3control.New(s3control.Config{Store: st.server})
	t.Cleanup(ctl.Close)
	st.env = append(st.env, "AWS_ENDPOINT_URL_S3_CONTROL="+ctl.URL())
	order := []string{"s3://docs/a/", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB}
	places := []string{"--manifest-to", "s3://control/in", "--report-to", "s3://control/out/"}
	policyFor := func(whom string) (d doctor.Document) {
		s := st.reseal(t, append(append([]string{"iam-policy", "--for", whom, "--region", "us-east-1"}, order...), places...)...)
		if err := json.Unmarshal([]byte(s.stdout), &d); err != nil || s.code != 0 {
			t.Fatalf("exit code %d, %v\n%s", s.code, err, s.stderr)
		}
		return d
	}
	person, role := policyFor("submit"), policyFor("batch-operations")
	dir := filepath.Join(t.TempDir(), "job")
	if s := st.reseal(t, append([]string{"plan", "--job", dir, "--quiet"}, order...)...); s.code != 0 {
		t.Fatal(s.stderr)
	}
	st.server.Remove("docs", "a/gone", "")
	st.server.ResetRequests()
	if s := st.reseal(t, append([]string{"submit", "--job", dir, "--role-arn", "arn:aws:iam::111122223333:role/batch", "--yes", "--follow"}, places...)...); s.code != 3 {
		t.Fatalf("exit code %d\n%s", s.code, s.stderr)
	}
	senders := map[string]int{}
	for _, r := range st.server.Requests() {
		if throwaways(&r) { // AWS, where the real jobs are, is not tried
			continue
		}
		who, policy := "person", &person
		if !strings.Contains(r.Header.Get("User-Agent"), "reseal/") {
			who, policy = "role", &role
		}
		for _, need := range needed(&r) {
			senders[who]++
			if !allowed(policy, need) {
				t.Errorf("the %s's %s of %s/%s needs %s on %s, which is not granted", who, r.Op, r.Bucket, r.Key, need.action, need.on)
			}
		}
	}
	if senders["person"] < 5 || senders["role"] < 5 {
		t.Errorf("needs were met by %v", senders)
	}
}
