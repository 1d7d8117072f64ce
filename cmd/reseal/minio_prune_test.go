package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// prunedBucket is a bucket of a real MinIO that a job has brought under SSE-S3, while
// eight other clients go on to write and delete.
type prunedBucket struct {
	*bed
	first  map[string]string // the version of each key that the job copied
	held   map[string]bool
	mixed  bool // others write every other object under SSE-S3
	mu     sync.Mutex
	others map[string]bool // versions that others made since, and their delete markers
}

const (
	prunedShared = 160
	prunedQuiet  = 140
)

// TestPruneOnRealServer prunes a bucket with Object Lock while eight clients write to
// and delete half of its objects, kills the process in the middle, and goes on: nothing
// goes but versions that the job had copied, and no held one; of the objects that
// nobody writes every old version goes.
func TestPruneOnRealServer(t *testing.T) {
	t.Parallel()
	server := realserver.StartMinIO(t, realserver.Options{})
	b := &prunedBucket{bed: newBed(t, server, "unused"), first: map[string]string{}, held: map[string]bool{}, others: map[string]bool{}}
	b.bucket = "pruned"
	if _, err := b.client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &b.bucket, ObjectLockEnabledForBucket: aws.Bool(true)}); err != nil {
		t.Fatal(err)
	}
	for i := range prunedShared + prunedQuiet {
		b.seedOne(i)
	}
	dir := filepath.Join(t.TempDir(), "job")
	b.reseal(0, "run", "s3://"+b.bucket, "--sse", "AES256", "--no-progress", "--job", dir)
	before := b.everything()

	stopOthers := b.othersWrite()
	b.killPrune(dir)
	var p job.Pruned
	file := filepath.Join(t.TempDir(), "rows.csv")
	if err := json.Unmarshal(b.reseal(3, "prune", "--job", dir, "--yes", "--json", "--quiet", "-o", file), &p); err != nil {
		t.Fatal(err)
	}
	stopOthers()
	t.Logf("%+v, beside %d versions of others", p, len(b.others))
	if p.Versions != prunedShared+prunedQuiet || !p.Complete || p.Failed > 0 || p.Earlier == 0 {
		t.Errorf("%+v", p)
	}
	rows, left, gone := tableIn(t, file).by(t, byKey), b.everything(), 0
	for id := range before {
		if left[id] {
			continue
		}
		gone++
		key, version, _ := strings.Cut(id, "?")
		if b.first[key] != version || b.held[key] || rows[key]["state"] != job.PruneDeleted {
			t.Errorf("%s is gone; it was held: %t, the job copied %s, and its row is %v", id, b.held[key], b.first[key], rows[key])
		}
	}
	for id := range b.others {
		if !left[id] {
			t.Errorf("%s of another client is gone", id)
		}
	}
	if uint64(gone) != p.Deleted {
		t.Errorf("%d versions are gone, and %d were told", gone, p.Deleted)
	}
	for i := prunedShared; i < prunedShared+prunedQuiet; i++ {
		key, want := prunedKey(i), job.PruneDeleted
		if b.held[key] {
			want = job.PruneKept
		}
		if rows[key]["state"] != want {
			t.Errorf("nobody wrote %s, and its row is %v", key, rows[key])
		}
	}
	b.reseal(3, "prune", "--job", dir, "--yes")
	if again := b.everything(); len(again) != len(left) {
		t.Errorf("%d versions after a third prune, and %d before it", len(again), len(left))
	}
}

func prunedKey(i int) string {
	if i < prunedShared {
		return fmt.Sprintf("shared/%03d", i)
	}
	return fmt.Sprintf("quiet/%03d", i)
}

// seedOne stores two versions of an object; every tenth is held.
func (b *prunedBucket) seedOne(i int) {
	b.Helper()
	key := prunedKey(i)
	for n := range 2 {
		in := &s3.PutObjectInput{Bucket: &b.bucket, Key: &key, Body: bytes.NewReader(fmt.Appendf(nil, "%s, version %d", key, n))}
		if i%10 == 0 && n == 1 {
			in.ObjectLockLegalHoldStatus, b.held[key] = types.ObjectLockLegalHoldStatusOn, true
		}
		out, err := b.client.PutObject(b.Context(), in)
		if err != nil {
			b.Fatal(err)
		}
		b.first[key] = *out.VersionId
	}
}

// write is one client: it writes the very bytes that were there, or others, or deletes.
func (b *prunedBucket) write(me int, stop <-chan struct{}) {
	r := rand.New(rand.NewPCG(uint64(me), 4))
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(r.IntN(30)) * time.Millisecond):
		}
		key := prunedKey(r.IntN(prunedShared/otherClients)*otherClients + me)
		var version *string
		if r.IntN(4) == 0 {
			out, err := b.client.DeleteObject(b.Context(), &s3.DeleteObjectInput{Bucket: &b.bucket, Key: &key})
			if err != nil {
				b.Error(err)
				return
			}
			version = out.VersionId
		} else {
			in := &s3.PutObjectInput{Bucket: &b.bucket, Key: &key, Body: bytes.NewReader(fmt.Appendf(nil, "%s, version %d", key, r.IntN(3)))}
			if b.mixed && r.IntN(2) == 0 {
				in.ServerSideEncryption = types.ServerSideEncryptionAes256
			}
			out, err := b.client.PutObject(b.Context(), in)
			if err != nil {
				b.Error(err)
				return
			}
			version = out.VersionId
		}
		b.mu.Lock()
		b.others[key+"?"+*version] = true
		b.mu.Unlock()
	}
}

// killPrune kills a prune in the middle of its deletions.
func (b *prunedBucket) killPrune(dir string) {
	b.Helper()
	cmd := b.command("prune", "--job", dir, "--yes", "--quiet", "--max-requests-per-second", "150")
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	whole := len(b.everything())
	b.await(ended, "a deletion", func() bool { return b.missing() > 10 })
	_ = cmd.Process.Kill()
	if err := <-ended; err == nil {
		b.Fatalf("the prune had ended by itself (%d versions before)", whole)
	}
}

// missing counts the versions that the job copied and that are not there any more.
func (b *prunedBucket) missing() (n int) {
	all := b.everything()
	for key, version := range b.first {
		if !all[key+"?"+version] {
			n++
		}
	}
	return n
}

func (b *prunedBucket) everything() map[string]bool {
	all := map[string]bool{}
	for page := range b.versionPages() {
		for _, v := range page.Versions {
			all[b.decoded(*v.Key, page.EncodingType)+"?"+*v.VersionId] = true
		}
		for _, m := range page.DeleteMarkers {
			all[b.decoded(*m.Key, page.EncodingType)+"?"+*m.VersionId] = true
		}
	}
	return all
}

// othersWrite lets the other clients write until stop is called, which waits for them.
func (b *prunedBucket) othersWrite() (stop func()) {
	ended := make(chan struct{})
	var writing sync.WaitGroup
	for n := range otherClients {
		writing.Go(func() { b.write(n, ended) })
	}
	return func() {
		close(ended)
		writing.Wait()
	}
}
