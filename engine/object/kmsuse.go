package object

// NeedsKMS says whether the store, or this process, may need the KMS for a request of this
// kind: what reads or writes an object's data, or wraps its key anew, and a listing, in which MinIO
// shows ETags that it has encrypted.
func (k RequestKind) NeedsKMS() bool {
	switch k {
	case ReqCopy, ReqUpdate, ReqCopyPart, ReqComplete, ReqPut, ReqGet, ReqKMS, ReqList:
		return true
	}
	return false
}

// KMSUse is how a call uses the KMS, as far as is known before it is sent.
type KMSUse struct {
	// Side is what the call does: it reads from one store, writes to what may be another one, goes to
	// a KMS itself, or lists.
	Side uint8
	// Sure is how sure it is that a KMS has a part in it: 2 where a key is named, 1 where its
	// object is under SSE-S3, which on some stores is of their KMS, else 0.
	Sure uint8
}

// The numbers of sides, and of how sure a call is.
const (
	NumKMSSides = 4
	NumKMSSures = 3
)

// KMSUse is that of the call.
func (c *Call) KMSUse() (u KMSUse) {
	switch {
	case c.Kind == ReqKMS:
		u.Side = 2
	case c.Kind == ReqList:
		u.Side = 3
	case c.Kind.Mutates():
		u.Side = 1
	}
	switch {
	case c.KMSKey != "":
		u.Sure = 2
	case c.OtherKey:
		u.Sure = 1
	}
	return u
}

// Tells says whether the success of a call with this use says something of one that failed by
// its KMS: what goes to another store, or needs no KMS, goes on while that is away.
func (u KMSUse) Tells(of KMSUse) bool { return u.Side == of.Side && u.Sure >= of.Sure }
