package checkpoint

import (
	"github.com/resealhq/reseal/engine/object"
)

// What a task has, bit by bit; a field that is not there costs nothing.
const (
	taskVersionID = 1 << iota
	taskETag
	taskLastModified
	taskClass
	taskTier
	taskNoncurrent
	taskDeleteMarker
	taskEncryption
	taskSettled
	taskMultipart
	taskChecksum
	taskClientSide
	taskLock
	taskRetain
	taskHold
	taskReason
	taskAlready
	taskPlain
	taskEnvelope // and which; taskClientSide alone is an older reseal's
)

func flag(bit uint64, set bool) uint64 {
	if set {
		return bit
	}
	return 0
}

// task writes the value of p/<seq>. Seq is in the key, InDoubt is not stored.
func (e *encoder) task(t *object.Task) {
	o := &t.Object
	flags := flag(taskVersionID, o.VersionID != "") | flag(taskETag, o.ETag != "") |
		flag(taskLastModified, !o.LastModified.IsZero()) | flag(taskClass, o.StorageClass != "") |
		flag(taskTier, o.ArchiveTier != "") | flag(taskNoncurrent, o.Noncurrent) |
		flag(taskDeleteMarker, o.DeleteMarker) | flag(taskEncryption, o.Encryption != object.Encryption{}) |
		flag(taskSettled, o.Settled) | flag(taskMultipart, o.MultipartUploaded) |
		flag(taskChecksum, o.ChecksumAlgorithm != "" || o.ChecksumType != "") | flag(taskClientSide, o.ClientSide.Encrypted()) |
		flag(taskLock, o.LockMode != "") | flag(taskRetain, !o.RetainUntil.IsZero()) | flag(taskHold, o.LegalHold) |
		flag(taskReason, t.Reason != "") | flag(taskAlready, t.Already) | flag(taskPlain, o.Plain) | flag(taskEnvelope, o.ClientSide != "")
	e.byte(valueVersion)
	e.byte(byte(t.Operation))
	e.uint(flags)
	e.word(o.Bucket)
	e.str(o.Key)
	e.int(o.Size)
	if flags&taskVersionID != 0 {
		e.token(o.VersionID)
	}
	if flags&taskETag != 0 {
		e.token(o.ETag)
	}
	if flags&taskLastModified != 0 {
		e.time(o.LastModified)
	}
	if flags&taskClass != 0 {
		e.word(o.StorageClass)
	}
	if flags&taskTier != 0 {
		e.word(o.ArchiveTier)
	}
	if flags&taskEncryption != 0 {
		e.encryption(&o.Encryption)
	}
	if flags&taskChecksum != 0 {
		e.word(o.ChecksumAlgorithm)
		e.word(o.ChecksumType)
	}
	if flags&taskLock != 0 {
		e.word(o.LockMode)
	}
	if flags&taskRetain != 0 {
		e.time(o.RetainUntil)
	}
	if flags&taskReason != 0 {
		e.word(string(t.Reason))
	}
	if flags&taskEnvelope != 0 {
		e.word(string(o.ClientSide))
	}
}

// decodeTask reads the value of p/<seq> into t.
func decodeTask(d *dict, seq uint64, b []byte, t *object.Task) error {
	r := decoder{b: b, d: d}
	r.version()
	*t = object.Task{Seq: seq, Operation: object.Operation(r.byte())}
	flags := r.uint()
	o := &t.Object
	o.Bucket = r.word()
	o.Key = r.str()
	o.Size = r.int()
	if flags&taskVersionID != 0 {
		o.VersionID = r.token()
	}
	if flags&taskETag != 0 {
		o.ETag = r.token()
	}
	if flags&taskLastModified != 0 {
		o.LastModified = r.time()
	}
	if flags&taskClass != 0 {
		o.StorageClass = r.word()
	}
	if flags&taskTier != 0 {
		o.ArchiveTier = r.word()
	}
	if flags&taskEncryption != 0 {
		o.Encryption = r.encryption()
	}
	if flags&taskChecksum != 0 {
		o.ChecksumAlgorithm = r.word()
		o.ChecksumType = r.word()
	}
	if flags&taskLock != 0 {
		o.LockMode = r.word()
	}
	if flags&taskRetain != 0 {
		o.RetainUntil = r.time()
	}
	if flags&taskReason != 0 {
		t.Reason = object.Reason(r.word())
	}
	switch {
	case flags&taskEnvelope != 0:
		o.ClientSide = object.ClientSide(r.word())
	case flags&taskClientSide != 0:
		o.ClientSide = object.SomeEnvelope
	}
	o.Noncurrent = flags&taskNoncurrent != 0
	o.DeleteMarker = flags&taskDeleteMarker != 0
	o.Settled = flags&taskSettled != 0
	o.Plain = flags&taskPlain != 0
	o.MultipartUploaded = flags&taskMultipart != 0
	o.LegalHold = flags&taskHold != 0
	t.Already = flags&taskAlready != 0
	return r.err
}

const (
	outReason = 1 << iota
	outCode
	outStatus
	outMessage
	outETagBefore
	outETagAfter
	outSameETag
	outBefore
	outAfter
	outNewVersion
	outOldKept
	outRequestID
	outFinished
	outClientSide
	outInferred
	outNeverSent
)

// outcome writes the value of o/<seq>. State comes right after the version, so
// that Retry finds the failed ones without reading the rest.
func (e *encoder) outcome(o *object.Outcome) {
	same := o.ETagBefore != "" && o.ETagBefore == o.ETagAfter
	flags := flag(outReason, o.Reason != "") | flag(outCode, o.ErrorCode != "") | flag(outStatus, o.HTTPStatus != 0) |
		flag(outMessage, o.Message != "") | flag(outETagBefore, o.ETagBefore != "") |
		flag(outETagAfter, o.ETagAfter != "" && !same) | flag(outSameETag, same) |
		flag(outBefore, o.Before != object.Encryption{}) | flag(outAfter, o.After != object.Encryption{}) |
		flag(outNewVersion, o.NewVersionID != "") | flag(outOldKept, o.OldVersionKept) |
		flag(outRequestID, o.RequestID != "") | flag(outFinished, !o.FinishedAt.IsZero()) |
		flag(outClientSide, o.ClientSideBefore != "" || o.ClientSideAfter != "") |
		flag(outInferred, o.Inferred) | flag(outNeverSent, o.NeverSent)
	e.byte(valueVersion)
	e.byte(byte(o.State))
	e.byte(byte(o.Operation))
	e.uint(flags)
	e.int(o.Size)
	e.int(int64(o.Attempts))
	if flags&outReason != 0 {
		e.word(string(o.Reason))
	}
	if flags&outCode != 0 {
		e.word(o.ErrorCode)
	}
	if flags&outStatus != 0 {
		e.int(int64(o.HTTPStatus))
	}
	if flags&outMessage != 0 {
		e.str(o.Message)
	}
	if flags&outETagBefore != 0 {
		e.token(o.ETagBefore)
	}
	if flags&outETagAfter != 0 {
		e.token(o.ETagAfter)
	}
	if flags&outBefore != 0 {
		e.encryption(&o.Before)
	}
	if flags&outAfter != 0 {
		e.encryption(&o.After)
	}
	if flags&outNewVersion != 0 {
		e.token(o.NewVersionID)
	}
	if flags&outRequestID != 0 {
		e.token(o.RequestID)
	}
	if flags&outFinished != 0 {
		e.time(o.FinishedAt)
	}
	if flags&outClientSide != 0 {
		e.word(string(o.ClientSideBefore))
		e.word(string(o.ClientSideAfter))
	}
}

// decodeOutcome reads the value of o/<seq> into o.
func decodeOutcome(d *dict, seq uint64, b []byte, o *object.Outcome) error {
	r := decoder{b: b, d: d}
	r.version()
	*o = object.Outcome{Seq: seq, State: object.State(r.byte()), Operation: object.Operation(r.byte())}
	flags := r.uint()
	o.Size = r.int()
	o.Attempts = int(r.int())
	if flags&outReason != 0 {
		o.Reason = object.Reason(r.word())
	}
	if flags&outCode != 0 {
		o.ErrorCode = r.word()
	}
	if flags&outStatus != 0 {
		o.HTTPStatus = int(r.int())
	}
	if flags&outMessage != 0 {
		o.Message = r.str()
	}
	if flags&outETagBefore != 0 {
		o.ETagBefore = r.token()
	}
	switch {
	case flags&outETagAfter != 0:
		o.ETagAfter = r.token()
	case flags&outSameETag != 0:
		o.ETagAfter = o.ETagBefore
	}
	if flags&outBefore != 0 {
		o.Before = r.encryption()
	}
	if flags&outAfter != 0 {
		o.After = r.encryption()
	}
	if flags&outNewVersion != 0 {
		o.NewVersionID = r.token()
	}
	o.OldVersionKept = flags&outOldKept != 0
	o.Inferred, o.NeverSent = flags&outInferred != 0, flags&outNeverSent != 0
	if flags&outRequestID != 0 {
		o.RequestID = r.token()
	}
	if flags&outFinished != 0 {
		o.FinishedAt = r.time()
	}
	if flags&outClientSide != 0 {
		o.ClientSideBefore, o.ClientSideAfter = object.ClientSide(r.word()), object.ClientSide(r.word())
	}
	if o.State == object.Remaining || o.State >= object.NumStates {
		r.fail("an outcome without a state")
	}
	return r.err
}

func (e *encoder) cursor(c *object.Cursor) {
	e.byte(valueVersion)
	e.byte(byte(flag(1, c.Finished) | flag(2, c.Position != nil)))
	e.bytes(c.Position)
}

func decodeCursor(name string, b []byte) (object.Cursor, error) {
	r := decoder{b: b}
	r.version()
	flags := r.byte()
	c := object.Cursor{Range: name, Finished: flags&1 != 0, Position: r.bytes()}
	if flags&2 != 0 && c.Position == nil {
		c.Position = []byte{} // an empty position is not the absence of one
	}
	return c, r.err
}
