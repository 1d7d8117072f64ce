package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/check"
)

// TestSeveralSourceKeys: each object is opened with the customer key whose fingerprint
// it shows, by every operation; one whose key was not given is left. The keys are
// frozen by their fingerprints, in no order.
func TestSeveralSourceKeys(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		profile s3test.Profile
		args    []string
	}{
		"copy":  {s3test.AWS(), nil},
		"parts": {s3test.AWS(), []string{"--operation", "copy", "--multipart-threshold", "1"}},
		"minio": {s3test.MinIO(), []string{"--accept", "concurrent-writes"}},
		"read":  {s3test.AWS(), []string{"--verify", "read"}},
	} {
		t.Run(name, func(t *testing.T) {
			st := newStage(t, s3test.Config{TLS: true, Profile: c.profile, Seed: 3})
			var keys []object.CustomerKey
			var files []string
			for i := range 4 {
				key, file := st.customerKey(t, fmt.Sprint("key", i))
				keys, files = append(keys, key), append(files, file)
			}
			st.server.CreateBucket("b", s3test.BucketConfig{})
			for i := range 24 {
				o := s3test.Object{Key: fmt.Sprintf("k%02d", i), Body: s3test.Bytes(fmt.Sprint("of ", i))}
				o.Metadata = map[string]string{"n": fmt.Sprint(i)}
				var with []s3test.PutOption
				if i%5 < 4 {
					with = append(with, s3test.CustomerKey(keys[i%5]))
				}
				st.server.Put("b", o, with...)
			}
			before := st.server.Snapshot("b")
			job := filepath.Join(t.TempDir(), "job")
			given := func(order ...int) (args []string) {
				for _, i := range order {
					args = append(args, "--source-sse-c-key-file", files[i])
				}
				return args
			}
			audit := st.reseal(t, slices.Concat([]string{"audit", "s3://b", "--json"}, given(0, 1, 2))...)
			for i, want := range []string{`"objects":5,`, `"objects":5,`, `"objects":5,`} {
				if md5 := `"sse_c_key_md5":"` + keys[i].MD5() + `"`; !strings.Contains(audit.stdout, md5) || strings.Count(audit.stdout, want) < 3 {
					t.Errorf("audit: %s%s", audit.stdout, audit.stderr)
				}
			}
			if strings.Contains(audit.stdout, keys[3].MD5()) {
				t.Errorf("audit names a key that was not given: %s", audit.stdout)
			}
			args := slices.Concat([]string{"run", "s3://b", "--sse", "AES256", "--no-progress", "--job", job}, given(0, 1, 2), c.args)
			end := st.reseal(t, args...)
			if end.code != 3 {
				t.Fatalf("exit code %d\n%s%v", end.code, end.stderr, st.rows(t, job))
			}
			known := func(o s3test.Object) bool { return o.Encryption.CustomerKeyMD5 != keys[3].MD5() }
			st.differences(t, before, check.Expectation{Target: object.Target{SSE: object.SSES3}, Intent: only(known)})
			for k, row := range st.rows(t, job) {
				if want := known(before.Find(k)[0]); want != (row["state"] == "done") || !want && row["reason"] != "missing-key" {
					t.Errorf("%s is %s (%s: %s)", k, row["state"], row["reason"], row["message"])
				}
			}
			if end := st.reseal(t, slices.Concat([]string{"run", "--job", job, "--no-progress"}, given(2, 0, 1))...); end.code != 3 {
				t.Errorf("the keys in another order: exit code %d\n%s", end.code, end.stderr)
			}
			if end := st.reseal(t, slices.Concat([]string{"run", "--job", job, "--no-progress"}, given(0, 1, 3))...); end.code != 2 || !strings.Contains(end.stderr, "customer-key:") {
				t.Errorf("another key: exit code %d\n%s", end.code, end.stderr)
			}
			if end := st.reseal(t, slices.Concat([]string{"verify", "--job", job, "--no-progress"}, given(1, 2, 0))...); end.code != 0 && end.code != 3 {
				t.Errorf("verify: exit code %d\n%s%s", end.code, end.stdout, end.stderr)
			}
			st.keepsSecret(t, job, end, keys[0].Base64(), keys[1].Base64(), keys[2].Base64())
			end = st.reseal(t, slices.Concat([]string{"audit", "s3://b", "--json"}, given(0, 1, 2, 3))...)
			if end.code != 0 || strings.Contains(end.stdout, `"unknown"`) {
				t.Errorf("audit: exit code %d\n%s%s", end.code, end.stdout, end.stderr)
			}
		})
	}
}
