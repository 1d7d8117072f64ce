package object

import (
	"fmt"
	"time"
)

// Operation is a way to bring an object under another encryption.
type Operation uint8

// The operations. Their numbers are in every checkpoint, so new ones come last.
// OpNone is an object that needs or allows no operation; OpUndecided is a planned
// task whose row could not settle it: the worker inspects and chooses.
const (
	OpUndecided Operation = iota
	OpNone
	OpUpdate
	OpCopy
	OpMultipart
	OpRewrite     // GET, and a PutObject or an upload on the condition that nobody wrote meanwhile
	OpRewrap      // the envelope of client-side encryption alone
	NumOperations = iota
)

var opNames = [...]string{"undecided", "", "update", "copy", "multipart", "rewrite", "rewrap"}

// Changes says whether the operation is one that changes an object, and so one
// that reports name and count.
func (o Operation) Changes() bool { return o >= OpUpdate && o < NumOperations }

// String is the name in the report: update, copy, multipart, rewrite, rewrap or
// empty.
func (o Operation) String() string {
	if int(o) < len(opNames) {
		return opNames[o]
	}
	return fmt.Sprintf("Operation(%d)", uint8(o))
}

// State is what became of a task.
type State uint8

// The states of the report. Remaining is the absence of an outcome.
const (
	Remaining State = iota
	Done
	Already
	Left
	Failed
	NumStates = iota
)

var stateNames = [...]string{"remaining", "done", "already", "left", "failed"}

// String is the name in the report.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// Reason says why an object was left, in one word that scripts can match. An
// error's class (see Error) is the reason of a failed one.
type Reason string

// Why an object is left as it is. A loss is named as its --accept word.
const (
	ReasonNoncurrent  Reason = "noncurrent"         // a copy would make it current
	ReasonArchived    Reason = "archived"           // restore it first
	ReasonTooLarge    Reason = "too-large"          // no route for this size
	ReasonUnsupported Reason = "unsupported"        // no operation here leads to the target
	ReasonGone        Reason = "gone"               // deleted since it was planned
	ReasonChanging    Reason = "changing"           // others kept overwriting it
	ReasonMissingKey  Reason = "missing-key"        // under SSE-C, and --source-sse-c-key-file is not its key
	ReasonForeign     Reason = "exists"             // --dest: something else is there
	ReasonACL         Reason = "acl"                // would lose its grants
	ReasonLock        Reason = "lock"               // would lose its retention or hold
	ReasonTags        Reason = "tags"               // would lose its tags
	ReasonRedirect    Reason = "redirect"           // would lose its website redirect
	ReasonComposite   Reason = "composite-checksum" // its checksum would change its type
	ReasonContext     Reason = "encryption-context" // an unreadable KMS context might be lost
	ReasonMetadata    Reason = "metadata"           // metadata that HTTP cannot show would be lost
	ReasonEventHold   Reason = "event-hold"         // would lose its event hold
	ReasonAnnotations Reason = "annotations"        // would lose its annotations
	ReasonClass       Reason = "storage-class"      // the store would put it into another class
	ReasonNullVersion Reason = "null-version"       // a copy would overwrite an older null version
	ReasonSource      Reason = "wrong-source"       // the store copies another object's bytes under its name
	ReasonReaders     Reason = "cse-readers"        // readers of client-side encryption would need another key
	ReasonOrphan      Reason = "orphan-instruction" // an instruction file whose object is not there
	ReasonInstruction Reason = "instruction-file"   // an instruction file, which goes with its object
	ReasonUnauthentic Reason = "unauthenticated"    // its source has no tag, so that nobody can tell whether it was changed
	ReasonPlaintext   Reason = "plaintext"          // it would lie unencrypted
	ReasonExcluded    Reason = "excluded"           // --operation or selection does not allow it
	ReasonName        Reason = "name"               // S3, or a file system, cannot carry its name
	ReasonMarker      Reason = "folder-marker"      // it marks a folder and holds no bytes, so that it is no file
	ReasonConflict    Reason = "name-conflict"      // its path is taken: by a folder, or by a name that the file system takes for the same
	ReasonLink        Reason = "symbolic-link"      // a link, or its path leads through one; none is followed
	ReasonSpecial     Reason = "special-file"       // a device, a socket, a pipe
	ReasonClientSide  Reason = "client-side"        // encrypted by a client, and its envelope would be lost
	ReasonReply       Reason = "reply"              // done on the word of a reply that shows no encryption (--verify response)
	ReasonInDoubt     Reason = "in-doubt"           // found as wanted, and an earlier process of the job may have changed it
	ReasonUnknown     Reason = ""
)

// Task is one planned piece of work.
type Task struct {
	// Seq is dense from 0 and given by the checkpoint when the task is appended.
	Seq    uint64
	Object Object
	// Operation is the plan's choice, or OpUndecided.
	Operation Operation
	// Reason is why the plan left the object; only with OpNone.
	Reason Reason
	// Already is set with OpNone where the object is as wanted.
	Already bool
	// InDoubt is set by the checkpoint, and not stored, where an earlier process
	// may have sent this task's mutation and died before the outcome was durable.
	InDoubt bool
	// Earlier is set by the checkpoint, and not stored, where an earlier process
	// planned this task. The directory may be old, or a copy: what the row tells of
	// the object's encryption may have been changed since by the job itself, and
	// where that leaves the ETag as it was, no condition on the ETag notices.
	Earlier bool
}

// Outcome is what became of one task; with the task it makes one row of the
// report.
type Outcome struct {
	Seq       uint64
	State     State
	Operation Operation
	// Reason is the reason of a left object, the error class of a failed one,
	// ReasonReply for a done one that nobody has looked at since, and ReasonInDoubt for
	// one that is as wanted and may have been changed by an earlier process.
	Reason     Reason
	ErrorCode  string
	HTTPStatus int
	Message    string
	// Size, ETagBefore and Before are what the worker saw, which may be newer
	// than the task's row.
	Size                  int64
	ETagBefore, ETagAfter string
	Before, After         Encryption
	// ClientSideBefore and ClientSideAfter are the envelopes that were seen; empty
	// where nobody looked.
	ClientSideBefore, ClientSideAfter ClientSide
	NewVersionID                      string
	// OldVersionKept is set where a copy on a versioned bucket left the previous
	// version behind under its old encryption.
	OldVersionKept bool
	// Inferred is set on a done object where no answer told that this job made it so:
	// the store showed it as wanted after a request without an answer or a process that
	// died. Another client may have written it.
	Inferred bool
	// NeverSent is set on a left object to which no process of the job has sent anything
	// that might change it.
	NeverSent  bool
	Attempts   int
	RequestID  string
	FinishedAt time.Time
}

// Cursor is the durable position of one independently readable part of a
// source: a key range of a listing, a file of a manifest.
type Cursor struct {
	// Range names the part; unique within the source and stable across runs.
	Range string
	// Position is the source's own encoding; opaque to everybody else.
	Position []byte
	// Finished is set once the part has been read to its end.
	Finished bool
}

// Page is a batch of rows with the cursors that passing them moves. Rows and
// cursors become durable together or not at all. Whoever is given one may not keep its
// slices.
type Page struct {
	Objects []Object
	Cursors []Cursor
}

// Upload is what must be known to finish or undo a mutation of several requests
// after a crash: a multipart upload, or a copy after which something has to be
// re-applied. It is durable before the first of those requests changes the
// object.
type Upload struct {
	Seq    uint64
	Target Ref
	// Begun is when CreateMultipartUpload was about to be sent; zero for a copy by
	// CopyObject. With an empty ID, an upload may exist that nobody knows yet.
	Begun time.Time
	// CreateLost: a CreateMultipartUpload since then got no answer, so that beside this
	// upload another may be open whose ID nobody knows.
	CreateLost bool
	// ID of the multipart upload; empty until it is known, and for a copy by
	// CopyObject whose Reapply must follow.
	ID   string
	ETag string // of the source, which every part is conditional on
	Size int64
	// PartSizes are the sizes of the parts, in order. Of parts that are sent instead of
	// copied they are those of the new bytes, and unknown until the last was sent.
	PartSizes []int64
	// Sent: the parts come from this client. Nobody goes on with such an upload.
	Sent bool
	// Made is the ETag of what it has made, where that is known and Reapply was tried in
	// vain; empty else.
	Made string
	// Carries is CopyRequest.Carries of the request that began it; nil where nobody
	// kept it.
	Carries []byte
	// Reapply is what the store drops although it was sent along, so that it has
	// to be written again once the object is there.
	Reapply Reapply
}

// NewSize is that of the object that the upload makes: the source's, unless its bytes
// become others on their way.
func (u *Upload) NewSize() int64 {
	if len(u.PartSizes) == 0 {
		return u.Size
	}
	var n int64
	for _, size := range u.PartSizes {
		n += size
	}
	return n
}

// MayHaveMade says whether an object may be what it has made. Another is another client's,
// with details of its own.
func (u *Upload) MayHaveMade(o *Object) bool {
	return o.Size == u.NewSize() && (u.Made == "" || u.Made == o.ETag)
}

// Reapply is what a copy loses on some stores and a later request can restore.
type Reapply struct {
	Tags        []Tag
	Annotations []Annotation // with their texts
	LockMode    string
	RetainUntil time.Time
	LegalHold   bool
}

// IsZero is whether there is nothing to re-apply.
func (r *Reapply) IsZero() bool {
	return len(r.Tags) == 0 && len(r.Annotations) == 0 && r.LockMode == "" && !r.LegalHold
}

// Part is one finished part of an upload.
type Part struct {
	Number   int
	ETag     string
	Size     int64
	Checksum string // base64, of the upload's checksum algorithm; may be empty
}

// PendingUpload is one open multipart upload, as the store lists it.
type PendingUpload struct {
	Key, ID string
	// Initiated is when it was begun, by this machine's clock if neither clock was set
	// since. It is for people: nothing may be concluded from it.
	Initiated time.Time
}
