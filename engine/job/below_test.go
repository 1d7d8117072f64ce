package job

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// overtaken has f called once for each key of the job, when its first copy has been written and before
// that is answered.
func (b *bench) overtaken(f func(key string)) {
	var seen sync.Map
	b.OnEffect(func(r s3test.Request) {
		if r.Op != "PutObject" || strings.Contains(r.Key, object.ThrowawayMark) {
			return
		}
		if _, again := seen.LoadOrStore(r.Key, true); !again {
			f(r.Key)
		}
	})
}

// TestWritesBelowACopyAreCurrentAgain: a write of another client that the store answers with success and
// keeps below the copy of what was there before is what the object holds in the end.
func TestWritesBelowACopyAreCurrentAgain(t *testing.T) {
	b := newBench(t, s3test.Config{Profile: s3test.MinIO()}, s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true,
		Deny: []s3test.Deny{{Action: "s3:DeleteObjectVersion", Keys: "d*"}}}, 6)
	others, above := map[string]string{}, ""
	b.overtaken(func(key string) {
		newer := s3test.Object{Key: key, Body: s3test.Bytes("newer")}
		switch key {
		case "a", "d":
			others[key] = b.PutBelow("b", newer)
		case "b":
			newer.DeleteMarker = true
			others[key] = b.PutBelow("b", newer)
		case "e":
			others[key] = b.PutBelow("b", newer)
			above = b.Put("b", s3test.Object{Key: key, Body: s3test.Bytes("newest")})
		}
	})
	before := b.Snapshot("b")
	j := b.create(t, Policy{})
	sum, err := j.Run(t.Context(), Options{Limits: Limits{Concurrency: 1}})
	if err != nil || sum.Done != 4 || sum.Left != 1 || sum.Failed != 1 {
		t.Errorf("%+v, %v", sum, err)
	}
	now := b.Snapshot("b")
	for _, o := range before.Objects {
		if !has(now.Find(o.Key), o.VersionID) {
			t.Errorf("what was there before is gone: %s, %s", o.Key, o.VersionID)
		}
	}
	for key, id := range others {
		if !has(now.Find(key), id) {
			t.Errorf("%s, which another client wrote, is gone: %s", id, key)
		}
	}
	for key, want := range map[string]string{"a": "newer sse-s3", "b": "marker", "c": "body sse-s3", "d": "body sse-s3", "f": "body sse-s3"} {
		vs := now.Find(key)
		if got := describeVersion(vs[0]); got != want || len(vs) != map[string]int{"a": 3, "b": 2, "c": 2, "d": 3, "f": 2}[key] {
			t.Errorf("%s holds %q in the end, of %d versions, want %q", key, got, len(vs), want)
		}
	}
	if vs := now.Find("e"); vs[0].VersionID != above && vs[1].VersionID != above {
		t.Errorf("what was written last is not what e holds: %+v", vs)
	}
	said := b.said(t, j)
	for key, words := range map[string][]string{"a": {others["a"], "which was removed"}, "b": {"deleted since", others["b"]}, "d": {others["d"], "s3:DeleteObjectVersion"}} {
		for _, w := range words {
			if !strings.Contains(said[key], w) {
				t.Errorf("of %s it is said: %q, without %q", key, said[key], w)
			}
		}
	}
}

// TestACopyOverAWriteThatNobodySaw: a process that dies before it could look leaves a copy over another
// client's write. Whose the copy is cannot be proved by the next one, which removes nothing and says so.
func TestACopyOverAWriteThatNobodySaw(t *testing.T) {
	b := newBench(t, s3test.Config{Profile: s3test.MinIO()}, s3test.BucketConfig{Versioning: "Enabled"}, 3)
	ctx, die := context.WithCancel(t.Context())
	other := ""
	b.overtaken(func(key string) {
		switch key {
		case "b":
			other = b.PutBelow("b", s3test.Object{Key: key, Body: s3test.Bytes("newer")})
		case "c":
			die()
		}
	})
	j := b.create(t, Policy{})
	if _, err := j.Run(ctx, Options{Limits: Limits{Concurrency: 1}}); err == nil {
		t.Fatal("nobody died")
	}
	sum, err := j.Run(t.Context(), Options{})
	if err != nil || sum.Done+sum.Already != 2 || sum.Failed != 1 {
		t.Errorf("%+v, %v", sum, err)
	}
	if vs := b.Snapshot("b").Find("b"); len(vs) != 3 || describeVersion(vs[0]) != "body sse-s3" || vs[1].VersionID != other {
		t.Errorf("%+v", vs)
	}
	if said := b.said(t, j)["b"]; !strings.Contains(said, other) || !strings.Contains(said, "is a copy of version") {
		t.Errorf("it is said: %q", said)
	}
}

// TestLooksBelowThePrefix: whoever may list below a prefix alone can look, also where that is an object's key.
func TestLooksBelowThePrefix(t *testing.T) {
	b := newBench(t, s3test.Config{Profile: s3test.MinIO()}, s3test.BucketConfig{Versioning: "Enabled"}, 0)
	for _, key := range []string{"docs", "docs/a", "docs/b", "other"} {
		b.Put("b", s3test.Object{Key: key, Body: s3test.Bytes("body")})
	}
	b.spec.Source.Prefix = "docs"
	j := b.create(t, Policy{})
	if sum, err := j.Run(t.Context(), Options{}); err != nil || sum.Done != 3 {
		t.Fatalf("%+v, %v", sum, err)
	}
	looks := 0
	for _, r := range b.Requests("ListObjectVersions") {
		prefix := strings.Join(r.Query["prefix"], "")
		if looks++; !strings.HasPrefix(prefix, "docs") {
			t.Errorf("versions below %q are listed", prefix)
		}
	}
	if looks == 0 {
		t.Error("nobody looked")
	}
}

// said is what the rows of the job say, by key.
func (b *bench) said(t *testing.T, j *Job) map[string]string {
	t.Helper()
	r, err := j.openRecords()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	said := map[string]string{}
	if err := r.Rows(func(task *object.Task, o *object.Outcome) error { said[task.Object.Key] = o.Message; return nil }); err != nil {
		t.Fatal(err)
	}
	return said
}

func has(vs []s3test.Object, id string) bool {
	for _, v := range vs {
		if v.VersionID == id {
			return true
		}
	}
	return false
}

func describeVersion(o s3test.Object) string {
	if o.DeleteMarker {
		return "marker"
	}
	return fmt.Sprint(string(o.Body.ReadAll()), " ", o.Encryption.Type)
}
