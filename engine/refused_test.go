package engine

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// byAbility takes the cheapest operation that the capabilities allow. A key that
// begins with "old" is of a version that only an update changes.
type byAbility struct {
	target   object.Target
	caps     object.Capabilities
	accepted bool // writes of others may be overwritten
}

func (c byAbility) Choose(o *object.Object, _ *object.Attributes) object.Choice {
	switch {
	case c.target.MetBy(o.Encryption):
		return object.Choice{Operation: object.OpNone, Already: true}
	case c.caps.Update == object.Yes:
		return object.Choice{Operation: object.OpUpdate}
	case strings.HasPrefix(o.Key, "old"):
		return object.Choice{Operation: object.OpNone, Reason: object.ReasonNoncurrent}
	case c.caps.CopyIfMatch == object.Yes || c.accepted:
		return object.Choice{Operation: object.OpCopy, Route: object.RouteSelfCopy}
	}
	return object.Choice{Operation: object.OpMultipart}
}

func refusing(s *memStore, caps object.Capabilities, accepted bool) (*memJournal, Config) {
	j := planOf(s, true)
	cfg := memConfig(s, j, object.OpNone)
	caps.CompleteIfMatch = object.Yes
	cfg.Caps = caps
	cfg.Chooser = byAbility{cfg.Target, caps, accepted}
	cfg.Narrow = func(caps object.Capabilities) Chooser { return byAbility{cfg.Target, caps, accepted} }
	return j, cfg
}

// The KMS key is another account's, or the permission is missing: what can be copied
// is copied, and the refusal is asked for once by each worker at most. What only an
// update can do fails by that refusal.
func TestW1ARefusedUpdateIsACopy(t *testing.T) {
	s := newMemStore(40)
	s.put("old version", []byte("x"))
	s.fault = func(k object.RequestKind, _ string) (error, bool) {
		if k == object.ReqUpdate {
			return &object.Error{Class: object.ClassDenied, Op: "UpdateObjectEncryption", Code: "AccessDenied", HTTPStatus: 403}, false
		}
		return nil, true
	}
	log := new(told)
	j, cfg := refusing(s, object.Capabilities{Update: object.Yes, CopyIfMatch: object.Yes}, false)
	log.into(&cfg)
	if err := Run(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if n := j.states(); n[object.Done] != 40 || n[object.Failed] != 1 {
		t.Errorf("outcomes %v", n)
	}
	for _, o := range j.mu.outcomes {
		switch {
		case o.State == object.Failed && o.ErrorCode != "AccessDenied":
			t.Errorf("failed by %s %s", o.ErrorCode, o.Message)
		case o.State == object.Done && (o.Operation != object.OpCopy || !strings.Contains(o.Message, "UpdateObjectEncryption was refused")):
			t.Errorf("done by %s: %q", o.Operation, o.Message)
		}
	}
	if n := s.count(object.ReqUpdate); n > cfg.Workers+1 {
		t.Errorf("%d updates of 41 were sent", n)
	}
	if n := strings.Count(log.b.String(), "UpdateObjectEncryption was refused"); n != 1 {
		t.Errorf("the log tells it %d times", n)
	}
}

// CopyObject with a condition on its destination beside the one on its source: no
// document says that S3 implements both at once.
func TestA3AConditionThatIsNotImplemented(t *testing.T) {
	for name, c := range map[string]struct {
		accepted bool
		keepsKey object.Finding // No: of the KMS keys of others nothing is to be told here
		want     object.Operation
	}{"another route is guarded": {false, object.Unknown, object.OpMultipart}, "accepted by name": {true, object.Unknown, object.OpCopy},
		"copies keep the key": {false, object.No, object.OpMultipart}} {
		t.Run(name, func(t *testing.T) {
			s := newMemStore(40)
			s.noCondition = true
			log := new(told)
			j, cfg := refusing(s, object.Capabilities{CopyIfMatch: object.Yes, OtherKey: c.keepsKey}, c.accepted)
			log.into(&cfg)
			if err := Run(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
			check(t, s, j, 40)
			for _, o := range j.mu.outcomes {
				if o.Operation != c.want || !strings.Contains(o.Message, "If-Match") {
					t.Errorf("done by %s: %q", o.Operation, o.Message)
				}
			}
			if n := strings.Count(log.b.String(), "If-Match"); n != 1 {
				t.Errorf("the log tells it %d times", n)
			}
		})
	}
}

// TestARefusalAfterTheChoice: another worker meets it between this one's choice and its
// request. A copy that was chosen with a condition is sent with it: without, it would overwrite
// what others write, though nobody has accepted that.
func TestARefusalAfterTheChoice(t *testing.T) {
	s := newMemStore(1)
	j, cfg := refusing(s, object.Capabilities{CopyIfMatch: object.Yes}, false)
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	r := newRun(&cfg)
	it := &item{run: r, task: j.mu.tasks[0], obj: j.mu.tasks[0].Object}
	c := it.choose()
	if c.Operation != object.OpCopy {
		t.Fatalf("chosen: %s", c.Operation)
	}
	r.refuse(noCondition, errors.New("not implemented"))
	if req, err := it.request(t.Context(), c); err != nil || req.DestETag == "" {
		t.Errorf("sent without a condition: %+v, %v", req, err)
	}
	if c := it.choose(); c.Operation != object.OpMultipart {
		t.Errorf("chosen then: %s", c.Operation)
	}
}

// leavesOnce chooses as before until it is told to leave everything.
type leavesOnce struct {
	Chooser
	now *atomic.Bool
}

func (c leavesOnce) Choose(o *object.Object, a *object.Attributes) object.Choice {
	if c.now.Load() {
		return object.Choice{Operation: object.OpNone, Reason: object.ReasonUnsupported, Message: "no way"}
	}
	return c.Chooser.Choose(o, a)
}

// TestLeftAfterALostCopySaysSo: a copy got no answer, and then the object is left. In a
// bucket with versions its row says that there may be one more.
func TestLeftAfterALostCopySaysSo(t *testing.T) {
	s := newMemStore(1)
	j := planOf(s, true)
	cfg := memConfig(s, j, object.OpCopy)
	cfg.Facts.Versioning = object.VersioningEnabled
	var left atomic.Bool
	cfg.Chooser = leavesOnce{cfg.Chooser, &left}
	cfg.Backoff = func(int, time.Duration) time.Duration { return time.Millisecond }
	s.fault = func(k object.RequestKind, _ string) (error, bool) {
		switch {
		case k != object.ReqCopy:
			return nil, true
		case s.mu.requests[k] == 1:
			return classError(object.ClassTransient)(), false
		}
		left.Store(true)
		return &object.Error{Class: object.ClassChanged, Op: "CopyObject"}, false
	}
	if err := Run(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if out := j.mu.outcomes[0]; out.State != object.Left || !strings.HasPrefix(out.Message, "no way; ") || !strings.Contains(out.Message, "one more old version of it") {
		t.Errorf("%v %q", out.State, out.Message)
	}
}
