//go:build stores

package main

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// TestStoresLocks: objects under a retention, a legal hold, both and none come under another key with all
// of that, and prune takes the old versions of those that nothing protects, and no others.
func TestStoresLocks(t *testing.T) {
	for _, store := range realStores {
		t.Run(store.name, func(t *testing.T) {
			r := &lockRun{bed: newBed(t, store.start(t, realserver.Options{Keys: []string{"key-a", "key-b"}}), "without-locks")}
			r.bucket = "with-locks"
			if _, err := r.client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &r.bucket, ObjectLockEnabledForBucket: aws.Bool(true)}); err != nil {
				t.Fatal(err)
			}
			keys := r.seed()
			before := r.locks(keys)
			job := filepath.Join(t.TempDir(), "job")
			r.reseal(0, "run", "s3://"+r.bucket, "--sse", "aws:kms", "--sse-kms-key-id", "key-b", "--no-progress", "--job", job)
			for key, row := range r.rows(job) {
				if row["state"] != "done" {
					t.Errorf("%s: %v", key, row)
				}
			}
			for key, is := range r.locks(keys) {
				if want := strings.NewReplacer("none", "key-b", "key-a", "key-b").Replace(before[key]); is != want {
					t.Errorf("%s is %s, and was %s", key, is, before[key])
				}
			}
			r.reseal(3, "prune", "--job", job, "--yes")
			for key, versions := range r.nothingElse(keys) {
				if free := strings.HasPrefix(key, "free/"); free != (len(versions) == 1) {
					t.Errorf("%s has %d versions after prune", key, len(versions))
				}
			}
		})
	}
}

type lockRun struct{ *bed }

// seed puts small and larger objects under each kind of lock.
func (r *lockRun) seed() (keys []string) {
	r.Helper()
	until := aws.Time(time.Now().Add(48 * time.Hour).Truncate(time.Second))
	for _, lock := range []string{"free", "governance", "compliance", "hold", "governance+hold"} {
		for _, size := range []int{20, 1 << 20} {
			for _, key := range []string{"", "key-a"} {
				in := &s3.PutObjectInput{Bucket: &r.bucket, Key: aws.String(fmt.Sprintf("%s/%d under %s", lock, size, cmp.Or(key, "none"))), Body: strings.NewReader(strings.Repeat("x", size)),
					Tagging: aws.String("a=b"), Metadata: map[string]string{"note": "two words"}}
				if key != "" {
					in.ServerSideEncryption, in.SSEKMSKeyId = types.ServerSideEncryptionAwsKms, &key
				}
				if mode := strings.ToUpper(strings.TrimSuffix(lock, "+hold")); mode == "GOVERNANCE" || mode == "COMPLIANCE" {
					in.ObjectLockMode, in.ObjectLockRetainUntilDate = types.ObjectLockMode(mode), until
				}
				if strings.HasSuffix(lock, "hold") {
					in.ObjectLockLegalHoldStatus = types.ObjectLockLegalHoldStatusOn
				}
				if _, err := r.client.PutObject(r.Context(), in); err != nil {
					r.Fatal(err)
				}
				keys = append(keys, *in.Key)
			}
		}
	}
	return keys
}

// locks is what another client is shown of each object: its lock, its tags and its key.
func (r *lockRun) locks(keys []string) map[string]string {
	r.Helper()
	all := map[string]string{}
	for key, is := range r.look(slices.Clone(keys)) {
		ret, err := r.client.GetObjectRetention(r.Context(), &s3.GetObjectRetentionInput{Bucket: &r.bucket, Key: &key})
		retention := r.orFree(err)
		if err == nil && ret.Retention != nil {
			retention = fmt.Sprint(ret.Retention.Mode, " ", aws.ToTime(ret.Retention.RetainUntilDate).UTC().Format(time.DateTime))
		}
		held, err := r.client.GetObjectLegalHold(r.Context(), &s3.GetObjectLegalHoldInput{Bucket: &r.bucket, Key: &key})
		hold := r.orFree(err)
		if err == nil && held.LegalHold != nil && held.LegalHold.Status == types.ObjectLockLegalHoldStatusOn {
			hold = "hold"
		}
		all[key] = fmt.Sprint(retention, ", ", hold, ", tags ", is.Tags, ", ", is.Metadata, ", ", len(is.Body), " bytes under ", cmp.Or(is.Key, "none"))
	}
	return all
}

// orFree is what a store says of an object without that lock.
func (r *lockRun) orFree(err error) string {
	r.Helper()
	var e smithy.APIError
	if err != nil && (!errors.As(err, &e) || !strings.Contains(e.ErrorCode(), "ObjectLock") && !strings.Contains(e.ErrorCode(), "LegalHold")) {
		r.Fatal(err)
	}
	return "free"
}
