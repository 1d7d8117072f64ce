package sim

import (
	"strings"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/kms"
)

const othersKey = "11111111-2222-4333-8444-555555555555"

// TestWhatOthersEncryptWhileARequestWaits: a request that leaves an object under its own
// encryption names that of the look. Others may bring it under a key of theirs meanwhile
// without another ETag, by UpdateObjectEncryption, and that is not taken back.
func TestWhatOthersEncryptWhileARequestWaits(t *testing.T) {
	rewrap := job.Policy{Operation: job.RewrapOnly}
	for name, c := range map[string]struct {
		waits  string
		policy job.Policy
		client func(*testing.T, *bed)
		size   int
		key    string
		lost   bool
	}{
		"a rewrap":                       {waits: "CopyObject", policy: rewrap, client: toNewKey},
		"a rewrap, lost":                 {waits: "CopyObject", policy: rewrap, client: toNewKey, lost: true},
		"a rewrap in parts":              {waits: "CompleteMultipartUpload", policy: job.Policy{Operation: job.RewrapOnly, MultipartThreshold: 1}, client: toNewKey},
		"a rewrap in parts, lost":        {waits: "CompleteMultipartUpload", policy: job.Policy{Operation: job.RewrapOnly, MultipartThreshold: 1}, client: toNewKey, lost: true},
		"the begin of a rewrap in parts": {waits: "CreateMultipartUpload", policy: job.Policy{Operation: job.RewrapOnly, MultipartThreshold: 1}, client: toNewKey},
		"an instruction file":            {waits: "PutObject", policy: rewrap, client: toNewKeyInFile, key: "k00.instruction"},
		"a re-upload":                    {waits: "PutObject", client: toV3},
		"a re-upload in parts":           {waits: "CompleteMultipartUpload", client: toV3, size: 24 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			key := "k00"
			if c.key != "" {
				key = c.key
			}
			onBed(t, s3test.Profile{}, s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true}, 1, time.Second, func(t *testing.T, b *bed) {
				theirs := b.server.KMS.CreateKeyWith(kms.KeyOptions{ID: othersKey})
				b.server.Put(bucketName, s3test.Object{Key: "k00", Body: s3test.Bytes(strings.Repeat("x", max(1, c.size)))})
				c.client(t, b)
				b.server.Modify(bucketName, key, "", func(a *s3test.Attrs) { a.Encryption = object.Encryption{Type: object.SSES3} })
				before, _ := b.server.Get(bucketName, key, "")
				waited := b.waits(c.waits, key, c.lost, func() {
					b.server.Modify(bucketName, key, before.VersionID, func(a *s3test.Attrs) { a.Encryption = object.Encryption{Type: object.SSEKMS, KMSKeyID: theirs} })
				})
				b.policy = c.policy
				err := b.run(job.Limits{})
				o, _ := b.server.Get(bucketName, key, "")
				if err != nil || !*waited || o.VersionID == before.VersionID || o.Encryption.KMSKeyID != theirs {
					t.Errorf("%v; waited %t, it is under %v", err, *waited, o.Encryption)
				}
			})
		})
	}
}

// waits has the first such request, and each that follows, wait for a store that throttles for
// 13 minutes, or lose its answer without being applied for half a second. Others do what they
// do in that time.
func (b *bed) waits(op, key string, lost bool, others func()) (waited *bool) {
	waited = new(bool)
	rules := func(text string) {
		if err := b.server.SetRules(text); err != nil {
			b.t.Error(err)
		}
	}
	fault, does, ends := `(Error 503 SlowDown "later")`, 10*time.Minute, 13*time.Minute
	if lost {
		fault, does, ends = "(Unapplied ReplyLost)", 0, time.Second/2
	}
	b.server.OnRequest(func(r s3test.Request) {
		if r.Op != op || r.Key != key || *waited {
			return
		}
		*waited = true
		rules(`(If (And ` + op + ` (Key "` + key + `")) ` + fault + `)`)
		time.AfterFunc(does, others)
		time.AfterFunc(ends, func() { rules("") })
	})
	return waited
}

// TestAnObjectLargerThanAMinuteOfTheCeiling: a copy that has to wait for its bytes for longer
// than a look may be old is looked at when its turn has come, and done.
func TestAnObjectLargerThanAMinuteOfTheCeiling(t *testing.T) {
	onBed(t, s3test.Profile{}, s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true}, 0, time.Second, func(t *testing.T, b *bed) {
		for _, key := range []string{"k00", "k01"} {
			b.server.Put(bucketName, s3test.Object{Key: key, Body: s3test.Synthetic(1, 1<<30)})
		}
		b.policy.MultipartThreshold = 4 << 30
		b.atWrite(0, nil)
		began := time.Now()
		err := b.run(job.Limits{BytesPerSecond: 10 << 20, StopAfter: 10 * time.Minute})
		if took := time.Since(began); err != nil || b.writes != 2 || took > 5*time.Minute {
			t.Errorf("%v after %v, %d copies", err, took, b.writes)
		}
	})
}

// TestASinglePartThatWasLookedAtLongAgo: between the look and the upload the whole object is
// read, for --verify read.
func TestASinglePartThatWasLookedAtLongAgo(t *testing.T) {
	onBed(t, s3test.Profile{}, s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true}, 1, time.Second, func(t *testing.T, b *bed) {
		b.server.Put(bucketName, s3test.Object{Key: "k00", Body: s3test.Bytes(strings.Repeat("x", 6<<20))})
		before, _ := b.server.Get(bucketName, "k00", "")
		b.policy.Verify, b.policy.MultipartThreshold = job.VerifyRead, 1<<20
		if err := b.server.SetRules(`(If (And GetObject (Key "k00")) (Delay 80000))`); err != nil {
			t.Fatal(err)
		}
		b.server.OnRequest(func(r s3test.Request) {
			if r.Op == "GetObject" && r.Key == "k00" {
				time.AfterFunc(30*time.Second, func() {
					b.server.Modify(bucketName, "k00", before.VersionID, func(a *s3test.Attrs) { a.LegalHold = true })
				})
			}
		})
		err := b.run(job.Limits{RequestTimeout: 5 * time.Minute})
		if o, _ := b.server.Get(bucketName, "k00", ""); err != nil || !o.LegalHold || o.VersionID == before.VersionID {
			t.Errorf("%v; held %t, under %v", err, o.LegalHold, o.Encryption)
		}
	})
}

// TestWhatOthersPutWhereALateCopyGoes: an unguarded copy that had to wait overwrites nothing
// that came to stand there meanwhile.
func TestWhatOthersPutWhereALateCopyGoes(t *testing.T) {
	for name, c := range map[string]struct {
		waits     string
		profile   s3test.Profile
		threshold int64
	}{
		"a copy":    {"CopyObject", s3test.Profile{IgnoresCopyIfMatch: true}, 0},
		"an upload": {"CompleteMultipartUpload", s3test.Profile{IgnoresCompleteIfMatch: true}, 1 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			onBed(t, c.profile, s3test.BucketConfig{}, 1, time.Second, func(t *testing.T, b *bed) {
				b.server.CreateBucket("there", s3test.BucketConfig{})
				b.server.Put(bucketName, s3test.Object{Key: "k00", Body: s3test.Bytes(strings.Repeat("x", 6<<20))})
				b.spec.Target.DestBucket = "there"
				b.policy.Accept, b.policy.MultipartThreshold = []job.Acceptance{job.AcceptConcurrentWrites}, c.threshold
				b.policy.Inspect = job.InspectAlways
				waited := b.waits(c.waits, "k00", false, func() {
					b.server.Put("there", s3test.Object{Key: "k00", Body: s3test.Bytes("theirs")})
				})
				err := b.run(job.Limits{})
				if o, _ := b.server.Get("there", "k00", ""); err != nil || !*waited || o.Body.Size() != 6 {
					t.Errorf("%v; waited %t, there are %d bytes", err, *waited, o.Body.Size())
				}
			})
		})
	}
}
