package planner

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// Amount is a number of objects and their size in bytes.
type Amount struct {
	Objects uint64 `json:"objects"`
	Bytes   int64  `json:"bytes"`
}

func (a *Amount) add(size int64) {
	a.Objects++
	a.Bytes += max(0, size)
}

// Work is what is to be done in one way to objects of one kind.
type Work struct {
	Source       object.SSE `json:"source_encryption"`
	StorageClass string     `json:"storage_class"`
	// Operation is update, copy, multipart, rewrite, rewrap or undecided.
	Operation string `json:"operation"`
	Amount
}

// LeftBehind is what the plan leaves, by its reason.
type LeftBehind struct {
	Reason object.Reason `json:"reason"`
	Amount
}

// Exposure is what is overwritten before its class's minimum duration is over,
// so that the rest of it is charged.
type Exposure struct {
	StorageClass string  `json:"storage_class"`
	Cost         float64 `json:"cost"`
	Amount
}

// Cost is in the currency of the price list.
type Cost struct {
	Requests      float64 `json:"requests"`
	KMS           float64 `json:"kms"`
	Retrieval     float64 `json:"retrieval"`
	EarlyDeletion float64 `json:"early_deletion"`
	Total         float64 `json:"total"`
	// StoragePerMonth is what the growth costs for as long as it is kept.
	StoragePerMonth float64 `json:"storage_per_month"`
	Currency        string  `json:"currency"`
	PricesOf        string  `json:"prices_of"`
	Region          string  `json:"prices_region"`
	// Elsewhere are the regions of buckets that are in another one than the prices.
	Elsewhere []string `json:"bucket_regions,omitempty"`
}

// Estimate is what a plan amounts to.
type Estimate struct {
	Total   Amount       `json:"total"`
	Work    []Work       `json:"work"`
	Already Amount       `json:"already"`
	Left    []LeftBehind `json:"left"`
	// Choices are why the operations of Work were chosen.
	Choices []Ground `json:"choices"`
	// Requests by kind, the names of object.RequestKind.
	Requests map[string]uint64 `json:"requests"`
	KMSCalls uint64            `json:"kms_calls"`
	// ClientBytes come to this machine, and go back to the store, for rewrites.
	ClientBytes int64 `json:"client_bytes"`
	// Growth in bytes: what copies leave behind as noncurrent versions, or write
	// elsewhere.
	Growth        int64      `json:"storage_growth_bytes"`
	EarlyDeletion []Exposure `json:"early_deletion"`
	Cost          Cost       `json:"cost"`
	// Seconds at RequestsPerSecond; both 0 where no pace was given.
	RequestsPerSecond float64 `json:"requests_per_second"`
	Seconds           float64 `json:"seconds"`
}

// EstimateOptions is what an estimate has to know beside the tasks.
type EstimateOptions struct {
	Target object.Target
	Caps   object.Capabilities
	Facts  object.BucketFacts
	// Elsewhere is --dest.
	Elsewhere bool
	// FromFiles, ToFiles: that end is a folder, and what is asked of it is no request.
	FromFiles, ToFiles bool
	// Annotations: each object that a copy in parts or a rewrite would strip of them is
	// asked whether it has some. What those cost that have some nobody knows before.
	Annotations bool
	// Reupload says that every object goes through this machine, to change its
	// client-side encryption; nil where that stays.
	Reupload *Reupload
	// PartSize of multipart copies; 0 means 64 MiB.
	PartSize int64
	// VerifyHead counts one HEAD for every object changed, VerifyRead two reads.
	VerifyHead, VerifyRead bool
	// RequestsPerSecond is the pace for the duration; 0 gives none.
	RequestsPerSecond float64
	// Chooser is what decided on the tasks, Key why it knows no ARN for the target's key.
	// Without it the estimate gives no reasons.
	Chooser *Chooser
	Key     KeyUnresolved
	// Prices; nil means DefaultPrices. Now is the time that ages are counted to.
	Prices *Prices
	Now    time.Time
}

// Estimator adds tasks up. Memory does not grow with them. Not for concurrent
// use.
type Estimator struct {
	opt      EstimateOptions
	lines    lines
	priced   priced
	total    Amount
	already  Amount
	work     map[workKey]*Amount
	left     map[object.Reason]*Amount
	grounds  map[Ground]*Amount
	early    map[string]*Exposure
	requests [object.NumRequestKinds]uint64
	cost     Cost
	kms      float64
	growth   int64
	through  int64 // bytes that come to this machine
	regions  map[string]bool
}

type workKey struct {
	source    object.SSE
	class     string
	operation object.Operation
}

// NewEstimator begins with nothing.
func NewEstimator(opt EstimateOptions) *Estimator {
	e := &Estimator{work: map[workKey]*Amount{}, left: map[object.Reason]*Amount{}, grounds: map[Ground]*Amount{}, early: map[string]*Exposure{}, regions: map[string]bool{}}
	e.Under(opt)
	return e
}

// Under says what the tasks that follow stand on, where those of several buckets are added
// up: another store or bucket may need other requests for the same.
func (e *Estimator) Under(opt EstimateOptions) {
	if opt.PartSize <= 0 {
		opt.PartSize = 64 << 20
	}
	if opt.Prices == nil {
		opt.Prices = DefaultPrices()
	}
	if r := opt.Facts.Region; opt.Caps.IsAWS() && r != "" && r != opt.Prices.Region {
		e.regions[r] = true
	}
	e.opt = opt
	e.lines, e.priced = lines{by: map[kindred]line{}}, priced{}
}

// Add takes one task of the plan.
func (e *Estimator) Add(t *object.Task) {
	o := &t.Object
	e.total.add(o.Size)
	switch {
	case t.Operation != object.OpNone:
	case t.Already:
		e.already.add(o.Size)
		return
	default:
		at(e.left, t.Reason).add(o.Size)
		return
	}
	l := e.line(o, t.Operation)
	l.work.add(o.Size)
	if l.ground != nil {
		l.ground.add(o.Size)
	}
	if !o.Settled && t.Operation != object.OpRewrite { // reading it inspects it
		e.get(object.ReqHead, o.StorageClass, 1)
	}
	switch t.Operation {
	case object.OpUpdate:
		e.update(o)
	case object.OpRewrap:
		e.rewrapped(o)
	default:
		if e.opt.Reupload != nil {
			e.reuploaded(o)
			return
		}
		e.copied(o, t.Operation)
	}
}

// reuploaded is a rewrite, with a look for an instruction file, two requests to KMS for
// the data keys, and a HEAD as its proof. What is there already is counted too.
func (e *Estimator) reuploaded(o *object.Object) {
	own := *e
	if e.opt.Reupload.KeepsSSE {
		own.opt.Target = e.opt.Target.Keep(o.Encryption)
	}
	own.opt.VerifyHead = true
	own.copied(o, object.OpRewrite)
	e.requests, e.cost, e.kms, e.growth, e.through = own.requests, own.cost, own.kms+2, own.growth, own.through
	e.get(object.ReqHead, o.StorageClass, 1)
	e.requests[object.ReqKMS] += 2
}

// rewrapped is a copy of the object onto itself under its own encryption, one request
// to KMS for its data key, and a HEAD as its proof.
func (e *Estimator) rewrapped(o *object.Object) {
	own := *e
	own.opt.Target = e.opt.Target.Keep(o.Encryption)
	own.opt.VerifyHead = true
	own.copied(o, object.OpCopy)
	e.requests, e.cost, e.kms, e.growth = own.requests, own.cost, own.kms+1, own.growth
	e.requests[object.ReqKMS]++
}

func at[K comparable, V any](m map[K]*V, k K) *V {
	v, ok := m[k]
	if !ok {
		v = new(V)
		m[k] = v
	}
	return v
}

// update is one request at the STANDARD rate whatever the class, and one HEAD as
// its proof. The data key is unwrapped and wrapped anew.
func (e *Estimator) update(o *object.Object) {
	e.put(object.ReqUpdate, "", 1)
	e.get(object.ReqHead, o.StorageClass, 1)
	e.kms += e.targetKMS(1) + sourceKMS(o, 1)
}

// copied is a copy, a multipart copy or a rewrite. An undecided object is counted as
// the copy that most of them turn out to be.
func (e *Estimator) copied(o *object.Object, by object.Operation) {
	class := o.StorageClass
	if e.opt.Target.StorageClass != "" {
		class = e.opt.Target.StorageClass
	}
	size := max(0, o.Size)
	if !e.aclsOff() {
		e.get(object.ReqGetDetail, o.StorageClass, 1)
	}
	switch by {
	case object.OpMultipart:
		e.inParts(o, class, size, e.opt.PartSize, false)
	case object.OpRewrite:
		e.through += size
		if part := e.sentPart(); size > part {
			e.inParts(o, class, size, min(part, e.opt.PartSize), true)
			break
		}
		e.get(object.ReqGet, o.StorageClass, 1)
		e.put(object.ReqPut, class, 1)
		if e.opt.Caps.GetTagging == object.Yes {
			e.get(object.ReqGetDetail, o.StorageClass, 1)
		}
		e.listAnnotations(o, 1)
		e.kms += e.targetKMS(1) + sourceKMS(o, 1)
	default:
		e.put(object.ReqCopy, class, 1)
		e.kms += e.targetKMS(1) + sourceKMS(o, 1)
	}
	if e.opt.VerifyHead && !e.opt.ToFiles {
		e.get(object.ReqHead, class, 1)
	}
	if e.opt.VerifyRead {
		e.get(object.ReqGet, class, 2)
		e.cost.Retrieval += 2 * gigabytes(size) * e.price(class).RetrievalGB
	}
	e.cost.Retrieval += gigabytes(size) * e.price(o.StorageClass).RetrievalGB
	e.leaveBehind(o, class, size)
}

// sentPart is up to what size an object goes through this machine in one piece, and
// in what parts a larger one does.
func (e *Estimator) sentPart() int64 {
	if e.opt.Reupload != nil {
		return MaxSentWhole
	}
	return MaxRewriteSize
}

// inParts are the requests of a copy in parts, or of a rewrite, which reads each: one
// look at the tags and annotations, and one at everything more before a long one is
// completed.
func (e *Estimator) inParts(o *object.Object, class string, size, part int64, sent bool) {
	parts := float64(max(1, (size+part-1)/part))
	parts = min(parts, 10_000)
	if sent {
		e.get(object.ReqHead, o.StorageClass, 1) // no reading of the whole inspects it
		e.get(object.ReqGet, o.StorageClass, uint64(parts))
	}
	e.put(object.ReqCreateUpload, class, 1)
	e.put(object.ReqCopyPart, class, uint64(parts))
	e.put(object.ReqComplete, class, 1)
	looks := uint64(1)
	if parts > 1 {
		looks = 2
		e.get(object.ReqHead, o.StorageClass, 1)
		if !e.aclsOff() {
			e.get(object.ReqGetDetail, o.StorageClass, 1)
		}
	}
	if e.opt.Caps.GetTagging == object.Yes {
		e.get(object.ReqGetDetail, o.StorageClass, looks)
	}
	e.listAnnotations(o, looks)
	e.kms += e.targetKMS(2+parts) + sourceKMS(o, parts)
}

// listAnnotations are the lists of them, each at the rate of a LIST.
func (e *Estimator) listAnnotations(o *object.Object, n uint64) {
	if e.opt.Annotations && o.Encryption.Type != object.SSEC {
		e.put(object.ReqGetDetail, "", n)
	}
}

// leaveBehind is about the object that a copy replaces: kept as a version, it
// goes on costing; overwritten too early, it costs to the end of its term.
func (e *Estimator) leaveBehind(o *object.Object, class string, size int64) {
	off := e.opt.Facts.Versioning == object.VersioningOff ||
		e.opt.Facts.Versioning == object.VersioningSuspended && (o.VersionID == "" || o.VersionID == object.NullVersion)
	if e.opt.ToFiles {
		return // it replaces nothing
	}
	if !off || e.opt.Elsewhere {
		e.growth += size
		price := e.price(o.StorageClass)
		if e.opt.Elsewhere {
			price = e.price(class)
		}
		e.cost.StoragePerMonth += gigabytes(max(size, price.MinimumBytes)) * price.StorageGBMonth
		return
	}
	price := e.price(o.StorageClass)
	if price.MinimumDays == 0 || o.LastModified.IsZero() {
		return
	}
	age := e.opt.Now.Sub(o.LastModified).Hours() / 24
	rest := float64(price.MinimumDays) - age
	if rest <= 0 {
		return
	}
	x := at(e.early, className(o.StorageClass))
	x.add(size)
	x.Cost += gigabytes(max(size, price.MinimumBytes)) * price.StorageGBMonth * min(rest, float64(price.MinimumDays)) / 30
}

func (e *Estimator) aclsOff() bool {
	return e.opt.Facts.ACLsDisabled == object.Yes || e.opt.Caps.GetACL != object.Yes || e.opt.Caps.KeepsNoGrants()
}

func gigabytes(n int64) float64 { return float64(n) / (1 << 30) }

// Estimate is the sum of what was added. It may be asked for at any time.
func (e *Estimator) Estimate() *Estimate {
	out := &Estimate{Total: e.total, Already: e.already, Requests: map[string]uint64{}, KMSCalls: uint64(e.kms + 0.5), Growth: e.growth, ClientBytes: e.through,
		Cost: e.cost, RequestsPerSecond: e.opt.RequestsPerSecond, Work: []Work{}, Left: []LeftBehind{}, Choices: e.choices(), EarlyDeletion: []Exposure{}}
	for k, a := range e.work {
		name := k.operation.String()
		out.Work = append(out.Work, Work{Source: k.source, StorageClass: k.class, Operation: name, Amount: *a})
	}
	slices.SortFunc(out.Work, func(a, b Work) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.StorageClass, b.StorageClass), cmp.Compare(a.Operation, b.Operation))
	})
	for _, reason := range slices.Sorted(maps.Keys(e.left)) {
		out.Left = append(out.Left, LeftBehind{Reason: reason, Amount: *e.left[reason]})
	}
	for _, class := range slices.Sorted(maps.Keys(e.early)) {
		x := *e.early[class]
		x.StorageClass = class
		out.EarlyDeletion = append(out.EarlyDeletion, x)
		out.Cost.EarlyDeletion += x.Cost
	}
	var sent uint64
	for k, n := range e.requests {
		if n > 0 {
			out.Requests[object.RequestKind(k).String()] = n
			sent += n
		}
	}
	p := e.opt.Prices
	out.Cost.KMS = e.kms * p.KMSPer10000 / 10_000
	out.Cost.Total = out.Cost.Requests + out.Cost.KMS + out.Cost.Retrieval + out.Cost.EarlyDeletion
	out.Cost.Currency, out.Cost.PricesOf, out.Cost.Region = p.Currency, p.Date, p.Region
	out.Cost.Elsewhere = slices.Sorted(maps.Keys(e.regions))
	if e.opt.RequestsPerSecond > 0 {
		out.Seconds = float64(sent) / e.opt.RequestsPerSecond
	}
	return out
}
