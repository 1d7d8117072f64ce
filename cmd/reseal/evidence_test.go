package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/evidence"
	"github.com/resealhq/reseal/engine/s3test"
)

// officer makes a key that evidence is signed with.
func (st *stage) officer(t *testing.T) (ed25519.PublicKey, string) {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return public, st.file(t, "officer.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// TestEvidenceOfAJob: what a job leaves for an auditor holds the verification, the policy and
// who did it, each under its digest; a bit that is flipped in any of its files is found.
func TestEvidenceOfAJob(t *testing.T) {
	t.Parallel()
	st := newAWS(t, s3test.Config{Seed: 1})
	st.server.CreateBucket("b", s3test.BucketConfig{})
	st.server.Fill("b", 20, func(i int) string { return string(rune('a' + i)) }, s3test.Bytes("x"), s3test.Attrs{})
	public, officer := st.officer(t)
	job := filepath.Join(t.TempDir(), "job")
	st.does(t, "run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--no-progress", "--job", job)
	early := filepath.Join(t.TempDir(), "early")
	st.does(t, "report", "--job", job, "--evidence", early, "--evidence-key-file", officer)
	if text := fileText(t, filepath.Join(early, "verification.json")); !strings.Contains(text, `"made": false`) {
		t.Errorf("nobody has verified: %s", text)
	}
	st.does(t, "verify", "--job", job)
	dir := filepath.Join(t.TempDir(), "evidence")
	st.does(t, "report", "--job", job, "--evidence", dir, "--evidence-key-file", officer, "--evidence-caller")

	var found struct {
		Made    bool
		Verdict struct {
			Verified int
			OK       bool
		}
	}
	var who struct {
		Caller string
		RanAs  []string `json:"ran_as"`
	}
	var policy struct {
		Spec struct {
			Target struct {
				Key string `json:"kms_key_id"`
			} `json:"target"`
		}
	}
	for name, into := range map[string]any{"verification.json": &found, "identity.json": &who, "policy.json": &policy} {
		if err := json.Unmarshal([]byte(fileText(t, filepath.Join(dir, name))), into); err != nil {
			t.Fatal(name, err)
		}
	}
	const arn = "arn:aws:iam::111122223333:user/s3test"
	if !found.Made || found.Verdict.Verified != 20 || !found.Verdict.OK || who.Caller != arn || len(who.RanAs) != 1 || who.RanAs[0] != arn || policy.Spec.Target.Key != st.keyB {
		t.Errorf("%+v\n%+v\n%+v", found, who, policy)
	}
	checked, err := evidence.Check(dir, public)
	if err != nil || len(checked.Subject) != 6 {
		t.Fatal(checked, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 11 {
		t.Fatal(entries, err)
	}
	r := mathrand.New(mathrand.NewPCG(16, 4))
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		data := []byte(fileText(t, path))
		for range 60 {
			i, bit := r.IntN(len(data)), byte(1)<<r.IntN(8)
			data[i] ^= bit
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			var bad *evidence.BadError
			if _, err := evidence.Check(dir, public); !errors.As(err, &bad) {
				t.Errorf("%s, byte %d, bit %x: %v", e.Name(), i, bit, err)
			}
			data[i] ^= bit
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := evidence.Check(dir, public); err != nil {
		t.Error(err)
	}
}

// TestEvidenceCallerElsewhere: no store but AWS is asked who its callers are.
func TestEvidenceCallerElsewhere(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 1})
	st.server.CreateBucket("b", s3test.BucketConfig{})
	st.server.Fill("b", 2, func(i int) string { return string(rune('a' + i)) }, s3test.Bytes("x"), s3test.Attrs{})
	_, officer := st.officer(t)
	job := filepath.Join(t.TempDir(), "job")
	st.does(t, "run", "s3://b", "--sse", "AES256", "--no-progress", "--job", job)
	s := st.reseal(t, "report", "--job", job, "--evidence", filepath.Join(t.TempDir(), "e"), "--evidence-key-file", officer, "--evidence-caller")
	if s.code != 2 || !strings.Contains(s.stderr, "--evidence-caller") {
		t.Errorf("exit code %d\n%s", s.code, s.stderr)
	}
}
