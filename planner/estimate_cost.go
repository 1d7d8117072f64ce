package planner

import "github.com/resealhq/reseal/engine/object"

// With a bucket key about one request in a hundred reaches KMS.
const bucketKeyShare = 0.01

func (e *Estimator) targetKMS(calls float64) float64 {
	t := &e.opt.Target
	switch {
	case !t.SSE.KMS():
		return 0
	case t.SSE == object.SSEKMS && t.BucketKey == object.On:
		return calls * bucketKeyShare
	}
	return calls
}

func sourceKMS(o *object.Object, calls float64) float64 {
	switch {
	case !o.Encryption.Type.KMS():
		return 0
	case o.Encryption.BucketKey:
		return calls * bucketKeyShare
	}
	return calls
}

func (e *Estimator) put(k object.RequestKind, class string, n uint64) {
	if e.opt.ToFiles {
		return
	}
	e.requests[k] += n
	e.cost.Requests += float64(n) * e.price(class).PutPer1000 / 1000
}

func (e *Estimator) get(k object.RequestKind, class string, n uint64) {
	if e.opt.FromFiles && (k == object.ReqGet || k == object.ReqGetDetail) {
		return
	}
	e.requests[k] += n
	e.cost.Requests += float64(n) * e.price(class).GetPer1000 / 1000
}

// priced is the price of a storage class, which most tasks share with the one before.
type priced struct {
	class string
	price ClassPrice
}

func (e *Estimator) price(class string) ClassPrice {
	if class = className(class); class != e.priced.class {
		e.priced = priced{class, e.opt.Prices.class(class)}
	}
	return e.priced.price
}
