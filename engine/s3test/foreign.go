package s3test

import (
	"net/http"
	"slices"
)

// foreign serves requests to sub-resources that the profile's store does not
// know: it takes them for the request without the sub-resource, which is how
// objects and buckets get lost. done is false for all other requests.
func (s *Server) foreign(q *request) (rep *reply, err *s3Error, done bool) {
	p := &s.profile
	if q.sub == "" {
		return nil, nil, false
	}
	if q.key == "" {
		if slices.Contains(p.RefusedBucket, q.sub) {
			return nil, errNotImplemented(), true
		}
		if !slices.Contains(p.ForeignBucket, q.sub) {
			return nil, nil, false
		}
	} else if slices.Contains(p.RefusedObject, q.sub) {
		return nil, fail(http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed against this resource."), true
	} else if !slices.Contains(p.ForeignObject, q.sub) && !(p.OverwritesUnknown && (q.op == "Unknown" || q.sub == "annotation")) {
		return nil, nil, false
	}
	plain := *q
	delete(plain.query, q.sub)
	plain.classify()
	if plain.op == "ListObjects" {
		plain.op = "ListObjectsV2"
	}
	op, ok := s.ops[plain.op]
	if !ok {
		return nil, fail(http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed against this resource."), true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.guard(&plain, op.action); e != nil {
		return nil, e, true
	}
	rep, err = op.do(s, &plain)
	return rep, err, true
}
