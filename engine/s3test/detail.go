package s3test

import (
	"encoding/xml"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// versionOf finds the version that a sub-resource request names.
func (s *Server) versionOf(q *request) (*bucket, *version, *s3Error) {
	b, e := s.bucketOf(q)
	if e != nil {
		return nil, nil, e
	}
	if _, v := b.find(q.key, q.q("versionId")); v != nil && v.marker {
		return b, nil, errMarker(q.http.Method)
	}
	v, e := s.lookup(q, b)
	return b, v, e
}

func tagQuery(tags []object.Tag) string {
	var f []string
	for _, t := range tags {
		f = append(f, url.QueryEscape(t.Key)+"="+url.QueryEscape(t.Value))
	}
	return strings.Join(f, "&")
}

func (s *Server) getTagging(q *request) (*reply, *s3Error) {
	b, v, e := s.versionOf(q)
	if e != nil {
		return nil, e
	}
	if s.profile.LostTagsAnswerNil && len(v.attrs.Tags) == 0 {
		return &reply{}, nil
	}
	x := newXML("Tagging")
	x.open("TagSet")
	for _, t := range v.attrs.Tags {
		x.open("Tag")
		x.el("Key", t.Key)
		x.el("Value", t.Value)
		x.close("Tag")
	}
	x.close("TagSet")
	r := x.reply()
	s.showVersion(r, b, v)
	return r, nil
}

func (s *Server) putTagging(q *request) (*reply, *s3Error) {
	b, v, e := s.versionOf(q)
	if e != nil {
		return nil, e
	}
	var in struct {
		Tags []object.Tag `xml:"TagSet>Tag"`
	}
	if xml.Unmarshal(q.body, &in) != nil {
		return nil, errMalformedXML()
	}
	if e := checkTags(in.Tags); e != nil {
		return nil, e
	}
	v.with(func(a *Attrs) { a.Tags = in.Tags })
	r := &reply{}
	s.showVersion(r, b, v)
	return r, nil
}

func (s *Server) deleteTagging(q *request) (*reply, *s3Error) {
	_, v, e := s.versionOf(q)
	if e != nil {
		return nil, e
	}
	v.with(func(a *Attrs) { a.Tags = nil })
	return &reply{status: http.StatusNoContent}, nil
}

// aclXML writes an AccessControlPolicy: the owner's full control, then grants.
func aclXML(owner string, grants []object.Grant) *reply {
	x := newXML("AccessControlPolicy")
	x.open("Owner")
	x.el("ID", canonicalID(owner))
	x.close("Owner")
	x.open("AccessControlList")
	all := append([]object.Grant{{ID: canonicalID(owner), Permission: "FULL_CONTROL"}}, grants...)
	for _, g := range all {
		x.open("Grant")
		kind, el, v := "CanonicalUser", "ID", g.ID
		switch {
		case g.URI != "":
			kind, el, v = "Group", "URI", g.URI
		case g.Email != "":
			kind, el, v = "AmazonCustomerByEmail", "EmailAddress", g.Email
		}
		x.buf.WriteString(`<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="` + kind + `">`)
		x.el(el, v)
		x.close("Grantee")
		x.el("Permission", g.Permission)
		x.close("Grant")
	}
	x.close("AccessControlList")
	return x.reply()
}

func (s *Server) getBucketACL(q *request) (*reply, *s3Error) {
	b, e := s.bucketOf(q)
	if e != nil {
		return nil, e
	}
	return aclXML(s.owner(b), nil), nil
}

func (s *Server) getACL(q *request) (*reply, *s3Error) {
	b, v, e := s.versionOf(q)
	if e != nil {
		return nil, e
	}
	if s.profile.NoACL {
		return nil, errNotImplemented()
	}
	if b.enforced() { // ACLs are disabled: what is stored has no effect and is not shown
		return aclXML(s.owner(b), nil), nil
	}
	return aclXML(v.attrs.Owner, v.attrs.Grants), nil
}

func (s *Server) putACL(q *request) (*reply, *s3Error) {
	b, v, e := s.versionOf(q)
	if e != nil {
		return nil, e
	}
	if s.profile.NoACL {
		return nil, errNotImplemented()
	}
	var grants []object.Grant
	if len(q.body) > 0 {
		if b.enforced() {
			return nil, fail(http.StatusBadRequest, "AccessControlListNotSupported", "The bucket does not allow ACLs")
		}
		var in struct {
			Grants []struct {
				Grantee    struct{ ID, URI, EmailAddress string }
				Permission string
			} `xml:"AccessControlList>Grant"`
		}
		if xml.Unmarshal(q.body, &in) != nil {
			return nil, errMalformedXML()
		}
		for _, g := range in.Grants {
			if g.Permission == "FULL_CONTROL" && g.Grantee.ID == canonicalID(v.attrs.Owner) {
				continue
			}
			grants = append(grants, object.Grant{ID: g.Grantee.ID, URI: g.Grantee.URI, Email: g.Grantee.EmailAddress, Permission: g.Permission})
		}
	} else if grants, e = grantsOf(q, b); e != nil {
		return nil, e
	} else if s.profile.OnlyCannedACLs && namesGrants(q) {
		grants = nil
	}
	v.with(func(a *Attrs) { a.Grants = grants })
	return &reply{}, nil
}

func (s *Server) lockedBucket(q *request) (*bucket, *version, *s3Error) {
	b, v, e := s.versionOf(q)
	if e == nil && !b.cfg.ObjectLock {
		e = errInvalidRequest("Bucket is missing Object Lock Configuration")
	}
	return b, v, e
}

func (s *Server) errNoLock() *s3Error {
	if s.profile.FreeHasNoConfiguration {
		return fail(http.StatusNotFound, "ObjectLockConfigurationNotFoundError", "")
	}
	return fail(http.StatusNotFound, "NoSuchObjectLockConfiguration", "The specified object does not have a ObjectLock configuration")
}

func (s *Server) getRetention(q *request) (*reply, *s3Error) {
	_, v, e := s.lockedBucket(q)
	if e != nil {
		return nil, e
	}
	if v.attrs.LockMode == "" {
		return nil, s.errNoLock()
	}
	x := newXML("Retention")
	x.el("Mode", v.attrs.LockMode)
	x.time("RetainUntilDate", v.attrs.retainedUntil(s.now()))
	if v.attrs.EventHold.On {
		x.el("EventHold", "ON")
		v.attrs.EventHold.write(x, "EventHoldDuration")
	}
	return x.reply(), nil
}

func (s *Server) putRetention(q *request) (*reply, *s3Error) {
	_, v, e := s.lockedBucket(q)
	if e != nil {
		return nil, e
	}
	var in struct {
		Mode, RetainUntilDate, EventHold string
		EventHoldDuration                struct{ Days, Years int }
	}
	if xml.Unmarshal(q.body, &in) != nil {
		return nil, errMalformedXML()
	}
	event := EventHold{On: in.EventHold == "ON", Days: in.EventHoldDuration.Days, Years: in.EventHoldDuration.Years}
	until, err := time.Parse(time.RFC3339Nano, in.RetainUntilDate)
	switch held := v.attrs.EventHold; {
	case event.On && !event.valid():
		return nil, errMalformedXML()
	case event.On && in.RetainUntilDate == "":
		until, err = event.until(s.now()), nil
	case in.EventHold == "OFF" && in.RetainUntilDate == "": // released: the duration begins
		until, err = held.until(s.now()), nil
	}
	if in.Mode != "" && (err != nil || in.Mode != "GOVERNANCE" && in.Mode != "COMPLIANCE") {
		return nil, errMalformedXML()
	}
	if in.Mode != "" && !until.After(s.now()) {
		return nil, errInvalidArgument("The retain until date must be in the future!")
	}
	a := v.attrs
	active := a.LockMode != "" && a.RetainUntil.After(s.now())
	weaker := in.Mode == "" || until.Before(a.RetainUntil) || a.LockMode == "COMPLIANCE" && in.Mode != "COMPLIANCE"
	if active && weaker && (a.LockMode == "COMPLIANCE" || q.h("x-amz-bypass-governance-retention") != "true") {
		return nil, errAccessDenied("Access Denied because object protected by object lock.")
	}
	v.with(func(a *Attrs) {
		a.LockMode, a.RetainUntil = in.Mode, until.UTC()
		if in.EventHold != "" {
			a.EventHold = event
			if !event.On {
				a.EventHold = EventHold{}
			}
		}
	})
	return &reply{}, nil
}

func (s *Server) getLegalHold(q *request) (*reply, *s3Error) {
	_, v, e := s.lockedBucket(q)
	if e != nil {
		return nil, e
	}
	if v.attrs.holdStatus() == "" {
		return nil, s.errNoLock()
	}
	x := newXML("LegalHold")
	x.el("Status", v.attrs.holdStatus())
	return x.reply(), nil
}

func (s *Server) putLegalHold(q *request) (*reply, *s3Error) {
	_, v, e := s.lockedBucket(q)
	if e != nil {
		return nil, e
	}
	var in struct{ Status string }
	if xml.Unmarshal(q.body, &in) != nil || in.Status != "ON" && in.Status != "OFF" {
		return nil, errMalformedXML()
	}
	v.with(func(a *Attrs) { a.LegalHold, a.heldOnce = in.Status == "ON", true })
	return &reply{}, nil
}

func (s *Server) getLockConfig(q *request) (*reply, *s3Error) {
	b, e := s.bucketOf(q)
	if e != nil {
		return nil, e
	}
	if !b.cfg.ObjectLock {
		return nil, fail(http.StatusNotFound, "ObjectLockConfigurationNotFoundError", "Object Lock configuration does not exist for this bucket")
	}
	x := newXML("ObjectLockConfiguration")
	x.el("ObjectLockEnabled", "Enabled")
	if b.cfg.DefaultLockMode != "" {
		x.open("Rule")
		x.open("DefaultRetention")
		x.el("Mode", b.cfg.DefaultLockMode)
		x.int("Days", int64(b.cfg.DefaultLockDays))
		if b.cfg.DefaultEventHold.On {
			b.cfg.DefaultEventHold.write(x, "DefaultEventHold")
		}
		x.close("DefaultRetention")
		x.close("Rule")
	}
	return x.reply(), nil
}

func (s *Server) putLockConfig(q *request) (*reply, *s3Error) {
	b, e := s.bucketOf(q)
	if e != nil {
		return nil, e
	}
	var in struct {
		Rule struct {
			DefaultRetention struct {
				Mode        string
				Days, Years int

				DefaultEventHold struct{ Days, Years int }
			}
		}
	}
	if xml.Unmarshal(q.body, &in) != nil {
		return nil, errMalformedXML()
	}
	if b.cfg.Versioning != "Enabled" {
		return nil, fail(http.StatusConflict, "InvalidBucketState", "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration")
	}
	d := in.Rule.DefaultRetention
	b.cfg.ObjectLock, b.cfg.DefaultLockMode, b.cfg.DefaultLockDays = true, d.Mode, d.Days+365*d.Years
	hold := EventHold{Days: d.DefaultEventHold.Days, Years: d.DefaultEventHold.Years}
	hold.On = hold.valid()
	b.cfg.DefaultEventHold = hold
	return &reply{}, nil
}
