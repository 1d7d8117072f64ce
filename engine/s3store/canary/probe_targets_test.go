package canary_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/engine/s3test"
)

// TestProbeTargets asks a faithful store and two that are not, over TLS, about
// every target, with and without sources under SSE-C.
func TestProbeTargets(t *testing.T) {
	ignoresKey := s3test.Profile{Name: "ignores customer keys", Encryption: s3test.EncryptNothing}
	for _, p := range []s3test.Profile{s3test.AWS(), s3test.Ceph16(), ignoresKey} {
		srv := s3test.New(s3test.Config{Profile: p, TLS: true})
		defer srv.Close()
		srv.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled"})
		ca := filepath.Join(t.TempDir(), "ca.pem")
		if err := os.WriteFile(ca, srv.CAPEM(), 0o600); err != nil {
			t.Fatal(err)
		}
		s := openFake(t, srv, s3store.Options{CABundle: ca})
		key := srv.KMS.CreateNamedKey("k")
		if p.KeyAsGiven {
			key = "k"
		}
		for name, target := range map[string]object.Target{
			"AES256":    {SSE: object.SSES3},
			"KMS":       {SSE: object.SSEKMS, KMSKeyID: key},
			"its key":   {SSE: object.SSEKMS},
			"DSSE":      {SSE: object.DSSEKMS, KMSKeyID: key},
			"SSE-C":     {SSE: object.SSEC, CustomerKey: customerKey(t)},
			"SSE-C too": {SSE: object.SSEC, CustomerKey: customerKey(t), SourceKey: customerKey(t)},
			"from SSEC": {SSE: object.SSEKMS, KMSKeyID: key, SourceKey: customerKey(t)},
		} {
			t.Run(p.Name+"/"+name, func(t *testing.T) {
				got, err := s.Probe(t.Context(), s3store.ProbeOptions{Bucket: "b", Prefix: "p/", Target: target,
					Facts: object.BucketFacts{Versioning: object.VersioningEnabled, ACLsDisabled: object.Yes}})
				if err != nil {
					t.Fatal(err)
				}
				want := object.Capabilities{Encrypts: object.Yes, Route: object.RouteSelfCopy, EncryptedRoute: object.RouteSelfCopy}
				switch p.Name {
				case "Ceph16":
					want.Route, want.EncryptedRoute = object.RouteMultipart, object.RouteMultipart
					switch name {
					case "AES256": // answers 200 and does nothing
						want = object.Capabilities{Encrypts: object.No}
					case "its key", "DSSE": // refused
						want = object.Capabilities{}
					}
				case ignoresKey.Name:
					want = object.Capabilities{Encrypts: object.No}
				}
				if got.Encrypts != want.Encrypts || got.Route != want.Route || got.EncryptedRoute != want.EncryptedRoute {
					t.Errorf("encrypts %v, routes %v and %v; want %v, %v and %v\n%s", got.Encrypts, got.Route, got.EncryptedRoute,
						want.Encrypts, want.Route, want.EncryptedRoute, strings.Join(got.Notes, "\n"))
				}
				if left := srv.Snapshot("b"); len(left.Objects) > 0 {
					t.Errorf("left behind: %+v", left.Objects)
				}
				if name == "its key" && p.Name == "AWS" && got.ShownKeyID != srv.KMS.DefaultKeyARN() {
					t.Errorf("the key of the store is shown as %q", got.ShownKeyID)
				}
			})
		}
	}
}

// TestProbePermissions: what may not be done is unknown, not absent, and what
// could not be removed is said.
func TestProbePermissions(t *testing.T) {
	for _, tc := range []struct {
		deny  []string
		class object.Class // of the error
		left  bool
		check func(*object.Capabilities) bool
	}{
		{[]string{"s3:PutObject"}, object.ClassDenied, false, nil},
		{[]string{"s3:GetObject"}, object.ClassDenied, false, nil},
		{[]string{"s3:DeleteObject", "s3:DeleteObjectVersion"}, object.ClassDenied, true, nil},
		{[]string{"s3:UpdateObjectEncryption"}, object.ClassOther, false, func(c *object.Capabilities) bool { return c.Update == object.No && c.Encrypts == object.Yes }},
		{[]string{"s3:GetObjectAttributes"}, object.ClassOther, false, func(c *object.Capabilities) bool { return c.GetAttributes == object.Unknown }},
		{[]string{"s3:GetObjectAcl"}, object.ClassOther, false, func(c *object.Capabilities) bool { return c.GetACL == object.Unknown }},
		{[]string{"s3:PutObjectAcl"}, object.ClassOther, false, func(c *object.Capabilities) bool { return c.PutACL == object.Unknown }},
	} {
		t.Run(strings.Join(tc.deny, ","), func(t *testing.T) {
			srv := s3test.New(s3test.Config{})
			defer srv.Close()
			cfg := s3test.BucketConfig{Versioning: "Enabled", Ownership: "ObjectWriter"}
			for _, action := range tc.deny {
				cfg.Deny = append(cfg.Deny, s3test.Deny{Action: action})
			}
			srv.CreateBucket("b", cfg)
			s := openFake(t, srv, s3store.Options{})
			got, err := s.Probe(t.Context(), s3store.ProbeOptions{Bucket: "b", Target: object.Target{SSE: object.SSEKMS, KMSKeyID: srv.KMS.CreateKey()},
				Facts: object.BucketFacts{Versioning: object.VersioningEnabled, ACLsDisabled: object.No}})
			if object.ClassOf(err) != tc.class || (err == nil) != (tc.class == object.ClassOther) {
				t.Fatalf("%v", err)
			}
			left := len(srv.Snapshot("b").Objects) > 0
			if left != tc.left || left && !strings.Contains(err.Error(), ".reseal-canary-") {
				t.Errorf("left behind: %v, %v", left, err)
			}
			if tc.check != nil && !tc.check(&got) {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestSweepFindsUploads: an upload that a probe could not abort is found by the next
// run, which knows no more than how the keys begin.
func TestSweepFindsUploads(t *testing.T) {
	t.Parallel() // it waits
	for _, versioning := range []string{"", "Enabled"} {
		srv := s3test.New(s3test.Config{})
		defer srv.Close()
		srv.CreateBucket("b", s3test.BucketConfig{Versioning: versioning, Deny: []s3test.Deny{{Action: "s3:AbortMultipartUpload"}}})
		s := openFake(t, srv, s3store.Options{})
		facts := object.BucketFacts{Versioning: map[string]object.Versioning{"": object.VersioningOff, "Enabled": object.VersioningEnabled}[versioning], ACLsDisabled: object.Yes}
		name := ""
		_, err := s.Probe(t.Context(), s3store.ProbeOptions{Everything: true, Bucket: "b", Target: object.Target{SSE: object.SSES3}, Facts: facts,
			Announce: func(n string) error { name = n; return nil }})
		if err == nil || len(srv.Snapshot("b").Uploads) == 0 {
			t.Fatalf("%v; no upload was left", err)
		}
		if _, err := s.Sweep(t.Context(), "b", "", name, facts); err == nil {
			t.Error("a sweep that could abort nothing says that all is well")
		}
		srv.ConfigureBucket("b", func(c *s3test.BucketConfig) { c.Deny = nil })
		if _, err := s.Sweep(t.Context(), "b", "", name, facts); err != nil {
			t.Error(err)
		}
		if left := srv.Snapshot("b"); len(left.Uploads) > 0 || len(left.Objects) > 0 {
			t.Errorf("left: %d uploads, %d objects", len(left.Uploads), len(left.Objects))
		}
	}
}

// TestProbeDefaultLock: a bucket that locks all new objects for years gets
// nothing that outlives the probe.
func TestProbeDefaultLock(t *testing.T) {
	for _, p := range []s3test.Profile{s3test.AWS(), {Name: "update overwrites", ForeignObject: []string{"encryption", "tagging", "acl"}}} {
		srv := s3test.New(s3test.Config{Profile: p})
		defer srv.Close()
		srv.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true, DefaultLockMode: "COMPLIANCE", DefaultLockDays: 3650})
		s := openFake(t, srv, s3store.Options{})
		facts, err := s.BucketFacts(t.Context(), "b")
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Probe(t.Context(), s3store.ProbeOptions{Everything: true, Bucket: "b", Facts: facts, Target: object.Target{SSE: object.SSEKMS, KMSKeyID: srv.KMS.CreateKey()}})
		if err != nil || got.KeepsLock != object.Yes || got.PutRetention != object.Yes || got.Route != object.RouteSelfCopy || got.Update != object.No {
			t.Errorf("%s: %+v, %v", p.Name, got, err)
		}
		if left := srv.Snapshot("b"); len(left.Objects) > 0 {
			t.Errorf("%s: left behind: %+v", p.Name, left.Objects)
		}
	}
}

// TestProbeUntoldLock: whether the bucket locks new objects cannot be read. Nothing that
// was tried is left for longer than a moment, or one object, which is named, where it
// cannot be told by an object either; a bucket that locks nothing loses no answer.
func TestProbeUntoldLock(t *testing.T) {
	t.Parallel() // it waits
	unlocked := s3test.BucketConfig{Versioning: "Enabled"}
	may := s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true}
	locks, governs := may, may
	locks.DefaultLockMode, locks.DefaultLockDays = "COMPLIANCE", 3650
	governs.DefaultLockMode, governs.DefaultLockDays, governs.Deny = "GOVERNANCE", 3650, []s3test.Deny{{Action: "s3:GetObjectRetention"}, {Action: "s3:BypassGovernanceRetention"}}
	for _, tc := range []struct {
		say     string
		profile s3test.Profile
		cfg     s3test.BucketConfig
		denied  bool // a lock may not be asked for
		refused bool
		left    int
		tagging object.Finding
	}{
		{say: "locks nothing", cfg: unlocked, tagging: object.Yes},
		{say: "knows no locks", profile: s3test.Profile{AcceptsLockHeaders: true}, cfg: unlocked, tagging: object.Yes},
		{say: "may lock, and does not", cfg: may},
		{say: "locks", cfg: locks},
		{say: "locks, and shows nothing", cfg: governs, refused: true},
		{say: "locks nothing, and a lock may not be asked for", cfg: unlocked, denied: true, tagging: object.Yes},
		{say: "locks, and a lock may not be asked for", cfg: locks, denied: true, refused: true, left: 1},
	} {
		t.Run(tc.say, func(t *testing.T) {
			srv, s := liar(t, tc.profile, func(r *http.Request) {
				if tc.denied && r.Header.Get("X-Amz-Object-Lock-Mode") != "" {
					r.URL.Path, r.URL.RawPath = strings.Replace(r.URL.Path, "/b/", "/denied/", 1), ""
				}
			}, replied)
			srv.CreateBucket("b", tc.cfg)
			srv.CreateBucket("denied", s3test.BucketConfig{Deny: []s3test.Deny{{Action: "s3:PutObject"}}})
			facts := object.BucketFacts{Versioning: object.VersioningEnabled, ACLsDisabled: object.Yes}
			got, err := s.Probe(t.Context(), s3store.ProbeOptions{Bucket: "b", Facts: facts, Target: object.Target{SSE: object.SSES3}})
			left := srv.Snapshot("b").Objects
			if (err != nil) != tc.refused || len(left) != tc.left || got.PutTagging != tc.tagging || err == nil && got.Route != object.RouteSelfCopy {
				t.Errorf("%d left, %+v, %v", len(left), got, err)
			}
			for _, o := range left {
				if !strings.Contains(err.Error(), o.Key) {
					t.Errorf("the error does not name %s: %v", o.Key, err)
				}
			}
		})
	}
}

// TestProbeOutwaitsLocks: where governance may not be bypassed, the locks of all
// throwaway objects run out at the same time, and then they go.
func TestProbeOutwaitsLocks(t *testing.T) {
	t.Parallel() // it waits
	srv := s3test.New(s3test.Config{})
	defer srv.Close()
	srv.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true, DefaultLockMode: "GOVERNANCE", DefaultLockDays: 3650,
		Deny: []s3test.Deny{{Action: "s3:BypassGovernanceRetention"}}})
	s := openFake(t, srv, s3store.Options{})
	facts, err := s.BucketFacts(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Probe(t.Context(), s3store.ProbeOptions{Bucket: "b", Facts: facts, Target: object.Target{SSE: object.SSES3}}); err != nil {
		t.Error(err)
	}
	if left := srv.Snapshot("b"); len(left.Objects) > 0 {
		t.Errorf("left behind: %d, such as %s", len(left.Objects), left.Objects[0].Key)
	}
}

// TestKnownAWS: nothing is sent to a store that is known.
func TestKnownAWS(t *testing.T) {
	srv := s3test.New(s3test.Config{})
	defer srv.Close()
	s := openFake(t, srv, s3store.Options{EndpointURL: "https://s3.eu-west-1.amazonaws.com"})
	got, err := s.Probe(t.Context(), s3store.ProbeOptions{Bucket: "b", Target: object.Target{SSE: object.SSEKMS, ShownKeyID: "arn:k"}})
	if err != nil || got.Source != "aws" || got.Update != object.Yes || got.ListMetadata != object.No || got.ShownKeyID != "arn:k" {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestL1Sweep: a sweep refuses what no probe is called, leaves what no probe makes,
// and does not bypass a lock that no probe asks for.
func TestL1Sweep(t *testing.T) {
	t.Parallel() // it waits
	const name = "p/.reseal-canary-0123456789abcdef01234567-"
	facts := object.BucketFacts{Versioning: object.VersioningEnabled, ObjectLock: object.Yes}
	type trial struct {
		say, name, key, mode string
		lock                 time.Duration
		gone, refused, kept  bool
		srv                  *s3test.Server
		left                 []s3store.Kept
		err                  error
	}
	trials := []*trial{
		{say: "a throwaway object", name: name, key: name + "07-plain-copy", gone: true},
		{say: "a throwaway object, locked as one", name: name, key: name + "07-lock-copy", mode: "GOVERNANCE", lock: 15 * time.Second, gone: true},
		{say: "locked for longer", name: name, key: name + "07-lock-copy", mode: "GOVERNANCE", lock: time.Hour, kept: true},
		{say: "locked for good", name: name, key: name + "07-lock-copy", mode: "COMPLIANCE", lock: 15 * time.Second, kept: true},
		{say: "a key with a percent sign", name: name, key: name + "07-plain-copy-%41", gone: true},
		{say: "the copy beside it", name: name, key: name + "07-plain-multipart-A-new", gone: true},
		{say: "another percent sign", name: name, key: name + "07-plain-copy-%42"},
		{say: "no number", name: name, key: name + "lock-copy"},
		{say: "no purpose of ours", name: name, key: name + "07-Report.pdf"},
		{say: "below a folder", name: name, key: name + "07-plain/report"},
		{say: "no canary", name: "p/", key: "p/07-plain", refused: true},
		{say: "everything", key: "p/07-plain", refused: true},
		{say: "outside the prefix", name: "q/.reseal-canary-0123456789abcdef01234567-", key: "q/.reseal-canary-0123456789abcdef01234567-07-plain", refused: true},
	}
	var sweeps sync.WaitGroup
	for _, tc := range trials {
		tc.srv = s3test.New(s3test.Config{})
		defer tc.srv.Close()
		tc.srv.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true})
		o := s3test.Object{Key: tc.key, Body: s3test.Bytes("somebody's")}
		if tc.mode != "" {
			o.LockMode, o.RetainUntil = tc.mode, time.Now().Add(tc.lock)
		}
		tc.srv.Put("b", o)
		s := openFake(t, tc.srv, s3store.Options{})
		sweeps.Go(func() { tc.left, tc.err = s.Sweep(t.Context(), "b", "p/", tc.name, facts) })
	}
	sweeps.Wait()
	for _, tc := range trials {
		if (tc.err != nil) != tc.refused {
			t.Errorf("%s: refused: %v", tc.say, tc.err)
		}
		if kept := len(tc.left) == 1 && tc.left[0].Ref.Key == tc.key && tc.left[0].Mode == tc.mode; kept != tc.kept || !kept && len(tc.left) > 0 {
			t.Errorf("%s: left %+v", tc.say, tc.left)
		}
		if gone := len(tc.srv.Snapshot("b").Objects) == 0; gone != tc.gone {
			t.Errorf("%s: gone: %v, want %v (%v)", tc.say, gone, tc.gone, tc.err)
		}
	}
}

// TestSweepWithoutShownLocks: a store that takes the sub-resource of the retention for
// the object itself, or refuses it, shows a lock in a HEAD at most. What a dead probe
// left there goes, no governance is bypassed for it, and a lock that the HEAD shows is
// respected.
func TestSweepWithoutShownLocks(t *testing.T) {
	t.Parallel() // it waits
	const name = ".reseal-canary-0123456789abcdef01234567-"
	overwrites := s3test.Profile{ForeignObject: []string{"retention", "legal-hold"}, OverwritesUnknown: true}
	refuses := s3test.Profile{RefusedObject: []string{"retention", "legal-hold"}}
	type trial struct {
		say  string
		at   s3test.Profile
		lock time.Duration
		with []s3test.PutOption
		srv  *s3test.Server
		left []s3store.Kept
		err  error
	}
	trials := []*trial{
		{say: "overwrites", at: overwrites},
		{say: "refuses", at: refuses},
		{say: "overwrites, under a customer key", at: overwrites, with: []s3test.PutOption{s3test.CustomerKey(customerKey(t))}},
		{say: "overwrites, locked", at: overwrites, lock: time.Hour},
		{say: "refuses, locked", at: refuses, lock: time.Hour},
	}
	var sweeps sync.WaitGroup
	for _, tc := range trials {
		tc.srv = s3test.New(s3test.Config{Profile: tc.at})
		defer tc.srv.Close()
		tc.srv.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true})
		o := s3test.Object{Key: name + "01-direct", Body: s3test.Bytes("ours")}
		if tc.lock > 0 {
			o.LockMode, o.RetainUntil = "GOVERNANCE", time.Now().Add(tc.lock)
		}
		tc.srv.Put("b", o, tc.with...)
		s := openFake(t, tc.srv, s3store.Options{})
		sweeps.Go(func() {
			tc.left, tc.err = s.Sweep(t.Context(), "b", "", name, object.BucketFacts{Versioning: object.VersioningEnabled, ObjectLock: object.Yes})
		})
	}
	sweeps.Wait()
	for _, tc := range trials {
		if gone := len(tc.srv.Snapshot("b").Objects) == 0; tc.err != nil || (len(tc.left) == 0) != gone || gone == (tc.lock > 0) {
			t.Errorf("%s: gone: %v, left %+v, %v", tc.say, gone, tc.left, tc.err)
		}
		for _, r := range tc.srv.Requests() {
			if r.Op == "PutObject" || r.Op == "PutObjectLegalHold" || r.Header.Get("X-Amz-Bypass-Governance-Retention") != "" {
				t.Errorf("%s: sent %s, %v", tc.say, r.Op, r.Header)
			}
		}
	}
}

// TestSweepGoesOnBesideALock: what cannot be proved to be the probe's stays as it is, with
// its hold, and all else goes: other objects, another version of the same key, an upload of
// it.
func TestSweepGoesOnBesideALock(t *testing.T) {
	t.Parallel() // it waits
	const name = ".reseal-canary-0123456789abcdef01234567-"
	const locked = name + "06-plain-multipart-%41"
	srv := s3test.New(s3test.Config{})
	defer srv.Close()
	srv.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true})
	srv.Put("b", s3test.Object{Key: name + "01-direct", Body: s3test.Bytes("ours")})
	srv.Put("b", s3test.Object{Key: locked, Body: s3test.Bytes("ours")})
	srv.Put("b", s3test.Object{Key: locked, Body: s3test.Bytes("whose?"),
		Attrs: s3test.Attrs{LockMode: "GOVERNANCE", RetainUntil: time.Now().Add(time.Hour), LegalHold: true}})
	srv.BeginUpload("b", locked, "open", s3test.Bytes("a part"))
	s := openFake(t, srv, s3store.Options{})
	left, err := s.Sweep(t.Context(), "b", "", name, object.BucketFacts{Versioning: object.VersioningEnabled, ObjectLock: object.Yes})
	if err != nil || len(left) != 1 || left[0].Ref.Key != locked {
		t.Fatalf("%+v, %v", left, err)
	}
	now := srv.Snapshot("b")
	if len(now.Objects) != 1 || now.Objects[0].VersionID != left[0].Ref.VersionID || !now.Objects[0].LegalHold || len(now.Uploads) > 0 {
		t.Errorf("%+v, %d uploads", now.Objects, len(now.Uploads))
	}
}
