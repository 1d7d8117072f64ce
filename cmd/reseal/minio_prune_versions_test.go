package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// TestPruneNoncurrentOnRealServer prunes the unencrypted noncurrent versions of a real MinIO
// with Object Lock, also those that the job never copied, beside eight clients that write and
// delete, and is killed at random moments: nothing goes but what was selected, and of the
// objects that nobody writes all of it.
func TestPruneNoncurrentOnRealServer(t *testing.T) {
	t.Parallel()
	server := realserver.StartMinIO(t, realserver.Options{})
	b := &prunedBucket{bed: newBed(t, server, "unused"), first: map[string]string{}, held: map[string]bool{}, others: map[string]bool{}, mixed: true}
	b.bucket = "noncurrent"
	if _, err := b.client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &b.bucket, ObjectLockEnabledForBucket: aws.Bool(true)}); err != nil {
		t.Fatal(err)
	}
	plain, wanted := map[string]bool{}, map[string]bool{}
	for i := range prunedShared + prunedQuiet {
		b.seedHistory(i, plain, wanted)
	}
	dir := filepath.Join(t.TempDir(), "job")
	b.reseal(0, "run", "s3://"+b.bucket, "--sse", "AES256", "--no-progress", "--job", dir)
	before := b.everything()

	stopOthers := b.othersWrite()
	args := []string{"prune", "--job", dir, "--versions", "noncurrent", "--only-encryption", "none", "--yes", "--quiet"}
	r := rand.New(rand.NewPCG(16, 1))
	const kills = 5
	for n := range kills {
		b.killAfter(before, 20*n+1+r.IntN(20), append(args, "--max-requests-per-second", "400")...)
	}
	stopOthers()
	var p job.Pruned
	file := filepath.Join(t.TempDir(), "rows.csv")
	if err := json.Unmarshal(b.reseal(3, append(args, "--json", "-o", file)...), &p); err != nil {
		t.Fatal(err)
	}
	p.Examples = nil
	t.Logf("%+v, beside %d versions of others", p, len(b.others))
	if p.Earlier < 20*(kills-1) || !p.Complete || p.Failed > 0 {
		t.Errorf("%+v", p)
	}
	rows, left, gone := tableIn(t, file).by(t, byVersion), b.everything(), 0
	for id := range before {
		if left[id] {
			continue
		}
		gone++
		if !plain[id] || rows[id]["state"] != job.PruneDeleted {
			t.Errorf("%s is gone; it was plain and free: %t; its row is %v", id, plain[id], rows[id])
		}
	}
	for id := range b.others { // theirs are plain too, and may be noncurrent; the newest is not
		if !left[id] && rows[id]["state"] != job.PruneDeleted {
			t.Errorf("%s of another client is gone, and its row is %v", id, rows[id])
		}
		gone += map[bool]int{false: 1}[left[id]]
	}
	if uint64(gone) != p.Deleted {
		t.Errorf("%d versions are gone, and %d were told", gone, p.Deleted)
	}
	for id := range wanted {
		if left[id] {
			t.Errorf("nobody wrote the key of %s, and its row is %v", id, rows[id])
		}
	}
	b.currentRemain(before)
}

// killAfter kills a prune when so many of the versions that were there before are gone.
func (b *prunedBucket) killAfter(before map[string]bool, gone int, args ...string) {
	b.Helper()
	cmd := b.command(args...)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	b.await(ended, "a deletion", func() bool {
		left, n := b.everything(), 0
		for id := range before {
			if !left[id] {
				n++
			}
		}
		return n >= gone
	})
	_ = cmd.Process.Kill()
	if err := <-ended; err == nil {
		b.Fatal("the prune had ended by itself")
	}
}

// seedHistory stores three versions: a plain one, one under SSE-S3 and a plain one; of every
// tenth key the first one is held. plain are those that may go at all, wanted those that must.
func (b *prunedBucket) seedHistory(i int, plain, wanted map[string]bool) {
	b.Helper()
	key := prunedKey(i)
	for n := range 3 {
		in := &s3.PutObjectInput{Bucket: &b.bucket, Key: &key, Body: bytes.NewReader(fmt.Appendf(nil, "%s, version %d", key, n))}
		if n == 1 {
			in.ServerSideEncryption = types.ServerSideEncryptionAes256
		}
		held := i%10 == 0 && n == 0
		if held {
			in.ObjectLockLegalHoldStatus = types.ObjectLockLegalHoldStatusOn
		}
		out, err := b.client.PutObject(b.Context(), in)
		if err != nil {
			b.Fatal(err)
		}
		id := key + "?" + *out.VersionId
		plain[id] = n != 1 && !held
		wanted[id] = plain[id] && i >= prunedShared
		if !wanted[id] {
			delete(wanted, id)
		}
	}
}

// currentRemain checks that every object that was there and that nobody writes is there, and
// that no key has lost its newest version.
func (b *prunedBucket) currentRemain(before map[string]bool) {
	b.Helper()
	for i := prunedShared; i < prunedShared+prunedQuiet; i++ {
		key := prunedKey(i)
		h, err := b.client.HeadObject(b.Context(), &s3.HeadObjectInput{Bucket: &b.bucket, Key: &key})
		if err != nil || !before[key+"?"+aws.ToString(h.VersionId)] || h.ServerSideEncryption != types.ServerSideEncryptionAes256 {
			b.Errorf("%s: %+v, %v", key, h, err)
		}
	}
	latest := map[string]bool{}
	for page := range b.versionPages() {
		for _, v := range page.Versions {
			latest[b.decoded(*v.Key, page.EncodingType)] = latest[b.decoded(*v.Key, page.EncodingType)] || *v.IsLatest
		}
		for _, m := range page.DeleteMarkers {
			latest[b.decoded(*m.Key, page.EncodingType)] = latest[b.decoded(*m.Key, page.EncodingType)] || *m.IsLatest
		}
	}
	for i := range prunedShared + prunedQuiet {
		if !latest[prunedKey(i)] {
			b.Errorf("%s has no current version and no marker", prunedKey(i))
		}
	}
}
