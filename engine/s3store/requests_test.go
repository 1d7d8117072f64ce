package s3store_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/engine/s3test"
)

// TestKeyThatLooksLikeCredentials: Ceph's 403 InvalidAccessKeyId for an unknown
// key, told from real bad credentials by asking.
func TestKeyThatLooksLikeCredentials(t *testing.T) {
	srv := s3test.New(s3test.Config{Profile: s3test.Profile{UnknownKeyIs403: true}})
	defer srv.Close()
	srv.CreateBucket("b", s3test.BucketConfig{})
	srv.Put("b", s3test.Object{Key: "k", Body: s3test.Bytes("x")})
	s := openFake(t, srv, s3store.Options{})
	ref := object.Ref{Bucket: "b", Key: "k"}
	toKMS := &object.CopyRequest{Source: ref, Dest: ref, Target: &object.Target{SSE: object.SSEKMS, KMSKeyID: "nobody"}}
	_, err := s.Copy(t.Context(), toKMS)
	var e *object.Error
	if !errors.As(err, &e) || e.Class != object.ClassKey || e.Code != "InvalidAccessKeyId" || !strings.Contains(e.Hint, "nobody") {
		t.Errorf("%v", err)
	}
	srv.RemoveCredentials(s3test.DefaultCredentials.AccessKeyID)
	if _, err := s.Copy(t.Context(), toKMS); object.ClassOf(err) != object.ClassCredentials {
		t.Errorf("%v", err)
	}
}

// TestCredentials: refreshed from a file after Invalidate, and none is named.
func TestCredentials(t *testing.T) {
	srv := s3test.New(s3test.Config{})
	defer srv.Close()
	srv.CreateBucket("b", s3test.BucketConfig{})
	srv.AddCredentials(s3test.Credentials{AccessKeyID: "SECONDKEY", SecretAccessKey: "second-secret", SessionToken: "tok"})
	list := func(s *s3store.Store) error {
		_, err := s.ListPage(t.Context(), object.ListRequest{Bucket: "b"})
		return err
	}
	file := filepath.Join(t.TempDir(), "credentials")
	write := func(id, secret, token string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(`{"Version":1,"AccessKeyId":"`+id+`","SecretAccessKey":"`+secret+`","SessionToken":"`+token+`"}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := openFake(t, srv, s3store.Options{})
	if id, secret, token, expires, err := s.Credentials(t.Context()); err != nil || id != s3test.DefaultCredentials.AccessKeyID ||
		secret != s3test.DefaultCredentials.SecretAccessKey || token != "" || !expires.IsZero() {
		t.Errorf("static: %s %s %v %v", id, token, expires, err)
	}
	shared := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(shared, []byte("[profile p]\ncredential_process = cat "+file+"\nregion = eu-west-3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"} {
		os.Unsetenv(name) // set again by the Cleanup of openFake's Setenv
	}
	t.Setenv("AWS_CONFIG_FILE", shared)
	write(s3test.DefaultCredentials.AccessKeyID, s3test.DefaultCredentials.SecretAccessKey, "")
	s, err := s3store.Open(t.Context(), s3store.Options{EndpointURL: srv.URL(), Profile: "p", Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := list(s); err != nil {
		t.Fatal(err)
	}
	srv.ExpireCredentials(s3test.DefaultCredentials.AccessKeyID)
	if err := list(s); object.ClassOf(err) != object.ClassCredentials {
		t.Errorf("expired: %v", err)
	}
	write("SECONDKEY", "second-secret", "tok")
	s.Invalidate()
	if err := list(s); err != nil {
		t.Errorf("after Invalidate: %v", err)
	}
	// Keys rotated in the shared file, which the SDK reads but once.
	pair := func(id, secret, token string) {
		t.Helper()
		if err := os.WriteFile(shared, []byte("[profile p]\naws_access_key_id = "+id+"\naws_secret_access_key = "+secret+"\naws_session_token = "+token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pair(s3test.DefaultCredentials.AccessKeyID, s3test.DefaultCredentials.SecretAccessKey, "")
	s, err = s3store.Open(t.Context(), s3store.Options{EndpointURL: srv.URL(), Profile: "p", Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := list(s); object.ClassOf(err) != object.ClassCredentials {
		t.Errorf("expired, in a file: %v", err)
	}
	pair("SECONDKEY", "second-secret", "tok")
	s.Invalidate()
	if err := list(s); err != nil {
		t.Errorf("rotated in a file: %v", err)
	}
	none, err := s3store.Open(t.Context(), s3store.Options{EndpointURL: srv.URL(), Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := list(none); object.ClassOf(err) != object.ClassCredentials || !strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID") {
		t.Errorf("none: %v", err)
	}
}

// TestSignatureOfOneObject: one object that cannot be signed as the store wants
// it does not look like bad credentials.
func TestSignatureOfOneObject(t *testing.T) {
	srv := s3test.New(s3test.Config{Rules: `(If (And (Key "odd") (Or Copy Head Get)) (Error 403 SignatureDoesNotMatch "x"))`})
	defer srv.Close()
	srv.CreateBucket("b", s3test.BucketConfig{})
	srv.Put("b", s3test.Object{Key: "odd", Body: s3test.Bytes("x")})
	s := openFake(t, srv, s3store.Options{})
	ref := object.Ref{Bucket: "b", Key: "odd"}
	req := &object.CopyRequest{Source: ref, Dest: ref, Target: &object.Target{SSE: object.SSES3}}
	if _, err := s.Copy(t.Context(), req); object.ClassOf(err) != object.ClassInvalid {
		t.Errorf("copy: %v", err)
	}
	if _, err := s.Head(t.Context(), ref, object.CustomerKey{}); object.ClassOf(err) != object.ClassInvalid {
		t.Errorf("head: %v", err)
	}
	t.Setenv("AWS_SECRET_ACCESS_KEY", "another")
	bad, err := s3store.Open(t.Context(), s3store.Options{EndpointURL: srv.URL()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bad.Copy(t.Context(), req); object.ClassOf(err) != object.ClassCredentials {
		t.Errorf("copy with a bad secret: %v", err)
	}
	if _, err := bad.Head(t.Context(), ref, object.CustomerKey{}); object.ClassOf(err) != object.ClassCredentials {
		t.Errorf("head with a bad secret: %v", err)
	}
}

// A store that hangs does not hang those who set no deadline.
func TestRequestsHaveATimeLimit(t *testing.T) {
	srv := s3test.New(s3test.Config{})
	defer srv.Close()
	srv.CreateBucket("b", s3test.BucketConfig{})
	if err := srv.SetRules(`(If (And Any (First 2)) Stalled)`); err != nil {
		t.Fatal(err)
	}
	cred := s3test.DefaultCredentials
	t.Setenv("AWS_ACCESS_KEY_ID", cred.AccessKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", cred.SecretAccessKey)
	s, err := s3store.Open(t.Context(), s3store.Options{EndpointURL: srv.URL(), Region: "us-east-1", RequestTimeout: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if f, err := s.BucketFacts(t.Context(), "b"); err != nil || f.Versioning != object.VersioningOff {
		t.Errorf("%+v, %v", f, err)
	}
	// The deadline of a whole job is none of a request.
	if err := srv.SetRules(`(If (And Any (First 2)) Stalled)`); err != nil {
		t.Fatal(err)
	}
	night, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	if f, err := s.BucketFacts(night, "b"); err != nil || f.Versioning != object.VersioningOff {
		t.Errorf("%+v, %v", f, err)
	}
	srv.Put("b", s3test.Object{Key: "k", Body: s3test.Bytes("x")})
	for range 2 {
		if err := srv.SetRules(`(If (And Any (First 1)) Stalled)`); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Head(t.Context(), object.Ref{Bucket: "b", Key: "k"}, object.CustomerKey{}); object.ClassOf(err) != object.ClassTransient {
			t.Errorf("a HEAD that hangs: %v", err)
		}
	}
	if err := srv.SetRules(`(If Any Stalled)`); err != nil {
		t.Fatal(err)
	}
	if _, err := s.BucketFacts(t.Context(), "b"); err == nil || !strings.Contains(err.Error(), "no answer came in time; it takes connections") {
		t.Errorf("a store that hangs for good: %v", err)
	}
}
