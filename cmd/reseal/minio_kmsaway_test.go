package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// TestRealServerKMSAway: a store whose KMS goes away in the middle is waited for, and says so;
// when it is back the run ends as if nothing had been. A run that begins meanwhile stops,
// and says why.
func TestRealServerKMSAway(t *testing.T) {
	t.Parallel()
	server := realserver.StartKES(t, realserver.Options{Keys: []string{"key-a", "key-b"}})
	b := newBed(t, server, "away")
	const n = 90
	for i := range n {
		key := fmt.Sprintf("k%03d", i)
		if _, err := b.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &b.bucket, Key: &key, Body: strings.NewReader("the bytes of " + key)}); err != nil {
			t.Fatal(err)
		}
	}
	job := filepath.Join(t.TempDir(), "job")
	to := []string{"run", "s3://" + b.bucket, "--sse", "aws:kms", "--sse-kms-key-id", "key-b", "--no-progress"}
	cmd := b.command(append(to, "--job", job, "--json", "--max-requests-per-second", "20")...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	b.await(ended, "objects are done", func() bool { return b.status(job).Done >= 10 })
	server.KillKMS()
	b.await(ended, "it waits for the KMS", func() bool {
		var s struct {
			State string
			Cause struct{ Class, Message string }
		}
		now, err := b.command("status", "--json", "--job", job).Output()
		return err == nil && json.Unmarshal(now, &s) == nil && s.State == "waiting" && s.Cause.Class == "kms-away" && strings.Contains(s.Cause.Message, "the KMS")
	})
	other := answered(t, b.command(append(to, "--job", job+"-2")...))
	if other.code != 1 || !strings.Contains(other.stderr, "the store cannot reach its KMS") {
		t.Errorf("a run that began meanwhile: exit code %d\n%s", other.code, other.stderr)
	}
	time.Sleep(5 * time.Second)
	if err := server.RestartKMS(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatalf("%v\n%s%s", err, out.String(), said.String())
	}
	if s := b.parse(out.Bytes()); s.Done != n || !s.Complete {
		t.Errorf("%+v", s)
	}
	b.readsAs("k089", "the bytes of k089", realserver.ShownKey("key-b"))
	t.Logf("it said:\n%s\nand the other, with exit code %d:\n%s", said.String(), other.code, other.stderr)
}
