package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/check"
)

// TestOtherWritersOnAConditionalStore: a store that honours If-Match on CopyObject
// loses no write of another client, whatever the guard and the operation: of 1,000
// overwrites, each falls between the moment at which the run has decided on the
// object and the one at which its request takes effect.
func TestOtherWritersOnAConditionalStore(t *testing.T) {
	t.Parallel()
	const objects, overwrites = 100, 1000
	for _, way := range []struct {
		name string
		args []string
	}{{"copy", []string{"--operation", "copy"}}, {"copy-strict", []string{"--operation", "copy", "--guard", "strict"}}, {"parts", inParts}, {"update", nil}} {
		t.Run(way.name, func(t *testing.T) {
			st := newStage(t, s3test.Config{Seed: 11})
			st.server.CreateBucket("b", s3test.BucketConfig{})
			key := func(i int) string { return fmt.Sprintf("k%02d", i) }
			for i := range objects {
				st.server.Put("b", s3test.Object{Key: key(i), Body: s3test.Bytes("the first"), Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSES3}}})
			}
			var mu sync.Mutex
			last, n, runs := map[string]string{}, 0, 0
			st.server.OnRequest(func(r s3test.Request) {
				switch r.Op {
				case "CopyObject", "CompleteMultipartUpload", "UpdateObjectEncryption", "UploadPartCopy":
				default:
					return
				}
				mu.Lock()
				defer mu.Unlock()
				if !strings.HasPrefix(r.Key, "k") || n >= overwrites {
					return
				}
				n++
				last[r.Key] = fmt.Sprintf("overwrite %d", n)
				st.server.Put("b", s3test.Object{Key: r.Key, Body: s3test.Bytes(last[r.Key]), Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSES3}}})
			})
			done := func() bool { mu.Lock(); defer mu.Unlock(); return n >= overwrites }
			for ended := false; !ended; runs++ {
				ended = done() // one more run in peace
				if runs > 40 {
					t.Fatalf("%d overwrites in %d runs", n, runs)
				}
				args := []string{"run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyA, "--no-progress", "--job", filepath.Join(t.TempDir(), fmt.Sprint("job", runs))}
				if end := st.reseal(t, append(args, way.args...)...); end.code != 0 && end.code != 3 {
					t.Fatalf("exit code %d\n%s", end.code, end.stderr)
				}
				if way.name == "update" && !ended { // what is updated already is of no interest to the next run
					for i := range objects {
						st.server.Modify("b", key(i), "", func(a *s3test.Attrs) { a.Encryption = object.Encryption{Type: object.SSES3} })
					}
				}
			}
			lost := 0
			for i := range objects {
				o, _ := st.server.Get("b", key(i), "")
				if want := last[key(i)]; want != "" && string(o.Body.ReadAll()) != want {
					lost++
					t.Errorf("%q holds %q, and %q was written last", o.Key, o.Body.ReadAll(), want)
				}
				if o.Encryption.KMSKeyID != st.keyA {
					t.Errorf("%q is under %v in the end", o.Key, o.Encryption)
				}
			}
			t.Logf("%d overwrites during %d runs, %d lost", n, runs, lost)
		})
	}
}

// TestDest writes to another bucket under another prefix. A second job finds all
// of it there, an object that is another one is left alone, and the sources stay
// as they were.
func TestDest(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 12})
	st.server.CreateBucket("from", s3test.BucketConfig{Ownership: "ObjectWriter", Documents: website})
	st.server.CreateBucket("to", s3test.BucketConfig{Ownership: "ObjectWriter", Versioning: "Enabled", Documents: website})
	for i := range 20 {
		o := fullObject(i, int64(i)*50)
		o.Key = fmt.Sprintf("in/é %02d", i)
		o.Encryption = object.Encryption{Type: object.SSEKMS, KMSKeyID: st.keyA} // ETags say nothing
		var with []s3test.PutOption
		if i == 7 {
			o.Body = s3test.Synthetic(9, 130*mib)
			with = inPieces("SHA256", "COMPOSITE", 65*mib, 65*mib)(&o)
		}
		st.server.Put("from", o, with...)
	}
	foreign := s3test.Object{Key: "out/é 03", Body: s3test.Bytes("somebody else's")}
	foreign.Encryption = object.Encryption{Type: object.SSEKMS, KMSKeyID: st.keyB}
	st.server.Put("to", foreign)
	from, to := st.server.Snapshot("from"), st.server.Snapshot("to")
	target := object.Target{SSE: object.SSEKMS, KMSKeyID: st.keyB}
	args := []string{"run", "s3://from/in/", "--dest", "s3://to/out/", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--no-progress", "--verify", "read", "--job"}
	for run, want := range []map[string]int{{"done": 19, "left": 1}, {"already": 19, "left": 1}} {
		job := filepath.Join(t.TempDir(), "job")
		if end := st.reseal(t, append(args, job)...); end.code != 3 {
			t.Fatalf("run %d: exit code %d, want 3 because of the object that is left\n%s", run, end.code, end.stderr)
		}
		states := map[string]int{}
		for _, row := range st.rows(t, job) {
			states[row["state"]]++
			if row["state"] == "left" && (row["reason"] != string(object.ReasonForeign) || row["key"] != "in/é 03") || row["state"] == "failed" {
				t.Errorf("row %v", row)
			}
		}
		if fmt.Sprint(states) != fmt.Sprint(want) {
			t.Errorf("run %d: %v, want %v", run, states, want)
		}
	}
	st.differences(t, from, check.Expectation{Target: target, Intent: untouched})
	after := st.server.Snapshot("to")
	if len(after.Objects) != 20 || len(after.Uploads) != 0 || len(after.Find("out/é 03")) != 1 || after.Find("out/é 03")[0].ETag != to.Objects[0].ETag {
		t.Errorf("the destination holds %d versions and %d uploads, or the foreign object was touched", len(after.Objects), len(after.Uploads))
	}
	st.sameElsewhere(t, from, after, target)
}

// sameElsewhere compares copies in another bucket, as if they had been made in
// place.
func (st *stage) sameElsewhere(t *testing.T, from, to s3test.Bucket, target object.Target) {
	t.Helper()
	moved := s3test.Bucket{Name: from.Name, Exists: true, Config: from.Config}
	for _, o := range from.Objects {
		if o.Key == "in/é 03" {
			moved.Objects = append(moved.Objects, o)
			continue
		}
		for _, c := range to.Find(strings.Replace(o.Key, "in/", "out/", 1)) {
			c.Key, c.VersionID = o.Key, o.VersionID
			moved.Objects = append(moved.Objects, c)
		}
	}
	for _, d := range check.Compare(from, moved, check.Expectation{Target: target, Intent: only(func(o s3test.Object) bool { return o.Key != "in/é 03" })}).Differences {
		t.Errorf("%v", d)
	}
}

// TestStampMtime keeps the date that a copy cannot keep, where nobody kept one
// before, and loses nothing for it.
func TestStampMtime(t *testing.T) {
	t.Parallel()
	for _, way := range []struct {
		name string
		args []string
	}{{"copy", nil}, {"parts", inParts}} {
		t.Run(way.name, func(t *testing.T) {
			st := newStage(t, s3test.Config{Seed: 13})
			st.server.CreateBucket("b", s3test.BucketConfig{Ownership: "ObjectWriter", Documents: website})
			for i := range 6 {
				o := fullObject(i, int64(i))
				o.Key = fmt.Sprint("k", i)
				if i == 5 {
					o.Metadata = map[string]string{"mtime": "12345"}
				}
				st.server.Put("b", o)
			}
			before := st.server.Snapshot("b")
			target := object.Target{SSE: object.SSES3, StampMtime: true}
			args := []string{"run", "s3://b", "--sse", "AES256", "--stamp-mtime", "--verify", "read", "--no-progress", "--job", filepath.Join(t.TempDir(), "job")}
			if end := st.reseal(t, append(args, way.args...)...); end.code != 0 {
				t.Fatalf("exit code %d\n%s", end.code, end.stderr)
			}
			st.differences(t, before, check.Expectation{Target: target})
			for _, o := range before.Objects {
				want := fmt.Sprint(o.LastModified.Unix())
				if o.Metadata["mtime"] != "" {
					want = o.Metadata["mtime"]
				}
				if is, _ := st.server.Get("b", o.Key, ""); is.Metadata["mtime"] != want {
					t.Errorf("%q has mtime %q, want %q", o.Key, is.Metadata["mtime"], want)
				}
			}
		})
	}
}

// TestAllVersions: an update reaches every version where it is, of both kinds
// of buckets; a copy reaches the current one only, and says why it left the rest.
// Delete markers and versions under the target stay as they are.
func TestAllVersions(t *testing.T) {
	t.Parallel()
	for _, versioning := range []string{"Enabled", "Suspended"} {
		for _, operation := range []string{"auto", "copy"} {
			t.Run(operation+"/"+cell(versioning), func(t *testing.T) {
				st := newStage(t, s3test.Config{Seed: 14})
				st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled"})
				st.history("b")
				st.server.ConfigureBucket("b", func(c *s3test.BucketConfig) { c.Versioning = versioning })
				before := st.server.Snapshot("b")
				target := object.Target{SSE: object.SSEKMS, KMSKeyID: st.keyB}
				job := filepath.Join(t.TempDir(), "job")
				end := st.reseal(t, "run", "s3://b", "--versions", "all", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--operation", operation, "--no-progress", "--job", job)
				if want := map[string]int{"auto": 0, "copy": 3}[operation]; end.code != want {
					t.Errorf("exit code %d, want %d\n%s", end.code, want, end.stderr)
				}
				want := check.Expectation{Target: target, Operation: object.OpUpdate, Intent: func(o s3test.Object) check.Intent {
					if o.DeleteMarker {
						return check.Keep
					}
					return check.Change
				}}
				if operation == "copy" {
					want.Operation = object.OpUndecided
					want.Intent = only(func(o s3test.Object) bool {
						return versioning == "Enabled" || o.VersionID == "null" || !hasNull(before.Find(o.Key))
					})
				}
				st.differences(t, before, want)
				for id, row := range st.rows(t, job) {
					if row["state"] == "failed" || row["state"] == "left" && row["reason"] != "noncurrent" && row["reason"] != "null-version" {
						t.Errorf("%s: %v", id, row)
					}
				}
			})
		}
	}
}

func hasNull(versions []s3test.Object) bool {
	return slices.ContainsFunc(versions, func(o s3test.Object) bool { return o.VersionID == "null" })
}

// history stores keys with several versions: null ones at either end, delete
// markers at either end, one under the target already.
func (st *stage) history(bucket string) {
	for i, versions := range [][]string{{"a"}, {"a", "b", "c"}, {"null", "a", "b"}, {"a", "null"}, {"a", "marker"}, {"a", "marker", "b"}, {"target", "a"}, {"a", "target"}} {
		for n, id := range versions {
			o := fullObject(i*10+n, int64(100+n))
			o.Key, o.Grants, o.VersionID = fmt.Sprintf("k%d", i), nil, fmt.Sprint("version-", id)
			o.Encryption = object.Encryption{Type: object.SSEKMS, KMSKeyID: st.keyA}
			switch id {
			case "null":
				o.VersionID = "null"
			case "target":
				o.Encryption.KMSKeyID = st.keyB
			case "marker":
				o = s3test.Object{Key: o.Key, VersionID: o.VersionID, DeleteMarker: true}
			}
			st.server.Put(bucket, o)
		}
	}
}
