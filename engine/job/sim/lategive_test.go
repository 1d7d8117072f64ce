package sim

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// TestALockThatIsWrittenLate: a store has dropped the lock with the copy, and the request that
// writes it again has to wait, or its answer is lost. What others do to the object meanwhile
// stays: a longer lock, a hold, another object, which is not locked by what this one had. A
// retention that has run out by then is not written again.
func TestALockThatIsWrittenLate(t *testing.T) {
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		keeps   time.Duration
		hold    bool
		waits   string
		others  func(b *bed)
		locked  time.Duration // for how long the object is, when all is done
		held    bool
		theirs  bool
		inParts bool
	}{
		"a longer retention": {keeps: 30 * day, waits: "PutObjectRetention", locked: 60 * day, others: func(b *bed) {
			b.set(func(a *s3test.Attrs) { a.LockMode, a.RetainUntil = "GOVERNANCE", midnight.Add(60*day) })
		}},
		"a longer retention, in parts": {keeps: 30 * day, waits: "PutObjectRetention", locked: 60 * day, inParts: true, others: func(b *bed) {
			b.set(func(a *s3test.Attrs) { a.LockMode, a.RetainUntil = "GOVERNANCE", midnight.Add(60*day) })
		}},
		"a stricter one": {keeps: 30 * day, waits: "PutObjectRetention", locked: 60 * day, others: func(b *bed) {
			b.set(func(a *s3test.Attrs) { a.LockMode, a.RetainUntil = "COMPLIANCE", midnight.Add(60*day) })
		}},
		"a shorter one": {keeps: 30 * day, waits: "PutObjectRetention", locked: 30 * day, others: func(b *bed) {
			b.set(func(a *s3test.Attrs) { a.LockMode, a.RetainUntil = "GOVERNANCE", midnight.Add(day) })
		}},
		"a hold": {keeps: 30 * day, waits: "PutObjectRetention", locked: 30 * day, held: true, others: func(b *bed) {
			b.set(func(a *s3test.Attrs) { a.LegalHold = true })
		}},
		"a retention beside a hold": {hold: true, waits: "PutObjectLegalHold", locked: 60 * day, held: true, others: func(b *bed) {
			b.set(func(a *s3test.Attrs) { a.LockMode, a.RetainUntil = "GOVERNANCE", midnight.Add(60*day) })
		}},
		"nothing":        {keeps: 30 * day, hold: true, waits: "PutObjectRetention", locked: 30 * day, held: true, others: func(*bed) {}},
		"it has run out": {keeps: 11 * time.Minute, hold: true, waits: "PutObjectRetention", held: true, others: func(*bed) {}},
		"another object": {keeps: 30 * day, hold: true, waits: "PutObjectRetention", theirs: true, others: func(b *bed) {
			b.server.Put(bucketName, s3test.Object{Key: "k00", Body: s3test.Bytes("theirs")})
		}},
		"another object, held": {hold: true, waits: "PutObjectLegalHold", theirs: true, others: func(b *bed) {
			b.server.Put(bucketName, s3test.Object{Key: "k00", Body: s3test.Bytes("theirs")})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			profile := s3test.Profile{CopyDropsLock: true, UploadDropsLock: true}
			onBed(t, profile, s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true}, 1, time.Second, func(t *testing.T, b *bed) {
				if c.inParts {
					b.server.Put(bucketName, s3test.Object{Key: "k00", Body: s3test.Bytes(strings.Repeat("x", 6<<20))})
					b.policy.MultipartThreshold = 1 << 20
				}
				b.set(func(a *s3test.Attrs) {
					if c.keeps > 0 {
						a.LockMode, a.RetainUntil = "GOVERNANCE", midnight.Add(c.keeps)
					}
					a.LegalHold = c.hold
				})
				waited := b.waits(c.waits, "k00", false, func() { c.others(b) })
				err := b.run(job.Limits{})
				o, _ := b.server.Get(bucketName, "k00", "")
				locked := o.LockMode != "" && o.RetainUntil.Equal(midnight.Add(c.locked).UTC().Truncate(time.Second))
				if err != nil || !*waited || locked != (c.locked > 0) || o.LegalHold != c.held || !strings.HasSuffix(o.Encryption.KMSKeyID, newKey) || (o.Body.Size() == 6) != c.theirs {
					t.Errorf("%v; waited %t, it is locked by %q until %v, held %t, under %v", err, *waited, o.LockMode, o.RetainUntil, o.LegalHold, o.Encryption)
				}
				b.allDone()
			})
		})
	}
}

// TestTagsThatAreWrittenLateAreForTheCopy: another object that came to stand in the place of the copy
// does not get the tags that this one had.
func TestTagsThatAreWrittenLateAreForTheCopy(t *testing.T) {
	for _, lost := range []bool{false, true} {
		profile := s3test.Profile{CopyDropsTags: true, UploadDropsTags: true}
		onBed(t, profile, s3test.BucketConfig{}, 1, time.Second, func(t *testing.T, b *bed) {
			b.set(func(a *s3test.Attrs) { a.Tags = []object.Tag{{Key: "a", Value: "old"}} })
			waited := b.waits("PutObjectTagging", "k00", lost, func() {
				b.server.Put(bucketName, s3test.Object{Key: "k00", Body: s3test.Bytes("theirs")})
			})
			err := b.run(job.Limits{})
			o, _ := b.server.Get(bucketName, "k00", "")
			if err != nil || !*waited || o.Body.Size() != 6 || len(o.Tags) > 0 || !strings.HasSuffix(o.Encryption.KMSKeyID, newKey) {
				t.Errorf("lost %t: %v; waited %t, %d bytes with the tags %v under %v", lost, err, *waited, o.Body.Size(), o.Tags, o.Encryption)
			}
			b.allDone()
		})
	}
}

// TestARetentionThatRunsOutWhileARequestWaits: what the request carries is refused by then, and
// the object needs no lock any more.
func TestARetentionThatRunsOutWhileARequestWaits(t *testing.T) {
	onBed(t, s3test.Profile{}, s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true}, 1, time.Second, func(t *testing.T, b *bed) {
		b.set(func(a *s3test.Attrs) { a.LockMode, a.RetainUntil = "GOVERNANCE", midnight.Add(11*time.Minute) })
		waited := b.waits("CopyObject", "k00", false, func() {})
		err := b.run(job.Limits{})
		if o, _ := b.server.Get(bucketName, "k00", ""); err != nil || !*waited || !strings.HasSuffix(o.Encryption.KMSKeyID, newKey) {
			t.Errorf("%v; waited %t, it is under %v", err, *waited, o.Encryption)
		}
		b.allDone()
	})
}

// TestWhatIsReadBackLate: what a store dropped was written again, and the request that reads it back
// has to wait. What others have done by then says nothing of that: their tags stay, and the lock
// follows; another object is decided on anew.
func TestWhatIsReadBackLate(t *testing.T) {
	tags := func(value string) []object.Tag { return []object.Tag{{Key: "a", Value: value}} }
	for _, waits := range []string{"GetObjectTagging", "GetObjectRetention"} {
		for what, others := range map[string]func(b *bed){
			"tags": func(b *bed) { b.set(func(a *s3test.Attrs) { a.Tags = tags("new") }) },
			"object": func(b *bed) {
				b.server.Put(bucketName, s3test.Object{Key: "k00", Body: s3test.Bytes("theirs"), Attrs: s3test.Attrs{Tags: tags("new")}})
			},
		} {
			for _, inParts := range []bool{false, true} {
				t.Run(fmt.Sprint(waits, " ", what, " in parts ", inParts), func(t *testing.T) {
					profile := s3test.Profile{CopyDropsTags: true, UploadDropsTags: true, CopyDropsLock: true, UploadDropsLock: true}
					onBed(t, profile, s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true}, 1, time.Second, func(t *testing.T, b *bed) {
						if inParts {
							b.server.Put(bucketName, s3test.Object{Key: "k00", Body: s3test.Bytes(strings.Repeat("x", 6<<20))})
							b.policy.MultipartThreshold = 1 << 20
						}
						b.set(func(a *s3test.Attrs) {
							a.Tags, a.LockMode, a.RetainUntil = tags("old"), "GOVERNANCE", midnight.AddDate(0, 1, 0)
						})
						put, waited := strings.Replace(waits, "Get", "Put", 1), new(bool)
						b.server.OnRequest(func(r s3test.Request) {
							if r.Op == put && r.Key == "k00" {
								waited = b.waits(waits, "k00", false, func() { others(b) })
							}
						})
						err := b.run(job.Limits{})
						o, _ := b.server.Get(bucketName, "k00", "")
						if err != nil || !*waited || len(o.Tags) != 1 || o.Tags[0].Value != "new" || (o.LockMode == "") != (what == "object") || !strings.HasSuffix(o.Encryption.KMSKeyID, newKey) {
							t.Errorf("%v; waited %t, tags %v, lock %q, under %v", err, *waited, o.Tags, o.LockMode, o.Encryption)
						}
						b.allDone()
					})
				})
			}
		}
	}
}

// midnight is when the clock of these tests begins.
var midnight = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// set changes what the first object has.
func (b *bed) set(change func(*s3test.Attrs)) { b.server.Modify(bucketName, "k00", "", change) }

// allDone says what is left, or failed.
func (b *bed) allDone() {
	b.told(func(t *object.Totals) bool { return t.States[object.Done].Objects == t.Planned.Objects })
}

// noneFailed says what failed.
func (b *bed) noneFailed() {
	b.told(func(t *object.Totals) bool { return t.States[object.Failed].Objects == 0 })
}

func (b *bed) told(asWanted func(*object.Totals) bool) {
	j, err := job.Open(b.dir)
	if err != nil {
		b.t.Fatal(err)
	}
	defer j.Close()
	s, err := j.Status()
	if err != nil || !asWanted(&s.Totals) {
		var rows strings.Builder
		_ = j.Report(b.t.Context(), &rows, job.ReportOptions{})
		b.t.Errorf("%v; %s", err, rows.String())
	}
}
