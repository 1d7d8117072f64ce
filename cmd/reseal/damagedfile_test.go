package main

import (
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/resealhq/reseal/engine/cse"
	"github.com/resealhq/reseal/engine/s3test"
)

// TestDamagedInstructionFilesStay: a file without a mark that cannot be read as an instruction
// file may still be the only place of a data key, which a person can mend and some clients read
// as it is. It was encrypted as any plain object, with which the object beside it was lost.
func TestDamagedInstructionFilesStay(t *testing.T) {
	t.Parallel()
	w := newSealed(t, s3test.Config{Seed: 31, TLS: true}, s3test.BucketConfig{})
	for i, format := range []cse.Format{cse.V2, cse.V3} {
		of := format.String() + " "
		w.inFile(i, of+"whole", format, cse.Target{Wrap: cse.AESGCM, Key: w.aes})
		whole := w.get(of + "whole")
		text := string(w.get(of + "whole.instruction").Body.ReadAll())
		for name, file := range map[string]string{"name twice": `{"x-amz-matdesc":"{}","x-amz-matdesc":"{}",` + text[1:], "other letters": strings.Replace(text, "x-amz-", "X-Amz-", 1),
			"byte order mark": "\ufeff" + text, "two objects": text + "{}", "in a list": "[" + text + "]", "cut": text[:len(text)-1], "unknown wrap": strings.NewReplacer("AES/GCM\"", "ROT13\"", `"02"`, `"99"`).Replace(text)} {
			object, beside := whole, w.get(of+"whole.instruction")
			object.Key, beside.Key = of+name, of+name+".instruction"
			beside.Body, beside.Metadata = s3test.Bytes([]byte(file)), nil
			w.server.Put(sealedBucket, object)
			w.server.Put(sealedBucket, beside)
		}
	}
	w.server.Put(sealedBucket, s3test.Object{Key: "recipe", Body: s3test.Bytes([]byte("bread"))})
	w.server.Put(sealedBucket, s3test.Object{Key: "recipe.instruction", Body: s3test.Bytes([]byte("bake it"))})
	before := w.server.Snapshot(sealedBucket)
	s := w.reseal(t, "run", "s3://"+sealedBucket, "--client-side", "v3", "--cse-kms-key-id", w.keyA, "--source-cse-key-file", w.aesFile,
		"--accept", "instruction-gap,cse-readers", "--job", filepath.Join(w.dir, "job"), "--json", "--no-progress")
	if s.code != 3 {
		t.Errorf("exit code %d\n%s%s", s.code, s.stdout, s.stderr)
	}
	rows := w.rows(t, filepath.Join(w.dir, "job"))
	for _, was := range before.Objects {
		row, name := rows[was.Key], strings.TrimSuffix(was.Key, ".instruction")
		switch {
		case was.Key == "recipe.instruction", was.Key == "v2 whole", was.Key == "v3 whole":
			if row["state"] != "done" {
				t.Errorf("%s: %v", was.Key, row)
			}
		case row["state"] != "left" || w.get(was.Key).ETag != was.ETag:
			t.Errorf("%s: %v", was.Key, row)
		case !strings.HasSuffix(name, "whole") && row["reason"] != "envelope" && row["reason"] != "unknown-envelope":
			t.Errorf("%s is left for the reason %s: %s", was.Key, row["reason"], row["message"])
		}
	}
}

// TestInstructionFileDeletedMeanwhile: where somebody deletes the file between the look at it and
// its replacement, nothing is written in its place, and the row of the object says what is gone.
// It said that the store shows the object and does not find it.
func TestInstructionFileDeletedMeanwhile(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"GetObject", "PutObject"} {
		w := newSealed(t, s3test.Config{Seed: 32}, s3test.BucketConfig{})
		w.inFile(1, "object", cse.V2, cse.Target{Wrap: cse.KMSContext, KMSKeyID: w.keyA})
		var once sync.Once
		w.server.OnRequest(func(r s3test.Request) {
			if r.Op == op && r.Key == "object.instruction" {
				once.Do(func() { w.server.Remove(sealedBucket, "object.instruction", "") })
			}
		})
		w.rewrap("job", 3, "--cse-kms-key-id", w.keyB, "--concurrency", "1")
		rows := w.rows(t, filepath.Join(w.dir, "job"))
		if r := rows["object"]; r["state"] != "left" || r["reason"] != "no-envelope" || !strings.Contains(r["message"], "deleted since") {
			t.Errorf("%s: %v", op, r)
		}
		if n := len(w.server.Snapshot(sealedBucket).Objects); n != 1 {
			t.Errorf("%s: %d objects", op, n)
		}
	}
}
