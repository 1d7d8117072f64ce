package s3store

import (
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"net/http"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store/canary"
)

// ProbeOptions say what the job wants to know.
type ProbeOptions = canary.Options

// Kept is an object that Sweep has left where it is.
type Kept = canary.Kept

// Probe finds out what the endpoint can do. AWS hosts are known, and nothing is sent,
// unless ProbeOptions.Always. Any other endpoint, and an AWS name that no certificate
// vouches for, is believed only after a canary: see the package canary.
func (s *Store) Probe(ctx context.Context, o ProbeOptions) (object.Capabilities, error) {
	caps, clean, err := s.ProbeAhead(ctx, o)
	return caps, errors.Join(err, clean(ctx))
}

// ProbeAhead is Probe whose throwaway objects are still there: clean takes them away,
// and is to be called whatever the error.
func (s *Store) ProbeAhead(ctx context.Context, o ProbeOptions) (caps object.Capabilities, clean func(context.Context) error, err error) {
	nothing := func(context.Context) error { return nil }
	if s.isProvedAWS() && !o.Always {
		return canary.AWS(o.Target), nothing, nil
	}
	a, err := s.Address(ctx, o.Bucket)
	if err != nil {
		return caps, nothing, err
	}
	if (o.Target.SSE == object.SSEC || !o.Target.SourceKey.IsZero()) && a.Scheme != "https" {
		return caps, nothing, plaintextKey("Probe", object.Ref{Bucket: o.Bucket})
	}
	return canary.Ask(ctx, probed{s}, o)
}

// Sweep removes what a probe left whose process died; see canary.Sweep for how little
// it believes, and what it leaves.
func (s *Store) Sweep(ctx context.Context, bucket, prefix, name string, facts object.BucketFacts) ([]Kept, error) {
	return canary.Sweep(ctx, probed{s}, bucket, prefix, name, facts)
}

// IsCanary says whether name is what Probe may have announced for a bucket whose
// objects begin with prefix.
func IsCanary(prefix, name string) bool { return canary.IsCanary(prefix, name) }

// CanaryPrefix is what the name of a probe begins with before its mark; empty for
// a name that no probe makes.
func CanaryPrefix(name string) string { return canary.Prefix(name) }

// probed is the store as its canary sees it: with the requests that nobody else sends.
type probed struct{ *Store }

// PutUnder writes an object under an encryption that is named by its header's value.
func (s probed) PutUnder(ctx context.Context, p *object.PutRequest, algorithm string) (object.CopyReply, error) {
	r := newRequest("PutObject", http.MethodPut, p.Dest)
	r.body = p.Body
	r.md5(p.Body)
	r.destination(&p.CopyRequest)
	r.set("X-Amz-Server-Side-Encryption", algorithm)
	rep, err := s.call(ctx, r)
	if err != nil {
		return object.CopyReply{}, err
	}
	return object.CopyReply{ETag: unquote(rep.header.Get("Etag")), VersionID: rep.header.Get("X-Amz-Version-Id")}, nil
}

// Remove deletes exactly what ref names: one version, or, without a version ID, what
// is current; then it returns the version ID of the delete marker, if any.
func (s probed) Remove(ctx context.Context, ref object.Ref, bypassGovernance bool) (string, error) {
	r := newRequest("DeleteObject", http.MethodDelete, ref).version()
	if bypassGovernance {
		r.header.Set("X-Amz-Bypass-Governance-Retention", "true")
	}
	rep, err := s.call(ctx, r)
	if object.ClassOf(err) == object.ClassGone {
		return "", nil
	}
	if err != nil || ref.VersionID != "" {
		return "", err
	}
	return rep.header.Get("X-Amz-Version-Id"), nil
}

// RemoveAll is DeleteObjects. markers are the delete markers that the store says it made.
func (s probed) RemoveAll(ctx context.Context, bucket string, refs []object.Ref, bypassGovernance bool) (markers []object.Ref, err error) {
	type entry struct {
		Key       string
		VersionID string `xml:"VersionId,omitempty"`
	}
	doc := struct {
		XMLName xml.Name `xml:"Delete"`
		XMLNS   string   `xml:"xmlns,attr"`
		Object  []entry
		Quiet   bool
	}{XMLNS: s3Namespace}
	for _, ref := range refs {
		doc.Object = append(doc.Object, entry{ref.Key, ref.VersionID})
	}
	r := newRequest("DeleteObjects", http.MethodPost, object.Ref{Bucket: bucket})
	r.query.Set("delete", "")
	if bypassGovernance {
		r.header.Set("X-Amz-Bypass-Governance-Retention", "true")
	}
	rep, err := s.call(ctx, r.payload(document(doc)))
	if err != nil {
		return nil, err
	}
	var done struct {
		Deleted []struct {
			Key    string
			Marker string `xml:"DeleteMarkerVersionId"`
		}
	}
	_ = decode(r, rep, "DeleteResult", &done) // what cannot be read tells of no marker
	for _, d := range done.Deleted {
		if d.Marker != "" {
			markers = append(markers, object.Ref{Bucket: bucket, Key: d.Key, VersionID: d.Marker})
		}
	}
	return markers, nil
}

// ReleaseHold takes a legal hold off.
func (s probed) ReleaseHold(ctx context.Context, ref object.Ref) error {
	return s.putHold(ctx, ref, "OFF")
}

// PutCannedACL replaces an ACL by one that S3 has a word for.
func (s probed) PutCannedACL(ctx context.Context, ref object.Ref, acl string) error {
	r := newRequest("PutObjectAcl", http.MethodPut, ref).version()
	r.query.Set("acl", "")
	r.header.Set("X-Amz-Acl", acl)
	_, err := s.call(ctx, r)
	return err
}

// Owner is the ID of the ACL's owner.
func (s probed) Owner(ctx context.Context, ref object.Ref) (string, error) {
	doc, err := s.accessControl(ctx, ref)
	return doc.Owner.ID, err
}

// Attributes is GetObjectAttributes, for whether the right document comes.
func (s probed) Attributes(ctx context.Context, ref object.Ref, key object.CustomerKey) error {
	_, _, _, err := s.attributes(ctx, ref, key)
	return err
}

// DefaultLock is the mode of the retention that every new object gets. A rule in words that are not
// known here locks as well. What is not told is an error: of a bucket that holds locks it was told before.
func (s probed) DefaultLock(ctx context.Context, bucket string) (string, error) {
	conf, err := s.ObjectLock(ctx, bucket)
	switch {
	case err != nil:
		return "", err
	case conf.Enabled == object.Unknown:
		return "", &object.Error{Class: object.ClassTransient, Op: "GetObjectLockConfiguration", Ref: object.Ref{Bucket: bucket},
			Message: "the store does not tell any more how the bucket locks new objects", Hint: "nothing was tried; run again once it does"}
	case conf.Default:
		return cmp.Or(conf.Mode, "unknown"), nil
	}
	return "", nil
}

// Ahead is how far the store's clock is ahead of this machine's; zero where it does
// not tell.
func (s *Store) Ahead(ctx context.Context, bucket string) (time.Duration, error) {
	resp, err := s.do(ctx, newRequest("HeadBucket", http.MethodHead, object.Ref{Bucket: bucket}))
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	t, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return 0, nil
	}
	return time.Until(t), nil
}

// Believed is what Probe answers for AWS without asking. With ProbeOptions.Always and
// canary.Differences it can be compared with what is seen.
func Believed(t object.Target) object.Capabilities { return canary.AWS(t) }
