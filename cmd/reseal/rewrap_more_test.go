package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/resealhq/reseal/bench/tools"
	"github.com/resealhq/reseal/engine/cse"
	"github.com/resealhq/reseal/engine/s3test"
	testkms "github.com/resealhq/reseal/engine/s3test/kms"
)

// TestRewrapRawKeys: data keys go between raw keys of one kind without KMS, and to
// another kind, or from and to KMS, where the readers' need of another key is accepted.
func TestRewrapRawKeys(t *testing.T) {
	t.Parallel()
	w := newSealed(t, s3test.Config{Seed: 5, TLS: true}, s3test.BucketConfig{})
	second := bytes.Repeat([]byte{0xb2, 9}, 16)
	secondFile, secondKey := w.file(t, "second.key", second), w.parse(second)
	w.put(0, "aes v3", cse.V3, cse.Target{Wrap: cse.AESGCM, Key: w.aes}, nil)
	w.put(2, "aes v2", cse.V2, cse.Target{Wrap: cse.AESGCM, Key: w.aes, Entries: map[string]string{"who": "me"}}, nil)
	before := w.server.Snapshot(sealedBucket)

	if sum := w.rewrap("aes", 0, "--cse-key-file", secondFile, "--source-cse-key-file", w.aesFile); sum.Done != 2 {
		t.Errorf("%+v", sum)
	}
	for _, o := range before.Objects {
		name := "x-amz-key-v2"
		if o.Key == "aes v3" {
			name = "x-amz-3"
		}
		w.keptButFor(o, name)
		w.opens(o.Key, cse.Opener{Key: secondKey})
	}
	if sum := w.rewrap("aes2", 0, "--cse-key-file", secondFile, "--source-cse-key-file", w.aesFile, "--verify", "unwrap"); sum.Already != 2 {
		t.Errorf("a second time: %+v", sum)
	}
	// By resealed key files a job is found again: it records their fingerprints alone.
	if s := w.reseal(t, "verify", "--job", filepath.Join(w.dir, "aes"), "--json"); s.code != 0 || !strings.Contains(s.stdout, `"verified":2`) {
		t.Errorf("verify: %d\n%s%s", s.code, s.stdout, s.stderr)
	}

	toRSA := []string{"--cse-wrap", "rsa-oaep", "--cse-key-file", w.rsaFile, "--source-cse-key-file", secondFile}
	if sum := w.rewrap("rsa", 3, toRSA...); sum.Left != 2 {
		t.Errorf("readers would need another key: %+v", sum)
	}
	if sum := w.rewrap("rsa accepted", 0, append(toRSA, "--accept", "cse-readers", "--verify", "unwrap")...); sum.Done != 2 {
		t.Errorf("%+v", sum)
	}
	w.opens("aes v3", cse.Opener{Key: w.rsa})
	if sum := w.rewrap("kms", 0, "--cse-wrap", "kms+context", "--cse-kms-key-id", w.keyB, "--source-cse-key-file", w.rsaFile, "--accept", "cse-readers"); sum.Done != 2 {
		t.Errorf("%+v", sum)
	}
	for _, c := range w.server.KMS.Journal("Decrypt") {
		if !c.ByS3 {
			t.Errorf("KMS was asked to decrypt under %s", c.Key)
		}
	}
	w.opens("aes v2", cse.Opener{KMS: w})
	if sum := w.rewrap("back", 0, "--cse-wrap", "aes-gcm", "--cse-key-file", w.aesFile, "--accept", "cse-readers"); sum.Done != 2 {
		t.Errorf("%+v", sum)
	}
	w.opens("aes v3", cse.Opener{Key: w.aes})
	w.noKeyOnDisk(second, bytes.Repeat([]byte{0xa1, 7}, 16))
}

// noKeyOnDisk looks for the keys in everything that the jobs wrote.
func (w *sealed) noKeyOnDisk(keys ...[]byte) {
	w.t.Helper()
	err := filepath.WalkDir(w.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".key") || strings.HasSuffix(path, ".pem") {
			return err
		}
		data, err := os.ReadFile(path)
		for _, k := range keys {
			if bytes.Contains(data, k) || bytes.Contains(data, []byte(base64.StdEncoding.EncodeToString(k))) || bytes.Contains(data, []byte(fmt.Sprintf("%x", k))) {
				w.t.Errorf("a key is in %s", path)
			}
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// TestRewrapRefusesByName: what is tampered with, of another object, under another key
// or in two forms at once is left or fails by name, and is not touched.
func TestRewrapRefusesByName(t *testing.T) {
	t.Parallel()
	w := newSealed(t, s3test.Config{Seed: 6}, s3test.BucketConfig{Versioning: "Enabled"})
	other := w.server.KMS.CreateKey()
	entries := func(who string) cse.Target {
		return cse.Target{Wrap: cse.KMSContext, KMSKeyID: w.keyA, Entries: map[string]string{"who": who}}
	}
	set := func(name, value string) func(*s3test.Object) {
		return func(o *s3test.Object) {
			o.Metadata = maps.Clone(o.Metadata)
			o.Metadata[name] = value
		}
	}
	w.put(0, "good", cse.V3, entries("me"), nil)
	w.put(2, "tampered", cse.V2, entries("me"), func(o *s3test.Object) {
		blob, _ := base64.StdEncoding.DecodeString(o.Metadata["x-amz-key-v2"])
		blob[len(blob)-1] ^= 1
		set("x-amz-key-v2", base64.StdEncoding.EncodeToString(blob))(o)
	})
	w.put(4, "another context", cse.V3, entries("me"), set("x-amz-t", `{"aws:x-amz-cek-alg":"115","who":"you"}`))
	w.put(6, "two envelopes", cse.V3, entries("me"), set("x-amz-key-v2", "AAAA"))
	w.put(8, "another key", cse.V3, cse.Target{Wrap: cse.KMSContext, KMSKeyID: other}, nil)
	w.put(10, "raw", cse.V3, cse.Target{Wrap: cse.AESGCM, Key: w.aes}, nil)
	w.put(12, "full", cse.V3, entries("me"), func(o *s3test.Object) {
		// A blob under a key with a longer name would not fit any more; here it is as
		// long as before, so that the entry beside it has to be too long already.
		set("note", strings.Repeat("x", 2100-cse.MetadataSize(o.Metadata)))(o)
	})
	w.put(14, "archived", cse.V3, entries("me"), func(o *s3test.Object) { o.StorageClass = "GLACIER" })
	w.server.Put(sealedBucket, s3test.Object{Key: "version 1", Body: s3test.Bytes([]byte("0123456789abcdef")), Attrs: s3test.Attrs{Metadata: map[string]string{
		"x-amz-key": base64.StdEncoding.EncodeToString(make([]byte, 48)), "x-amz-iv": base64.StdEncoding.EncodeToString(make([]byte, 16)), "x-amz-matdesc": "{}"}}})
	before := w.server.Snapshot(sealedBucket)

	sum := w.rewrap("job", 3, "--cse-kms-key-id", w.keyB, "--source-cse-kms-key-id", w.keyA)
	if sum.Done != 1 || sum.Remaining != 0 {
		t.Errorf("%+v", sum)
	}
	rows := w.rows(t, filepath.Join(w.dir, "job"))
	for key, want := range map[string][2]string{"good": {"done", ""}, "tampered": {"failed", "invalid"}, "another context": {"failed", "invalid"},
		"two envelopes": {"left", "envelope"}, "another key": {"left", "other-key"}, "raw": {"left", "other-wrap"}, "full": {"left", "metadata-size"},
		"archived": {"left", "archived"}, "version 1": {"left", "legacy-wrap"}} {
		if r := rows[key]; r["state"] != want[0] || r["reason"] != want[1] {
			t.Errorf("%s is %s (%s: %s %s), want %v", key, r["state"], r["reason"], r["error_code"], r["message"], want)
		}
		if want[0] == "failed" && rows[key]["error_code"] != "InvalidCiphertextException" {
			t.Errorf("%s: error code %q", key, rows[key]["error_code"])
		}
	}
	for _, o := range before.Objects {
		if now := w.get(o.Key); o.Key != "good" && now.VersionID != o.VersionID {
			t.Errorf("%s was written", o.Key)
		}
	}
}

// TestRewrapSelection: --only-client-side takes what is meant, and plan, doctor,
// iam-policy and audit understand a rewrap.
func TestRewrapSelection(t *testing.T) {
	t.Parallel()
	w := newSealed(t, s3test.Config{Seed: 11}, s3test.BucketConfig{})
	w.put(0, "v3", cse.V3, cse.Target{Wrap: cse.KMSContext, KMSKeyID: w.keyA}, nil)
	w.legacy(2, "legacy", "AES/GCM/NoPadding")
	w.server.Put(sealedBucket, s3test.Object{Key: "plain", Body: s3test.Bytes([]byte("plain"))})
	if sum := w.rewrap("v3", 0, "--cse-kms-key-id", w.keyB, "--only-client-side", "v3"); sum.Planned != 1 || sum.Done != 1 {
		t.Errorf("%+v", sum)
	}
	if sum := w.rewrap("wrap", 0, "--cse-kms-key-id", w.keyB, "--cse-wrap", "kms+context", "--only-client-side", "v1,wrap=kms"); sum.Planned != 1 || sum.Done != 1 {
		t.Errorf("%+v", sum)
	}
	if m := w.get("legacy").Metadata; m["x-amz-wrap-alg"] != "kms+context" {
		t.Errorf("it was not lifted: %v", m)
	}
	rewrap := []string{"s3://" + sealedBucket, "--operation", "rewrap", "--cse-kms-key-id", w.keyA}
	for verb, want := range map[string]string{"doctor": "Readers", "iam-policy": "kms:ReEncryptFrom", "plan": "rewrap"} {
		args := append([]string{verb}, rewrap...)
		if verb == "plan" {
			args = append(args, "--job", filepath.Join(w.dir, "planned"))
		}
		s := w.reseal(t, args...)
		if s.code != 0 || !strings.Contains(s.stdout, want) {
			t.Errorf("%s: exit code %d\n%s%s", verb, s.code, s.stdout, s.stderr)
		}
	}
	// The plan that was looked at is the plan that runs.
	if s := w.reseal(t, "run", "--job", filepath.Join(w.dir, "planned"), "--json"); s.code != 3 || !strings.Contains(s.stdout, `"done":2`) {
		t.Errorf("run --job: exit code %d\n%s%s", s.code, s.stdout, s.stderr)
	}
	if s := w.reseal(t, "audit", "s3://"+sealedBucket, "--only-client-side", "v2", "--json"); s.code != 0 || !strings.Contains(s.stdout, `"objects":1,`) {
		t.Errorf("audit: exit code %d\n%s%s", s.code, s.stdout, s.stderr)
	}
}

// TestRewrapSwappedKey: a wrapped key that is another object's, under the same context,
// opens. Only what the object commits to tells, and --verify unwrap looks before
// anything is written.
func TestRewrapSwappedKey(t *testing.T) {
	t.Parallel()
	w := newSealed(t, s3test.Config{Seed: 7, TLS: true}, s3test.BucketConfig{Versioning: "Enabled"})
	target := cse.Target{Wrap: cse.KMSContext, KMSKeyID: w.keyA}
	w.put(0, "one", cse.V3, target, nil)
	one := w.get("one")
	w.put(2, "two", cse.V3, target, func(o *s3test.Object) {
		o.Metadata = maps.Clone(o.Metadata)
		o.Metadata["x-amz-3"] = one.Metadata["x-amz-3"]
	})
	two := w.get("two")
	if sum := w.rewrap("job", 3, "--cse-kms-key-id", w.keyB, "--verify", "unwrap"); sum.Done != 1 || sum.Failed != 1 {
		t.Errorf("%+v", sum)
	}
	if r := w.rows(t, filepath.Join(w.dir, "job"))["two"]; !strings.Contains(r["message"], "commits to") {
		t.Errorf("%v", r)
	}
	if w.get("two").VersionID != two.VersionID {
		t.Error("it was written")
	}
}

// TestRewrapWhereCopiesAreNotGuarded: on a store whose CopyObject ignores conditions a
// small object is read and written on a condition, a larger one copied in parts whose
// completion has one, and no CopyObject is sent.
func TestRewrapWhereCopiesAreNotGuarded(t *testing.T) {
	t.Parallel()
	w := newSealed(t, s3test.Config{Seed: 12, Profile: s3test.MinIO()}, s3test.BucketConfig{})
	target := cse.Target{Wrap: cse.KMSContext, KMSKeyID: w.keyA}
	w.put(0, "small", cse.V3, target, nil)
	w.put(4, "larger", cse.V2, target, func(o *s3test.Object) {
		o.Body = s3test.Synthetic(4, 3<<20)
		delete(w.texts, "larger")
	})
	w.inFile(8, "file", cse.V2, target)
	before := w.server.Snapshot(sealedBucket)
	if sum := w.rewrap("job", 0, "--cse-kms-key-id", w.keyB); sum.Done+sum.Already != 4 || sum.Operations["rewrap"] != 3 {
		t.Errorf("%+v", sum)
		for key, r := range w.rows(t, filepath.Join(w.dir, "job")) {
			t.Log(key, r["state"], r["reason"], r["message"])
		}
	}
	for _, o := range before.Objects {
		switch o.Key {
		case "small":
			w.keptButFor(o, "x-amz-3")
		case "larger":
			w.keptButFor(o, "x-amz-key-v2")
		}
		if !strings.HasSuffix(o.Key, cse.InstructionSuffix) {
			w.opens(o.Key, cse.Opener{KMS: w})
		}
	}
	for _, r := range w.server.Requests("CopyObject") {
		if r.Key == "small" || r.Key == "larger" {
			t.Errorf("%s was copied without a guard", r.Key)
		}
	}
}

// TestRewrapAfterRotation: the same key ID renews what is under older material, once. To verify, which
// may come long after the job, older material is the key all the same, and another key is not.
func TestRewrapAfterRotation(t *testing.T) {
	t.Parallel()
	w := newSealed(t, s3test.Config{Seed: 8}, s3test.BucketConfig{})
	w.put(0, "object", cse.V3, cse.Target{Wrap: cse.KMSContext, KMSKeyID: w.keyA}, nil)
	if sum := w.rewrap("before", 0, "--cse-kms-key-id", w.keyA); sum.Already != 1 {
		t.Errorf("%+v", sum)
	}
	if _, err := w.kms.RotateKeyOnDemand(t.Context(), &kms.RotateKeyOnDemandInput{KeyId: &w.keyA}); err != nil {
		t.Fatal(err)
	}
	if sum := w.rewrap("after", 0, "--cse-kms-key-id", w.keyA); sum.Done != 1 {
		t.Errorf("%+v", sum)
	}
	if sum := w.rewrap("again", 0, "--cse-kms-key-id", w.keyA); sum.Already != 1 {
		t.Errorf("%+v", sum)
	}
	w.opens("object", cse.Opener{KMS: w})
	if _, err := w.kms.RotateKeyOnDemand(t.Context(), &kms.RotateKeyOnDemandInput{KeyId: &w.keyA}); err != nil {
		t.Fatal(err)
	}
	verify := func(code int) {
		t.Helper()
		if s := w.reseal(t, "verify", "--job", filepath.Join(w.dir, "again"), "--no-progress"); s.code != code {
			t.Errorf("verify: exit code %d, want %d\n%s%s", s.code, code, s.stdout, s.stderr)
		}
	}
	verify(0)
	if sum := w.rewrap("other", 0, "--cse-kms-key-id", w.keyB); sum.Done != 1 {
		t.Errorf("%+v", sum)
	}
	verify(3)
}

// TestRewrapUsage: what does not go together is refused before anything is asked.
func TestRewrapUsage(t *testing.T) {
	t.Parallel()
	w := newSealed(t, s3test.Config{Seed: 9}, s3test.BucketConfig{})
	w.refuses([]refusedFlags{
		{[]string{"--operation", "rewrap"}, "names no key"},
		{[]string{"--operation", "rewrap", "--cse-kms-key-id", "k", "--sse", "AES256"}, "--sse sse-s3 has no meaning with --operation rewrap"},
		{[]string{"--cse-kms-key-id", "k"}, "--cse-kms-key-id has no meaning with --operation auto"},
		{[]string{"--operation", "rewrap", "--cse-kms-key-id", "k", "--dest", "s3://other"}, "--dest has no meaning with --operation rewrap"},
		{[]string{"--operation", "rewrap", "--cse-kms-key-id", "k", "--storage-class", "STANDARD_IA"}, "--storage-class has no meaning"},
		{[]string{"--operation", "rewrap", "--cse-wrap", "aes-gcm", "--cse-key-file", w.rsaFile}, "--cse-wrap aes-gcm has no such key"},
		{[]string{"--operation", "rewrap", "--cse-key-file", base64.StdEncoding.EncodeToString(make([]byte, 32))}, "looks like a key"},
		{[]string{"--sse", "AES256", "--verify", "unwrap"}, "--verify unwrap has no meaning"},
		{[]string{"--operation", "rewrap", "--cse-kms-key-id", w.keyB, "--verify", "unwrap"}, "unencrypted"},
	})
}

// TestRewrapJudges: Go clients of AWS write, the binary rewraps, the old key goes, and
// they read. They take nothing that is not as their own.
func TestRewrapJudges(t *testing.T) {
	t.Parallel()
	judge, err := tools.Build(t.Context(), "s3ec")
	if err != nil {
		t.Fatal(err)
	}
	w := newSealed(t, s3test.Config{Seed: 10}, s3test.BucketConfig{})
	run := func(do, key string, text []byte, flags ...string) []byte {
		return w.judge(judge, do, key, text, flags...)
	}
	text := bytes.Repeat([]byte("as the judges wrote it. "), 500)
	user := `{"who":"Zoë Müller"}`
	for key, flags := range map[string][]string{"v4 committed": {"-client", "v4"}, "v4 context": {"-client", "v4", "-context", user},
		"v4 gcm": {"-client", "v4", "-suite", "gcm"}, "v3 gcm": {"-client", "v3", "-suite", "gcm", "-context", `{"who":"me"}`}} {
		run("put", key, text, append(flags, "-kms-key", w.keyA)...)
	}
	before := w.server.Snapshot(sealedBucket)
	if len(before.Objects) != 4 {
		t.Fatalf("%d objects", len(before.Objects))
	}
	if sum := w.rewrap("job", 0, "--cse-kms-key-id", w.keyB); sum.Done != 4 || sum.Operations["rewrap"] != 4 {
		t.Errorf("%+v", sum)
	}
	w.noDecrypt()
	w.server.KMS.SetKeyState(w.keyA, testkms.Disabled)
	for _, o := range before.Objects {
		names := []string{"x-amz-key-v2"}
		readers := [][]string{{"-client", "v4"}, {"-client", "v3"}}
		switch o.Key {
		case "v4 committed":
			names, readers = []string{"x-amz-3"}, [][]string{{"-client", "v4", "-strict"}, {"-client", "v3"}}
		case "v4 context":
			names, readers = []string{"x-amz-3"}, [][]string{{"-client", "v4", "-strict", "-context", user}, {"-client", "v3"}}
			if w.get(o.Key).Metadata["x-amz-t"] != o.Metadata["x-amz-t"] {
				names = append(names, "x-amz-t") // the same context in ASCII
			}
		}
		w.keptButFor(o, names...)
		for _, flags := range readers {
			if got := run("get", o.Key, nil, append(flags, "-kms-key", w.keyB)...); !bytes.Equal(got, text) {
				t.Errorf("%v reads %d bytes of %s that are not the text", flags, len(got), o.Key)
			}
		}
	}
}

// TestRewrapOfOneKey: where only what one key wraps is asked for, what came under the new
// one is done: for verify, for the other row of an instruction file, and a second time.
func TestRewrapOfOneKey(t *testing.T) {
	t.Parallel()
	w := newSealed(t, s3test.Config{Seed: 12}, s3test.BucketConfig{Versioning: "Enabled"})
	old, third := cse.Target{Wrap: cse.KMSContext, KMSKeyID: w.keyA}, cse.Target{Wrap: cse.KMSContext, KMSKeyID: w.server.KMS.CreateKey()}
	w.put(0, "v3", cse.V3, old, nil)
	w.put(2, "v2", cse.V2, old, nil)
	w.inFile(4, "file", cse.V3, old)
	w.put(8, "third", cse.V3, third, nil)
	args := []string{"--cse-kms-key-id", w.keyB, "--source-cse-kms-key-id", w.keyA}

	if sum := w.rewrap("first", 3, args...); sum.Done != 3 || sum.Already != 1 || sum.Left != 1 {
		t.Errorf("%+v", sum)
	}
	if r := w.rows(t, filepath.Join(w.dir, "first"))["third"]; r["reason"] != "other-key" {
		t.Errorf("%v", r)
	}
	if s := w.reseal(t, "verify", "--job", filepath.Join(w.dir, "first"), "--json"); s.code != 3 || !strings.Contains(s.stdout, `"verified":4`) || !strings.Contains(s.stdout, `"different":0`) {
		t.Errorf("verify: exit code %d\n%s%s", s.code, s.stdout, s.stderr)
	}
	if sum := w.rewrap("again", 0, append(args, "--exclude", "third")...); sum.Already != 4 {
		t.Errorf("a second time: %+v", sum)
	}
	// prune refuses such jobs, so that nobody is sent there.
	w.put(10, "late", cse.V3, old, nil)
	s := w.reseal(t, append([]string{"run", "s3://" + sealedBucket, "--operation", "rewrap", "--job", filepath.Join(w.dir, "late"), "--exclude", "*", "--include", "late"}, args...)...)
	if s.code != 0 || !strings.Contains(s.stdout, "old version") || strings.Contains(s.stdout, "reseal prune") {
		t.Errorf("exit code %d\n%s%s", s.code, s.stdout, s.stderr)
	}
}
