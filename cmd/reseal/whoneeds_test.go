package main

import (
	"strings"
	"sync"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// TestWhoNeedsInAnotherRegion: an alias that was resolved in one region says nothing about
// objects in another, where the same alias may be the key that they are under. On AWS,
// SSE-S3 depends on no key of the account's.
func TestWhoNeedsInAnotherRegion(t *testing.T) {
	t.Parallel()
	st := newAWS(t, s3test.Config{Seed: 1})
	st.server.CreateBucket("there", s3test.BucketConfig{Region: "eu-west-1"})
	st.server.CreateBucket("here", s3test.BucketConfig{})
	for _, b := range []string{"there", "here"} {
		o := s3test.Object{Key: "k", Body: s3test.Bytes("x")}
		o.Encryption.Type = object.SSES3
		st.server.Put(b, o)
	}
	if s := st.reseal(t, "who-needs", "alias/a", "s3://there", "--quiet"); s.code != 1 || !strings.Contains(s.stdout, "it is in eu-west-1, and alias/a was resolved to arn:") {
		t.Errorf("exit code %d\n%s%s", s.code, s.stdout, s.stderr)
	}
	for _, args := range [][]string{{"alias/a", "s3://here"}, {st.keyA, "s3://there"}} {
		if s := st.reseal(t, append([]string{"who-needs", "--quiet"}, args...)...); s.code != 0 {
			t.Errorf("%v: exit code %d\n%s%s", args, s.code, s.stdout, s.stderr)
		}
	}
}

// TestWhoNeedsOfWhatVanished: a version that was deleted between its listing and its HEAD
// depends on nothing; one that the store lists and does not find is told as not known.
func TestWhoNeedsOfWhatVanished(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 1})
	st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled"})
	gone := st.put("gone", s3test.Object{Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSEKMS, KMSKeyID: st.keyA}}})
	st.put("here", s3test.Object{})
	var once sync.Once
	st.server.OnRequest(func(r s3test.Request) {
		if r.Op == "HeadObject" {
			once.Do(func() { st.server.Remove("b", "gone", gone) })
		}
	})
	if s := st.reseal(t, "who-needs", st.keyA, "s3://b", "--quiet", "--concurrency", "1"); s.code != 0 {
		t.Errorf("deleted meanwhile: exit code %d\n%s%s", s.code, s.stdout, s.stderr)
	}
	st.server.OnRequest(nil)
	if err := st.server.SetRules(`(If (And Head (Key "here")) (Error 404 NoSuchKey ""))`); err != nil {
		t.Fatal(err)
	}
	s := st.reseal(t, "who-needs", st.keyA, "s3://b", "--quiet")
	if s.code != 1 || !strings.Contains(s.stdout, "is listed and was not found") {
		t.Errorf("listed and not found: exit code %d\n%s%s", s.code, s.stdout, s.stderr)
	}
}
