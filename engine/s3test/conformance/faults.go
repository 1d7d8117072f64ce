package conformance

import (
	"errors"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

var faultChecks = []check{
	{name: "faults", needs: isEmbedded, run: faults},
}

// mutations are the requests that faults are put on, each on an object of its own.
var mutations = []struct {
	rule string // the operation as fault rules name it
	send func(e *env, key, etag string) error
}{
	{"Copy", func(e *env, key, etag string) error {
		_, err := e.reseal(key, etag, toSSES3)
		return err
	}},
	{"Update", func(e *env, key, etag string) error {
		_, err := e.store.Update(e.ctx(), e.ref(key), e.toKMS(0))
		return err
	}},
	{"CreateUpload", func(e *env, key, etag string) error {
		_, _, err := e.store.CreateUpload(e.ctx(), e.upload(key, etag))
		return err
	}},
	{"CopyPart", func(e *env, key, etag string) error {
		_, err := e.multipart(e.upload(key, etag), nil, 1)
		return err
	}},
	{"Complete", func(e *env, key, etag string) error {
		_, err := e.multipart(e.upload(key, etag), nil, 1)
		return err
	}},
	{"Head", func(e *env, key, etag string) error {
		_, err := e.store.Head(e.ctx(), e.ref(key), noKey)
		return err
	}},
	{"List", func(e *env, key, etag string) error {
		_, err := e.store.ListPage(e.ctx(), object.ListRequest{Bucket: e.bucket})
		return err
	}},
	{"GetObjectTagging", func(e *env, key, etag string) error {
		_, err := e.store.Tags(e.ctx(), e.ref(key))
		return err
	}},
}

func (e *env) upload(key, etag string) *object.CopyRequest {
	return &object.CopyRequest{Source: e.ref(key), Dest: e.ref(key), SourceETag: etag, Target: toSSES3}
}

// effects are faults by name, the class that they must come out as, and the
// requests that they mean nothing for.
var effects = []struct {
	effect string
	class  string
	bodies bool // only where the answer has a body
}{
	{"Failed", "transient", false},
	{"ReplyLost", "transient", false},
	{"(Unapplied ReplyLost)", "transient", false},
	{"Throttled", "throttled", false},
	{"(Throttled 7)", "throttled", false},
	{"KMSThrottled", "kms-throttled", true},
	{"Truncated", "transient", true},
	{"EmptyBody", "transient", true},
	{"ErrorIn200", "transient", true},
	{`(ErrorIn200 SlowDown "Please reduce your request rate.")`, "throttled", true},
	{`(ErrorIn200 AccessDenied "Access Denied")`, "denied", true},
	{"ExpiredToken", "credentials", false},
	{"KMSDisabled", "kms-key", true},
	{`(Error 403 AccessDenied "Access Denied")`, "denied", false},
	{`(Error 409 OperationAborted "A conflicting conditional operation is in progress.")`, "transient", true},
	{`(Error 409 ConditionalRequestConflict "Retry.")`, "changed", true},
	{`(Error 400 RequestTimeout "Your socket connection was not read from.")`, "transient", true},
	{`(Error 501 NotImplemented "Not implemented.")`, "unsupported", true},
	{`(Error 502 BadGateway "")`, "transient", false},
	{`(Error 507 XMinioStorageFull "Storage backend has reached its minimum free drive threshold.")`, "full", false},
	{`(Error 500 kms:KeyGenerationFailed "failed to generate data key with KMS key")`, "kms-away", true},
	{`(Error 400 KMS.ThrottlingException "Rate exceeded")`, "kms-throttled", true},
}

// faults: every fault on every request comes out as its class, after exactly one
// request: nothing below the engine retries.
func faults(e *env) {
	srv := e.srv.Embedded
	defer srv.SetRules("")
	for _, m := range mutations {
		for _, f := range effects {
			bodiless := m.rule == "Head" || m.rule == "Update"
			if f.bodies && bodiless && m.rule == "Head" {
				continue // a HEAD's answer has no body to say it in
			}
			if bodiless && (f.effect == "EmptyBody" || f.effect == "Truncated") {
				continue // and an update's success has none to lose
			}
			if f.effect == "EmptyBody" && m.rule == "GetObjectTagging" {
				continue // Ceph's way to say that there are none: taken for that
			}
			name := m.rule + " " + f.effect
			e.must(srv.SetRules(""))
			s := e.put("k", "x", under(toSSES3))
			condition := m.rule
			if m.rule == "Head" {
				condition = "(Or Head Get)" // a HEAD that says nothing is asked again as a GET
			}
			e.must(srv.SetRules("(If " + condition + " " + f.effect + ")"))
			before := srv.Count(m.rule)
			err := m.send(e, "k", s.etag)
			sent := srv.Count(m.rule) - before
			if got := e.outcome(err); got != f.class {
				e.Errorf("%s: %s, want %s (%v)", name, got, f.class, err)
			}
			// net/http itself repeats a GET or HEAD whose kept-alive connection broke,
			// which changes nothing, and a HEAD that was refused is asked again without
			// the checksum, which may have been what was refused; a mutation goes out once.
			reads := m.rule == "Head" || m.rule == "List" || m.rule == "GetObjectTagging"
			again := reads && f.class == "transient" || m.rule == "Head" && f.class == "denied"
			if sent != 1 && !(again && sent == 2) {
				e.Errorf("%s: %d requests were sent", name, sent)
			}
			var oe *object.Error
			if f.effect == "(Throttled 7)" && errors.As(err, &oe) && oe.RetryAfter != 7*time.Second {
				e.Errorf("%s: Retry-After is %v", name, oe.RetryAfter)
			}
			if oe != nil && oe.NotSent {
				e.Errorf("%s: marked as not sent", name)
			}
		}
	}
}
