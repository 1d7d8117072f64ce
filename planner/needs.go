package planner

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/resealhq/reseal/engine/object"
)

// Needs is what of a source depends on one KMS key.
type Needs struct {
	Current    Amount `json:"current"`
	Noncurrent Amount `json:"noncurrent"`
	// Locked are those of both that a retention or a legal hold protects.
	Locked Amount `json:"locked"`
	// Replicas are under a replica of the key in another region, which is a key of its own.
	Replicas Amount `json:"replicas"`
	// Example is one that depends.
	Example object.Ref `json:"-"`
	// Envelopes are objects under client-side encryption, and instruction files of such
	// ones, whose data keys the key wraps.
	Envelopes Amount `json:"envelopes"`
	// ClientSide objects are, or hold, an envelope of an S3 encryption client of which was
	// not told which key wraps it.
	ClientSide Amount `json:"client_side"`
	// StoreKey objects are under SSE-S3 in a store that wraps its keys by a KMS key of
	// its own and does not tell which (MinIO).
	StoreKey Amount `json:"store_key"`
	// Unanswered objects could not be asked about; Unanswer is what one of them met.
	Unanswered uint64 `json:"unanswered"`
	Unanswer   error  `json:"-"`
}

// Any says whether anything depends.
func (n *Needs) Any() bool { return n.Current.Objects+n.Noncurrent.Objects+n.Envelopes.Objects > 0 }

// NeedsOptions say which key is meant, and how objects are asked about.
type NeedsOptions struct {
	// Same says whether a key, as the store shows it, is the one.
	Same func(shown string) bool
	// Replica says whether it is a replica of that one in another region; nil for never.
	Replica func(shown string) bool
	// StoreKeys: what the store calls SSE-S3 is, or may be, under one of those keys too.
	StoreKeys bool
	// Inspect is asked about objects whose row does not tell the encryption, and
	// with Locks also about those that depend.
	Inspect    Inspector
	Inspectors int
	Locks      bool
	// Wrapped says of an object that was inspected, once, whether the key wraps an envelope
	// that it has or holds, and whether that is known. With it objects that show an envelope,
	// and those that may be instruction files, are inspected. Nil knows nothing.
	Wrapped func(object.Ref) (is, known bool)
	// Listed says whether the store lists an object still that it did not find. One that it
	// does could not be asked about; any other was deleted. Nil takes all for deleted.
	Listed func(context.Context, *object.Object) (bool, error)
	// Passed is told after every page how many rows were counted. Called by many
	// goroutines; must not block.
	Passed func(rows int)
}

// FindNeeds reads the source to its end and counts what depends on a key. It changes
// nothing, and memory does not grow with the source. An error means that the count
// is not complete.
func FindNeeds(ctx context.Context, src Source, opt NeedsOptions) (*Needs, error) {
	f := &needsFinder{opt: opt, inspecting: newInspecting(opt.Inspect, opt.Inspectors)}
	err := src.Read(ctx, nil, func(page object.Page) error { return f.page(ctx, page.Objects) })
	return &f.found, err
}

type needsFinder struct {
	opt NeedsOptions
	inspecting
	mu    sync.Mutex
	found Needs
}

func (f *needsFinder) page(ctx context.Context, rows []object.Object) error {
	var ask []*object.Object
	f.mu.Lock()
	for i := range rows {
		o := &rows[i]
		e := &o.Encryption
		switch {
		case o.DeleteMarker:
		case !told(o), f.opt.Wrapped != nil && o.MayWrap(), f.opt.Locks && !o.Locked() && e.Type.KMS() && f.opt.Same(e.KMSKeyID):
			ask = append(ask, o)
		default:
			f.count(o)
		}
	}
	f.mu.Unlock()
	results, err := f.all(ctx, ask)
	if err != nil {
		return err
	}
	if err := f.missing(ctx, ask, results); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range results {
		switch r := &results[i]; {
		case r.gone():
		case r.err != nil && told(ask[i]): // only whether it is locked is not known
			f.count(ask[i])
		case r.err != nil:
			f.found.Unanswered++
			f.found.Unanswer = r.err
		default:
			o := r.head.Object
			o.Ref, o.Noncurrent = ask[i].Ref, ask[i].Noncurrent // a HEAD does not tell
			f.count(&o)
		}
	}
	if f.opt.Passed != nil {
		f.opt.Passed(len(rows))
	}
	return nil
}

// missing tells what was deleted from what is listed and not found: that may depend on
// anything.
func (f *needsFinder) missing(ctx context.Context, ask []*object.Object, results []inspected) error {
	for i := range results {
		r := &results[i]
		if !r.gone() || f.opt.Listed == nil {
			continue
		}
		there, err := f.opt.Listed(ctx, ask[i])
		switch {
		case ctx.Err() != nil || err != nil && concernsTheRun(object.ClassOf(err)):
			return firstOf(err, context.Cause(ctx))
		case err != nil:
			r.err = fmt.Errorf("%s was not found, and whether it is still listed is not known: %w", ask[i].Ref, err)
		case there:
			r.err = fmt.Errorf("%s is listed and was not found", ask[i].Ref)
		}
	}
	return nil
}

// envelope is called under the mutex.
func (f *needsFinder) envelope(o *object.Object) {
	is, known := false, false
	if f.opt.Wrapped != nil {
		is, known = f.opt.Wrapped(o.Ref)
	}
	switch {
	case is:
		f.found.Envelopes.add(o.Size)
		f.found.Example = o.Ref
	case !known:
		f.found.ClientSide.add(o.Size)
	}
}

// count is called under the mutex.
func (f *needsFinder) count(o *object.Object) {
	if o.MayWrap() {
		f.envelope(o)
	}
	e := &o.Encryption
	switch {
	case !told(o):
		f.found.Unanswered++
		f.found.Unanswer = errors.New(o.Ref.String() + " does not show how it is encrypted, or with which key")
		return
	case e.Type == object.SSES3 && f.opt.StoreKeys:
		f.found.StoreKey.add(o.Size)
		return
	case e.Type.KMS() && f.opt.Replica != nil && f.opt.Replica(e.KMSKeyID):
		f.found.Replicas.add(o.Size)
		return
	case !e.Type.KMS() || !f.opt.Same(e.KMSKeyID):
		return
	case o.Noncurrent:
		f.found.Noncurrent.add(o.Size)
	default:
		f.found.Current.add(o.Size)
	}
	f.found.Example = o.Ref
	if o.Locked() {
		f.found.Locked.add(o.Size)
	}
}
