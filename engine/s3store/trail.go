package s3store

import "github.com/resealhq/reseal/engine/object"

// trail is where the pages of a list have led to so far. A store whose pages lead back would
// be asked for ever.
type trail map[string]struct{}

// back says whether a page leads to where one has been read from.
func (t *trail) back(marker string) bool {
	if *t == nil {
		*t = trail{"": {}} // the first page is asked for without a marker
	}
	if _, known := (*t)[marker]; known {
		return true
	}
	(*t)[marker] = struct{}{}
	return false
}

// astray is the error of a list whose rest cannot be had.
func (r *request) astray() error {
	return &object.Error{Class: object.ClassUnsupported, Op: r.op, Ref: r.ref,
		Message: "the store says that there is more, and goes back to what it has given already"}
}
