package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/resealhq/reseal/engine/cse"
	"github.com/resealhq/reseal/engine/s3test"
)

// A change of wrap, by real processes that are killed at random requests. Whatever they
// die in, at the end every envelope opens with the new key alone, nothing was written
// more often than processes died, and each row tells what is there.
func TestRewrapKilledInAChangeOfWrap(t *testing.T) {
	t.Parallel()
	atOnce := newPool(t, 3)
	for i, way := range []string{"aes rsa", "aes kms", "rsa kms", "kms rsa", "kms aes", "rsa aes", "aes aes"} {
		for seed := range killSeeds() {
			atOnce.run(cell(fmt.Sprint(way, " ", seed)), func(t *testing.T) {
				from, to, _ := strings.Cut(way, " ")
				killedInAChange(t, from, to, []string{"", "Enabled"}[(i+seed)%2], rand.New(rand.NewPCG(uint64(seed), uint64(i))))
			})
		}
	}
	atOnce.wait()
}

// killSeeds is how many draws of each way there are; more by the environment.
func killSeeds() int {
	n, _ := strconv.Atoi(os.Getenv("RESEAL_TEST_KILLS"))
	return max(n, 1)
}

func killedInAChange(t *testing.T, from, to, versioning string, random *rand.Rand) {
	w := newSealed(t, s3test.Config{Seed: 21, TLS: true}, s3test.BucketConfig{Versioning: versioning})
	other := w.file(t, "other.key", slices.Repeat([]byte{7, 0xe1}, 16))
	target := map[string]cse.Target{"aes": {Wrap: cse.AESGCM, Key: w.aes}, "rsa": {Wrap: cse.RSAOAEP, Key: w.rsa}, "kms": {Wrap: cse.KMSContext, KMSKeyID: w.keyA}}[from]
	context := target
	context.Entries = map[string]string{"who": "Zoë", "what": "a \"text\""}
	for i := range 3 {
		w.put(i, fmt.Sprintf("v3 %d", i), cse.V3, target, nil)
		w.put(i, fmt.Sprintf("v2 %d é+%%2F", i), cse.V2, context, nil)
		w.inFile(i, fmt.Sprintf("file v2 %d", i), cse.V2, context)
		w.inFile(i, fmt.Sprintf("file v3 %d", i), cse.V3, target)
	}
	before := w.server.Snapshot(sealedBucket)
	args := []string{"run", "s3://" + sealedBucket, "--operation", "rewrap", "--accept", "cse-readers", "--job", filepath.Join(w.dir, "job"), "--json", "--no-progress", "--concurrency", "4"}
	if random.IntN(3) == 0 {
		args = append(args, "--verify", "unwrap")
	}
	switch from {
	case "aes":
		args = append(args, "--source-cse-key-file", w.aesFile)
	case "rsa":
		args = append(args, "--source-cse-key-file", w.rsaFile)
	case "kms":
		if random.IntN(2) == 0 {
			args = append(args, "--source-cse-kms-key-id", w.keyA)
		}
	}
	opener := cse.Opener{Key: w.aes}
	wrap := cse.AESGCM
	switch {
	case from == to:
		args = append(args, "--cse-key-file", other)
		opener.Key = w.parse(slices.Repeat([]byte{7, 0xe1}, 16))
	case to == "aes":
		args = append(args, "--cse-wrap", "aes-gcm", "--cse-key-file", w.aesFile)
	case to == "rsa":
		args = append(args, "--cse-wrap", "rsa-oaep", "--cse-key-file", w.rsaFile)
		opener.Key, wrap = w.rsa, cse.RSAOAEP
	case to == "kms":
		args = append(args, "--cse-wrap", "kms+context", "--cse-kms-key-id", w.keyB)
		opener, wrap = cse.Opener{KMS: w, KMSKeyID: w.keyB}, cse.KMSContext
	}
	w.server.ResetRequests()
	deaths := 0
	for range 5 {
		if w.killed(args, int64(1+random.IntN(60)), random.IntN(3)) {
			deaths++
		}
	}
	s := w.reseal(t, args...)
	if s.code != 0 {
		t.Fatalf("exit code %d after %d deaths\n%s%s", s.code, deaths, s.stdout, s.stderr)
	}
	w.changed(before, opener, wrap, deaths, versioning)
	if from == "kms" {
		w.server.KMS.Deny(w.keyA)
	}
	if s := w.reseal(t, "verify", "--job", filepath.Join(w.dir, "job"), "--json"); s.code != 0 {
		t.Errorf("verify: exit code %d\n%s%s", s.code, s.stdout, s.stderr)
	}
	writes := len(w.writes())
	if s := w.reseal(t, args...); s.code != 0 || len(w.writes()) != writes {
		t.Errorf("another run: exit code %d, %d writes\n%s%s", s.code, len(w.writes())-writes, s.stdout, s.stderr)
	}
	args[slices.Index(args, "--job")+1] = filepath.Join(w.dir, "second")
	if s := w.reseal(t, args...); s.code != 0 || !strings.Contains(s.stdout, `"already":18`) {
		t.Errorf("a second job: exit code %d\n%s%s", s.code, s.stdout, s.stderr)
		for key, r := range w.rows(t, filepath.Join(w.dir, "second")) {
			t.Log(key, r["state"], r["reason"], r["message"])
		}
	}
	w.noKeyOnDisk(slices.Repeat([]byte{7, 0xe1}, 16), slices.Repeat([]byte{0xa1, 7}, 16))
	t.Logf("%d deaths, %d writes of %d", deaths, len(w.writes()), len(before.Objects)*2/3)
}

// killed runs a command and kills it at its n-th request for an object of the test:
// before it has an effect, before its reply, or after.
func (w *sealed) killed(args []string, n int64, moment int) bool {
	cmd := exec.Command(w.binary, args...)
	cmd.Env = w.env
	var seen atomic.Int64
	hook := func(r s3test.Request) {
		if !strings.Contains(r.Key, ".reseal-canary-") && seen.Add(1) == n {
			_ = cmd.Process.Kill()
		}
	}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	[]func(func(s3test.Request)){w.server.OnRequest, w.server.OnEffect, w.server.OnReply}[moment](hook)
	_ = cmd.Wait()
	w.server.OnRequest(nil)
	w.server.OnEffect(nil)
	w.server.OnReply(nil)
	return cmd.ProcessState.ExitCode() == -1
}

func (w *sealed) writes() (all []s3test.Request) {
	for _, r := range w.server.Requests("CopyObject", "PutObject", "CompleteMultipartUpload") {
		if r.Applied && !strings.Contains(r.Key, ".reseal-canary-") {
			all = append(all, r)
		}
	}
	return all
}

func (w *sealed) changed(before s3test.Bucket, opener cse.Opener, wrap cse.Wrap, deaths int, versioning string) {
	t := w.t
	now := w.server.Snapshot(sealedBucket)
	if len(now.Uploads) > 0 {
		t.Errorf("uploads are left: %v", now.Uploads)
	}
	rows := w.rows(t, filepath.Join(w.dir, "job"))
	if len(rows) != len(before.Objects) {
		t.Errorf("%d rows", len(rows))
	}
	writes := map[string]int{}
	for _, r := range w.writes() {
		writes[r.Key]++
	}
	extra := 0
	for _, was := range before.Objects {
		is := w.get(was.Key)
		row := rows[was.Key]
		isFile := strings.HasSuffix(was.Key, cse.InstructionSuffix)
		if row["state"] != "done" && row["state"] != "already" || row["etag_after"] != is.ETag || row["client_side_after"] == "" || !strings.HasSuffix(strings.TrimSuffix(row["client_side_after"], " instruction"), wrap.String()) {
			t.Errorf("the row of %q is %v, the object's ETag %s", was.Key, row, is.ETag)
		}
		if versioning != "" && row["new_version_id"] != "" && row["new_version_id"] != is.VersionID {
			t.Errorf("the row of %q names the version %s, and it is %s", was.Key, row["new_version_id"], is.VersionID)
		}
		a, b := was, is
		a.Metadata, b.Metadata = cse.Without(a.Metadata), cse.Without(b.Metadata)
		of := func(o s3test.Object) string {
			return fmt.Sprint(o.ContentType, o.CacheControl, o.Expires, o.StorageClass, o.Tags, o.Metadata, o.Encryption)
		}
		if of(a) != of(b) || !isFile && !was.Body.Equal(is.Body) {
			t.Errorf("%q was %s and is %s", was.Key, of(a), of(b))
		}
		inFile := strings.HasPrefix(was.Key, "file") && !isFile
		n := writes[was.Key]
		switch {
		case inFile && n > 0:
			t.Errorf("%q was written, and its envelope is in a file", was.Key)
		case !inFile && n == 0:
			t.Errorf("%q was not written", was.Key)
		case !inFile:
			extra += n - 1
		}
		if !isFile {
			if e := w.envelope(was.Key); e.Wrap != wrap {
				t.Errorf("%q is wrapped by %s", was.Key, e.Wrap)
			}
			w.opens(was.Key, opener)
		}
	}
	if extra > 0 {
		t.Logf("%d writes more than objects", extra)
	}
	if extra > 4*deaths {
		t.Errorf("%d writes more than objects, and %d deaths", extra, deaths)
	}
	if len(now.Objects) != len(before.Objects) && versioning == "" {
		t.Errorf("%d objects, and there were %d", len(now.Objects), len(before.Objects))
	}
}
