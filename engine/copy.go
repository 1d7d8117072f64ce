package engine

import (
	"context"
	"strings"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// copy rewrites the object by one CopyObject, conditional on the object that was
// decided on.
func (it *item) copy(ctx context.Context, c object.Choice) (*object.Outcome, error) {
	req, err := it.copyRequest(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := it.digestBefore(ctx, it.Caps.Checksums == object.Yes); err != nil {
		return nil, err
	}
	reapply := it.lostByCopy(req)
	if err := it.intend(reapply); err != nil {
		return nil, err
	}
	var reply object.CopyReply
	call := object.Call{Kind: object.ReqCopy, Key: it.obj.Key, KMSKey: it.kmsKey(), Bytes: it.obj.Size}
	found, err := it.once(ctx, call, func(ctx context.Context) (err error) {
		it.out.Attempts++
		reply, err = it.Store.Copy(ctx, req)
		return err
	})
	if err != nil {
		return nil, it.withoutIntent(reapply, err)
	}
	if found != nil {
		reply = object.CopyReply{ETag: found.ETag, VersionID: found.ShownVersionID, RequestID: found.RequestID}
	}
	it.out.RequestID, it.out.NewVersionID = reply.RequestID, reply.VersionID
	if err := it.reapply(ctx, req.Dest, reapply); err != nil {
		return nil, err
	}
	if err := it.dropIntent(reapply); err != nil {
		return nil, err
	}
	return it.prove(ctx, "CopyObject", reply)
}

// copyRequest is the copy with everything that it must carry.
func (it *item) copyRequest(ctx context.Context, c object.Choice) (*object.CopyRequest, error) {
	src := it.obj.Ref
	if it.Dest.InPlace() {
		// Never by version ID: if a newer version appears, this one must not be made
		// current again; the source condition refuses then.
		src.VersionID = ""
	}
	attrs, stamped := it.stamped()
	req := &object.CopyRequest{
		Source: src, Dest: it.Dest.Ref(src), SourceETag: it.obj.ETag,
		Target: it.targetWithContext(), SourceSSEC: it.obj.Encryption.Type == object.SSEC,
		StorageClass: it.storageClass(),
		Replace:      c.Route == object.RouteReplace || stamped || c.Operation == object.OpMultipart,
		Attributes:   attrs,
	}
	if it.destFacts().ObjectLock != object.No {
		mode, until := it.retention()
		req.LockMode, req.RetainUntil, req.LegalHold = mode, rfc3339(until), it.obj.LegalHold
	}
	it.conditions(req)
	if attrs == nil {
		return req, nil
	}
	req.WebsiteRedirect = attrs.WebsiteRedirect
	if it.destFacts().ACLsDisabled != object.Yes && len(attrs.Grants) > 0 {
		req.Grants = attrs.Grants
	}
	req.ReplaceTags = c.Route == object.RouteReplace || c.Operation == object.OpMultipart
	if req.ReplaceTags || it.Caps.KeepsTags != object.Yes {
		if err := it.readTags(ctx); err != nil {
			return nil, err
		}
		attrs.Tags = it.attrs.Tags // attrs is another one where it was stamped
	}
	if c.Operation == object.OpMultipart && it.Caps.UploadChecksums == object.Yes {
		req.ChecksumAlgorithm, req.ChecksumType = it.uploadChecksum()
	}
	return req, nil
}

// uploadChecksum is the object's own, as far as an upload can have it: a SHA of
// parts is never one of the whole object, and S3 refuses to be asked for it.
func (it *item) uploadChecksum() (algorithm, typ string) {
	if strings.HasPrefix(it.obj.ChecksumAlgorithm, "SHA") {
		return it.obj.ChecksumAlgorithm, "COMPOSITE"
	}
	return it.obj.ChecksumAlgorithm, it.obj.ChecksumType
}

// targetWithContext is the target with the KMS context that the store shows of the
// source, where the target names none. It is kept as everything else is; and
// without it MinIO's self-copy leaves an object that nobody can open (it carries
// the old context along, and seals the new data key with none).
func (it *item) targetWithContext() *object.Target {
	if it.attrs == nil || it.attrs.KMSContext == "" || !it.Target.SSE.KMS() || it.Target.Context != "" {
		return &it.Target
	}
	t := it.Target
	t.Context = it.attrs.KMSContext
	return &t
}

// retention is the one that still protects the object. S3 goes on showing one that
// has run out, and refuses to write it again.
func (it *item) retention() (mode string, until time.Time) {
	if !it.obj.RetainUntil.After(time.Now()) {
		return "", time.Time{}
	}
	return it.obj.LockMode, it.obj.RetainUntil
}

// conditions guards the destination where the store honours that.
func (it *item) conditions(req *object.CopyRequest) {
	if it.Caps.CopyIfMatch != object.Yes {
		return
	}
	if it.Dest.InPlace() {
		req.DestETag = it.obj.ETag
	} else {
		req.DestAbsent = true
	}
}

// storageClass to send: the wanted one, else the object's own, since a copy
// without the header lands in STANDARD.
func (it *item) storageClass() string {
	if it.Target.StorageClass != "" {
		return it.Target.StorageClass
	}
	if it.obj.StorageClass == "STANDARD" {
		return ""
	}
	return it.obj.StorageClass
}

// kmsKey names the KMS key that the copy makes S3 call, for the pace.
func (it *item) kmsKey() string {
	if it.Target.SSE.KMS() {
		return it.Target.KMSKeyID
	}
	return it.obj.Encryption.KMSKeyID
}

// lostByCopy is what the store drops although the request carries it, and was
// seen to take again. What it was not seen to take is never sent: such a store
// may write the request over the object.
func (it *item) lostByCopy(req *object.CopyRequest) object.Reapply {
	var lost object.Reapply
	if it.attrs == nil {
		return lost
	}
	if it.Caps.KeepsTags == object.No && it.Caps.PutTagging == object.Yes {
		lost.Tags = it.attrs.Tags
	}
	if it.Caps.KeepsLock == object.No && it.Caps.PutRetention == object.Yes && it.destFacts().ObjectLock != object.No {
		lost.LockMode, lost.RetainUntil = it.retention()
		lost.LegalHold = it.obj.LegalHold
	}
	return lost
}

// intend makes durable what has to be re-applied, before the copy drops it.
// A crash after this finds it, looks at the object and writes it again.
func (it *item) intend(what object.Reapply) error {
	if what.IsZero() {
		return nil
	}
	u := object.Upload{Seq: it.task.Seq, Target: it.Dest.Ref(it.obj.Ref), ETag: it.obj.ETag, Size: it.obj.Size, Reapply: what}
	if err := it.Journal.SaveUpload(u); err != nil {
		return journalError("written", err)
	}
	it.intended = true
	return nil
}

// withoutIntent takes the intent back where the copy was certainly not applied,
// whatever err was met in the end.
func (it *item) withoutIntent(what object.Reapply, err error) error {
	if it.lost || object.MaybeApplied(err) {
		return err
	}
	if derr := it.dropIntent(what); derr != nil {
		return derr
	}
	return err
}

func (it *item) dropIntent(what object.Reapply) error {
	if what.IsZero() {
		return nil
	}
	if err := it.Journal.DropUpload(it.task.Seq); err != nil {
		return journalError("written", err)
	}
	it.intended = false
	return nil
}

// reapply writes again what the copy dropped, and reads it back. All of it can be
// repeated without harm.
func (it *item) reapply(ctx context.Context, dest object.Ref, what object.Reapply) error {
	if what.IsZero() {
		return nil
	}
	detail := object.Call{Kind: object.ReqPutDetail, Key: dest.Key}
	if len(what.Tags) > 0 {
		if err := it.send(ctx, detail, func(ctx context.Context) error { return it.Store.PutTags(ctx, dest, what.Tags) }); err != nil {
			return err
		}
		if err := it.tagsArrived(ctx, dest, what.Tags); err != nil {
			return err
		}
	}
	if what.LockMode != "" || what.LegalHold {
		put := func(ctx context.Context) error {
			return it.Store.PutLock(ctx, dest, what.LockMode, what.RetainUntil, what.LegalHold)
		}
		if err := it.send(ctx, detail, put); err != nil {
			return err
		}
		return it.lockArrived(ctx, dest, what)
	}
	return nil
}

func (it *item) tagsArrived(ctx context.Context, dest object.Ref, want []object.Tag) error {
	var got []object.Tag
	err := it.send(ctx, object.Call{Kind: object.ReqGetDetail, Key: dest.Key}, func(ctx context.Context) (err error) {
		got, err = it.Store.Tags(ctx, dest)
		return err
	})
	if err != nil {
		return err
	}
	if !sameTags(got, want) {
		return lostDetail("PutObjectTagging", dest, "the tags")
	}
	return nil
}

func (it *item) lockArrived(ctx context.Context, dest object.Ref, want object.Reapply) error {
	return it.send(ctx, object.Call{Kind: object.ReqGetDetail, Key: dest.Key}, func(ctx context.Context) error {
		mode, until, hold, err := it.Store.Lock(ctx, dest)
		if err != nil {
			return err
		}
		if mode != want.LockMode || hold != want.LegalHold || until.Unix() != want.RetainUntil.Unix() && mode != "" {
			return lostDetail("PutObjectRetention", dest, "the lock")
		}
		return nil
	})
}

func lostDetail(op string, ref object.Ref, what string) error {
	return &object.Error{Class: object.ClassUnproved, Op: op, Ref: ref,
		Message: "the object is under the new encryption, but " + what + " did not arrive",
		Hint:    "the next `reseal run --retry-failed` of this job writes " + what + " again"}
}

func sameTags(a, b []object.Tag) bool {
	if len(a) != len(b) {
		return false
	}
	set := make(map[string]string, len(a))
	for _, t := range a {
		set[t.Key] = t.Value
	}
	for _, t := range b {
		if v, ok := set[t.Key]; !ok || v != t.Value {
			return false
		}
	}
	return true
}

// resumeReapply finishes a copy after which something had to be written again.
func (it *item) resumeReapply(ctx context.Context, u *object.Upload) (*object.Outcome, error) {
	if err := it.inspect(ctx); err != nil {
		return nil, err
	}
	dest := it.Dest.Ref(it.obj.Ref)
	h, err := it.head(ctx, it.Store.Hot, dest)
	if err != nil {
		return nil, err
	}
	if !it.Target.Satisfied(&h.Object) || h.Size != u.Size {
		// The copy never happened, and the details are where they were; or somebody
		// else wrote the object since, with details of its own.
		return nil, it.dropIntent(u.Reapply)
	}
	it.out.Operation = object.OpCopy
	it.out.NewVersionID = h.ShownVersionID
	if err := it.reapply(ctx, dest, u.Reapply); err != nil {
		return nil, err
	}
	if err := it.dropIntent(u.Reapply); err != nil {
		return nil, err
	}
	it.out.ETagBefore, it.out.Before = u.ETag, it.task.Object.Encryption
	if it.task.InDoubt {
		it.out.Message = "done by an earlier process of this job; proved after an interruption"
	}
	return it.done(h.ETag, h.Encryption), nil
}
