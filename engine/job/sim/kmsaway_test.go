package sim

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/kms"
)

// TestTheKMSIsAway: whether what was refused had been done all the same or not, the run
// goes on where it was, each object is written once, and keeps what it carries.
func TestTheKMSIsAway(t *testing.T) {
	minio := `(Error 500 "kms:KeyGenerationFailed" "failed to generate data key with KMS key")`
	ceph := `(Error 500 UnknownError "Failed to retrieve the actual key, kms-keyid: K")`
	ceph20 := `(Error 503 ServiceUnavailable "Failed to retrieve the actual key, kms-keyid: K")`
	const needs = `CopyObject PutObject UploadPartCopy CompleteMultipartUpload`
	inParts := job.Policy{Operation: job.CopyOnly, MultipartThreshold: 1 << 20, PartSize: 5 << 20}
	for name, w := range map[string]struct {
		profile s3test.Profile
		policy  job.Policy
		size    int
		away    string // what it answers meanwhile
		looks   string // what looks at an object, and needs the KMS too
	}{
		"copies":   {policy: job.Policy{Operation: job.CopyOnly}, size: 10, away: minio},
		"in parts": {policy: inParts, size: 6 << 20, away: minio},
		"MinIO":    {profile: s3test.MinIO(), size: 10, away: minio},
		"Ceph":     {profile: s3test.Ceph16(), size: 10, away: ceph, looks: "HeadObject GetObject "},
		"Ceph 20":  {profile: s3test.Ceph20(), size: 10, away: ceph20, looks: "HeadObject GetObject "},
	} {
		for does, rule := range map[string]string{ // an upload that was begun unheard is nobody's to tell from others'
			"refused": "(Or CreateMultipartUpload " + w.looks + needs + ")) " + w.away,
			"done":    "(Or " + needs + ")) (Applied " + w.away + ")",
		} {
			t.Run(name+" "+does, func(t *testing.T) {
				onBed(t, w.profile, s3test.BucketConfig{Versioning: "Enabled"}, 0, time.Second, func(t *testing.T, b *bed) {
					const n = 4
					b.policy = w.policy
					old := b.server.KMS.CreateKeyWith(kms.KeyOptions{ID: oldKey})
					for i := range n {
						b.server.Put(bucketName, s3test.Object{Key: "k" + string(rune('0'+i)), Body: s3test.Bytes(strings.Repeat("x", w.size)), Attrs: s3test.Attrs{
							Encryption: object.Encryption{Type: object.SSEKMS, KMSKeyID: old}, Tags: []object.Tag{{Key: "a", Value: "b"}}}})
					}
					refused, began := 0, time.Time{}
					b.server.OnRequest(func(r s3test.Request) {
						if r.Key == "k2" && began.IsZero() {
							began = time.Now()
							if err := b.server.SetRules("(If (And (Key \"k*\") " + rule + ")"); err != nil {
								t.Error(err)
							}
							time.AfterFunc(20*time.Minute, func() { _ = b.server.SetRules("") })
						}
					})
					b.server.OnReply(func(r s3test.Request) {
						if r.Status >= 500 {
							refused++
						}
					})
					if err := b.run(job.Limits{}); err != nil {
						t.Fatal(err)
					}
					if took := time.Since(began); refused == 0 || does == "refused" && (refused < 10 || took < 20*time.Minute) {
						t.Errorf("%d refusals, and %v in all", refused, took)
					}
					snapshot, seen := b.server.Snapshot(bucketName), map[string]int{}
					if len(snapshot.Uploads) > 0 {
						t.Errorf("%d uploads are left open", len(snapshot.Uploads))
					}
					for _, o := range snapshot.Objects {
						seen[o.Key]++
						if o.Latest && (!strings.HasSuffix(o.Encryption.KMSKeyID, newKey) || len(o.Tags) != 1) {
							t.Errorf("%s: %+v", o.Key, o.Attrs)
						}
					}
					for key, versions := range seen {
						if !strings.HasPrefix(key, "k") || versions != 2 {
							t.Errorf("%s has %d versions", key, versions)
						}
					}
				})
			})
		}
	}
}

// TestTheKMSStaysAway: after four hours the run stops, and does not go on to wait for as long for every
// other object. The next run does what is left, and takes the few again that have failed.
func TestTheKMSStaysAway(t *testing.T) {
	onBed(t, s3test.MinIO(), s3test.BucketConfig{}, 0, time.Second, func(t *testing.T, b *bed) {
		const n = 300
		b.policy = job.Policy{Operation: job.CopyOnly, Accept: []job.Acceptance{job.AcceptConcurrentWrites}}
		for i := range n {
			b.server.Put(bucketName, s3test.Object{Key: fmt.Sprintf("k%03d", i), Body: s3test.Bytes("x")})
		}
		began := time.Time{}
		b.server.OnRequest(func(r s3test.Request) {
			if r.Key == "k020" && began.IsZero() {
				began = time.Now()
				if err := b.server.SetRules(`(If (And (Key "k*") CopyObject) (Error 500 "kms:KeyGenerationFailed" "failed to generate data key with KMS key"))`); err != nil {
					t.Error(err)
				}
			}
		})
		err := b.run(job.Limits{})
		if took := time.Since(began); object.ClassOf(err) != object.ClassKMSAway || took < 4*time.Hour || took > 5*time.Hour {
			t.Errorf("%v after %v", err, took)
		}
		if err := b.server.SetRules(""); err != nil {
			t.Fatal(err)
		}
		if err := b.run(job.Limits{RetryFailed: true}); err != nil {
			t.Fatal(err)
		}
		for _, o := range b.server.Snapshot(bucketName).Objects {
			if o.Encryption.Type != object.SSEKMS {
				t.Errorf("%s is under %s", o.Key, o.Encryption.Type)
			}
		}
	})
}
