package carry

import (
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// Dest maps a source to where its copy goes. The zero value means in place.
type Dest struct {
	// Bucket is empty for in place.
	Bucket string
	// Prefix replaces StripPrefix at the start of the key.
	Prefix      string
	StripPrefix string
}

// InPlace is whether objects are rewritten where they are.
func (d Dest) InPlace() bool { return d.Bucket == "" }

// Ref is where the copy of src goes. In place it is the current version of src.
func (d Dest) Ref(src object.Ref) object.Ref {
	if d.InPlace() {
		return object.Ref{Bucket: src.Bucket, Key: src.Key}
	}
	return object.Ref{Bucket: d.Bucket, Key: d.Prefix + strings.TrimPrefix(src.Key, d.StripPrefix)}
}

// source is the place that a copy reads. In place it is never named by version: if a
// newer version appears, this one must not be made current again, and the condition
// on the source refuses then.
func (d Dest) source(src object.Ref) object.Ref {
	if d.InPlace() {
		src.VersionID = ""
	}
	return src
}
