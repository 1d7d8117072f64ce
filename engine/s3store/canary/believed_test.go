package canary_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/engine/s3store/canary"
	"github.com/resealhq/reseal/engine/s3test"
)

// TestBelievedAndSeen: a store that does as AWS does is seen to do all that is believed
// of AWS but what is named here, and one that does not is told apart by name.
func TestBelievedAndSeen(t *testing.T) {

	for _, tc := range []struct {
		profile s3test.Profile
		differs []string
	}{
		{s3test.AWS(), nil},
		{s3test.Profile{IgnoresCopyIfMatch: true}, []string{"CopyIfMatch"}},
		{s3test.Profile{PartCopyDecodesTwice: true}, []string{"PartSourceEncoding"}},
		{s3test.Profile{SelfCopyNeedsReplace: true}, []string{"OtherKeyRoute", "Route", "EncryptedRoute"}},
	} {
		srv := s3test.New(s3test.Config{Profile: tc.profile})
		defer srv.Close()
		srv.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true, Ownership: "ObjectWriter"})
		s := openFake(t, srv, s3store.Options{})
		target := object.Target{SSE: object.SSEKMS, KMSKeyID: srv.KMS.CreateKey()}
		facts, err := s.BucketFacts(t.Context(), "b")
		if err != nil {
			t.Fatal(err)
		}
		o := s3store.ProbeOptions{Bucket: "b", Facts: facts, Target: target, Everything: true, Always: true}
		seen, err := s.Probe(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		believed := s3store.Believed(target)
		var named []string
		for _, d := range canary.Differences(&believed, &seen) {
			if d.Ability == "CountsTags" {
				continue // AWS counts no tags for those who may not read them; here they may
			}
			named = append(named, d.Ability)
			if d.Believed == d.Seen || !strings.Contains(fmt.Sprint(d), d.Ability) {
				t.Errorf("%v", d)
			}
		}
		if !sameSet(named, tc.differs) {
			t.Errorf("%+v: differs in %v, want %v", tc.profile, named, tc.differs)
		}
	}
}

func sameSet(a, b []string) bool {
	set := func(l []string) map[string]bool {
		m := map[string]bool{}
		for _, s := range l {
			m[s] = true
		}
		return m
	}
	return reflect.DeepEqual(set(a), set(b))
}

// TestWrites: what is told beforehand is what is sent.
func TestWrites(t *testing.T) {
	srv := s3test.New(s3test.Config{})
	defer srv.Close()
	srv.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true, Ownership: "ObjectWriter"})
	s := openFake(t, srv, s3store.Options{})
	facts, err := s.BucketFacts(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	o := s3store.ProbeOptions{Bucket: "b", Prefix: "p/", Facts: facts, Target: object.Target{SSE: object.SSEKMS, KMSKeyID: srv.KMS.CreateKey()}, Everything: true}
	if _, err := s.Probe(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	told := strings.Join(o.Writes(), "\n")
	keys := map[string]bool{}
	updates := map[string]bool{}
	for _, r := range srv.Requests() {
		switch r.Op {
		case "PutObject", "CopyObject", "CompleteMultipartUpload":
			keys[r.Key] = true
		case "UpdateObjectEncryption":
			updates[r.Key] = true
		case "PutObjectTagging", "PutObjectAcl", "PutObjectRetention", "PutObjectLegalHold":
			word := map[string]string{"PutObjectRetention": "governance retention", "PutObjectLegalHold": "legal hold"}[r.Op]
			if word == "" {
				word = r.Op
			}
			if !strings.Contains(told, word) {
				t.Errorf("%s was sent and not told", r.Op)
			}
		}
	}
	if len(keys) == 0 || len(keys) > 60 || len(updates) != 2 || !strings.Contains(told, "s3://b/p/.reseal-canary-") {
		t.Errorf("%d keys, %d updated; told:\n%s", len(keys), len(updates), told)
	}
}
