//go:build stores

package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// vaultStores take their keys from Vault.
var vaultStores = []realStore{{name: "Ceph", start: realserver.StartCeph}}

// TestStoresKMSAway: Ceph's Vault is sealed in the middle of a run, for longer than it takes to give an
// object up that fails for a moment. A key that it does not have is told as that, and no object under
// one as deleted.
func TestStoresKMSAway(t *testing.T) {
	for _, store := range vaultStores {
		t.Run(store.name, func(t *testing.T) {
			v := realserver.StartVault(t)
			r := &vaultRun{bed: newBed(t, store.start(t, realserver.Options{Vault: v.URL}), "away"), vault: v}
			under := []types.ServerSideEncryption{types.ServerSideEncryptionAwsKms, "", ""}
			if store.guards {
				under[1] = types.ServerSideEncryptionAes256
			} else {
				r.accept = []string{"--accept", "concurrent-writes"}
			}
			r.seed(60, under)
			nobody := r.to("run", filepath.Join(t.TempDir(), "job"), "--sse", "aws:kms", "--sse-kms-key-id", "nobody")
			if s := answered(t, r.command(nobody...)); s.code == 0 || !strings.Contains(s.stderr, "nobody") {
				t.Errorf("a key that Vault does not have: exit code %d\n%s", s.code, s.stderr)
			}
			r.throughSeal(60, "--sse", "aws:kms", "--sse-kms-key-id", "key-b")
			r.withoutKey(func() { v.Gone.Store(aws.String("key-b")) }, "--sse", "aws:kms", "--sse-kms-key-id", "key-c")
			if store.guards {
				v.Gone.Store(nil)
				r.throughSeal(60, "--sse", "AES256")
				r.withoutKey(v.Forget, "--sse", "aws:kms", "--sse-kms-key-id", "key-c")
			}
		})
	}
}

type vaultRun struct {
	*bed
	vault  *realserver.Vault
	accept []string
}

// seed puts n objects, under each of the encryptions in turn.
func (r *vaultRun) seed(n int, under []types.ServerSideEncryption) {
	r.Helper()
	for i := range n {
		in := &s3.PutObjectInput{Bucket: &r.bucket, Key: aws.String(fmt.Sprintf("k%03d", i)), Body: strings.NewReader("the bytes"),
			ServerSideEncryption: under[i%len(under)]}
		if in.ServerSideEncryption == types.ServerSideEncryptionAwsKms {
			in.SSEKMSKeyId = aws.String("key-a")
		}
		if _, err := r.client.PutObject(r.Context(), in); err != nil {
			r.Fatal(err)
		}
	}
}

func (r *vaultRun) to(verb, job string, target ...string) []string {
	return slices.Concat([]string{verb, "s3://" + r.bucket, "--no-progress", "--job", job}, r.accept, target)
}

// throughSeal runs a job during which Vault is sealed for 40 seconds: all n objects are done.
func (r *vaultRun) throughSeal(n int, target ...string) {
	r.Helper()
	job := filepath.Join(r.TempDir(), "job")
	cmd := r.command(append(r.to("run", job, target...), "--json", "--max-requests-per-second", "40")...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Start(); err != nil {
		r.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	r.await(ended, "objects are done", func() bool { return r.status(job).Done >= 5 })
	r.vault.Sealed.Store(true)
	time.Sleep(40 * time.Second)
	r.vault.Sealed.Store(false)
	if err := <-ended; err != nil {
		r.Fatalf("%v\n%s%s", err, out.String(), said.String())
	}
	if s := r.parse(out.Bytes()); s.Done != n || !s.Complete || !strings.Contains(said.String(), "kms-away") {
		r.Errorf("%v: %+v\n%s", target, s, said.String())
	}
}

// withoutKey runs a job over objects whose key Vault does not have any more since it was planned.
func (r *vaultRun) withoutKey(forget func(), target ...string) {
	r.Helper()
	job := filepath.Join(r.TempDir(), "job")
	if s := answered(r.T, r.command(r.to("plan", job, target...)...)); s.code != 0 {
		r.Fatalf("exit code %d\n%s", s.code, s.stderr)
	}
	forget()
	s := answered(r.T, r.command("run", "--job", job, "--no-progress"))
	for name, row := range r.rows(job) {
		if row["state"] != "failed" || !strings.Contains(row["message"], "Failed to retrieve the actual key") {
			r.Errorf("%s: %v", name, row)
		}
	}
	if s.code != exitSome {
		r.Errorf("exit code %d\n%s%s", s.code, s.stdout, s.stderr)
	}
}
