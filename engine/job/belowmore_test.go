package job

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// wroteBelow has another client write a, below the copy that was just written, and gives its version.
func (b *bench) wroteBelow(then func()) *string {
	other := new(string)
	b.overtaken(func(key string) {
		if key == "a" {
			*other = b.PutBelow("b", s3test.Object{Key: key, Body: s3test.Bytes("newer")})
			then()
		}
	})
	return other
}

// wantKept fails unless a holds the copy over the other client's write, and its row says so.
func (b *bench) wantKept(t *testing.T, j *Job, other string, words ...string) {
	t.Helper()
	if vs := b.Snapshot("b").Find("a"); len(vs) != 3 || describeVersion(vs[0]) != "body sse-s3" || vs[1].VersionID != other {
		t.Errorf("%+v", vs)
	}
	said := b.said(t, j)["a"]
	for _, w := range append(words, other) {
		if !strings.Contains(said, w) {
			t.Errorf("it is said: %q, without %q", said, w)
		}
	}
}

// TestACopyThatOthersTagged: what another client says of the object after its write, which lies below the
// copy by then, is said of the copy, which stays.
func TestACopyThatOthersTagged(t *testing.T) {
	b := newBench(t, s3test.Config{Profile: s3test.MinIO()}, s3test.BucketConfig{Versioning: "Enabled"}, 2)
	other := b.wroteBelow(func() {
		b.Modify("b", "a", "", func(a *s3test.Attrs) { a.Tags = []object.Tag{{Key: "theirs", Value: "yes"}} })
	})
	j := b.create(t, Policy{})
	if sum, err := j.Run(t.Context(), Options{Limits: Limits{Concurrency: 1}}); err != nil || sum.Done != 1 || sum.Failed != 1 {
		t.Errorf("%+v, %v", sum, err)
	}
	b.wantKept(t, j, *other, "other tags")
	if vs := b.Snapshot("b").Find("a"); len(vs[0].Tags) != 1 {
		t.Errorf("%+v", vs[0].Tags)
	}
}

// TestACopyWithoutAnswerOverAWrite: what was made by a request without an answer is looked at as well. It
// may be another client's, and stays.
func TestACopyWithoutAnswerOverAWrite(t *testing.T) {
	b := newBench(t, s3test.Config{Profile: s3test.MinIO()}, s3test.BucketConfig{Versioning: "Enabled"}, 2)
	if err := b.SetRules(`(If (And Put (Key "a") (First 1)) ReplyLost)`); err != nil {
		t.Fatal(err)
	}
	other := b.wroteBelow(func() {})
	j := b.create(t, Policy{})
	if sum, err := j.Run(t.Context(), Options{Limits: Limits{Concurrency: 1}}); err != nil || sum.Done != 1 || sum.Failed != 1 {
		t.Errorf("%+v, %v", sum, err)
	}
	b.wantKept(t, j, *other, "got no answer")
}

// TestACopyOfAVersionOverAWriteThatNobodySaw: so does a process that goes on with a job about versions.
func TestACopyOfAVersionOverAWriteThatNobodySaw(t *testing.T) {
	b := newBench(t, s3test.Config{Profile: s3test.MinIO()}, s3test.BucketConfig{Versioning: "Enabled"}, 2)
	b.spec.Selection.Versions = "all"
	ctx, die := context.WithCancel(t.Context())
	other := b.wroteBelow(die)
	j := b.create(t, Policy{})
	if _, err := j.Run(ctx, Options{Limits: Limits{Concurrency: 1}}); err == nil {
		t.Fatal("nobody died")
	}
	if sum, err := j.Run(t.Context(), Options{}); err != nil || sum.Done != 1 || sum.Failed != 1 {
		t.Errorf("%+v, %v", sum, err)
	}
	b.wantKept(t, j, *other, "is a copy of version")
}

// TestAnObjectThatHeldTheSameBefore: an object that is as it was planned is no copy that this job made.
func TestAnObjectThatHeldTheSameBefore(t *testing.T) {
	p := s3test.MinIO()
	p.ListMetadata = false
	b := newBench(t, s3test.Config{Profile: p}, s3test.BucketConfig{Versioning: "Enabled"}, 1)
	for i, body := range []string{"body", "other", "body"} {
		for _, key := range []string{"b", "folder/"} {
			b.Put("b", s3test.Object{Key: key, Body: s3test.Bytes(body), LastModified: time.Date(2026, 1, 1+i, 0, 0, 0, 0, time.UTC),
				Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSES3}}})
		}
	}
	ctx, die := context.WithCancel(t.Context())
	b.overtaken(func(string) { die() })
	j := b.create(t, Policy{})
	if _, err := j.Run(ctx, Options{Limits: Limits{Concurrency: 1}}); err == nil {
		t.Fatal("nobody died")
	}
	if sum, err := j.Run(t.Context(), Options{}); err != nil || sum.Failed != 0 || sum.Done+sum.Already != 3 || strings.Contains(b.said(t, j)["folder/"], "written since") {
		t.Errorf("%+v, %v: %v", sum, err, b.said(t, j))
	}
}

// TestBelowACopyBehindManyOthers: a page of versions that does not come as far as what was written shows
// nothing of it.
func TestBelowACopyBehindManyOthers(t *testing.T) {
	b := newBench(t, s3test.Config{Profile: s3test.MinIO()}, s3test.BucketConfig{Versioning: "Enabled"}, 2)
	b.Fill("b", 1100, func(i int) string { return "`é" + strconv.Itoa(i) }, s3test.Bytes("x"), s3test.Attrs{})
	b.spec.Selection.Patterns = []Pattern{{Glob: "`*"}}
	other := b.wroteBelow(func() {})
	j := b.create(t, Policy{})
	if sum, err := j.Run(t.Context(), Options{Limits: Limits{Concurrency: 1}}); err != nil || sum.Done != 2 {
		t.Errorf("%+v, %v", sum, err)
	}
	if vs := b.Snapshot("b").Find("a"); len(vs) != 3 || describeVersion(vs[0]) != "newer sse-s3" || vs[1].VersionID != *other {
		t.Errorf("%s, %s", describeVersion(vs[0]), b.said(t, j)["a"])
	}
}
