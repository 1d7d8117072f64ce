package planner

import (
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// Folder says how objects become files.
type Folder struct {
	// Strip is what keys lose at their beginning.
	Strip string
	// Windows: the names have to be such as file systems there can carry.
	Windows bool
	// Decrypts: what a client has encrypted is decrypted.
	Decrypts bool
}

// chooseFile decides on an object that is to become a file. Whether a name is taken, only
// the folder tells.
//
//	 the object                                              | the choice
//	---------------------------------------------------------+------------------------
//	 a delete marker                                         | left: gone
//	 no bytes, and a key that ends with a slash              | left: folder-marker
//	 its name is none that a file can have                   | left: name
//	 a noncurrent version                                    | left: noncurrent
//	 archived and not restored                             ? | left: archived
//	 not inspected                                           | undecided
//	 under SSE-C with another key than those that are given  | left: missing-key
//	 encrypted by a client, and not to be decrypted          | left: client-side
//	 up to 16 MiB, or 5 MiB where it is decrypted            | rewrite: GET, one file
//	 larger                                                  | rewrite: by stretches
func (c *Chooser) chooseFile(o *object.Object, a *object.Attributes) object.Choice {
	if o.Size == 0 && strings.HasSuffix(o.Key, "/") && !o.DeleteMarker {
		return leave(object.ReasonMarker, "it marks a folder, and holds no bytes that a file could have")
	}
	if unfit := object.FileName(strings.TrimPrefix(o.Key, c.Folder.Strip), c.Folder.Windows); unfit.Reason != "" && !o.DeleteMarker {
		return leave(unfit.Reason, unfit.Message)
	}
	whole := int64(MaxRewriteSize)
	if c.Folder.Decrypts {
		whole = MaxSentWhole
	}
	switch {
	case o.DeleteMarker:
		return leave(object.ReasonGone, "a delete marker holds no data")
	case o.Noncurrent:
		return leave(object.ReasonNoncurrent, "a folder has one file of a name, which is of the current version")
	case a == nil && !c.settledFile(o):
		return undecided
	case o.Archived() && (a == nil || !a.Restored):
		return leave(object.ReasonArchived, "it is archived in "+archivedIn(o)+"; restore it first, then run again")
	case o.Encryption.Type == object.SSEC && !c.Target.Opens(&o.Encryption):
		return leave(object.ReasonMissingKey, "it is under SSE-C; give its key with --source-sse-c-key-file")
	case !c.Folder.Decrypts && o.ClientSide.Encrypted():
		return leave(object.ReasonClientSide, "a client has encrypted it, and the file would lose the envelope that opens it; --client-side none decrypts it")
	case o.Size > whole, c.inParts(o):
		return object.Choice{Operation: object.OpRewrite, Route: object.RouteSend}
	case c.Folder.Decrypts:
		return object.Choice{Operation: object.OpRewrite, Route: object.RouteRewrite}
	}
	return object.Choice{Operation: object.OpRewrite}
}

// settledFile says whether the row is enough to read the object: what else there is to know
// the reading tells.
func (c *Chooser) settledFile(o *object.Object) bool {
	return !c.Folder.Decrypts && o.Size >= 0 && o.Size <= MaxRewriteSize && o.ETag != "" && !o.Archived() && !c.inParts(o)
}
