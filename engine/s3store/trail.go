package s3store

import "github.com/resealhq/reseal/engine/object"

// astray is the error of a list whose rest cannot be had.
func (r *request) astray() error {
	return &object.Error{Class: object.ClassUnsupported, Op: r.op, Ref: r.ref,
		Message: "the store says that there is more, and goes back to what it has given already"}
}
