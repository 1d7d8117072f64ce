package s3store

import (
	"context"
	"encoding/xml"
	"errors"
	"net/http"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// read asks for a sub-resource of an object. A store that does not know it may
// answer with the object itself, which an ETag gives away.
func (s *Store) read(ctx context.Context, r *request) (*reply, error) {
	rep, err := s.quickly(ctx, r)
	if err != nil {
		return nil, err
	}
	if rep.header.Get("Etag") != "" {
		return nil, r.fail(rep, object.ClassUnsupported, "the store answered with the object itself")
	}
	return rep, nil
}

// Detail is a read of a sub-resource of an object that has no other parameter, such
// as tagging and acl, and DetailReply an answer that says success.
type (
	Detail struct {
		Op  string
		Ref object.Ref
		Sub string
	}
	DetailReply struct {
		Status          int
		Body            []byte
		ETag, RequestID string
	}
)

// ReadBy has details read by somebody who does it at less cost, over the same addresses
// with the same credentials. Its errors are those of Failure.
func (s *Store) ReadBy(read func(context.Context, Detail) (DetailReply, error)) { s.detail = read }

// quickly sends r by whoever reads details at the least cost.
func (s *Store) quickly(ctx context.Context, r *request) (*reply, error) {
	if s.detail == nil || len(r.query) != 1 || len(r.header) > 0 {
		return s.call(ctx, r.version())
	}
	if !limited(ctx) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.opts.RequestTimeout)
		defer cancel()
	}
	d := Detail{Op: r.op, Ref: r.ref}
	for d.Sub = range r.query {
	}
	got, err := s.detail(ctx, d)
	if err != nil {
		return nil, err
	}
	rep := &reply{status: got.Status, body: got.Body, id: s.secrets.Clean(got.RequestID, object.MaxRequestID), header: http.Header{}}
	if got.ETag != "" {
		rep.header.Set("Etag", got.ETag)
	}
	return rep, nil
}

// codeOf is the store's code in err, or empty.
func codeOf(err error) string {
	var e *object.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

type tagging struct {
	XMLName xml.Name `xml:"Tagging"`
	XMLNS   string   `xml:"xmlns,attr,omitempty"`
	TagSet  struct{ Tag []object.Tag }
}

// Tags reads an object's tags. An empty answer means none (Ceph); any other
// document than <Tagging> is an error.
func (s *Store) Tags(ctx context.Context, ref object.Ref) ([]object.Tag, error) {
	r := newRequest("GetObjectTagging", http.MethodGet, ref)
	r.query.Set("tagging", "")
	rep, err := s.read(ctx, r)
	if codeOf(err) == "NoSuchTagSet" {
		return []object.Tag{}, nil
	}
	if err != nil {
		return nil, err
	}
	if len(rep.body) == 0 {
		// Ceph says so that there are none, and so does whatever lost the body on its
		// way: only twice in a row is it believed.
		if rep, err = s.read(ctx, r); err != nil {
			return nil, err
		}
	}
	tags := []object.Tag{}
	if len(rep.body) == 0 {
		return tags, nil
	}
	if quick, ok := quickTags(string(rep.body)); ok {
		return sortedTags(append(tags, quick...)), nil
	}
	var doc tagging
	if err := decode(r, rep, "Tagging", &doc); err != nil {
		return nil, err
	}
	return sortedTags(append(tags, doc.TagSet.Tag...)), nil
}

// PutTags replaces an object's tags.
func (s *Store) PutTags(ctx context.Context, ref object.Ref, tags []object.Tag) error {
	r := newRequest("PutObjectTagging", http.MethodPut, ref).version()
	r.query.Set("tagging", "")
	doc := tagging{XMLNS: s3Namespace}
	doc.TagSet.Tag = tags
	_, err := s.call(ctx, r.payload(document(doc)))
	return err
}

type accessControl struct {
	Owner struct{ ID string }
	Grant []grant `xml:"AccessControlList>Grant"`
}

type grant struct {
	Grantee struct {
		ID, URI      string
		EmailAddress string
	}
	Permission string
}

// Grants reads an object's ACL: empty where its owner has full control and
// nobody else has anything, which is what every new object gets. Otherwise the
// owner's own grants are among them, since a list sent with a copy is the whole.
func (s *Store) Grants(ctx context.Context, ref object.Ref) ([]object.Grant, error) {
	doc, err := s.accessControl(ctx, ref)
	if err != nil {
		return nil, err
	}
	grants, onlyOwner := []object.Grant{}, true
	for _, g := range doc.Grant {
		one := object.Grant{ID: g.Grantee.ID, URI: g.Grantee.URI, Email: g.Grantee.EmailAddress, Permission: g.Permission}
		if one.ID == "" && one.URI == "" && one.Email == "" {
			one.ID = doc.Owner.ID // MinIO names nobody: it means the owner
		}
		if one.ID != doc.Owner.ID || one.URI != "" || one.Permission != "FULL_CONTROL" {
			onlyOwner = false
		}
		grants = append(grants, one)
	}
	if onlyOwner {
		return []object.Grant{}, nil
	}
	return grants, nil
}

func (s *Store) accessControl(ctx context.Context, ref object.Ref) (doc accessControl, err error) {
	r := newRequest("GetObjectAcl", http.MethodGet, ref)
	r.query.Set("acl", "")
	rep, err := s.read(ctx, r)
	if err != nil {
		return doc, err
	}
	if quick, ok := quickACL(string(rep.body)); ok {
		return quick, nil
	}
	return doc, decode(r, rep, "AccessControlPolicy", &doc)
}

// PutGrants replaces an object's ACL; empty grants give it to the owner alone.
func (s *Store) PutGrants(ctx context.Context, ref object.Ref, grants []object.Grant) error {
	r := newRequest("PutObjectAcl", http.MethodPut, ref).version()
	r.query.Set("acl", "")
	if len(grants) == 0 {
		r.header.Set("X-Amz-Acl", "private")
	}
	r.grants(grants)
	_, err := s.call(ctx, r)
	return err
}

type retention struct {
	XMLName         xml.Name `xml:"Retention"`
	XMLNS           string   `xml:"xmlns,attr,omitempty"`
	Mode            string
	RetainUntilDate string
}

type legalHold struct {
	XMLName xml.Name `xml:"LegalHold"`
	XMLNS   string   `xml:"xmlns,attr,omitempty"`
	Status  string
}

// Lock reads retention and legal hold; empty for none. A missing permission is
// an error, never "none".
func (s *Store) Lock(ctx context.Context, ref object.Ref) (mode string, until time.Time, hold bool, err error) {
	var kept retention
	if err = s.lockPart(ctx, ref, "GetObjectRetention", "retention", "Retention", &kept); err != nil {
		return
	}
	var held legalHold
	if err = s.lockPart(ctx, ref, "GetObjectLegalHold", "legal-hold", "LegalHold", &held); err != nil {
		return
	}
	if kept.Mode != "" {
		if until, err = time.Parse(time.RFC3339Nano, kept.RetainUntilDate); err != nil {
			err = &object.Error{Class: object.ClassOther, Op: "GetObjectRetention", Ref: ref, Message: err.Error(), Err: err}
			return
		}
	}
	return kept.Mode, until.UTC(), held.Status == "ON", nil
}

func (s *Store) lockPart(ctx context.Context, ref object.Ref, op, sub, root string, v any) error {
	r := newRequest(op, http.MethodGet, ref)
	r.query.Set(sub, "")
	rep, err := s.read(ctx, r)
	switch {
	case isFree(err):
		return nil
	case err != nil:
		return err
	}
	return decode(r, rep, root, v)
}

// isFree says whether a store answers that no such lock is on an object. Ceph and SeaweedFS say that
// in the words for a bucket that has no configuration, also where it has one.
func isFree(err error) bool {
	switch codeOf(err) {
	case "NoSuchObjectLockConfiguration", "ObjectLockConfigurationNotFoundError", "NoSuchObjectLegalHold", "NoSuchObjectRetention":
		return true
	}
	return false
}

// PutLock sets a retention, where mode is given, and a legal hold, where hold is
// true. It takes nothing away.
func (s *Store) PutLock(ctx context.Context, ref object.Ref, mode string, until time.Time, hold bool) error {
	if mode != "" {
		r := newRequest("PutObjectRetention", http.MethodPut, ref).version()
		r.query.Set("retention", "")
		doc := retention{XMLNS: s3Namespace, Mode: mode, RetainUntilDate: until.UTC().Format(time.RFC3339Nano)}
		if _, err := s.call(ctx, r.payload(document(doc))); err != nil {
			return err
		}
	}
	if hold {
		return s.putHold(ctx, ref, "ON")
	}
	return nil
}

func (s *Store) putHold(ctx context.Context, ref object.Ref, status string) error {
	r := newRequest("PutObjectLegalHold", http.MethodPut, ref).version()
	r.query.Set("legal-hold", "")
	_, err := s.call(ctx, r.payload(document(legalHold{XMLNS: s3Namespace, Status: status})))
	return err
}
