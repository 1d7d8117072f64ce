//go:build stores

package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// vault answers as Vault does for the keys that it has, until it is sealed.
type vault struct {
	*httptest.Server
	sealed atomic.Bool
	gone   atomic.Pointer[string] // a key that it does not have any more
}

func newVault(t *testing.T) *vault {
	v := new(vault)
	v.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
		switch gone := v.gone.Load(); {
		case v.sealed.Load():
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, `{"errors":["Vault is sealed"]}`)
		case !strings.HasPrefix(name, "key-"), gone != nil && name == *gone:
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"errors":[]}`)
		default:
			secret := make([]byte, 32)
			copy(secret, "a key for test data only: "+name)
			_, _ = fmt.Fprintf(w, `{"data":{"data":{"key":"%s"}}}`, base64.StdEncoding.EncodeToString(secret))
		}
	}))
	t.Cleanup(v.Close)
	return v
}

// TestStoresKMSAway: Ceph's Vault is sealed in the middle of a run, for longer than it takes to give an
// object up that fails for a moment. A key that it does not have is told as that, and no object under
// one as deleted.
func TestStoresKMSAway(t *testing.T) {
	v := newVault(t)
	b := newBed(t, realserver.StartCeph(t, realserver.Options{Vault: v.URL}), "away")
	const n = 60
	for i := range n {
		in := &s3.PutObjectInput{Bucket: &b.bucket, Key: aws.String(fmt.Sprintf("k%03d", i)), Body: strings.NewReader("the bytes")}
		if i%3 == 0 {
			in.ServerSideEncryption, in.SSEKMSKeyId = types.ServerSideEncryptionAwsKms, aws.String("key-a")
		}
		if _, err := b.client.PutObject(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	to := func(key, job string, more ...string) []string {
		return append([]string{"run", "s3://" + b.bucket, "--sse", "aws:kms", "--sse-kms-key-id", key, "--accept", "concurrent-writes", "--no-progress", "--job", job}, more...)
	}
	if s := answered(t, b.command(to("nobody", filepath.Join(t.TempDir(), "job"))...)); s.code == 0 || !strings.Contains(s.stderr, "nobody") {
		t.Errorf("a key that Vault does not have: exit code %d\n%s", s.code, s.stderr)
	}
	job := filepath.Join(t.TempDir(), "job")
	cmd := b.command(to("key-b", job, "--json", "--max-requests-per-second", "40")...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	b.await(ended, "objects are done", func() bool { return b.status(job).Done >= 5 })
	v.sealed.Store(true)
	time.Sleep(40 * time.Second)
	v.sealed.Store(false)
	if err := <-ended; err != nil {
		t.Fatalf("%v\n%s%s", err, out.String(), said.String())
	}
	if s := b.parse(out.Bytes()); s.Done != n || !s.Complete || !strings.Contains(said.String(), "kms-away") {
		t.Errorf("%+v\n%s", s, said.String())
	}
	next := filepath.Join(t.TempDir(), "job")
	if s := answered(t, b.command(append([]string{"plan"}, to("key-c", next)[1:]...)...)); s.code != 0 {
		t.Fatalf("exit code %d\n%s", s.code, s.stderr)
	}
	v.gone.Store(aws.String("key-b"))
	s := answered(t, b.command("run", "--job", next, "--no-progress"))
	for key, row := range b.rows(next) {
		if row["state"] != "failed" || !strings.Contains(row["message"], "Failed to retrieve the actual key") {
			t.Errorf("%s: %v", key, row)
		}
	}
	if s.code != exitSome {
		t.Errorf("exit code %d\n%s%s", s.code, s.stdout, s.stderr)
	}
}
