package job

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/check"
)

// stopped wants a run that stopped on an error, and changed nothing.
func (b *bench) stopped(t *testing.T, j *Job, words ...string) {
	t.Helper()
	before := b.Snapshot("b")
	_, err := j.Run(t.Context(), Options{})
	var unusable *UnusableError
	if err == nil || errors.As(err, &unusable) {
		t.Fatalf("the run: %v, want an error that stops it", err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not mention %q", err, w)
		}
	}
	for _, d := range check.Bucket(b.Server, before, check.Expectation{Intent: func(s3test.Object) check.Intent { return check.Keep }}).Differences {
		t.Error(d)
	}
}

// TestL3VersioningSuspendedSince: where old versions were to be kept, a bucket that
// keeps none any more stops the run with both values.
func TestL3VersioningSuspendedSince(t *testing.T) {
	for _, now := range []string{"Suspended", ""} {
		b := newBench(t, s3test.Config{}, s3test.BucketConfig{Versioning: "Enabled"}, 3)
		j := b.planned(t, Policy{})
		b.ConfigureBucket("b", func(c *s3test.BucketConfig) { c.Versioning = now })
		b.stopped(t, j, "versioning was enabled and is", "set it back")
		b.ConfigureBucket("b", func(c *s3test.BucketConfig) { c.Versioning = "Enabled" })
		if sum, err := j.Run(t.Context(), Options{}); err != nil || sum.Done != 3 {
			t.Errorf("set back: %+v, %v", sum, err)
		}
	}
}

// TestVersioningThatIsUntold: an answer that was broken on its way tells nothing of
// versions, and stops no run as long as another one tells. A store that never tells does.
func TestVersioningThatIsUntold(t *testing.T) {
	b := newBench(t, s3test.Config{}, s3test.BucketConfig{Versioning: "Enabled"}, 3)
	j := b.planned(t, Policy{})
	if err := b.SetRules(`(If GetBucketVersioning EmptyBody)`); err != nil {
		t.Fatal(err)
	}
	b.stopped(t, j, "versioning was enabled and is unknown")
	if err := b.SetRules(`(If (And GetBucketVersioning (First 3)) EmptyBody)`); err != nil {
		t.Fatal(err)
	}
	if sum, err := j.Run(t.Context(), Options{}); err != nil || sum.Done != 3 {
		t.Errorf("told at last: %+v, %v", sum, err)
	}
}

// TestL4LockAndGrantsSince: where Object Lock or ACLs came after the plan, each
// object is decided on anew, and keeps them.
func TestL4LockAndGrantsSince(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*s3test.BucketConfig)
		with   func(*s3test.Attrs)
	}{
		{"lock", func(c *s3test.BucketConfig) { c.ObjectLock = true }, func(a *s3test.Attrs) {
			a.LockMode, a.RetainUntil, a.LegalHold = "GOVERNANCE", time.Now().UTC().Add(time.Hour).Truncate(time.Second), true
		}},
		{"grants", func(c *s3test.BucketConfig) { c.Ownership = "ObjectWriter" }, func(a *s3test.Attrs) {
			a.Grants = []object.Grant{{URI: "http://acs.amazonaws.com/groups/global/AllUsers", Permission: "READ"}}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, s3test.Config{}, s3test.BucketConfig{Versioning: "Enabled"}, 3)
			j := b.planned(t, Policy{})
			b.ConfigureBucket("b", c.change)
			for _, o := range b.Snapshot("b").Objects {
				b.Modify("b", o.Key, o.VersionID, c.with)
			}
			before := b.Snapshot("b")
			if sum, err := j.Run(t.Context(), Options{}); err != nil || sum.Done != 3 {
				t.Fatalf("%+v, %v", sum, err)
			}
			for _, d := range check.Bucket(b.Server, before, check.Expectation{Target: object.Target{SSE: object.SSES3}}).Differences {
				t.Error(d)
			}
		})
	}
}

// TestL7AnotherStoreSince: the endpoint is another store than the one that was
// planned on; what it was never seen to do is not sent.
func TestL7AnotherStoreSince(t *testing.T) {
	b := newBench(t, s3test.Config{}, s3test.BucketConfig{Versioning: "Enabled"}, 3)
	b.spec.Target = Target{SSE: object.SSEKMS, KMSKeyID: b.KMS.CreateKey("alias/new")}
	j := b.planned(t, Policy{})
	b.Close()
	other := s3test.New(s3test.Config{Profile: s3test.MinIO(), Addr: b.Addr()})
	defer other.Close()
	other.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled"})
	for _, key := range []string{"a", "b", "c"} {
		other.Put("b", s3test.Object{Key: key, Body: s3test.Bytes("body"), Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSES3}}})
	}
	other.KMS.CreateKey("alias/new")
	b.Server = other
	b.stopped(t, j, "does not do what it did when the job began")
	for _, r := range other.Requests("UpdateObjectEncryption") {
		if !strings.Contains(r.Key, ".reseal-canary-") {
			t.Errorf("UpdateObjectEncryption was sent to %s", r.Key)
		}
	}
}

// TestM13OldPlanIsInspected: a directory that was copied after its plan, and whose
// copy has run, does nothing twice.
func TestM13OldPlanIsInspected(t *testing.T) {
	b := newBench(t, s3test.Config{Profile: s3test.MinIO()}, s3test.BucketConfig{Versioning: "Enabled"}, 3)
	b.planned(t, Policy{})
	copied := *b
	copied.dir += "-copied"
	copyDir(t, b.dir, copied.dir)
	for i, where := range []*bench{b, &copied} {
		j, err := Open(where.dir)
		if err != nil {
			t.Fatal(err)
		}
		sum, err := j.Run(t.Context(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if want := uint64(3 - 3*i); sum.Done != want || sum.Already != 3-want {
			t.Errorf("run %d: %d done and %d already, want %d done", i, sum.Done, sum.Already, want)
		}
	}
}

// TestNothingIsLostOfAStoreThatIsTheSame: what a later process does not ask any more,
// since this job has no use for it, does not count as lost.
func TestNothingIsLostOfAStoreThatIsTheSame(t *testing.T) {
	for _, p := range append(s3test.Stores(), s3test.Quirks()...) {
		for _, sse := range []object.SSE{object.SSES3, object.SSEKMS} {
			t.Run(p.Name+"/"+sse.String(), func(t *testing.T) {
				b := newBench(t, s3test.Config{Profile: p}, s3test.BucketConfig{Ownership: "ObjectWriter"}, 1)
				b.spec.Target = Target{SSE: sse}
				if sse == object.SSEKMS {
					b.spec.Target.KMSKeyID = "a-key"
					b.KMS.CreateNamedKey("a-key")
				}
				j := b.create(t, Policy{Accept: []Acceptance{"concurrent-writes"}})
				if _, err := j.Plan(t.Context(), PlanOptions{}); err != nil {
					var unusable *UnusableError
					if !errors.As(err, &unusable) {
						t.Errorf("the plan: %v", err)
					}
					return
				}
				for range 2 {
					if _, err := j.Run(t.Context(), Options{}); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
}

// TestACheaperRouteIsNoLoss: where a lost answer hid the cheapest way from the first
// canary, the job goes on by the way that it was planned for.
func TestACheaperRouteIsNoLoss(t *testing.T) {
	full := object.Capabilities{Route: object.RouteSelfCopy, EncryptedRoute: object.RouteSelfCopy, Replace: object.Yes, Multipart: object.Yes}
	for _, c := range []struct {
		was  object.Capabilities
		seen object.Capabilities
		lost int
	}{
		{object.Capabilities{Route: object.RouteReplace, EncryptedRoute: object.RouteMultipart, Replace: object.Yes, Multipart: object.Yes}, full, 0},
		{full, object.Capabilities{Route: object.RouteReplace, EncryptedRoute: object.RouteSelfCopy, Replace: object.Yes, Multipart: object.Yes}, 1},
		{object.Capabilities{Route: object.RouteReplace}, object.Capabilities{Route: object.RouteSelfCopy}, 1},
		{object.Capabilities{Route: object.RouteReplace, Replace: object.Yes}, object.Capabilities{Route: object.RouteNone, Replace: object.Yes}, 1},
	} {
		was := c.was
		if lost := takeUp(&was, &c.seen); len(lost) != c.lost || was.Route != c.was.Route {
			t.Errorf("%+v then, %+v now: %q, %s", c.was, c.seen, lost, was.Route)
		}
	}
}

// TestOthersDidWhatWasLeft: an object that was left before anything was sent, and that others
// have brought under the target since, is not this job's work.
func TestOthersDidWhatWasLeft(t *testing.T) {
	b := newBench(t, s3test.Config{}, s3test.BucketConfig{Versioning: "Enabled"}, 3)
	b.Put("b", s3test.Object{Key: "cold", Body: s3test.Bytes("body"), Attrs: s3test.Attrs{StorageClass: "GLACIER"}})
	j := b.create(t, Policy{})
	sum, err := j.Run(t.Context(), Options{})
	if err != nil || sum.Done != 3 || sum.Left != 1 {
		t.Fatalf("%+v, %v", sum, err)
	}
	b.Put("b", s3test.Object{Key: "cold", Body: s3test.Bytes("body"), Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSES3}}, LastModified: time.Now().Add(time.Minute)})
	sum, err = j.Run(t.Context(), Options{Limits: Limits{RetryFailed: true}})
	if err != nil || sum.Done != 3 || sum.Already != 1 || sum.OldVersions.Objects != 3 {
		t.Errorf("%+v, %v", sum, err)
	}
}
