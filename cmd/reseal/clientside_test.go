package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/cse"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// remake runs a job that changes client-side encryption and gives its summary.
func (w *sealed) remake(job string, code int, args ...string) runSummary {
	w.t.Helper()
	w.asked = len(w.server.KMS.Journal())
	s := w.reseal(w.t, append([]string{"run", "s3://" + sealedBucket, "--job", filepath.Join(w.dir, job), "--json", "--no-progress"}, args...)...)
	var sum runSummary
	if s.stdout != "" {
		if err := json.Unmarshal([]byte(s.stdout), &sum); err != nil {
			w.t.Fatalf("%v\n%s%s", err, s.stdout, s.stderr)
		}
	}
	if s.code != code {
		for key, r := range w.rows(w.t, filepath.Join(w.dir, job)) {
			w.t.Log(key, r["state"], r["reason"], r["error_code"], r["message"])
		}
		w.t.Fatalf("exit code %d, want %d\n%s%s", s.code, code, s.stdout, s.stderr)
	}
	return sum
}

// TestClientSide brings objects into, up to and out of client-side encryption, and
// twice, which changes nothing.
func TestClientSide(t *testing.T) {
	t.Parallel()
	w := newSealed(t, s3test.Config{Seed: 3, TLS: true}, s3test.BucketConfig{})
	under := func(entries map[string]string) cse.Target {
		return cse.Target{Wrap: cse.KMSContext, KMSKeyID: w.keyA, Entries: entries}
	}
	w.put(0, "v3", cse.V3, under(nil), nil)
	w.put(1, "v2", cse.V2, under(map[string]string{"who": "me"}), nil)
	o := w.full(2, "plain")
	o.Metadata, o.Body = map[string]string{"city": "München"}, s3test.Bytes([]byte("a plain text"))
	w.texts["plain"] = []byte("a plain text")
	w.server.Put(sealedBucket, o)
	large := bytes.Repeat([]byte("0123456789abcdef~"), 2<<20)
	w.put(3, "large", cse.V2, under(nil), func(o *s3test.Object) {
		body, m := w.seal(cse.V2, under(nil), large, o.Metadata)
		for name := range m {
			o.Metadata[name] = m[name]
		}
		o.Body, w.texts["large"] = s3test.Bytes(body), large
	})

	sum := w.remake("up", 0, "--client-side", "v3", "--cse-kms-key-id", w.keyB)
	if sum.Done != 4 || sum.Operations["rewrite"] != 4 {
		t.Errorf("%+v", sum)
	}
	for key, r := range w.rows(t, filepath.Join(w.dir, "up")) {
		if r["client_side_after"] != "v3 kms+context" || r["operation"] != "rewrite" {
			t.Errorf("%s: %v", key, r)
		}
	}
	for _, key := range []string{"v3", "v2", "plain", "large"} {
		w.opens(key, cse.Opener{KMS: w})
	}
	if s := w.reseal(t, "verify", "--job", filepath.Join(w.dir, "up")); s.code != 0 {
		t.Errorf("verify: exit code %d\n%s%s", s.code, s.stdout, s.stderr)
	}
	if sum := w.remake("again", 0, "--client-side", "v3", "--cse-kms-key-id", w.keyB); sum.Already != 4 {
		t.Errorf("again: %+v", sum)
	}
	if sum := w.remake("out", 0, "--client-side", "none"); sum.Done != 4 {
		t.Errorf("out: %+v", sum)
	}
	for key, text := range w.texts {
		o := w.get(key)
		if !bytes.Equal(o.Body.ReadAll(), text) {
			t.Errorf("%s is not its text", key)
		}
		if object.ClientSideOf(o.Metadata) != object.NoEnvelope || o.Metadata["city"] != "München" {
			t.Errorf("%s: %v", key, o.Metadata)
		}
	}
}

// TestClientSideAlreadyInFile: what is under the wanted version, with its envelope in an
// instruction file that no mark tells of, is as it should be for verify too, until others
// put a text or another file there.
func TestClientSideAlreadyInFile(t *testing.T) {
	t.Parallel()
	w := newSealed(t, s3test.Config{Seed: 17}, s3test.BucketConfig{})
	for i, key := range []string{"kept", "plain by now", "other key", "no file"} {
		w.inFile(2*i, key, cse.V2, cse.Target{Wrap: cse.AESGCM, Key: w.aes})
	}
	if sum := w.remake("job", 3, "--client-side", "v2", "--cse-key-file", w.aesFile); sum.Already != 4 || sum.Left != 4 {
		t.Fatalf("%+v", sum)
	}
	verify := func(want string) {
		t.Helper()
		s := w.reseal(t, "verify", "--job", filepath.Join(w.dir, "job"))
		if !strings.HasPrefix(strings.Join(strings.Fields(s.stdout), " "), want) {
			t.Errorf("want %q, exit code %d\n%s%s", want, s.code, s.stdout, s.stderr)
		}
	}
	verify("verified 4 the store shows what the report says not done 4 ")
	w.server.Put(sealedBucket, s3test.Object{Key: "plain by now", Body: s3test.Bytes("text")})
	w.server.Put(sealedBucket, s3test.Object{Key: "other key.instruction", Body: s3test.Bytes("{}")})
	w.server.Remove(sealedBucket, "no file.instruction", "")
	verify("verified 1 the store shows what the report says different 3 ")
}
