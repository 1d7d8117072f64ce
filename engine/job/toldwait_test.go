package job

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/s3test"
)

// TestVerifyTellsWhatItWaitsFor: what lasts for hours is told, not only by a run.
func TestVerifyTellsWhatItWaitsFor(t *testing.T) {
	b := newBench(t, s3test.Config{}, s3test.BucketConfig{}, 2)
	j := b.create(t, Policy{})
	if _, err := j.Run(t.Context(), Options{}); err != nil {
		t.Fatal(err)
	}
	if err := b.SetRules(`(If (And ListObjectVersions (First 2)) (Error 500 "kms:DecryptionFailed" "failed to decrypt ciphertext with KMS key"))`); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	v, err := j.Verify(t.Context(), VerifyOptions{Options: Options{Log: slog.New(slog.NewTextHandler(&said, nil))}})
	if err != nil || !v.OK {
		t.Fatalf("%v: %+v", err, v)
	}
	if !strings.Contains(said.String(), "class=kms-away") {
		t.Errorf("it said: %s", said.String())
	}
}
