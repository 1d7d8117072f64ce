package s3test

import (
	"encoding/xml"
	"net/http"
	"slices"
)

// deleteObject serves DeleteObject.
func (s *Server) deleteObject(q *request) (*reply, *s3Error) {
	b, e := s.bucketOf(q)
	if e != nil {
		return nil, e
	}
	if m := q.h("If-Match"); m != "" && !s.profile.IgnoresDeleteIfMatch {
		_, v := b.find(q.key, "")
		if v == nil || v.marker {
			return nil, errNoSuchKey(q.key)
		}
		if !etagMatches(m, v.condition()) {
			return nil, errPrecondition("If-Match")
		}
	}
	bypass, e := bypasses(q, b)
	if e != nil {
		return nil, e
	}
	d, e := s.remove(b, q.key, q.q("versionId"), bypass)
	if e != nil && e.code == "NoSuchVersion" { // one that is not there any more is as good as deleted
		d, e = deleted{id: q.q("versionId")}, nil
	}
	if e != nil {
		return nil, e
	}
	r := &reply{status: http.StatusNoContent}
	if d.marker {
		r.set("x-amz-delete-marker", "true")
	}
	r.set("x-amz-version-id", d.id)
	return r, nil
}

// bypasses says whether governance is to be bypassed, which a bucket without locks
// does not understand, not even when it is not.
func bypasses(q *request, b *bucket) (bool, *s3Error) {
	const header = "x-amz-bypass-governance-retention"
	if q.has(header) && !b.cfg.ObjectLock {
		return false, errInvalidArgument(header+" is only applicable to Object Lock enabled buckets.").with("ArgumentName", header)
	}
	return q.h(header) == "true", nil
}

// deleted is what a removal did: a marker made or removed, a version removed.
type deleted struct {
	id     string
	marker bool
}

// remove deletes a version, or lays a delete marker where none is named.
func (s *Server) remove(b *bucket, key, id string, bypass bool) (deleted, *s3Error) {
	if id == "" && b.cfg.Versioning != "" {
		if !s.allowed(b, "s3:DeleteObject", key) {
			return deleted{}, errAccessDenied("")
		}
		v := &version{modified: s.now(), marker: true, attrs: &Attrs{Owner: s.cfg.Account}}
		s.store(b, key, v)
		return deleted{v.id, true}, nil
	}
	action := "s3:DeleteObject"
	if id != "" {
		action = "s3:DeleteObjectVersion"
	}
	if !s.allowed(b, action, key) || bypass && !s.allowed(b, "s3:BypassGovernanceRetention", key) {
		return deleted{}, errAccessDenied("")
	}
	e, v := b.find(key, id)
	if id != "" && slices.ContainsFunc(b.freed, func(f versionRow) bool { return f.key == key && f.v.id == id }) {
		return deleted{id: id}, nil // and is listed as before
	}
	if v == nil && id != "" {
		return deleted{}, s.unknownVersion(b, key, id)
	}
	if v == nil {
		return deleted{}, nil
	}
	if id != "" && v.attrs.locked(s.now()) && !(bypass && v.attrs.LockMode == "GOVERNANCE" && !v.attrs.LegalHold) {
		return deleted{}, errAccessDenied("Access Denied because object protected by object lock.")
	}
	switch p := &s.profile; {
	case p.IgnoresDeletes, p.LeavesMarkers && v.marker:
	case p.LeavesMarkers && id != "":
		b.disturb(key)
		e.vs = slices.Clone(e.vs)
		e.vs[slices.Index(e.vs, v)] = &version{id: s.ids.version(), modified: v.modified, marker: true, attrs: &Attrs{Owner: s.cfg.Account}}
	default:
		s.free(b, e, v)
	}
	return deleted{id, v.marker}, nil
}

// free drops a version, and leaves what MinIO lists of one whose bytes are in a tier.
func (s *Server) free(b *bucket, e *entry, v *version) {
	b.drop(e, v)
	if b.cfg.Tier != "" && b.cfg.Versioning != "" && !v.marker {
		b.freed = append(b.freed, versionRow{e.key, &version{id: s.ids.version(), modified: v.modified, marker: true}, true, b.cfg.Tier})
	}
}

// deleteObjects serves DeleteObjects.
func (s *Server) deleteObjects(q *request) (*reply, *s3Error) {
	b, e := s.bucketOf(q)
	if e != nil {
		return nil, e
	}
	var in struct {
		Quiet  bool
		Object []struct{ Key, VersionId, ETag string }
	}
	if xml.Unmarshal(q.body, &in) != nil || len(in.Object) == 0 || len(in.Object) > 1000 {
		return nil, errMalformedXML()
	}
	bypass, e := bypasses(q, b)
	if e != nil {
		return nil, e
	}
	x := newXML("DeleteResult")
	for _, o := range in.Object {
		d, e := s.remove(b, o.Key, o.VersionId, bypass)
		if e != nil && e.code == "InvalidArgument" { // a batch finds no fault with the form of an ID
			e = errNoSuchVersion(o.Key, o.VersionId)
		}
		switch {
		case e != nil:
			x.open("Error")
			x.el("Key", o.Key)
			x.opt("VersionId", o.VersionId)
			x.el("Code", e.code)
			x.el("Message", e.message)
			x.close("Error")
		case !in.Quiet:
			x.open("Deleted")
			x.el("Key", o.Key)
			x.opt("VersionId", o.VersionId)
			if d.marker {
				x.bool("DeleteMarker", true)
				x.el("DeleteMarkerVersionId", d.id)
			}
			x.close("Deleted")
		}
	}
	return x.reply(), nil
}
