package planner

import "github.com/resealhq/reseal/engine/object"

// chooseRewrap decides on the way in which an object's envelope can be written anew.
// Whether it has one that can be, and whether it is as wanted, only its metadata, its
// instruction file and KMS tell, so that a row without attributes settles nothing.
//
//	 the object                                              | the choice
//	---------------------------------------------------------+------------------------
//	 a delete marker                                         | left: gone
//	 in a storage class of AWS's own                         | left: unsupported
//	 a noncurrent version                                    | left: noncurrent
//	 not inspected                                           | undecided
//	 its metadata shows no wrapped key                       | rewrap, by its file alone
//	 under an encryption that is not known                   | left: unsupported
//	 under SSE-C with another key than the given one         | left: missing-key
//	 otherwise, as a copy that keeps its encryption would be,| rewrap by the first route
//	 self-copies excepted: rows 9 to 14 of Choose            | that loses nothing
func (c *Chooser) chooseRewrap(o *object.Object, a *object.Attributes) object.Choice {
	e := &o.Encryption
	if c, is := untouchable(o); is {
		return c
	}
	switch {
	case o.Noncurrent:
		return leave(object.ReasonNoncurrent, "writing the envelope of a noncurrent version would make it the current one; it still needs its old key")
	case a == nil:
		return undecided
	case o.ClientSide == object.NoEnvelope, o.ClientSide == object.InstructionFile, o.ClientSide == "v3 instruction":
		return object.Choice{Operation: object.OpRewrap}
	case e.Type == object.SSEUnknown:
		return leave(object.ReasonUnsupported, "the store shows an encryption that reseal does not know; look at the object with a HEAD request")
	case e.Type == object.SSEC && !c.Target.Opens(e):
		return leave(object.ReasonMissingKey, "it is under SSE-C; give its key with --source-sse-c-key-file")
	}
	own := *c
	own.Target = c.Target.Keep(*e)
	return own.chooseCopy(o, a)
}
