package job

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// wantTheirs fails unless a holds what the other client wrote, under the new encryption, and nothing of the
// job's own lies in between.
func (b *bench) wantTheirs(t *testing.T, j *Job, other string) {
	t.Helper()
	if vs := b.Snapshot("b").Find("a"); len(vs) != 3 || describeVersion(vs[0]) != "newer sse-s3" || vs[1].VersionID != other {
		t.Errorf("a holds %q in the end, of %d versions: %q", describeVersion(vs[0]), len(vs), b.said(t, j)["a"])
	}
}

// TestBelowACopyOfANullVersion: what was there before versions were kept has no version ID in what MinIO
// answers, and is looked at all the same.
func TestBelowACopyOfANullVersion(t *testing.T) {
	b := newBench(t, s3test.Config{Profile: s3test.MinIO()}, s3test.BucketConfig{}, 2)
	b.ConfigureBucket("b", func(c *s3test.BucketConfig) { c.Versioning = "Enabled" })
	other := b.wroteBelow(func() {})
	j := b.create(t, Policy{})
	if sum, err := j.Run(t.Context(), Options{Limits: Limits{Concurrency: 1}}); err != nil || sum.Done != 2 {
		t.Errorf("%+v, %v", sum, err)
	}
	b.wantTheirs(t, j, *other)
}

// TestANullVersionThatIsCurrent: such a version is the current one also where it was planned by its ID and
// is looked at again.
func TestANullVersionThatIsCurrent(t *testing.T) {
	b := newBench(t, s3test.Config{Profile: s3test.MinIO()}, s3test.BucketConfig{}, 1)
	b.ConfigureBucket("b", func(c *s3test.BucketConfig) { c.Versioning = "Enabled" })
	b.spec.Selection.Versions = "all"
	if err := b.SetRules(`(If (And Put (Key "a") (First 1)) Failed)`); err != nil {
		t.Fatal(err)
	}
	j := b.create(t, Policy{})
	if sum, err := j.Run(t.Context(), Options{}); err != nil || sum.Done != 1 {
		t.Errorf("%+v, %v: %v", sum, err, b.said(t, j))
	}
}

// TestBelowWhereNobodyTellsOfVersions: whoever may not read whether versions are kept looks where one was made.
func TestBelowWhereNobodyTellsOfVersions(t *testing.T) {
	b := newBench(t, s3test.Config{Profile: s3test.MinIO()}, s3test.BucketConfig{Versioning: "Enabled",
		Deny: []s3test.Deny{{Action: "s3:GetBucketVersioning"}}}, 2)
	other := b.wroteBelow(func() {})
	j := b.create(t, Policy{})
	if sum, err := j.Run(t.Context(), Options{Limits: Limits{Concurrency: 1}}); err != nil || sum.Done != 2 {
		t.Errorf("%+v, %v", sum, err)
	}
	b.wantTheirs(t, j, *other)
}

// TestTheAnswerToATakingBackIsLost: whether a version that was to be removed is gone is asked before it is
// said that it could not be.
func TestTheAnswerToATakingBackIsLost(t *testing.T) {
	for _, fault := range []string{"ReplyLost", "Failed", "Throttled"} {
		t.Run(fault, func(t *testing.T) {
			b := newBench(t, s3test.Config{Profile: s3test.MinIO()}, s3test.BucketConfig{Versioning: "Enabled"}, 2)
			if err := b.SetRules(`(If (And DeleteObject (Key "a") (First 1)) ` + fault + `)`); err != nil {
				t.Fatal(err)
			}
			other := b.wroteBelow(func() {})
			j := b.create(t, Policy{})
			if sum, err := j.Run(t.Context(), Options{Limits: Limits{Concurrency: 1}}); err != nil || sum.Done != 2 {
				t.Errorf("%+v, %v", sum, err)
			}
			b.wantTheirs(t, j, *other)
		})
	}
}

// TestAStopBeforeAnybodyLooked: what could not be looked at, since the run was stopped, is not done, and
// the next run looks.
func TestAStopBeforeAnybodyLooked(t *testing.T) {
	b := newBench(t, s3test.Config{Profile: s3test.MinIO()}, s3test.BucketConfig{Versioning: "Enabled"}, 1)
	stop := make(chan struct{})
	other := b.wroteBelow(func() {
		if err := b.SetRules(`(If ListObjectVersions Throttled)`); err != nil {
			t.Error(err)
		}
		close(stop)
	})
	j := b.create(t, Policy{})
	if sum, _ := j.Run(t.Context(), Options{Limits: Limits{Concurrency: 1}, Stop: stop}); sum.Remaining != 1 {
		t.Errorf("%+v", sum)
	}
	if err := b.SetRules(""); err != nil {
		t.Fatal(err)
	}
	if sum, err := j.Run(t.Context(), Options{}); err != nil || sum.Failed != 1 {
		t.Errorf("%+v, %v", sum, err)
	}
	b.wantKept(t, j, *other, "is a copy of version")
}

// TestTheSameTwiceIsNoOther: a request without an answer that takes effect after all, before the one that
// was sent after it, has made no other client's version.
func TestTheSameTwiceIsNoOther(t *testing.T) {
	b := newBench(t, s3test.Config{Profile: s3test.MinIO()}, s3test.BucketConfig{Versioning: "Enabled"}, 2)
	if err := b.SetRules(`(If (And Put (Key "a") (First 1)) (Unapplied ReplyLost))`); err != nil {
		t.Fatal(err)
	}
	puts, late := 0, ""
	b.OnEffect(func(r s3test.Request) {
		if r.Op == "PutObject" && r.Key == "a" {
			if puts++; puts == 2 {
				late = b.PutBelow("b", s3test.Object{Key: "a", Body: s3test.Bytes("body"), Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSES3}}})
			}
		}
	})
	j := b.create(t, Policy{})
	if sum, err := j.Run(t.Context(), Options{Limits: Limits{Concurrency: 1}}); err != nil || sum.Done != 2 {
		t.Errorf("%+v, %v: %v", sum, err, b.said(t, j))
	}
	if vs := b.Snapshot("b").Find("a"); len(vs) != 3 || vs[1].VersionID != late || strings.Contains(b.said(t, j)["a"], "another client") {
		t.Errorf("%d versions, %q", len(vs), b.said(t, j)["a"])
	}
}

// TestWhatIsOlderWasNotCopied: a process that goes on with a job asks for nothing of versions that are older
// than what was planned, one of which it may not be able to read.
func TestWhatIsOlderWasNotCopied(t *testing.T) {
	b := newBench(t, s3test.Config{Profile: s3test.MinIO()}, s3test.BucketConfig{Versioning: "Enabled"}, 0)
	older := func(day int, body string, with ...s3test.PutOption) {
		b.Put("b", s3test.Object{Key: "a", Body: s3test.Bytes(body), LastModified: time.Date(2026, 1, day, 0, 0, 0, 0, time.UTC)}, with...)
	}
	key, err := object.ParseCustomerKey([]byte("01234567890123456789012345678901"))
	if err != nil {
		t.Fatal(err)
	}
	older(1, "secret", s3test.CustomerKey(key))
	older(2, "was planned")
	ctx, die := context.WithCancel(t.Context())
	b.OnRequest(func(r s3test.Request) {
		if r.Op == "PutObject" && r.Key == "a" && ctx.Err() == nil {
			b.Put("b", s3test.Object{Key: "a", Body: s3test.Bytes("others"), Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSES3}}})
			die()
		}
	})
	j := b.create(t, Policy{})
	if _, err := j.Run(ctx, Options{Limits: Limits{Concurrency: 1}}); err == nil {
		t.Fatal("nobody died")
	}
	if sum, err := j.Run(t.Context(), Options{}); err != nil || sum.Done+sum.Already != 1 {
		t.Errorf("%+v, %v: %v", sum, err, b.said(t, j))
	}
}

// TestAFolderThatWasDeletedSince: what a HEAD shows of a key that ends with a slash has another ETag than the
// reply to the copy named, also where another client has deleted it since.
func TestAFolderThatWasDeletedSince(t *testing.T) {
	b := newBench(t, s3test.Config{Profile: s3test.MinIO()}, s3test.BucketConfig{Versioning: "Enabled"}, 0)
	b.Put("b", s3test.Object{Key: "f/", Body: s3test.Bytes("")})
	b.overtaken(func(key string) { b.Put("b", s3test.Object{Key: key, DeleteMarker: true}) })
	j := b.create(t, Policy{Verify: VerifyHead})
	if sum, err := j.Run(t.Context(), Options{}); err != nil || sum.Done != 1 || !strings.Contains(b.said(t, j)["f/"], "deleted by another client since") {
		t.Errorf("%+v, %v: %v", sum, err, b.said(t, j))
	}
}

// TestACopyOfWhatIsGone: a copy over another client's write that is all that is left of what it was made of
// stays, and its row says so.
func TestACopyOfWhatIsGone(t *testing.T) {
	b := newBench(t, s3test.Config{Profile: s3test.MinIO()}, s3test.BucketConfig{Versioning: "Enabled"}, 1)
	was := b.Put("b", s3test.Object{Key: "a", Body: s3test.Bytes("body"), LastModified: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)})
	b.Remove("b", "a", b.Snapshot("b").Find("a")[1].VersionID)
	other := b.wroteBelow(func() { b.Remove("b", "a", was) })
	j := b.create(t, Policy{})
	if sum, err := j.Run(t.Context(), Options{}); err != nil || sum.Failed != 1 {
		t.Errorf("%+v, %v", sum, err)
	}
	if vs := b.Snapshot("b").Find("a"); len(vs) != 2 || vs[1].VersionID != *other || !strings.Contains(b.said(t, j)["a"], *other) {
		t.Errorf("%d versions, %q", len(vs), b.said(t, j)["a"])
	}
}
