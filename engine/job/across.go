package job

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/resealhq/reseal/engine"
	"github.com/resealhq/reseal/engine/hot"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/engine/s3store/patience"
	"github.com/resealhq/reseal/engine/wire"
)

// DestConnection is how the store of Target.Dest is reached, where that is another one
// than the source's or is written with other credentials. What is empty is the
// source's.
type DestConnection struct {
	EndpointURL string `json:"endpoint_url,omitempty"`
	Region      string `json:"region,omitempty"`
	Profile     string `json:"profile,omitempty"`
}

// WholeDestConnection is how the store that is written to is reached: DestConnection, with what that leaves to
// the source's. Who pays and owns there is not what was said of the source.
func (s *Spec) WholeDestConnection() Connection {
	c := s.Connection
	d := s.DestConnection
	if d == nil {
		return c
	}
	c.RequestPayer, c.ExpectedBucketOwner = "", ""
	for _, f := range []struct {
		to   *string
		from string
	}{{&c.EndpointURL, d.EndpointURL}, {&c.Region, d.Region}, {&c.Profile, d.Profile}} {
		if f.from != "" {
			*f.to = f.from
		}
	}
	return c
}

func (s *Spec) validateDest() error {
	d := s.DestConnection
	if d == nil {
		return nil
	}
	if *d == (DestConnection{}) {
		s.DestConnection = nil
		return nil
	}
	own := *d // whoever made the specification may make another job of it
	d, s.DestConnection = &own, &own
	if s.Target.DestBucket == "" {
		return unusable("Spec.DestConnection was given without Target.Dest", "name the place to write to")
	}
	if d.EndpointURL != "" {
		if err := checkEndpoint("DestConnection.EndpointURL", d.EndpointURL); err != nil {
			return err
		}
		d.EndpointURL = strings.TrimRight(d.EndpointURL, "/")
	}
	c := s.WholeDestConnection()
	return s.Target.refusePlaintext(&c)
}

// openDest opens the store that the job writes to, which is the source's unless the
// specification says otherwise.
func (s *session) openDest(ctx context.Context) (err error) {
	s.to, s.toHot = s.store, s.hot
	d := s.job.Spec.DestConnection
	if d == nil {
		return nil
	}
	c := s.job.Spec.WholeDestConnection()
	s.to, err = c.Open(ctx, Dial{Version: s.opt.Version, Connections: s.opt.Concurrency, Timeout: s.opt.RequestTimeout, Conn: s.job.ground.Dial})
	if err != nil {
		return err
	}
	s.closers = append(s.closers, func() error { s.to.Close(); return nil })
	if s.toHot, err = hot.Client(s.to); err != nil {
		return err
	}
	s.closers = append(s.closers, func() error { s.toHot.Close(); return nil })
	endpoint := strings.TrimRight(s.to.Endpoint(), "/")
	if s.job.begun && c.EndpointURL == "" && endpoint != "" {
		return unusablef("set AWS_CONFIG_FILE as it was, or name another directory for a new job",
			"the destination of the job in %s was on AWS, and the shared configuration files lead to %s now", s.job.Dir, endpoint)
	}
	if c.EndpointURL == "" {
		d.EndpointURL = endpoint
	}
	c.EndpointURL = endpoint
	s.job.Spec.Target.warnOfKeys(&c, s.log)
	return s.job.Spec.Target.refusePlaintext(&c)
}

// sourceEnd is what is known of a source in another store or account than the
// destination's. It is only read, so that nothing is tried out there: one of its
// objects is looked at.
type sourceEnd struct {
	// Through: the objects go through this client, since the destination's store cannot
	// read them.
	Through bool `json:"through"`
	AWS     bool `json:"aws"`
	// What can be read of an object.
	GetTagging    object.Finding `json:"get_tagging"`
	GetACL        object.Finding `json:"get_acl"`
	GetAttributes object.Finding `json:"get_attributes"`
}

// relate finds out how the two ends stand to each other, once for a job.
func (s *session) relate(ctx context.Context) error {
	if s.job.Spec.hasFolder() {
		s.learnt.Source = &sourceEnd{Through: true, GetTagging: object.No, GetACL: object.No, GetAttributes: object.No}
		return nil
	}
	if s.job.Spec.DestConnection == nil || s.learnt.Source != nil {
		return nil
	}
	e := &sourceEnd{AWS: s.store.IsAWS()}
	sample, err := s.sampleOf(ctx, s.learnt.Bucket, s.job.Spec.Source.Prefix)
	if err != nil && object.ClassOf(err) != object.ClassDenied { // a manifest's bucket need not be listed
		return err
	}
	if err := s.refuseLoopBy(ctx, sample); err != nil {
		return err
	}
	if sample.Key != "" {
		if err := s.lookAtSource(ctx, e, sample); err != nil {
			return err
		}
		reads := false
		if s.sameStore() {
			if reads, err = s.destReads(ctx, sample); err != nil {
				return err
			}
		}
		e.Through = !reads
	} else {
		e.Through = true // nothing shows that the destination's credentials may read it
	}
	s.learnt.Source = e
	return nil
}

// refuseLoopBy refuses what Spec.refuseLoop does where two endpoints lead to one bucket, by two
// names of a host for instance: both show the sample, of one date.
func (s *session) refuseLoopBy(ctx context.Context, sample object.Ref) error {
	spec := &s.job.Spec
	t := &spec.Target
	if sample.Key == "" || spec.Source.Manifest != "" || t.DestBucket != spec.Source.Bucket || !strings.HasPrefix(t.DestPrefix, spec.Source.Prefix) {
		return nil
	}
	var seen [2]object.Object
	for i, end := range []*s3store.Store{s.store, s.to} {
		var page object.ListReply
		err := patience.Try(ctx, sample.Bucket, func() (err error) {
			page, err = end.ListPage(ctx, object.ListRequest{Bucket: sample.Bucket, Prefix: sample.Key, MaxKeys: 1})
			return err
		})
		if c := object.ClassOf(err); c.Retryable() || c == object.ClassCanceled {
			return err // which tells no two buckets apart
		}
		if err != nil || len(page.Objects) == 0 || page.Objects[0].Key != sample.Key {
			return nil // it is another bucket, or may not be listed; a copy overwrites nothing
		}
		seen[i] = page.Objects[0]
	}
	if seen[0].ETag != seen[1].ETag || !seen[0].LastModified.Equal(seen[1].LastModified) {
		return nil
	}
	return unusablef("name another place, or leave Target.Dest out to work in place",
		"Target.Dest s3://%s/%s lies within Spec.Source %s, since both endpoints lead to one bucket, so the copies would be copied too", t.DestBucket, t.DestPrefix, &spec.Source)
}

func (s *session) sameStore() bool {
	return strings.TrimRight(s.store.Endpoint(), "/") == strings.TrimRight(s.to.Endpoint(), "/") && s.store.IsAWS() == s.to.IsAWS()
}

// destReads says whether the credentials of the destination may read the source.
func (s *session) destReads(ctx context.Context, sample object.Ref) (bool, error) {
	err := patience.Try(ctx, sample.Bucket, func() error {
		body, err := s.to.Open(ctx, sample, object.CustomerKey{}, "")
		if err == nil {
			_ = body.Close()
		}
		return err
	})
	if c := object.ClassOf(err); c.Retryable() || c == object.ClassCanceled {
		return false, err // which shows nothing, and the job would go by it to its end
	}
	return err == nil || object.WantsCustomerKey(err), nil
}

func (s *session) lookAtSource(ctx context.Context, e *sourceEnd, sample object.Ref) error {
	if e.AWS {
		e.GetTagging, e.GetACL, e.GetAttributes = object.Yes, object.Yes, object.Yes
		return nil
	}
	found, err := s.store.CheckRead(ctx, sample, s.job.Spec.Source.Prefix, s.job.Spec.Target.Object(false).SourceKeys()...)
	if err != nil {
		return err
	}
	for _, p := range found {
		if p.Action == "s3:GetObjectAttributes" {
			e.GetAttributes = p.Granted
		}
	}
	e.GetTagging, err = tells(patience.Try(ctx, sample.Bucket, func() error { _, err := s.store.Tags(ctx, sample); return err }))
	if err == nil {
		e.GetACL, err = tells(patience.Try(ctx, sample.Bucket, func() error { _, err := s.store.Grants(ctx, sample); return err }))
	}
	return err // the job would go by it to its end
}

// tells says by an answer whether the source's store tells something of an object: no where it knows no such
// question, and unknown where that may not be asked, or fails of itself. An error answers nothing.
func tells(answer error) (object.Finding, error) {
	e, _ := errors.AsType[*object.Error](answer)
	switch {
	case answer == nil:
		return object.Yes, nil
	case e == nil, e.Class == object.ClassCanceled, e.Class == object.ClassCredentials, e.Class == object.ClassNoBucket:
		return object.Unknown, answer
	case e.Class == object.ClassUnsupported:
		return object.No, nil
	case e.Class == object.ClassDenied:
		return object.Unknown, nil
	case !e.Class.Retryable():
		return object.Yes, nil
	case e.HTTPStatus == http.StatusOK, e.HTTPStatus == http.StatusNoContent, e.HTTPStatus == http.StatusInternalServerError:
		return object.Unknown, nil
	}
	return object.Unknown, answer
}

// through says whether the objects go through this client because their source is
// somewhere that the destination's store cannot read.
func (l *learnt) through() bool { return l.Source != nil && l.Source.Through }

// twoStores says whether the destination is in another store than the source. What opens the
// objects of the one is no business of the other's owner then.
func (l *learnt) twoStores(spec *Spec) bool { return l.through() && !spec.hasFolder() }

// caps are the abilities that objects are decided on by: those of the store that is
// written to, and of the source what is only read.
func (l *learnt) caps() object.Capabilities {
	c := l.Caps
	if !l.through() {
		return c
	}
	c.GetTagging, c.GetACL, c.GetAttributes = l.Source.GetTagging, l.Source.GetACL, l.Source.GetAttributes
	c.CountsTags, c.ListMetadata = object.Unknown, object.No
	c.PutACL = object.Unknown // grants name the owners of another store
	c.Route, c.EncryptedRoute, c.OtherKeyRoute, c.OtherKey = object.RouteNone, object.RouteNone, object.RouteNone, object.No
	return c
}

// facts are the settings that objects are decided on by, of the bucket that is read and of the one that
// Target.Dest names. That a bucket's ACLs are disabled is believed of AWS, and of a bucket that was seen to
// refuse one: SeaweedFS says so of each that nobody has asked about, and takes and honours ACLs there. In
// any other each object is asked for its own.
func (l *learnt) facts() (read object.BucketFacts, dest *object.BucketFacts) {
	read, dest = l.Facts, l.Dest
	c := &l.Caps
	refused := c.CannedACL == object.No
	took := !c.IsAWS() && !refused && (c.PutACL == object.Yes || c.CannedACL == object.Yes)
	if read.ACLsDisabled == object.Yes && !l.readsAWS() {
		switch {
		case dest == nil && took:
			read.ACLsDisabled = object.No
		case dest != nil || !refused: // the other bucket is the one that was tried, or none was
			read.ACLsDisabled = object.Unknown
		}
	}
	if dest != nil && dest.ACLsDisabled == object.Yes && took {
		takes := *dest
		takes.ACLsDisabled, dest = object.No, &takes
	}
	return read, dest
}

// readsAWS says whether the bucket that is read is AWS's.
func (l *learnt) readsAWS() bool {
	if l.Source != nil {
		return l.Source.AWS
	}
	return l.Caps.IsAWS()
}

// engineStore is a store as the engine takes it.
func engineStore(hot *wire.Client, store *s3store.Store) engine.Store {
	return engine.Store{Hot: hot, Uploads: store, Details: store, Reader: store}
}

// refuseThrough turns down what cannot be done through this client.
func (s *session) refuseThrough(where string) error {
	caps, p := &s.learnt.Caps, &s.job.Policy
	switch {
	case !s.learnt.through():
		return nil
	case p.Operation != OperationAuto && p.Operation != RewriteOnly:
		return unusablef("use Policy.Operation auto: the objects go through this client, since the one store cannot read the other", "Policy.Operation %s copies within one store, and Spec.Source and Target.Dest are in two", p.Operation)
	case caps.PutIfMatch != object.Yes && caps.SendIfMatch != object.Yes:
		return unusablef("nothing of yours was touched. Write to a store that honours If-None-Match", "the store of %s was not seen to refuse a write where something stands, so that others' objects could be overwritten", where)
	}
	return nil
}

// renewed fetches fresh credentials of a store.
func renewed(ctx context.Context, store *s3store.Store) error {
	store.Invalidate()
	_, _, _, _, err := store.Credentials(ctx)
	return err
}
