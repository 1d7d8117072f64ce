package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/s3test"
)

// TestIdentity: on AWS the report says as whom the job was run. A run that is not told is
// none the worse for it, and no other store is asked.
func TestIdentity(t *testing.T) {
	t.Parallel()
	for _, told := range []bool{true, false} {
		st := newAWS(t, s3test.Config{Seed: 1})
		st.server.CreateBucket("b", s3test.BucketConfig{})
		st.server.Fill("b", 20, func(i int) string { return string(rune('a' + i)) }, s3test.Bytes("x"), s3test.Attrs{})
		if !told {
			st.env = append(st.env, "AWS_ENDPOINT_URL_STS=https://127.0.0.1:1") // the way to it is closed
		}
		dir, page := filepath.Join(t.TempDir(), "job"), filepath.Join(t.TempDir(), "report.html")
		st.does(t, "run", "s3://b", "--sse", "AES256", "--no-progress", "--job", dir)
		st.does(t, "report", "--job", dir, "--format", "html", "-o", page)
		status := st.reseal(t, "status", "--job", dir, "--json")
		const arn = "arn:aws:iam::111122223333:user/s3test"
		if got := strings.Contains(status.stdout, `"identity":"`+arn+`"`); got != told {
			t.Errorf("told %v, status: %s", told, status.stdout)
		}
		if got := strings.Contains(fileText(t, page), "user/<wbr>s3test"); got != told {
			t.Errorf("told %v, the page says so: %v", told, got)
		}
		if n := st.server.Count("STS"); told && n == 0 {
			t.Error("nobody asked")
		}
	}
	st := newStage(t, s3test.Config{Seed: 1})
	st.server.CreateBucket("b", s3test.BucketConfig{})
	st.server.Fill("b", 3, func(i int) string { return string(rune('a' + i)) }, s3test.Bytes("x"), s3test.Attrs{})
	st.does(t, "run", "s3://b", "--sse", "AES256", "--no-progress", "--job", filepath.Join(t.TempDir(), "job"))
	if n := st.server.Count("STS"); n > 0 {
		t.Errorf("a store that is not AWS was asked %d times", n)
	}
}
