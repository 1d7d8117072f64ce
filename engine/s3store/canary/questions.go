package canary

import (
	"context"

	"github.com/resealhq/reseal/engine/object"
)

// listMetadata: a listing with metadata=true tells every row's encryption. It is
// compared with what was read of the objects that are there.
func (c *canary) listMetadata(ctx context.Context) error {
	if !c.o.asks(func(k *object.Capabilities) object.Finding { return k.ListMetadata }, "") {
		return nil
	}
	want := map[string]object.Encryption{}
	for key, e := range c.litter.seen {
		if e.Type != object.SSEC { // no row can settle which customer key it is
			want[key] = e
		}
	}
	if c.target.SSE == object.SSEC {
		t, _, err := c.put(ctx, "list", func(p *object.PutRequest) { p.Target = &object.Target{SSE: object.SSES3} })
		if err == nil {
			var h object.Head
			if h, err = c.head(ctx, t.ref, object.CustomerKey{}); err == nil {
				want[t.ref.Key] = h.Encryption
			}
		}
		if err != nil && undecided(err) {
			return err
		}
	}
	told, err := c.rowsTell(ctx, want, c.s.ListPage)
	if err != nil {
		return err
	}
	if told && c.versioned() && (c.o.AllVersions || c.o.Everything) {
		if told, err = c.rowsTell(ctx, want, c.s.ListVersionsPage); err != nil {
			return err
		}
	}
	encrypted := false
	for _, e := range want {
		encrypted = encrypted || e.Type != object.SSENone
	}
	c.caps.ListMetadata = object.Found(told && encrypted)
	return nil
}

func (c *canary) rowsTell(ctx context.Context, want map[string]object.Encryption,
	list func(context.Context, object.ListRequest) (object.ListReply, error)) (bool, error) {
	var rep object.ListReply
	err := c.try(ctx, func() (err error) {
		rep, err = list(ctx, object.ListRequest{Bucket: c.o.Bucket, Prefix: c.name, Metadata: true})
		return err
	})
	if err != nil {
		if undecided(err) {
			return false, err
		}
		return false, nil
	}
	told := map[string]bool{}
	for _, o := range rep.Objects {
		if e, asked := want[o.Key]; asked && !o.Noncurrent && o.Settled && o.Encryption == e {
			told[o.Key] = true
		}
	}
	return len(told) == len(want), nil
}

// single are questions to PutObject and HeadObject that only a person asks: a job
// learns the one that it needs when an object is put under its target.
func (c *canary) single(ctx context.Context) (err error) {
	if !c.target.SSE.KMS() {
		return nil
	}
	if c.target.SSE == object.SSEKMS && c.o.relies(func(k *object.Capabilities) object.Finding { return k.DSSE }) {
		if err := c.dsse(ctx); err != nil {
			return err
		}
	}
	if c.caps.BucketKey != object.Unknown || !c.o.relies(func(k *object.Capabilities) object.Finding { return k.BucketKey }) {
		return nil
	}
	bucketKey := object.Target{SSE: object.SSEKMS, KMSKeyID: c.target.KMSKeyID, BucketKey: object.On}
	c.caps.BucketKey, err = c.shows(ctx, "bucket-key", &bucketKey, func(e object.Encryption) bool { return e.BucketKey })
	return err
}

func (c *canary) dsse(ctx context.Context) (err error) {
	dsse := object.Target{SSE: object.DSSEKMS, KMSKeyID: c.target.KMSKeyID}
	c.caps.DSSE, err = c.shows(ctx, "dsse", &dsse, func(e object.Encryption) bool { return e.Type == object.DSSEKMS })
	return err
}

// shows says whether an object put under t is shown as it should be.
func (c *canary) shows(ctx context.Context, purpose string, t *object.Target, as func(object.Encryption) bool) (object.Finding, error) {
	one, _, err := c.put(ctx, purpose, func(p *object.PutRequest) { p.Target = t })
	if err == nil {
		var h object.Head
		if h, err = c.head(ctx, one.ref, object.CustomerKey{}); err == nil {
			return object.Found(as(h.Encryption)), nil
		}
	}
	if undecided(err) {
		return object.Unknown, err
	}
	return object.No, nil
}

// locks: where no copy was seen to lock what it makes, can a lock be written after it?
// A throwaway object is locked for a few seconds, with a legal hold, which is taken off
// again at once.
func (c *canary) locks(ctx context.Context) error {
	if !c.lock {
		return nil
	}
	if c.caps.KeepsLock == object.No {
		c.note("a copy does not take the Object Lock that the request names")
	}
	known := func(k *object.Capabilities) object.Finding { return k.PutRetention }
	if c.caps.KeepsLock == object.Yes && !c.o.relies(known) || !c.o.asks(known, object.ReasonLock) {
		if c.o.Known != nil {
			c.caps.GetRetention = c.o.Known.GetRetention // nothing depends on it where none is written
		}
		return nil
	}
	on, _, err := c.put(ctx, "retention", nil)
	if err != nil {
		return err
	}
	until := c.until()
	w := &write{name: "PutObjectRetention", found: &c.caps.PutRetention, send: func(t *thing) error {
		c.litter.hold(t.ref, true)
		return c.s.PutLock(ctx, t.ref, "GOVERNANCE", until, true)
	}}
	if err := c.send(ctx, w, on); err != nil {
		return err
	}
	if w.sent {
		same, err := c.intact(ctx, on, object.CustomerKey{})
		if err != nil && undecided(err) {
			return err
		}
		if !same {
			c.overwrote(w)
		} else {
			c.caps.PutRetention = object.Yes
		}
	}
	if c.caps.PutRetention == object.No {
		c.litter.hold(on.ref, false) // nothing holds what was overwritten or refused
	}
	mode, shown, hold, err := c.lockShown(ctx, on.ref)
	switch {
	case err != nil && undecided(err):
		return err
	case err != nil && denied(err):
		c.note("GetObjectRetention or GetObjectLegalHold was refused: %s", reason(err))
		c.caps.PutRetention = object.Unknown
		return nil
	}
	c.caps.GetRetention = object.Found(err == nil)
	if c.caps.PutRetention == object.Yes {
		c.caps.PutRetention = object.Found(err == nil && mode == "GOVERNANCE" && shown.Equal(until) && hold)
	}
	return nil
}
