package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

const (
	stateBucket = "state"
	statePrefix = "jobs/"
	stateOfJob  = "s3://" + stateBucket + "/" + statePrefix + "night"
	aWebsite    = `<WebsiteConfiguration><IndexDocument><Suffix>index.html</Suffix></IndexDocument></WebsiteConfiguration>`
)

// drawMore draws what came to the nights later, by a chance of its own, so that a seed
// draws of the rest what it always drew.
func (p *plan) drawMore(r *rand.Rand) {
	if chance(r, 0.15) && !slices.Contains(p.profile.ForeignBucket, "website") {
		p.bucket.Documents = map[string]string{"website": aWebsite}
	}
	p.older = make([]bool, len(p.objects))
	if p.bucket.Versioning == "Suspended" && chance(r, 0.7) {
		for i := range p.older {
			p.older[i] = chance(r, 0.4)
		}
	}
	p.away = chance(r, 0.12)
	if chance(r, 0.12) {
		p.shards = 2 + r.IntN(3)
	}
	for i := range p.lives {
		l := &p.lives[i]
		if chance(r, 0.25) {
			l.setAt, l.sets = 1+r.IntN(150), p.drawSets(r)
		}
		if chance(r, 0.25) {
			l.policy = p.drawOtherPolicy(r)
		}
		if chance(r, 0.1) {
			l.jumpAt, l.jump = 1+r.IntN(150), one(r, -time.Hour, 20*time.Minute, 48*time.Hour)
		}
		if p.away && l.atWrite > 0 { // it has no disk that outlives it
			l.atRequest, l.atWrite = 2*l.atWrite, 0
		}
	}
}

// drawCrowd draws, by another chance of its own, prefixes with a limit each and many small
// objects below them.
func (p *plan) drawCrowd(r *rand.Rand) {
	if !chance(r, 0.05) {
		return
	}
	p.perPrefix = one(r, 5.0, 20, 100)
	p.workers = max(p.workers, 4+r.IntN(12)) // no fewer than drawn settings ask for
	prefixes := 2 + r.IntN(6)
	for i := range 100 + r.IntN(250) {
		key := fmt.Sprintf("crowd/%02d/%03d", i%prefixes, i)
		o := s3test.Object{Key: key, Body: s3test.Bytes(key)}
		o.Encryption = object.Encryption{Type: object.SSES3}
		p.objects = append(p.objects, o)
		p.options, p.older = append(p.options, nil), append(p.older, false)
	}
}

// drawSets are settings of the pace; what pauses the job lets it go on again.
func (p *plan) drawSets(r *rand.Rand) []job.Change {
	yes, no := true, false
	switch r.IntN(4) {
	case 0:
		return []job.Change{{Paused: &yes}, {Paused: &no}}
	case 1:
		n := 1 + r.IntN(p.workers)
		return []job.Change{{Concurrency: &n}}
	case 2:
		slow, fast := 0.5, 50.0
		return []job.Change{{RequestsPerSecond: &slow}, {RequestsPerSecond: &fast}}
	}
	slow, any := 1.0, 0.0
	return []job.Change{{KMSRequestsPerSecond: &slow, Paused: &yes}, {Paused: &no}, {KMSRequestsPerSecond: &any}}
}

// drawOtherPolicy is what somebody asks for who runs the job anew. It accepts no more
// losses, and no store that it works with would refuse the plan's policy.
func (p *plan) drawOtherPolicy(r *rand.Rand) *job.Policy {
	q := p.policy
	q.Inspect = one(r, job.InspectAuto, job.InspectAlways)
	q.Verify = one(r, job.VerifyAuto, job.VerifyHead, job.VerifyRead)
	q.MultipartThreshold = one[int64](r, 1, 2*partSize, 0)
	if i := slices.Index(q.Accept, job.AcceptTags); i >= 0 && chance(r, 0.5) {
		q.Accept = slices.Delete(slices.Clone(q.Accept), i, i+1)
	}
	return &q
}

// skewed says whether the store's clock goes back in this night.
func (p *plan) skewed() bool {
	return slices.ContainsFunc(p.lives, func(l life) bool { return l.skew < 0 || l.jump < 0 })
}

// looksAlways says whether every process asks about every object.
func (p *plan) looksAlways() bool {
	return p.policy.Inspect == job.InspectAlways &&
		!slices.ContainsFunc(p.lives, func(l life) bool { return l.policy != nil && l.policy.Inspect != job.InspectAlways })
}
