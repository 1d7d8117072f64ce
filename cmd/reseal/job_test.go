package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/resealhq/reseal/engine/job"
)

// understand parses a command line as plan and run do.
func understand(t *testing.T, args ...string) (*job.Job, job.Limits, error) {
	t.Helper()
	var f jobFlags
	var j *job.Job
	var limits job.Limits
	cmd := &cobra.Command{Use: "run", SilenceErrors: true, SilenceUsage: true, RunE: func(cmd *cobra.Command, args []string) (err error) {
		j, limits, err = f.Validate(cmd, args)
		return err
	}}
	f.AddFlags(cmd.Flags())
	f.how.AddRunFlags(cmd.Flags())
	cmd.SetArgs(args)
	if err := cmd.Execute(); err != nil {
		return nil, limits, &told{inFlags(err.Error()), err}
	}
	return j, limits, nil
}

// told is an error in the words that a person reads.
type told struct {
	text string
	error
}

func (e *told) Error() string { return e.text }
func (e *told) Unwrap() error { return e.error }

// begin writes the job file that a run with this command line would freeze.
func begin(t *testing.T, args ...string) *job.Job {
	t.Helper()
	j, _, err := understand(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := j.Spec.Digest()
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.MarshalIndent(map[string]any{"format": 1, "id": "20261128T000000Z-00000000", "created": "2026-11-28T00:00:00Z", "reseal": "test",
		"digest": hex.EncodeToString(digest[:]), "spec": j.Spec, "how": j.Policy}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(j.Dir, "job.json"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return j
}

func wantUnusable(t *testing.T, err error, parts ...string) {
	t.Helper()
	var u *job.UnusableError
	if !errors.As(err, &u) {
		t.Fatalf("error %v, want one that ends with exit code 2", err)
	}
	if u.Fix == "" {
		t.Errorf("%q does not say what to do", err)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("%q does not mention %q", err, p)
		}
	}
}

func TestJobIsResumedByItsDirectoryAlone(t *testing.T) {
	t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
	dir := filepath.Join(t.TempDir(), "job")
	j := begin(t, "s3://bucket/prefix/", "--sse", "aws:kms", "--sse-kms-key-id", "k1", "--bucket-key", "off", "--include", "*.a",
		"--exclude", "x/*", "--modified-before", "30d", "--max-size", "1GiB", "--accept", "acl,lock", "--guard", "strict",
		"--concurrency", "7", "--dest", "s3://other/there", "--job", dir)
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("job directory: %v %v, want mode 0700", info, err)
	}
	t.Setenv("AWS_ENDPOINT_URL", "")
	o, limits, err := understand(t, "--job", dir)
	if err != nil {
		t.Fatal(err)
	}
	if o.ID == "" {
		t.Fatal("the job was not found again")
	}
	if diff := j.Spec.Differences(&o.Spec); len(diff) > 0 {
		t.Errorf("resumed another specification: %v", diff)
	}
	if !o.Spec.Selection.Before.Equal(j.Spec.Selection.Before) || o.Spec.Selection.Before.IsZero() {
		t.Errorf("30d means %v now, and %v when the job began", o.Spec.Selection.Before, j.Spec.Selection.Before)
	}
	if !o.Policy.Accepts("lock") || o.Policy.Guard != "strict" {
		t.Errorf("the job forgot what was accepted: %+v", o.Policy)
	}
	if limits.Concurrency != 0 {
		t.Errorf("concurrency %d was carried over from another run", limits.Concurrency)
	}
	if o, _, err = understand(t, "--job", dir, "--guard", "auto", "--accept", "tags"); err != nil {
		t.Fatal(err)
	}
	if o.Policy.Guard != "auto" || o.Policy.Accepts("acl") || !o.Policy.Accepts("tags") {
		t.Errorf("a flag given again does not decide: %+v", o.Policy)
	}
}

func TestAnotherJobIsRefusedWithTheDifferences(t *testing.T) {
	t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
	dir := filepath.Join(t.TempDir(), "job")
	whole := []string{"s3://bucket/p", "--sse", "aws:kms", "--sse-kms-key-id", "k1", "--exclude", "x/*", "--job", dir}
	begin(t, whole...)
	if _, _, err := understand(t, whole...); err != nil {
		t.Fatalf("the same command again: %v", err)
	}
	for name, c := range map[string]struct {
		args []string
		want []string
	}{
		"source":    {[]string{"s3://bucket/q", "--job", dir}, []string{`SOURCE: the job has "s3://bucket/p", the command line "s3://bucket/q"`}},
		"target":    {[]string{"--job", dir, "--sse", "AES256"}, []string{`--sse: the job has "sse-kms", the command line "sse-s3"`, "--sse-kms-key-id"}},
		"key":       {[]string{"--job", dir, "--sse-kms-key-id", "k2"}, []string{`--sse-kms-key-id: the job has "k1", the command line "k2"`}},
		"selection": {[]string{"--job", dir, "--limit", "5"}, []string{`--limit: the job has nothing, the command line "5"`}},
		"left out":  {[]string{"s3://bucket/p", "--sse", "aws:kms", "--sse-kms-key-id", "k1", "--job", dir}, []string{`--include/--exclude: the job has "exclude x/*", the command line nothing`}},
		"endpoint":  {[]string{"--job", dir, "--endpoint-url", "http://127.0.0.1:10"}, []string{"--endpoint-url"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := understand(t, c.args...)
			wantUnusable(t, err, c.want...)
		})
	}
	t.Run("endpoint of the environment", func(t *testing.T) {
		t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:10")
		_, _, err := understand(t, whole...)
		wantUnusable(t, err, "--endpoint-url")
		if _, _, err := understand(t, "--job", dir); err != nil {
			t.Errorf("the job's own endpoint: %v", err)
		}
	})
}

func TestJobDirectoriesThatCannotBeUsed(t *testing.T) {
	tmp := t.TempDir()
	file := filepath.Join(tmp, "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	edited := filepath.Join(tmp, "edited")
	j := begin(t, "s3://bucket", "--sse", "AES256", "--job", edited)
	data, err := os.ReadFile(filepath.Join(j.Dir, "job.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(j.Dir, "job.json"), bytes.Replace(data, []byte(`"sse-s3"`), []byte(`"dsse-kms"`), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ dir, want string }{
		"under a file":     {filepath.Join(file, "job"), "not a directory"},
		"of other files":   {tmp, "holds no job but other files"},
		"edited":           {edited, "was edited after the job began"},
		"not named at all": {"", "--job is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := understand(t, "s3://bucket", "--sse", "AES256", "--job", c.dir)
			wantUnusable(t, err, c.want)
		})
	}
	_, _, err = understand(t, "--job", filepath.Join(tmp, "nothing there"))
	wantUnusable(t, err, "there is no job in", "SOURCE")
}

func TestCustomerKeysAreFrozenByFingerprintOnly(t *testing.T) {
	tmp := t.TempDir()
	raw := []byte("0123456789abcdef0123456789ABCDEF")
	keyFile, otherFile := filepath.Join(tmp, "key"), filepath.Join(tmp, "other")
	for path, data := range map[string][]byte{keyFile: raw, otherFile: bytes.ToUpper(raw)} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(tmp, "job")
	args := []string{"s3://bucket", "--sse", "sse-c", "--sse-c-key-file", keyFile, "--endpoint-url", "https://127.0.0.1:9", "--job", dir}
	j := begin(t, args...)
	data, err := os.ReadFile(filepath.Join(j.Dir, "job.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{string(raw), hex.EncodeToString(raw), base64.StdEncoding.EncodeToString(raw)} {
		if bytes.Contains(data, []byte(secret)) {
			t.Fatal("job.json holds the customer key")
		}
	}
	o, _, err := understand(t, "--job", dir)
	if err != nil {
		t.Fatal(err)
	}
	if string(mustDecode(t, o.Spec.Target.Object(false).CustomerKey.Base64())) != string(raw) {
		t.Error("the resumed job has another key")
	}
	_, _, err = understand(t, "--job", dir, "--sse-c-key-file", otherFile)
	wantUnusable(t, err, "--sse-c-key-file: the job has", "customer-key:")
	if strings.Contains(err.Error(), string(raw)) {
		t.Error("the error shows a key")
	}
	if err := os.Rename(keyFile, keyFile+".moved"); err != nil {
		t.Fatal(err)
	}
	_, _, err = understand(t, "--job", dir)
	wantUnusable(t, err, "--sse-c-key-file")
	if _, _, err := understand(t, "--job", dir, "--sse-c-key-file", keyFile+".moved"); err != nil {
		t.Errorf("the same key from another place: %v", err)
	}
	_, _, err = understand(t, "s3://bucket", "--sse", "sse-c", "--sse-c-key-file", keyFile+".moved", "--endpoint-url", "http://127.0.0.1:9", "--job", dir+"2")
	wantUnusable(t, err, "unencrypted")
}

func mustDecode(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWrongFlagsAreRefusedByName(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "job")
	for want, args := range map[string]string{
		"--sse is missing":                          "s3://bucket",
		"is no S3 address":                          "bucket --sse AES256",
		"names no valid bucket":                     "s3:///prefix --sse AES256",
		"SOURCE and --manifest were both given":     "s3://bucket --manifest m --sse AES256",
		"--bucket is missing":                       "--manifest m --manifest-format keys --sse AES256",
		"is no encryption to bring objects under":   "s3://bucket --sse rot13",
		`--sse "none"`:                              "s3://bucket --sse none",
		"names no key; name the key":                "s3://bucket --sse aws:kms",
		"were both given; name one":                 "s3://bucket --sse aws:kms --sse-kms-key-id k --sse-kms-default-key",
		"--bucket-key has no meaning":               "s3://bucket --sse AES256 --bucket-key on",
		"no bucket keys for DSSE":                   "s3://bucket --sse aws:kms:dsse --sse-kms-key-id k --bucket-key on",
		"no JSON object of strings":                 "s3://bucket --sse aws:kms --sse-kms-key-id k --sse-kms-context [1]",
		"--sse sse-c names no key":                  "s3://bucket --sse sse-c",
		"--sse-c-key-file: open":                    "s3://bucket --sse sse-c --sse-c-key-file /nowhere",
		`"bogus"; use acl, lock`:                    "s3://bucket --sse AES256 --accept bogus",
		"use auto, update, copy, rewrite or rewrap": "s3://bucket --sse AES256 --operation move",
		"is below --min-size":                       "s3://bucket --sse AES256 --min-size 2k --max-size 1k",
		`"12Q" is no size`:                          "s3://bucket --sse AES256 --min-size 12Q",
		"neither a time":                            "s3://bucket --sse AES256 --modified-before yesterday",
		`--only-encryption: unknown name "aes"`:     "s3://bucket --sse AES256 --only-encryption aes",
		`--only-encryption: unknown name "sse-s3=`:  "s3://bucket --sse AES256 --only-encryption sse-s3=k",
		"S3 takes parts from 5MiB":                  "s3://bucket --sse AES256 --part-size 1MiB",
		"neither auto nor a number":                 "s3://bucket --sse AES256 --concurrency 0",
		"is no duration":                            "s3://bucket --sse AES256 --stop-after soon",
		"neither a number such as 100 nor":          "s3://bucket --sse AES256 --max-failures 200%",
		"--time-zone":                               "s3://bucket --sse AES256 --time-zone Mars/Base",
		"is no endpoint":                            "s3://bucket --sse AES256 --endpoint-url localhost:9000",
		"carries credentials":                       "s3://bucket --sse AES256 --endpoint-url http://u:p@localhost:9000",
		"--request-payer":                           "s3://bucket --sse AES256 --request-payer me",
		"--ca-bundle":                               "s3://bucket --sse AES256 --ca-bundle /nowhere",
		"the copies would be copied too":            "s3://bucket/a --sse AES256 --dest s3://bucket/a/b",
		"--limit -1 is negative":                    "s3://bucket --sse AES256 --limit -1",
		"--max-requests-per-second -1; it must be":  "s3://bucket --sse AES256 --max-requests-per-second -1",
		"--max-requests-per-second NaN; it must be": "s3://bucket --sse AES256 --max-requests-per-second NaN",
		"-per-second +Inf; it must be a number":     "s3://bucket --sse AES256 --max-kms-requests-per-second inf",
		"http://host:9000 carries a query":          "s3://bucket --sse AES256 --endpoint-url http://host:9000?u:p",
		"http://host carries a fragment":            "s3://bucket --sse AES256 --endpoint-url http://host#u:p",
		`"host:9000" is no endpoint`:                "s3://bucket --sse AES256 --endpoint-url u:p@u:p@host:9000",
		`"http://" is no endpoint`:                  "s3://bucket --sse AES256 --endpoint-url http://?u:p",
		"is not before --modified-before 2026-01":   "s3://bucket --sse AES256 --modified-before 2026-01-01 --modified-after 2026-02-01",
		"--modified-after 1h is not before":         "s3://bucket --sse AES256 --modified-before 1d --modified-after 1h",
		"--time-zone was given without --window":    "s3://bucket --sse AES256 --time-zone Europe/Berlin",
		"context is no JSON object":                 "s3://bucket --sse aws:kms --sse-kms-key-id k --sse-kms-context null",
		"sse-kms-context is no JSON object":         `s3://bucket --sse aws:kms --sse-kms-key-id k --sse-kms-context {"a":null}`,
	} {
		t.Run(want, func(t *testing.T) {
			_, _, err := understand(t, append(strings.Fields(args), "--job", dir)...)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Fatalf("%q: %v, want a sentence with %q", args, err, want)
			}
			if strings.Contains(err.Error(), "u:p") {
				t.Error("the error shows a password")
			}
			if _, err := os.Stat(dir); err == nil {
				t.Error("the job directory was made for a wrong command line")
			}
		})
	}
}

func TestParsing(t *testing.T) {
	t.Parallel()
	sizes := map[string]int64{"0": 0, "1048576": 1 << 20, "64MiB": 64 << 20, "64 mib": 64 << 20, "5GB": 5e9, "1.5k": 1536, "2T": 2 << 40, "9b": 9}
	for s, want := range sizes {
		if got, err := parseSize(s); err != nil || got != want {
			t.Errorf("parseSize(%q) = %d, %v, want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "-1", "MiB", "1x", "NaN", "1e300GB", "Inf"} {
		if got, err := parseSize(s); err == nil {
			t.Errorf("parseSize(%q) = %d, want an error", s, got)
		}
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	moments := map[string]time.Time{"2026-01-31T01:02:03+01:00": time.Date(2026, 1, 31, 0, 2, 3, 0, time.UTC),
		"2026-01-31": time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC), "1d": now.Add(-24 * time.Hour), "90m": now.Add(-90 * time.Minute), "2w": now.Add(-14 * 24 * time.Hour)}
	for s, want := range moments {
		if got, err := parseMoment(s, now); err != nil || !got.Equal(want) {
			t.Errorf("parseMoment(%q) = %v, %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"-1d", "d", "NaNd", "1e300w", "-5m"} {
		if got, err := parseSpan(s); err == nil {
			t.Errorf("parseSpan(%q) = %v, want an error", s, got)
		}
	}
}
