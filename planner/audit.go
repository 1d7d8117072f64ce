package planner

import (
	"cmp"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/resealhq/reseal/engine/object"
)

// AuditRow is how many objects are under one encryption in one class.
type AuditRow struct {
	Encryption object.SSE `json:"encryption"`
	KMSKeyID   string     `json:"kms_key_id,omitempty"`
	BucketKey  bool       `json:"bucket_key"`
	// ClientSide is set where the metadata carries the marks of an S3 encryption
	// client; an object whose envelope lies in an instruction file beside it may carry
	// none.
	ClientSide   bool   `json:"client_side"`
	StorageClass string `json:"storage_class"`
	Objects      uint64 `json:"objects"`
	Bytes        int64  `json:"bytes"`
	// Envelope is what the metadata shows, none too, and empty where nobody looked;
	// Content is the algorithm of the bytes.
	Envelope object.ClientSide `json:"client_side_envelope,omitempty"`
	Content  string            `json:"client_side_content,omitempty"`
	// CustomerKeyMD5 is the fingerprint by which S3 shows a customer key, the base64 MD5
	// of it; empty where no key that was given opens the objects.
	CustomerKeyMD5 string `json:"sse_c_key_md5,omitempty"`
}

// Audit is what a source holds under which encryption.
type Audit struct {
	Objects      uint64     `json:"objects"`
	Bytes        int64      `json:"bytes"`
	ByEncryption []AuditRow `json:"by_encryption"`
	// Unanswered objects could not be inspected; they stand under unknown.
	// Unanswer is what one of them met.
	Unanswered uint64 `json:"unanswered,omitempty"`
	Unanswer   string `json:"unanswered_because,omitempty"`
	// Sampled is how many of the objects were inspected where not all were. Then
	// Objects and Bytes are exact, the rows are projections, and each row's share of
	// the objects is off by at most Margin (a fraction, at 95 % confidence).
	Sampled uint64  `json:"sampled,omitempty"`
	Margin  float64 `json:"margin,omitempty"`
	// Unread is why the source could not be read as a whole; empty where it was. The
	// counts are those of what was read.
	Unread string `json:"unread,omitempty"`
	// Sources are those that it was added up of.
	Sources []AuditedSource `json:"sources,omitempty"`
}

// AuditedSource is what one of several sources holds.
type AuditedSource struct {
	Source string `json:"source"`
	Audit
}

// AuditOptions of one audit. The zero value counts what the rows tell.
type AuditOptions struct {
	// Inspect is asked about objects whose row does not tell the encryption and the
	// key; nil leaves them unknown.
	Inspect    Inspector
	Inspectors int
	// CustomerKeys: some were given, so that objects under SSE-C are asked about even
	// where the row tells that they are.
	CustomerKeys bool
	// Sample bounds the inspections: so many objects are drawn, each with the same
	// chance; 0 inspects all. Memory grows with it.
	Sample int
	// Passed is told after every page how many rows were counted. Called by many
	// goroutines; must not block.
	Passed func(rows int)
}

// RunAudit reads the source to its end, or to the selection's limit, and changes nothing. Memory does not grow
// with the source. An error means that the audit is not complete.
func RunAudit(ctx context.Context, src Source, sel *Selection, opt AuditOptions) (*Audit, error) {
	a := &auditing{sel: sel, opt: opt, inspecting: newInspecting(opt.Inspect, opt.Inspectors)}
	a.mu.told = map[auditKey]*Amount{}
	a.mu.drawn = map[auditKey]*Amount{}
	a.mu.rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	err := src.Read(ctx, nil, func(page object.Page) error { return a.page(ctx, page.Objects) })
	if err != nil && !errors.Is(err, errLimit) {
		return nil, err
	}
	if err := a.drawSample(ctx); err != nil {
		return nil, err
	}
	return a.result(), nil
}

type auditKey struct {
	encryption object.SSE
	key, class string
	bucketKey  bool
	clientSide object.ClientSide
	customer   string
}

func auditKeyOf(o *object.Object) auditKey {
	e := &o.Encryption
	return auditKey{e.Type, e.KMSKeyID, className(o.StorageClass), e.BucketKey, o.ClientSide, e.CustomerKeyMD5}
}

type auditing struct {
	sel *Selection
	opt AuditOptions
	inspecting
	mu struct {
		sync.Mutex
		told       map[auditKey]*Amount // counted one by one
		drawn      map[auditKey]*Amount // of the sample
		unanswered uint64
		unanswer   error
		// looked counts the rows that were selected, or that only an inspection says
		// it of; they count against the selection's limit.
		looked uint64
		// sample is drawn from the untold objects by reservoir: the n-th takes the
		// place of an earlier one with the chance that keeps all chances equal.
		sample []object.Object
		untold Amount
		rand   *rand.Rand
	}
}

func (a *auditing) page(ctx context.Context, rows []object.Object) error {
	var ask []*object.Object
	full := false
	a.mu.Lock()
	for i := range rows {
		o := &rows[i]
		v := a.sel.Match(o)
		if v != No {
			if full = a.sel.Limit > 0 && a.mu.looked >= a.sel.Limit; full {
				break
			}
			a.mu.looked++
		}
		switch {
		case v == No:
		case v == Inspect && a.opt.Inspect == nil:
			a.mu.Unlock()
			return undecidable(o)
		case a.told(o) && v == Yes || a.opt.Inspect == nil:
			at(a.mu.told, auditKeyOf(o)).add(o.Size)
		case a.opt.Sample > 0 && v == Yes:
			a.draw(o)
		default: // even where a sample is wanted: whether it is selected is no matter of chance
			ask = append(ask, o)
		}
	}
	a.mu.Unlock()
	if err := a.inspectAndCount(ctx, ask, false); err != nil {
		return err
	}
	if a.opt.Passed != nil {
		a.opt.Passed(len(rows))
	}
	if full {
		return errLimit
	}
	return nil
}

// told says whether the row tells all that is counted.
func (a *auditing) told(o *object.Object) bool {
	e := &o.Encryption
	return told(o) && (e.Type != object.SSEC || !a.opt.CustomerKeys || e.CustomerKeyMD5 != "")
}

// told says whether the row tells the encryption and, where there is one, the
// key.
func told(o *object.Object) bool {
	e := &o.Encryption
	return e.Type != object.SSEUnknown && (!e.Type.KMS() || e.KMSKeyID != "")
}

// draw is called under the mutex.
func (a *auditing) draw(o *object.Object) {
	a.mu.untold.add(o.Size)
	if len(a.mu.sample) < a.opt.Sample {
		a.mu.sample = append(a.mu.sample, *o)
		return
	}
	if i := a.mu.rand.Uint64N(a.mu.untold.Objects); i < uint64(a.opt.Sample) {
		a.mu.sample[i] = *o
	}
}

func (a *auditing) drawSample(ctx context.Context) error {
	const chunk = 1000
	for rows := range slices.Chunk(a.mu.sample, chunk) {
		ask := make([]*object.Object, len(rows))
		for i := range rows {
			ask[i] = &rows[i]
		}
		if err := a.inspectAndCount(ctx, ask, true); err != nil {
			return err
		}
	}
	return nil
}

// inspectAndCount asks about objects. One that is gone by now is not counted; one
// that does not answer is counted as what its row tells.
func (a *auditing) inspectAndCount(ctx context.Context, ask []*object.Object, sampled bool) error {
	if len(ask) == 0 {
		return nil
	}
	results, err := a.all(ctx, ask)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	into := a.mu.told
	if sampled {
		into = a.mu.drawn
	}
	for i := range results {
		r, o := &results[i], ask[i]
		switch {
		case r.gone():
			continue
		case r.err != nil:
			a.mu.unanswered++
			a.mu.unanswer = cmp.Or(a.mu.unanswer, r.err)
		default:
			seen := r.head.Object
			seen.Ref, seen.Noncurrent = o.Ref, o.Noncurrent
			if o = &seen; a.sel.Match(o) != Yes {
				continue
			}
		}
		at(into, auditKeyOf(o)).add(o.Size)
	}
	return nil
}

// result projects the sample onto all objects that it was drawn from.
func (a *auditing) result() *Audit {
	out := &Audit{ByEncryption: []AuditRow{}, Unanswered: a.mu.unanswered}
	if a.mu.unanswer != nil {
		out.Unanswer = a.mu.unanswer.Error()
	}
	rows := map[auditKey]*Amount{}
	for k, n := range a.mu.told {
		*at(rows, k) = *n
	}
	var drawn Amount
	for _, n := range a.mu.drawn {
		drawn.Objects += n.Objects
		drawn.Bytes += n.Bytes
	}
	scale := drawn // the whole was drawn: nothing to project
	if all := a.mu.untold; all.Objects > uint64(a.opt.Sample) && drawn.Objects > 0 {
		scale = all
		out.Sampled, out.Margin = drawn.Objects, a.margin(drawn.Objects)
	}
	for k, n := range project(a.mu.drawn, drawn, scale) {
		row := at(rows, k)
		row.Objects += n.Objects
		row.Bytes += n.Bytes
	}
	for k, n := range rows {
		out.Objects += n.Objects
		out.Bytes += n.Bytes
		out.ByEncryption = append(out.ByEncryption, AuditRow{Encryption: k.encryption, KMSKeyID: k.key, BucketKey: k.bucketKey,
			ClientSide: k.clientSide.Encrypted(), Envelope: k.clientSide, Content: k.clientSide.Content(), StorageClass: k.class, CustomerKeyMD5: k.customer, Objects: n.Objects, Bytes: n.Bytes})
	}
	slices.SortFunc(out.ByEncryption, compareRows)
	return out
}

func compareRows(x, y AuditRow) int {
	return cmp.Or(cmp.Compare(x.Encryption, y.Encryption), cmp.Compare(x.KMSKeyID, y.KMSKeyID), cmp.Compare(x.StorageClass, y.StorageClass),
		compareBool(x.BucketKey, y.BucketKey), cmp.Compare(x.Envelope, y.Envelope), cmp.Compare(x.CustomerKeyMD5, y.CustomerKeyMD5))
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// project scales the sample up so that the sums are exact: what rounding leaves
// goes to the largest row.
func project(sample map[auditKey]*Amount, drawn, all Amount) map[auditKey]Amount {
	out := make(map[auditKey]Amount, len(sample))
	rest := all
	var largest auditKey
	var most uint64
	for k, n := range sample {
		p := Amount{Objects: uint64(math.Floor(float64(n.Objects) / float64(drawn.Objects) * float64(all.Objects)))}
		if drawn.Bytes > 0 {
			p.Bytes = int64(math.Floor(float64(n.Bytes) / float64(drawn.Bytes) * float64(all.Bytes)))
		}
		out[k] = p
		rest.Objects -= min(p.Objects, rest.Objects)
		rest.Bytes -= min(p.Bytes, rest.Bytes)
		if n.Objects > most || n.Objects == most && k.key > largest.key {
			largest, most = k, n.Objects
		}
	}
	if len(out) == 0 {
		return out
	}
	p := out[largest]
	p.Objects += rest.Objects
	p.Bytes += rest.Bytes
	out[largest] = p
	return out
}

// margin is how far off the least certain row can be, as a share of all objects:
// the longer arm of its 95 % interval, corrected for how much of the whole the
// sample is. The interval is Wilson's, which also holds for rows of which few or
// none were drawn, and half an object wider, since objects are whole.
func (a *auditing) margin(n uint64) float64 {
	const z2 = 1.96 * 1.96
	all := float64(a.mu.untold.Objects)
	of := float64(n)
	if all > of {
		of *= (all - 1) / (all - of) // as many draws with replacement would tell as much
	}
	half := z2 / (of + z2) // of what was not drawn at all
	for _, x := range a.mu.drawn {
		p := float64(x.Objects) / float64(n)
		centre := (p + z2/(2*of)) / (1 + z2/of)
		arm := math.Sqrt(z2*(p*(1-p)/of+z2/(4*of*of))) / (1 + z2/of)
		half = max(half, math.Abs(p-centre)+arm)
	}
	var told uint64
	for _, x := range a.mu.told {
		told += x.Objects
	}
	half = min(1, half+1/(2*of))
	return half * all / (all + float64(told))
}
