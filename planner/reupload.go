package planner

import (
	"slices"

	"github.com/resealhq/reseal/engine/object"
)

// Reupload says that objects are brought into, up to or out of client-side encryption:
// their bytes go through this process.
type Reupload struct {
	// KeepsSSE leaves each object under its own server-side encryption.
	KeepsSSE bool
}

// MaxSentWhole is up to what size an object is written by one PutObject whose bytes
// change on their way: one part of an upload. Larger ones are read, encrypted and sent by
// parts, so that memory stays bounded.
const MaxSentWhole = 5 << 20

// chooseReupload decides on the way in which an object can be written again from this
// process. Whether it is as wanted already, only its envelope and the key tell, so that
// a row without attributes settles nothing.
//
//	 the object                                              | the choice
//	---------------------------------------------------------+------------------------
//	 a delete marker                                         | left: gone
//	 in a storage class of AWS's own                         | left: unsupported
//	 a noncurrent version                                    | left: noncurrent
//	 not inspected                                           | undecided
//	 under an encryption that is not known                   | left: unsupported
//	 the store cannot write the target                       | left: unsupported
//	 under SSE-C with another key than the given one         | left: missing-key
//	 archived and not restored                               | left: archived
//	 with a checksum that nobody here can make               | left: composite-checksum
//	 up to 5 MiB and below --multipart-threshold, and a PUT  |
//	 is guarded                                              | rewrite: GET, PutObject
//	 an upload's completion is guarded                       | rewrite: GET, UploadPart
//	 neither is                                              | left: unsupported
//	 losing what was not accepted, by that way               | left: the loss
//
// Its checksums are made anew, of the same algorithm: those that it had are of other
// bytes.
func (c *Chooser) chooseReupload(o *object.Object, a *object.Attributes) object.Choice {
	e := &o.Encryption
	if c, is := untouchable(o); is {
		return c
	}
	switch {
	case o.Noncurrent:
		return leave(object.ReasonNoncurrent, "writing a noncurrent version again would make it the current one; it stays as it is, and still needs its key")
	case a == nil:
		return undecided
	case e.Type == object.SSEUnknown:
		return leave(object.ReasonUnsupported, "the store shows an encryption that reseal does not know; look at the object with a HEAD request")
	}
	own := *c
	own.Operation = RewriteOnly
	own.Accept = append(slices.Clone(c.Accept), object.ReasonComposite)
	if c.Reupload.KeepsSSE {
		class := c.Target.StorageClass
		own.Target = c.Target.Keep(*e)
		own.Target.StorageClass = class
	} else if why := c.targetImpossible(); why != "" {
		return leave(object.ReasonUnsupported, why)
	}
	switch {
	case e.Type == object.SSEC && !c.Target.Opens(e):
		return leave(object.ReasonMissingKey, "it is under SSE-C; give its key with --source-sse-c-key-file")
	case o.Archived() && !a.Restored:
		return leave(object.ReasonArchived, "it is archived in "+archivedIn(o)+"; restore it first, then run again")
	case o.ChecksumAlgorithm != "" && !object.KnowsChecksum(o.ChecksumAlgorithm) && !c.accepts(object.ReasonComposite):
		return leave(object.ReasonComposite, "it has a "+o.ChecksumAlgorithm+", which cannot be made anew here; --accept composite-checksum lets the store choose another")
	}
	route := own.sendRoute(o)
	if route == object.RouteNone {
		return leave(object.ReasonUnsupported, "this store was not seen to write such an object on a condition; see `reseal doctor`")
	}
	lost, _ := own.losses(o, a, route)
	if open := own.unaccepted(lost); len(open) > 0 {
		return leave(open[0].reason, open[0].message)
	}
	return object.Choice{Operation: object.OpRewrite, Route: route}
}

// sendRoute is the way in which an object is written from this process: in one piece
// or in parts. None where neither is guarded, or where the store would look at the old
// object with the new one's customer key.
func (c *Chooser) sendRoute(o *object.Object) object.Route {
	switch {
	case !c.comparesOld(o):
	case o.Size <= MaxSentWhole && c.Caps.Guarded(object.RouteRewrite) && !(c.inParts(o) && c.Caps.Guarded(object.RouteSend)):
		return object.RouteRewrite
	case c.Caps.Guarded(object.RouteSend):
		return object.RouteSend
	}
	return object.RouteNone
}

// inParts says whether the operator wants objects of this size in parts.
func (c *Chooser) inParts(o *object.Object) bool {
	return c.MultipartThreshold > 0 && o.Size >= c.MultipartThreshold
}
