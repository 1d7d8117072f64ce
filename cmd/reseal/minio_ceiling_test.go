package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// TestRealServerUnderACeiling: at five requests a second objects come to their end one
// after the other, and Ctrl-C is answered at once and ends the run within ten seconds.
func TestRealServerUnderACeiling(t *testing.T) {
	t.Parallel()
	server := realserver.StartMinIO(t, realserver.Options{})
	b := newBed(t, server, "slow")
	for i := range 200 {
		key := fmt.Sprintf("docs/%04d", i)
		if _, err := b.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &b.bucket, Key: &key, Body: strings.NewReader("a document")}); err != nil {
			t.Fatal(err)
		}
	}
	job := filepath.Join(t.TempDir(), "job")
	cmd := b.command("run", "s3://"+b.bucket, "--sse", "AES256", "--job", job, "--max-requests-per-second", "5")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-time.After(time.Until(begun.Add(time.Minute)))
	var at struct{ Done uint64 }
	if err := json.Unmarshal(b.reseal(0, "status", "--job", job, "--json"), &at); err != nil {
		t.Fatal(err)
	}
	told := time.Now()
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	took := time.Since(told)
	t.Logf("after a minute %d of 200 objects were done; the end took %v", at.Done, took)
	if at.Done < 60 {
		t.Errorf("after a minute %d of 200 objects are done", at.Done)
	}
	if took >= 10*time.Second || cmd.ProcessState.ExitCode() != exitInterrupted {
		t.Errorf("Ctrl-C: %v, exit code %d", took, cmd.ProcessState.ExitCode())
	}
	if !strings.Contains(stderr.String(), "told to stop: ") {
		t.Errorf("nobody answered the signal: %s", stderr.String())
	}
	again := time.Now()
	s := b.parse(b.reseal(0, "run", "--job", job, "--json"))
	t.Logf("the next run took %v", time.Since(again))
	if !s.Complete || s.Done != 200 {
		t.Errorf("the next run: %+v", s)
	}
}
