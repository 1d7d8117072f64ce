package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// unreadableAmong is a bucket whose listing cannot carry one of its keys, and a job that
// was done before that key came.
func unreadableAmong(t *testing.T, profile s3test.Profile) (st *stage, job string) {
	st = newStage(t, s3test.Config{Seed: 6, Profile: profile})
	st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled"})
	st.server.Fill("b", 40, func(i int) string { return "k" + string(rune('A'+i)) }, s3test.Bytes("x"), s3test.Attrs{Encryption: object.Encryption{Type: object.SSENone}})
	job = filepath.Join(t.TempDir(), "job")
	if end := st.reseal(t, "run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--no-progress", "--job", job); end.code != 0 {
		t.Fatalf("exit code %d: %s", end.code, end.stderr)
	}
	st.server.Put("b", s3test.Object{Key: "kM\x01", Body: s3test.Bytes("x")})
	return st, job
}

// TestM14: a listing that cannot be read whole loses nothing of what was verified, and
// never passes for the whole: not for what depends on a key, not for a count, not for a plan.
func TestM14(t *testing.T) {
	t.Parallel()
	for _, profile := range []s3test.Profile{{IgnoresEncoding: true}, {IgnoresEncoding: true, ControlCharsAsFFD: true}} {
		st, job := unreadableAmong(t, profile)
		text := st.reseal(t, "verify", "--job", job)
		if text.code != 1 || !strings.Contains(text.stdout, "verified  40") || !strings.Contains(text.stdout, "Not everything could be looked at") ||
			!strings.Contains(text.stdout, "40 noncurrent") || !strings.Contains(text.stderr, "cannot be read") {
			t.Errorf("verify: exit code %d\n%s%s", text.code, text.stdout, text.stderr)
		}
		findings := filepath.Join(t.TempDir(), "findings.csv")
		asked := st.reseal(t, "verify", "--job", job, "--json", "-o", findings)
		var v struct {
			Checked, Verified uint64
			Dependents        []struct{ Noncurrent uint64 }
			Unread            string
			OK                bool
		}
		if err := json.Unmarshal([]byte(asked.stdout), &v); err != nil || asked.code != 1 || v.Checked != 40 || v.Verified != 40 || v.OK ||
			!strings.Contains(v.Unread, "kM") || len(v.Dependents) != 1 || v.Dependents[0].Noncurrent != 40 {
			t.Errorf("verify --json: exit code %d, %v: %s%s", asked.code, err, asked.stdout, asked.stderr)
		}
		if file := fileText(t, findings); strings.Count(file, "\ndependent-version,b,k") != 40 || strings.Count(file, "\nunread,b,") != 1 {
			t.Errorf("the file of findings: %s", file)
		}
		if rows := st.reseal(t, "verify", "--job", job, "--no-dependents", "--json"); rows.code != 0 || !strings.Contains(rows.stdout, `"dependents":null`) {
			t.Errorf("verify --no-dependents: exit code %d: %s%s", rows.code, rows.stdout, rows.stderr)
		}
		for _, form := range []string{"text", "json", "csv"} {
			a := st.reseal(t, "audit", "s3://b", "--format", form)
			if a.code != 1 || !strings.Contains(a.stdout, "40") || !strings.Contains(a.stderr, "the audit is not complete") || strings.Count(a.stdout, `"error"`) > 0 {
				t.Errorf("audit --format %s: exit code %d\n%s%s", form, a.code, a.stdout, a.stderr)
			}
		}
		for _, verb := range []string{"plan", "run"} {
			other := filepath.Join(t.TempDir(), verb)
			p := st.reseal(t, verb, "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyA, "--no-progress", "--json", "--job", other)
			if p.code != 1 || strings.Contains(p.stdout, `"complete":true`) || !strings.Contains(p.stderr, "--manifest") {
				t.Errorf("%s: exit code %d\n%s%s", verb, p.code, p.stdout, p.stderr)
			}
			if s := st.reseal(t, "status", "--json", "--job", other); s.code == 0 && strings.Contains(s.stdout, `"complete":true`) {
				t.Errorf("status after %s: %s", verb, s.stdout)
			}
		}
	}
}

// TestVerifyToldBeforeItEnded: what was verified before the store refused the rest is
// told, and the refusal is an error.
func TestVerifyToldBeforeItEnded(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 6})
	st.server.CreateBucket("b", s3test.BucketConfig{})
	st.server.Fill("b", 30, func(i int) string { return "k" + string(rune('A'+i)) }, s3test.Bytes("x"), s3test.Attrs{})
	job := filepath.Join(t.TempDir(), "job")
	if end := st.reseal(t, "run", "s3://b", "--sse", "AES256", "--no-progress", "--job", job); end.code != 0 {
		t.Fatalf("exit code %d: %s", end.code, end.stderr)
	}
	if err := st.server.SetRules(`(If (And (Or ListObjectsV2 ListObjectVersions) (From 1)) (Error 403 AccessDenied no))`); err != nil {
		t.Fatal(err)
	}
	said := st.reseal(t, "verify", "--job", job, "--json")
	var v struct {
		Checked, Verified uint64
		Unread            string
	}
	if err := json.Unmarshal([]byte(said.stdout), &v); err != nil || said.code != 1 || v.Checked != 30 || v.Verified != 30 || !strings.Contains(v.Unread, "AccessDenied") {
		t.Errorf("exit code %d, %v: %s%s", said.code, err, said.stdout, said.stderr)
	}
}

func fileText(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
