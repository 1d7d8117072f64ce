package canary_test

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/engine/s3test"
)

// expected is what a probe must find at a store that differs from AWS as p says,
// for the target SSE-KMS, in a bucket with versions, locks and ACLs (full) or
// with none of them.
func expected(p *s3test.Profile, full bool, shown string) object.Capabilities {
	if p.Encryption != s3test.EncryptAWS {
		return object.Capabilities{Source: "canary", Encrypts: object.No}
	}
	on := func(b bool) object.Finding { return object.Found(b) }
	where := func(b bool, f object.Finding) object.Finding {
		if !b {
			return object.Unknown
		}
		return f
	}
	foreign := func(sub string) bool { return slices.Contains(p.ForeignObject, sub) }
	// Where nobody asks for encryption AWS encrypts all the same, so that there
	// every source is an encrypted one.
	encryptedOnly := p.CopyEncrypted501 && !p.NoImplicitSSE
	copies := !p.CopyIgnoresSSE && !p.CopyKeepsSSE && !p.EmptyCopyUndone && !encryptedOnly && !p.DropsHeaders
	uploads := !p.NoMultipartCopy
	route := object.RouteNone
	switch {
	case copies && (!p.SelfCopyNeedsReplace || p.SelfCopyByVersions && full):
		route = object.RouteSelfCopy
	case copies:
		route = object.RouteReplace
	case uploads:
		route = object.RouteMultipart
	}
	rewrites := !p.IgnoresPutIfMatch && !p.PutIfMatchUnquoted
	encrypted := route
	if p.CopyEncrypted501 && uploads {
		encrypted = object.RouteMultipart
	}
	// The default key is another than the target's; only KMS with a key can be had there.
	otherKey := where(!p.KMSNeedsKey && (copies || uploads), object.Yes)
	once := func(b bool) object.SourceEncoding {
		if b {
			return object.EncodedOnce
		}
		return object.EncodingUnknown
	}
	part := once(uploads)
	if uploads && p.PartCopyDecodesTwice {
		part = object.EncodedTwice
	}
	otherRoute := encrypted
	if p.CopyKeepsKMSKey && !p.KMSNeedsKey {
		otherRoute = object.RouteMultipart
		if p.PartCopyKMS501 {
			otherKey, otherRoute = object.No, object.RouteNone
		}
	}
	if otherKey == object.Unknown {
		otherRoute = object.RouteNone
	}
	c := object.Capabilities{Source: "canary", Encrypts: object.Yes,
		OtherKey: otherKey, OtherKeyRoute: otherRoute, CopySourceEncoding: once(!encryptedOnly), PartSourceEncoding: part,
		CompleteShowsETag: where(uploads, on(!p.EmptyCopyReply && !p.EmptyCompleteETag)),
		Route:             route, EncryptedRoute: encrypted, Replace: on(copies), Multipart: on(uploads),
		Update: on(!foreign("encryption") && !p.KeyAsGiven && !p.UpdateDoesNothing), ListMetadata: on(p.ListMetadata), ShownKeyID: shown,
		CopySourceIfMatch: on(!p.IgnoresCopySourceConditions), CopyIfMatch: where(!encryptedOnly, on(!p.IgnoresCopyIfMatch)),
		PartSourceIfMatch: where(uploads, on(!p.IgnoresPartSourceConditions)), CompleteIfMatch: where(uploads, on(!p.IgnoresCompleteIfMatch)),
		PutIfMatch: on(rewrites), SendIfMatch: on(!p.IgnoresCompleteIfMatch), SendChecksums: on(!p.NoChecksums), PutShowsEncryption: object.Yes, CountsTags: where(!foreign("tagging"), on(!p.PutDropsTags)),
		CopyShowsEncryption: where(copies && !p.EmptyCopyReply, on(!p.CopyShowsNoSSE)), UploadShowsEncryption: where(uploads && !p.EmptyCopyReply && !p.EmptyCompleteETag, on(!p.CreateShowsNoSSE)),
		KeepsTags: where(!foreign("tagging"), on(!(copies && p.CopyDropsTags) && !p.UploadDropsTags)), KeepsRedirect: where(!p.DropsRedirect, on(!p.CopyDropsRedirect)), KeepsExpires: where(!p.DropsExpires && !p.DropsHeaders, on(!(p.CopyDropsExpires && route == object.RouteSelfCopy))), KeepsClass: where(!p.OnlyStandard && !p.ClassAlwaysDefault, object.Yes),
		KeepsChecksums: where(copies && !p.NoChecksums, on(!p.CopyDropsChecksum)),
		PutTagging:     on(!foreign("tagging")), GetTagging: on(!foreign("tagging")),
		GetAttributes: on(!foreign("attributes") && !slices.Contains(p.RefusedObject, "attributes")),
		DSSE:          on(!p.NoDSSE), BucketKey: on(!p.IgnoresBucketKey), Checksums: on(!p.NoChecksums),
		UploadChecksums: where(!p.NoChecksums && uploads, on(!p.CopyDropsChecksum)),
		PutACL:          where(full && !p.NoACL && !foreign("acl"), on(!p.OnlyCannedACLs)), GetACL: where(full || p.ACLsUntilAsked, on(!foreign("acl") && !p.NoACL)),
		CannedACL:    where(p.OnlyCannedACLs || !full, on(p.OnlyCannedACLs)),
		PutRetention: where(full, on(!foreign("retention"))), GetRetention: where(full, on(!foreign("retention"))),
		KeepsLock: where(full, on(!p.CopyDropsLock)), VersionsInReplies: where(full && !p.EmptyCopyReply && (copies || !p.EmptyCompleteETag), on(!(copies && p.NoVersionsInReply))),
	}
	if p.ACLsUntilAsked && !full {
		c.PutACL = object.No
	}
	if p.DropsHeaders {
		c.PutDrops = []string{"Cache-Control", "Content-Language"}
	}
	if p.DropsExpires || p.DropsHeaders {
		c.PutDrops = append(c.PutDrops, "Expires")
	}
	if slices.Contains(p.ForeignBucket, "ownershipControls") { // nothing is known of the bucket
		c.GetACL, c.PutACL, c.CannedACL = object.Yes, object.No, object.No
		if full { // it takes a lock, so that it may lock every new object: nothing is overwritten there
			c.Update, c.PutTagging, c.PutACL, c.CannedACL = object.No, object.Unknown, object.Unknown, object.Unknown
		}
	}
	return c
}

func TestProbeMatrix(t *testing.T) {
	for _, p := range append(s3test.Stores(), s3test.Quirks()...) {
		for _, full := range []bool{false, true} {
			name := p.Name + "/plain bucket"
			cfg := s3test.BucketConfig{}
			if full {
				name = p.Name + "/full bucket"
				cfg = s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true, Ownership: "ObjectWriter"}
			}
			t.Run(name, func(t *testing.T) {
				srv := s3test.New(s3test.Config{Profile: p})
				defer srv.Close()
				srv.CreateBucket("b", cfg)
				key := srv.KMS.CreateKey()
				id := key[strings.LastIndex(key, "/")+1:]
				shown := key
				asked := key
				switch {
				case p.KeyAsGiven:
					asked, shown = id, id
				case p.KeyMinIO:
					asked, shown = id, "arn:aws:kms:"+id
				}
				srv.Put("b", s3test.Object{Key: "p/mine", Body: s3test.Bytes([]byte("mine"))})
				before := srv.Snapshot("b")
				s := openFake(t, srv, s3store.Options{})
				facts, err := s.BucketFacts(t.Context(), "b")
				if err != nil {
					t.Fatal(err)
				}
				got, err := s.Probe(t.Context(), s3store.ProbeOptions{Bucket: "b", Prefix: "p/", Facts: facts,
					Everything: true,
					Target:     object.Target{SSE: object.SSEKMS, KMSKeyID: asked, BucketKey: object.On}})
				if err != nil {
					t.Error(err)
				}
				if after := srv.Snapshot("b"); !reflect.DeepEqual(before, after) {
					t.Errorf("the bucket changed: %+v", after)
				}
				for _, r := range srv.Requests() {
					if r.Method != "GET" && r.Method != "HEAD" && r.Op != "DeleteObjects" && !strings.HasPrefix(r.Key, "p/.reseal-canary-") {
						t.Errorf("sent %s %s to %q", r.Method, r.Op, r.Key)
					}
				}
				want := expected(&p, full, shown)
				notes := got.Notes
				got.Notes = nil
				if !reflect.DeepEqual(got, want) {
					g, w := reflect.ValueOf(got), reflect.ValueOf(want)
					for i := range g.NumField() {
						if !reflect.DeepEqual(g.Field(i).Interface(), w.Field(i).Interface()) {
							t.Errorf("%s: got %v, want %v", g.Type().Field(i).Name, g.Field(i), w.Field(i))
						}
					}
					t.Log(strings.Join(notes, "\n"))
				}
			})
		}
	}
}

// TestProbeUnproven goes on with a store that encrypts nothing, for those who
// test against one, and says so.
func TestProbeUnproven(t *testing.T) {
	for _, p := range []s3test.Profile{s3test.SeaweedFS(), s3test.GoFakeS3(), s3test.Versitygw(), s3test.S3rver()} {
		t.Run(p.Name, func(t *testing.T) {
			srv := s3test.New(s3test.Config{Profile: p})
			defer srv.Close()
			srv.CreateBucket("b", s3test.BucketConfig{})
			s := openFake(t, srv, s3store.Options{})
			got, err := s.Probe(t.Context(), s3store.ProbeOptions{Bucket: "b", Target: object.Target{SSE: object.SSES3}, AcceptUnproven: true})
			if err != nil {
				t.Fatal(err)
			}
			if got.Source != "assumed" || got.Encrypts != object.Unknown || got.Update == object.Yes || len(srv.Snapshot("b").Objects) != 0 {
				t.Errorf("got %+v, left %+v", got, srv.Snapshot("b"))
			}
		})
	}
}

// TestProbeFaults has replies lost, refused and throttled now and then: a finding is
// the same, and nothing stays behind.
func TestProbeFaults(t *testing.T) {
	target := object.Target{SSE: object.SSES3}
	calm := func(rules string, seed uint64) (object.Capabilities, error) {
		srv := s3test.New(s3test.Config{Seed: seed, Rules: rules})
		defer srv.Close()
		srv.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled"})
		s := openFake(t, srv, s3store.Options{})
		caps, err := s.Probe(t.Context(), s3store.ProbeOptions{Bucket: "b", Target: target,
			Facts: object.BucketFacts{Versioning: object.VersioningEnabled, ACLsDisabled: object.Yes}})
		if left := srv.Snapshot("b"); len(left.Objects) != 0 && err == nil {
			t.Errorf("%s: left %+v and no error", rules, left.Objects)
		}
		caps.Notes = nil
		// A lost reply shows nothing, and one of these may rest on that reply alone.
		caps.CopyShowsEncryption, caps.UploadShowsEncryption, caps.VersionsInReplies = 0, 0, 0
		return caps, err
	}
	want, err := calm("", 1)
	if err != nil {
		t.Fatal(err)
	}
	all := []string{"(If (And Copy (Every 3)) ReplyLost)", "(If (And Complete (OnIndex 0)) ReplyLost)",
		"(If (And Any (Every 10)) Throttled)", "(If (And CopyPart (OnIndex 0)) Failed)", "(If (And Put (Every 3)) ReplyLost)",
		"(If (And Delete (Every 3)) ReplyLost)", "(If (And Any (Every 10)) Failed)"}
	for n := range 8 { // a GET is refused for once, and sent again without asking for checksums
		all = append(all, fmt.Sprintf("(If (And Get (OnIndex %d)) (Error 403 AccessDenied))", n))
	}
	for _, rules := range all {
		got, err := calm(rules, 7)
		if err != nil {
			t.Errorf("%s: %v", rules, err)
		} else if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", rules, got, want)
		}
	}
}

// TestProbeCleansPastAStall: a deletion that gets no answer costs the time of one
// request, not that of the whole cleaning, which leaves everything behind then.
func TestProbeCleansPastAStall(t *testing.T) {
	srv := s3test.New(s3test.Config{Rules: "(If (And (Or Delete DeleteObjects ListVersions) (First 3)) Stalled)"})
	defer srv.Close()
	srv.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled"})
	s := openFake(t, srv, s3store.Options{RequestTimeout: 200 * time.Millisecond})
	start := time.Now()
	if _, err := s.Probe(t.Context(), s3store.ProbeOptions{Bucket: "b", Target: object.Target{SSE: object.SSES3},
		Facts: object.BucketFacts{Versioning: object.VersioningEnabled, ACLsDisabled: object.Yes}}); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > time.Minute {
		t.Errorf("it took %v", took)
	}
	if left := srv.Snapshot("b").Objects; len(left) > 0 {
		t.Errorf("left %+v", left)
	}
}

// TestProbeCancelled: requests that were on their way when the context ended make
// nothing that outlives the probe.
func TestProbeCancelled(t *testing.T) {
	t.Parallel() // it waits
	for _, at := range []int64{1, 5, 20, 30, 40} {
		ctx, cancel := context.WithCancel(t.Context())
		var sent atomic.Int64
		var going sync.WaitGroup
		srv := s3test.New(s3test.Config{})
		defer srv.Close()
		srv.CreateBucket("b", s3test.BucketConfig{})
		srv.OnRequest(func(r s3test.Request) {
			going.Add(1)
			if sent.Add(1) == at {
				cancel()
			}
			if r.Method == http.MethodPut || r.Method == http.MethodPost {
				time.Sleep(100 * time.Millisecond) // whether or not somebody waits for the answer
			}
		})
		srv.OnEffect(func(s3test.Request) { going.Done() })
		s := openFake(t, srv, s3store.Options{})
		_, err := s.Probe(ctx, s3store.ProbeOptions{Everything: true, Bucket: "b", Target: object.Target{SSE: object.SSES3}, Facts: object.BucketFacts{ACLsDisabled: object.Yes}})
		if object.ClassOf(err) != object.ClassCanceled {
			t.Errorf("cancelled at request %d: %v", at, err)
		}
		going.Wait()
		if left := srv.Snapshot("b"); len(left.Objects) > 0 || len(left.Uploads) > 0 {
			t.Errorf("cancelled at request %d: %d objects and %d uploads are left", at, len(left.Objects), len(left.Uploads))
		}
		cancel()
	}
}

// BenchmarkProbe is a canary at a store that is 50 ms away.
func BenchmarkProbe(b *testing.B) {
	srv := s3test.New(s3test.Config{Latency: map[string]time.Duration{"": 50 * time.Millisecond}})
	defer srv.Close()
	srv.CreateBucket("b", s3test.BucketConfig{})
	s := openFake(b, srv, s3store.Options{})
	for b.Loop() {
		if _, err := s.Probe(b.Context(), s3store.ProbeOptions{Bucket: "b", Target: object.Target{SSE: object.SSES3}, Facts: object.BucketFacts{ACLsDisabled: object.Yes}}); err != nil {
			b.Fatal(err)
		}
	}
}
