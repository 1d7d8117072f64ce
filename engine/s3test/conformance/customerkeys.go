package conformance

import (
	"github.com/resealhq/reseal/engine/object"
)

var customerKeyChecks = []check{
	{name: "customer keys", needs: hasTLS, run: customerKeys},
	{name: "customer keys without TLS", needs: hasNoTLS, run: customerKeysInClear},
}

// customerKeys: what a missing or a wrong key is answered with.
func customerKeys(e *env) {
	mine, other := customerKey(1), customerKey(2)
	target := &object.Target{SSE: object.SSEC, CustomerKey: mine}
	s := e.put("k", "secret bytes", under(target))
	none := object.CustomerKey{}

	h := e.head(e.ref("k"), mine)
	if !target.MetBy(h.Encryption) {
		e.Errorf("Head shows %+v", h.Encryption)
	}
	_, err := e.store.Head(e.ctx(), e.ref("k"), none)
	e.fact("head without the key", "invalid", e.outcome(err))
	_, err = e.store.Head(e.ctx(), e.ref("k"), other)
	e.fact("head with another key", "denied", e.outcome(err))
	_, err = e.open(e.ref("k"), none, "")
	e.fact("get without the key", "invalid", e.outcome(err))
	_, err = e.open(e.ref("k"), other, "")
	e.fact("get with another key", "denied", e.outcome(err))
	if got, err := e.open(e.ref("k"), mine, s.etag); err != nil || got != "secret bytes" {
		e.Errorf("get with the key: %q, %v", got, err)
	}
	_, err = e.reseal("k", s.etag, toSSES3)
	e.fact("copy without the source's key", "invalid", e.outcome(err))
	wrong := *toSSES3
	wrong.SourceKey = other
	_, err = e.reseal("k", s.etag, &wrong, func(r *object.CopyRequest) { r.SourceSSEC = true })
	e.fact("copy with another source key", "denied", e.outcome(err))
	e.holds(e.ref("k"), mine, "secret bytes")

	plain := e.put("plain", "x")
	_, err = e.store.Head(e.ctx(), e.ref("plain"), mine)
	e.fact("head of a plain object with a key", "invalid", e.outcome(err))
	extra := *target
	extra.SourceKey = mine
	_, err = e.reseal("plain", plain.etag, &extra, func(r *object.CopyRequest) { r.SourceSSEC = true })
	e.fact("copy of a plain object with a source key", "invalid", e.outcome(err))
}

// customerKeysInClear: a key must not leave the process without TLS, so it is
// refused before anything is sent.
func customerKeysInClear(e *env) {
	target := &object.Target{SSE: object.SSEC, CustomerKey: customerKey(1), SourceKey: customerKey(2)}
	s := e.put("k", "x")
	if e.srv.Embedded != nil {
		e.srv.Embedded.ResetRequests()
	}
	ref := e.ref("k")
	_, head := e.store.Head(e.ctx(), ref, customerKey(1))
	_, open := e.store.Open(e.ctx(), ref, customerKey(1), "")
	_, copied := e.reseal("k", s.etag, target)
	_, source := e.reseal("k", s.etag, &object.Target{SSE: object.SSES3, SourceKey: customerKey(2)}, func(r *object.CopyRequest) { r.SourceSSEC = true })
	_, _, create := e.store.CreateUpload(e.ctx(), &object.CopyRequest{Source: ref, Dest: ref, Target: target})
	_, part := e.store.CopyPart(e.ctx(), &object.PartRequest{Source: ref, Dest: ref, UploadID: "u", Number: 1, Last: -1, Target: target})
	for name, err := range map[string]error{"Head": head, "Open": open, "Copy": copied, "Copy of such a source": source,
		"CreateUpload": create, "CopyPart": part} {
		if err == nil {
			e.Errorf("%s sent a customer key in clear", name)
			continue
		}
		e.outcome(err)
	}
	if e.srv.Embedded != nil {
		if sent := e.srv.Embedded.Requests(); len(sent) != 0 {
			e.Errorf("%d requests were sent, the first is %s", len(sent), sent[0].Op)
		}
	}
}
