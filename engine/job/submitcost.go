package job

import (
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/planner"
)

// SubmitOrder is what is given to S3 Batch Operations, and what that costs. What the
// tasks cost in KMS requests, retrieval and storage is as in the plan's estimate.
type SubmitOrder struct {
	Jobs    int    `json:"jobs"`
	Objects uint64 `json:"objects"`
	Bytes   int64  `json:"bytes"`
	Updates uint64 `json:"updates"`
	Copies  uint64 `json:"copies"`
	// ForRun counts by reason what is left for Run.
	ForRun map[string]uint64 `json:"for_run"`
	// Looked is how many objects were looked at to decide.
	Looked uint64 `json:"looked"`
	// Proofs are the HEAD requests that will ask for what was done.
	Proofs uint64 `json:"proofs"`
	// Of the price list: the jobs, the objects in them, and their requests.
	Currency string  `json:"currency"`
	JobsCost float64 `json:"jobs_cost"`
	Tasks    float64 `json:"tasks_cost"`
	Requests float64 `json:"requests_cost"`

	classes map[string]uint64 // of copies
}

// Cost is all of it.
func (o *SubmitOrder) Cost() float64 { return o.JobsCost + o.Tasks + o.Requests }

// LeftForRun counts what is left for Run, but for what the plan has decided already.
func (o *SubmitOrder) LeftForRun() (n uint64) {
	for why, count := range o.ForRun {
		if why != string(ForRunDecided) {
			n += count
		}
	}
	return n
}

func (o *SubmitOrder) add(update bool, class string, objects uint64, bytes int64) {
	o.Jobs++
	o.Objects += objects
	o.Bytes += bytes
	if update {
		o.Updates += objects
		return
	}
	o.Copies += objects
	if o.classes == nil {
		o.classes = map[string]uint64{}
	}
	o.classes[class] += objects
}

// price sets what an order costs. UpdateObjectEncryption is a request of STANDARD, whatever
// the class; a copy is one of the class that it goes into.
func (s *submitter) price(o *SubmitOrder) {
	p := s.opt.Prices
	if p == nil {
		p = planner.DefaultPrices()
	}
	perJob, perMillion := p.BatchPerJob, p.BatchPerMillion
	if perJob == 0 && perMillion == 0 { // a list from before it had these
		known := planner.DefaultPrices()
		perJob, perMillion = known.BatchPerJob, known.BatchPerMillion
	}
	o.Currency = p.Currency
	o.JobsCost = float64(o.Jobs) * perJob
	o.Tasks = float64(o.Objects) / 1e6 * perMillion
	o.Proofs = o.Objects
	if s.job.Policy.Verify == VerifyResponse {
		o.Proofs = min(o.Objects, max(sampleLeast, o.Objects/sampleOf))
	}
	standard := p.Classes["STANDARD"]
	o.Requests = float64(o.Updates)/1000*standard.PutPer1000 + float64(o.Proofs+o.Looked)/1000*standard.GetPer1000
	for class, n := range o.classes {
		c, ok := p.Classes[class]
		if !ok {
			c = standard
		}
		o.Requests += float64(n) / 1000 * c.PutPer1000
	}
	if o.ForRun == nil {
		o.ForRun = map[string]uint64{}
	}
}

// Of tasks that are done on the word of a report, one in sampleOf is asked about, and at
// least sampleLeast.
const (
	sampleOf    = 100
	sampleLeast = 100
)

// sampled says whether a task is one of the sample. It is the same whenever it is asked.
func sampled(seq, objects uint64) bool {
	if objects <= sampleLeast {
		return true
	}
	every := max(1, min(sampleOf, objects/sampleLeast))
	return seq%every == 0
}

// promisedBy is what a report that is believed says of an object.
func promisedBy(t *object.Target, update bool, row *object.Object) (etag string, e object.Encryption) {
	e = object.Encryption{Type: t.SSE, BucketKey: t.SSE == object.SSEKMS && t.BucketKey == object.On}
	if t.SSE.KMS() {
		e.KMSKeyID = firstNonEmpty(t.ShownKeyID, t.KMSKeyID)
	}
	if update {
		etag = row.ETag // which stays
	}
	return etag, e
}
