package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/resealhq/reseal/engine/s3test"
)

// ruby runs the client that Debian has, over the same TLS as the binary.
func (w *sealed) ruby(do, key string, text []byte, job map[string]any) ([]byte, error) {
	w.t.Helper()
	d := s3test.DefaultCredentials
	all := map[string]any{"do": do, "s3": w.server.URL(), "bucket": sealedBucket, "key": key, "region": "us-east-1", "access_key": d.AccessKeyID, "secret": d.SecretAccessKey}
	maps.Copy(all, job)
	b, err := json.Marshal(all)
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.Command("ruby", "../../engine/cse/testdata/judge.rb", string(b))
	cmd.Env = append(os.Environ(), append(w.env, "SSL_CERT_FILE="+filepath.Join(w.dir, "ca.pem"))...)
	cmd.Stdin = bytes.NewReader(text)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		w.t.Logf("%s %s: %s", do, key, stderr.Bytes())
	}
	return out, err
}

// TestClientSideOfRuby: what the client of AWS's SDK for Ruby has written in each of its ways
// comes out of client-side encryption by the binary, into a bucket and into a folder; and what
// the binary brings under version 2 it reads.
func TestClientSideOfRuby(t *testing.T) {
	t.Parallel()
	if err := exec.Command("ruby", "-e", "require 'aws-sdk-s3'; require 'aws-sdk-kms'").Run(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("the judge in Ruby is not here (%v): apt-get install ruby ruby-aws-sdk-s3 ruby-aws-sdk-kms", err)
		}
		t.Skipf("the judge in Ruby is not here (%v): apt-get install ruby ruby-aws-sdk-s3 ruby-aws-sdk-kms", err)
	}
	w := newSealed(t, s3test.Config{Seed: 12, TLS: true}, s3test.BucketConfig{})
	raw := map[string]any{"raw_key": base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xa1, 7}, 16))}
	with := func(m map[string]any, more map[string]any) map[string]any {
		m = maps.Clone(m)
		maps.Copy(m, more)
		return m
	}
	text := bytes.Repeat([]byte("as Ruby wrote it. "), 1000)
	ways := map[string]map[string]any{
		"kms": {"kms_key": w.keyA, "context": map[string]string{"who": "me"}}, "aes": raw,
		"v1": with(raw, map[string]any{"version": 1}), "file": with(raw, map[string]any{"instruction": true}),
	}
	for key, job := range ways {
		if _, err := w.ruby("put", key, text, job); err != nil {
			t.Fatal(err)
		}
	}
	// Out: the instruction file is left, and goes with its object.
	to := filepath.Join(w.dir, "to")
	s := w.reseal(t, "run", "s3://"+sealedBucket, "--dest", to, "--client-side", "none", "--source-cse-key-file", w.aesFile, "--accept", "unauthenticated", "--job", filepath.Join(w.dir, "down"), "--no-progress")
	if s.code != 3 {
		t.Errorf("down: %d\n%s%s", s.code, s.stdout, s.stderr)
	}
	for key := range ways {
		if b, err := os.ReadFile(filepath.Join(to, key)); err != nil || !bytes.Equal(b, text) {
			t.Errorf("%s came back as %d bytes: %v\n%v", key, len(b), err, w.rows(t, filepath.Join(w.dir, "down"))[key])
		}
	}
	// In: version 2, as Ruby reads it.
	from := filepath.Join(w.dir, "from")
	if err := os.MkdirAll(from, 0o755); err != nil {
		t.Fatal(err)
	}
	sizes := map[string]int{"empty": 0, "one": 1, "large": 6<<20 + 1}
	for name, n := range sizes {
		if err := os.WriteFile(filepath.Join(from, name), bytes.Repeat([]byte("t"), n), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for place, way := range map[string]struct {
		flags []string
		read  map[string]any
	}{
		"in-kms": {[]string{"--cse-kms-key-id", w.keyB, "--cse-context", `{"who":"me"}`}, map[string]any{"kms_key": w.keyB, "context": map[string]string{"who": "me"}}},
		"in-aes": {[]string{"--cse-key-file", w.aesFile}, raw},
		"in-rsa": {[]string{"--cse-key-file", w.rsaFile}, map[string]any{"pem": w.rsaFile}},
	} {
		s := w.reseal(t, append([]string{"run", from, "--dest", "s3://" + sealedBucket + "/" + place, "--client-side", "v2", "--job", filepath.Join(w.dir, place), "--no-progress"}, way.flags...)...)
		if s.code != 0 {
			t.Fatalf("%s: %d\n%s%s", place, s.code, s.stdout, s.stderr)
		}
		for name, n := range sizes {
			got, err := w.ruby("get", place+"/"+name, nil, way.read)
			if err != nil || !bytes.Equal(got, bytes.Repeat([]byte("t"), n)) {
				t.Errorf("Ruby reads %d bytes of %s/%s: %v", len(got), place, name, err)
			}
		}
	}
}
