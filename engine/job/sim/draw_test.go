package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// plan is everything that a seed draws before its night begins.
type plan struct {
	seed     uint64
	profile  s3test.Profile
	bucket   s3test.BucketConfig
	objects  []s3test.Object
	options  [][]s3test.PutOption
	target   job.Target
	policy   job.Policy
	versions string
	workers  int
	rules    string
	latency  time.Duration
	lives    []life // of processes that are going to die
	others   float64

	older  []bool // of an object, whether an older null version lies below it
	away   bool   // the state of the job lies in a bucket
	shards int    // 0 for a job that is not divided

	below   float64 // how often another client's write lies below the job's own
	unnamed []bool  // of an object, whether it was there before versions were kept; nil for none

	perPrefix float64 // requests a second that the store takes of each prefix; 0 for any

	traced bool // tell what the store was asked
}

// life is how one process of the job ends.
type life struct {
	atRequest int // it dies when it sends its n-th request; 0 for not
	atWrite   int // it dies when its checkpoint writes for the n-th time; 0 for not
	stopAt    int // it is asked to stop at its n-th request; 0 for not
	power     bool
	keep      int           // percent of what was not synced that a power cut leaves
	skew      time.Duration // of the store's clock from now on
	second    bool          // another process wants the job meanwhile

	policy *job.Policy   // of this process, where it is not the plan's
	setAt  int           // its pace is set at its n-th request; 0 for not
	sets   []job.Change  // one after another, ten minutes apart
	jumpAt int           // the store's clock jumps at its n-th request; 0 for not
	jump   time.Duration // and this far
}

const (
	bucketName = "night"
	oldKey     = "11111111-0000-4000-8000-000000000001"
	newKey     = "22222222-0000-4000-8000-000000000002"

	// partSize is the least that S3 takes: bytes are hashed, and time is nights.
	partSize = 5 << 20
)

// large are the bodies that are copied in parts. They are few, since a body
// remembers its digests, and most of a night's time went into them.
var large = func() (all []*s3test.Content) {
	for i := range uint64(12) {
		all = append(all, s3test.Synthetic(i, partSize+int64(i)*partSize/8+1))
	}
	return all
}()

func one[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func chance(r *rand.Rand, p float64) bool { return r.Float64() < p }

// draw makes a plan. Whatever is asked of r here, in this order, is what a seed
// means.
func draw(seed uint64) *plan {
	r := rand.New(rand.NewPCG(seed, 0x5ea1))
	p := &plan{seed: seed}
	p.profile = drawProfile(r)
	p.drawBucket(r)
	p.drawTarget(r)
	p.drawPolicy(r)
	p.drawObjects(r)
	p.drawFaults(r)
	for range r.IntN(4) {
		p.lives = append(p.lives, drawLife(r))
	}
	p.drawMore(rand.New(rand.NewPCG(seed, 0x5ea2)))
	p.drawCrowd(rand.New(rand.NewPCG(seed, 0x5ea3)))
	p.drawBelow(rand.New(rand.NewPCG(seed, 0x5ea4)))
	return p
}

func drawProfile(r *rand.Rand) s3test.Profile {
	stores, quirks := s3test.Stores(), s3test.Quirks()
	switch n := r.IntN(100); {
	case n < 50:
		return s3test.AWS()
	case n < 65:
		return s3test.MinIO()
	case n < 80:
		return stores[r.IntN(len(stores))]
	}
	return quirks[r.IntN(len(quirks))]
}

func (p *plan) drawBucket(r *rand.Rand) {
	if !p.profile.NoVersioning {
		p.bucket.Versioning = one(r, "", "", "Enabled", "Enabled", "Suspended")
	}
	p.bucket.Ownership = one(r, "", "", "ObjectWriter")
	if p.bucket.Versioning == "Enabled" && chance(r, 0.3) {
		p.bucket.ObjectLock = true
		if chance(r, 0.3) {
			p.bucket.DefaultLockMode, p.bucket.DefaultLockDays = "GOVERNANCE", 30
		}
	}
	p.versions = one(r, "current", "current", "all")
	if p.profile.SelfCopyInPlace { // such a store keeps no version of what it edits
		p.bucket.Versioning, p.bucket.ObjectLock, p.bucket.DefaultLockMode = "", false, ""
	}
}

func (p *plan) drawTarget(r *rand.Rand) {
	switch n := r.IntN(10); {
	case n < 7:
		p.target = job.Target{SSE: object.SSEKMS, KMSKeyID: newKey}
	case n < 9:
		p.target = job.Target{SSE: object.SSES3}
	default:
		p.target = job.Target{SSE: object.DSSEKMS, KMSKeyID: newKey}
	}
	if chance(r, 0.1) {
		p.target.StampMtime = true
	}
}

func (p *plan) drawPolicy(r *rand.Rand) {
	p.policy = job.Policy{
		Operation: one(r, job.OperationAuto, job.OperationAuto, job.CopyOnly),
		Inspect:   one(r, job.InspectAuto, job.InspectAuto, job.InspectAlways),
		Verify:    one(r, job.VerifyAuto, job.VerifyAuto, job.VerifyHead, job.VerifyRead),
		Guard:     one(r, job.GuardAuto, job.GuardAuto, job.GuardStrict),
		PartSize:  partSize,
	}
	p.policy.MultipartThreshold = one[int64](r, 1, 2*partSize, 0)
	for _, a := range []job.Acceptance{job.AcceptACL, job.AcceptLock, job.AcceptTags, job.AcceptRedirect, job.AcceptCompositeChecksum, job.AcceptContext} {
		if chance(r, 0.1) {
			p.policy.Accept = append(p.policy.Accept, a)
		}
	}
	if p.unguarded() {
		p.policy.Accept = append(p.policy.Accept, job.AcceptConcurrentWrites)
	}
	p.workers = 1 + r.IntN(12)
}

// unguarded says whether some condition of the store's is not honoured, so that a
// job is let go on at the risk of others' writes, and there must be none.
func (p *plan) unguarded() bool {
	f := &p.profile
	return f.IgnoresCopySourceConditions || f.IgnoresPartSourceConditions || f.IgnoresCompleteIfMatch
}

var oddNames = []string{"plain", "a/b", "a//b", "/lead", "trail/", "sp ace", "pl+us", "per%41cent", "é", "日本/語", "😀", "<&>\"'", "a\tb", "~*()!", "..", "ü/%2F+",
	strings.Repeat("long/", 100), "Z", "a", "-", "%", "?x=y", "#frag", "a=b&c"}

func (p *plan) drawObjects(r *rand.Rand) {
	n := 3 + r.IntN(22)
	for i := range n {
		key := one(r, oddNames...)
		if i > 2 || chance(r, 0.7) {
			key = fmt.Sprintf("%s-%02d", key, i)
		}
		versions := 1
		if p.bucket.Versioning == "Enabled" {
			versions += r.IntN(3)
		}
		for v := range versions {
			o, with := p.drawObject(r, key, i*4+v)
			p.objects, p.options = append(p.objects, o), append(p.options, with)
		}
	}
}

func (p *plan) drawObject(r *rand.Rand, key string, n int) (o s3test.Object, with []s3test.PutOption) {
	o = s3test.Object{Key: key, Body: s3test.Bytes(fmt.Sprintf("body %d of %q", n, key))}
	if chance(r, 0.05) && p.bucket.Versioning == "Enabled" {
		o.DeleteMarker = true
		return o, nil
	}
	switch n := r.IntN(20); {
	case n == 0:
		o.Body = s3test.Bytes("")
	case n == 1:
		o.Body = large[r.IntN(len(large))]
	}
	o.Encryption = one(r, object.Encryption{Type: object.SSENone}, object.Encryption{Type: object.SSES3}, object.Encryption{Type: object.SSES3},
		object.Encryption{Type: object.SSEKMS, KMSKeyID: p.shown(oldKey)}, object.Encryption{Type: object.SSEKMS, KMSKeyID: p.shown(newKey)})
	if chance(r, 0.5) {
		o.ContentType = "text/x-night"
	}
	if chance(r, 0.3) {
		o.CacheControl, o.ContentLanguage = "max-age=7", "de"
	}
	if chance(r, 0.1) {
		o.Expires = "Thu, 01 Jan 2032 00:00:00 GMT"
	}
	if p.profile.DropsHeaders { // no object there can have any
		o.CacheControl, o.ContentLanguage, o.Expires = "", "", ""
	}
	if p.profile.DropsExpires {
		o.Expires = ""
	}
	if chance(r, 0.4) {
		o.Metadata = map[string]string{"number": fmt.Sprint(n), "mixed": "a b"}
	}
	if chance(r, 0.3) {
		o.Tags = []object.Tag{{Key: "team a", Value: "x+y"}, {Key: "n", Value: fmt.Sprint(n)}}
	}
	if chance(r, 0.15) && !p.profile.OnlyStandard && !p.profile.ClassAlwaysDefault {
		o.StorageClass = one(r, "STANDARD_IA", "GLACIER", "INTELLIGENT_TIERING")
	}
	if chance(r, 0.1) {
		o.Redirect = "/elsewhere"
	}
	// A store that shows no grants has none that could be kept.
	if p.bucket.Ownership == "ObjectWriter" && chance(r, 0.2) && !p.profile.NoACL && !slices.Contains(p.profile.ForeignObject, "acl") {
		o.Grants = []object.Grant{{URI: "http://acs.amazonaws.com/groups/global/AllUsers", Permission: "READ"}}
	}
	p.drawLock(r, &o)
	if !p.profile.NoChecksums && chance(r, 0.2) {
		with = append(with, s3test.Summed(o.Body, one(r, "CRC32", "SHA256", "CRC64NVME")))
	}
	if size := o.Body.Size(); size > partSize && chance(r, 0.5) {
		algorithm := one(r, "", "CRC32")
		if p.profile.NoChecksums {
			algorithm = ""
		}
		with = []s3test.PutOption{s3test.Uploaded(o.Body, algorithm, "COMPOSITE", partSize, size-partSize)}
	}
	return o, with
}

func (p *plan) drawLock(r *rand.Rand, o *s3test.Object) {
	if !p.bucket.ObjectLock {
		return
	}
	if chance(r, 0.3) {
		o.LockMode, o.RetainUntil = "GOVERNANCE", time.Date(2000, 6, 1, 0, 0, 0, 0, time.UTC)
	}
	o.LegalHold = chance(r, 0.2)
}

// shown is a key as the store shows it.
func (p *plan) shown(key string) string {
	switch {
	case p.profile.KeyMinIO:
		return "arn:aws:kms:" + key
	case p.profile.KeyAsGiven:
		return key
	}
	return "arn:aws:kms:us-east-1:111122223333:key/" + key
}

// drawFaults draws rules that decide by operation, key and repetition, so that they
// mean the same whatever goroutine comes first.
func (p *plan) drawFaults(r *rand.Rand) {
	var b strings.Builder
	share := one(r, 0, 0.02, 0.1, 0.3)
	for _, f := range []string{"Failed", "ReplyLost", "Throttled", "(Throttled 2)", "KMSThrottled", "ErrorIn200", "(Applied ErrorIn200)", "Truncated",
		"EmptyBody", "Stalled", "(Applied Stalled)", "(Delay 5000)", "(Error 503 ServiceUnavailable \"later\")"} {
		if share > 0 && chance(r, 0.5) {
			of := ""
			if f == "EmptyBody" { // no store answers so to a GetObject, by which the state of a job is read
				of = fmt.Sprintf(" (Not (Key %q))", statePrefix+"*")
			}
			fmt.Fprintf(&b, "(If (And Any (Not (Key \"\")) (Not (Key \"*reseal-*\"))%s (PerKey (First 6)) (Random %g %d)) %s)\n", of, share/4, r.Uint64()%1e6, f)
		}
	}
	p.rules = b.String()
	p.latency = one(r, 0, 0, 30*time.Millisecond, time.Second)
	if !p.unguarded() {
		p.others = one(r, 0, 0, 0.01, 0.05)
	}
}

func drawLife(r *rand.Rand) life {
	l := life{power: chance(r, 0.5), keep: one(r, 0, 50, 100), second: chance(r, 0.2)}
	switch r.IntN(5) {
	case 0:
		l.stopAt = 1 + r.IntN(200)
	case 1, 2:
		l.atRequest = 1 + r.IntN(250)
	default:
		l.atWrite = 1 + r.IntN(60)
	}
	if chance(r, 0.15) {
		l.skew = one(r, -2*time.Hour, time.Hour, 20*time.Minute)
	}
	return l
}
