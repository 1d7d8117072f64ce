package engine

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/resealhq/reseal/engine/object"
)

// multipart rewrites the object by a multipart copy. The order is what makes it
// resumable: the intent is durable before the upload is created, its ID before the
// first part is sent, each finished part is, and the upload is forgotten only once
// it is complete. A crash at any of these points leaves a record that resumeUpload
// understands.
func (it *item) multipart(ctx context.Context, c object.Choice) (*object.Outcome, error) {
	req, err := it.copyRequest(ctx, c)
	if err != nil {
		return nil, err
	}
	sizes, err := it.partSizes(ctx, c)
	if err != nil {
		return nil, err
	}
	if sizes == nil {
		return it.left(object.ReasonComposite, "its composite checksum cannot be reproduced, since the boundaries of its parts cannot be had; "+
			"--accept composite-checksum lets it change (the data does not)"), nil
	}
	if err := it.digestBefore(ctx, false); err != nil {
		return nil, err
	}
	u := &object.Upload{Seq: it.task.Seq, Target: req.Dest, ETag: it.obj.ETag, Size: it.obj.Size, Carries: req.Carries()}
	if err := it.createUpload(ctx, req, u); err != nil {
		return nil, err
	}
	u.PartSizes, u.Reapply = sizes, it.lostByCopy(req)
	if err := it.Journal.SaveUpload(*u); err != nil {
		_ = it.abort(ctx, u)
		return nil, journalError("written", err)
	}
	return it.finishUpload(ctx, u, nil)
}

// finishUpload copies the parts that are missing, completes and proves.
func (it *item) finishUpload(ctx context.Context, u *object.Upload, have []object.Part) (*object.Outcome, error) {
	parts, err := it.copyParts(ctx, u, have)
	if err != nil {
		return nil, it.giveUp(ctx, u, err)
	}
	reply, err := it.complete(ctx, u, parts)
	if err != nil {
		return nil, it.giveUp(ctx, u, err)
	}
	it.out.RequestID, it.out.NewVersionID = reply.RequestID, reply.VersionID
	if err := it.reapply(ctx, u.Target, u.Reapply); err != nil {
		return nil, err
	}
	if err := it.forget(u); err != nil {
		return nil, err
	}
	return it.prove(ctx, "CompleteMultipartUpload", reply)
}

// createUpload creates the upload and puts its ID into u. That it is about to is
// durable before every attempt, since one without an answer may have made an upload
// whose ID nobody knows: such a one is ended before the next attempt. On an error,
// the intent is forgotten only where no upload can be there; otherwise cleanUp or
// the next run looks again.
func (it *item) createUpload(ctx context.Context, req *object.CopyRequest, u *object.Upload) error {
	call := object.Call{Kind: object.ReqCreateUpload, Key: req.Dest.Key, KMSKey: it.kmsKey()}
	began := time.Now()
	for n := 1; ; n++ {
		err := it.send(ctx, call, func(ctx context.Context) (err error) {
			if err := it.intendUpload(u); err != nil {
				return err
			}
			it.out.Attempts++
			u.ID, _, err = it.Store.CreateUpload(ctx, req)
			return err
		})
		switch {
		case err == nil:
			return nil
		case object.MaybeApplied(err):
			it.createLost = true
		case ctx.Err() == nil && !it.createLost: // refused: there is none
			return errors.Join(it.forget(u), err)
		}
		if !object.MaybeApplied(err) || it.enough(n, err, time.Since(began)) || ctx.Err() != nil {
			return err
		}
		if err := it.abortStrays(ctx, req.Dest, u.Begun); err != nil {
			return err
		}
		if err := it.pause(ctx, n, err); err != nil {
			return err
		}
	}
}

// intendUpload keeps when the upload that has no ID yet was asked for. An attempt
// that follows at once is covered by what the one before it kept.
func (it *item) intendUpload(u *object.Upload) error {
	if time.Since(u.Begun) < strayAge/5 {
		return nil
	}
	u.Begun = time.Now().UTC()
	if err := it.Journal.SaveUpload(*u); err != nil {
		return journalError("written", err)
	}
	return nil
}

// partSizes are the boundaries to copy at: the source's own where its composite
// checksum and ETag shape are to survive, nil if they cannot be had or copied;
// else PartSize, enlarged until S3's 10,000 parts suffice. A zero-byte object is
// one empty part.
func (it *item) partSizes(ctx context.Context, c object.Choice) ([]int64, error) {
	if c.SourceParts {
		sizes, err := it.sourceParts(ctx)
		if !copyable(sizes, it.obj.Size) {
			sizes = nil
		}
		return sizes, err
	}
	return splitSizes(it.obj.Size, it.PartSize), nil
}

func (it *item) sourceParts(ctx context.Context) (sizes []int64, err error) {
	if it.attrs.PartSizes != nil {
		return it.attrs.PartSizes, nil
	}
	err = it.send(ctx, object.Call{Kind: object.ReqGetDetail, Key: it.obj.Key}, func(ctx context.Context) (err error) {
		var typ string
		sizes, typ, err = it.Source.Parts(ctx, it.obj.Ref, it.ssecKey())
		if typ != "" {
			it.obj.ChecksumType = typ
		}
		return err
	})
	return sizes, err
}

// copyable says whether the sizes make up the object and S3 takes them as parts.
func copyable(sizes []int64, size int64) bool {
	for i, s := range sizes {
		if s > MaxPartSize || s < MinPartSize && i < len(sizes)-1 {
			return false
		}
		size -= s
	}
	return size == 0 && len(sizes) > 0 && len(sizes) <= MaxParts
}

func (it *item) ssecKey() object.CustomerKey {
	if it.obj.Encryption.Type != object.SSEC {
		return object.CustomerKey{}
	}
	if it.obj.Encryption.CustomerKeyMD5 == it.Target.CustomerKey.MD5() {
		return it.Target.CustomerKey
	}
	return it.Target.SourceKey
}

func splitSizes(size, part int64) []int64 {
	if need := (size + MaxParts - 1) / MaxParts; part < need {
		part = (need + 1<<20 - 1) &^ (1<<20 - 1)
	}
	if size == 0 {
		return []int64{0}
	}
	sizes := make([]int64, 0, (size+part-1)/part)
	for ; size > 0; size -= part {
		sizes = append(sizes, min(size, part))
	}
	return sizes
}

// copyParts copies what is missing, PartsInFlight at a time, and returns all
// parts in order. When the run drains, parts in flight finish and the rest is
// left to the next run.
func (it *item) copyParts(ctx context.Context, u *object.Upload, have []object.Part) ([]object.Part, error) {
	parts := make([]object.Part, len(u.PartSizes))
	for _, p := range have {
		if p.Number >= 1 && p.Number <= len(parts) && p.Size == u.PartSizes[p.Number-1] {
			parts[p.Number-1] = p
		}
	}
	var mu sync.Mutex
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(it.PartsInFlight)
	var offset int64
	for i, size := range u.PartSizes {
		req := it.partRequest(u, i, offset, size)
		offset += size
		if parts[i].ETag != "" {
			continue
		}
		if err := it.mayGoOn(gctx); err != nil {
			g.Go(func() error { return err })
			break
		}
		g.Go(func() error {
			p, err := it.copyPart(gctx, req, size, len(u.PartSizes) > 1)
			mu.Lock()
			defer mu.Unlock()
			parts[i] = p
			return err
		})
	}
	return parts, g.Wait()
}

// mayGoOn waits for the window between two parts of a long upload, and ends it
// when the run drains.
func (it *item) mayGoOn(ctx context.Context) error {
	if it.isDraining() {
		return errAbandon
	}
	if it.Gate != nil {
		if err := it.Gate(ctx); err != nil {
			return errAbandon
		}
	}
	return nil
}

func (it *item) partRequest(u *object.Upload, i int, offset, size int64) *object.PartRequest {
	src := it.obj.Ref
	if it.Dest.InPlace() {
		src.VersionID = ""
	}
	req := &object.PartRequest{Source: src, SourceETag: u.ETag, Dest: u.Target, UploadID: u.ID, Number: i + 1,
		First: offset, Last: offset + size - 1, Target: &it.Target, SourceSSEC: it.obj.Encryption.Type == object.SSEC}
	if len(u.PartSizes) == 1 {
		req.First, req.Last = 0, -1 // the whole source: small and empty ones take no range
	}
	return req
}

func (it *item) copyPart(ctx context.Context, req *object.PartRequest, size int64, save bool) (object.Part, error) {
	var reply object.CopyReply
	call := object.Call{Kind: object.ReqCopyPart, Key: req.Dest.Key, KMSKey: it.kmsKey(), Bytes: size}
	err := it.send(ctx, call, func(ctx context.Context) (err error) {
		reply, err = it.Store.CopyPart(ctx, req)
		return err
	})
	if err != nil {
		return object.Part{}, err
	}
	p := object.Part{Number: req.Number, ETag: reply.ETag, Size: size, Checksum: reply.Checksum}
	if save {
		if err := it.Journal.SavePart(it.task.Seq, p); err != nil {
			return p, journalError("written", err)
		}
	}
	return p, nil
}

// complete ends the upload, conditional on the destination. Where the answer is
// lost, ListParts tells whether the upload is still there to be completed.
func (it *item) complete(ctx context.Context, u *object.Upload, parts []object.Part) (object.CopyReply, error) {
	req := &object.CompleteRequest{Dest: u.Target, UploadID: u.ID, Parts: parts, Size: u.Size, Target: &it.Target}
	if it.Caps.UploadChecksums == object.Yes {
		req.ChecksumAlgorithm, req.ChecksumType = it.uploadChecksum()
	}
	if it.Caps.CompleteIfMatch == object.Yes {
		if it.Dest.InPlace() {
			req.DestETag = u.ETag
		} else {
			req.DestAbsent = true
		}
	}
	if err := it.lookAgain(ctx, u); err != nil {
		return object.CopyReply{}, err
	}
	var reply object.CopyReply
	call := object.Call{Kind: object.ReqComplete, Key: u.Target.Key, KMSKey: it.kmsKey()}
	began := time.Now()
	for n := 1; ; n++ {
		err := it.send(ctx, call, func(ctx context.Context) (err error) {
			it.out.Attempts++
			reply, err = it.Store.CompleteUpload(ctx, req)
			return err
		})
		if err == nil || ctx.Err() != nil {
			return reply, err
		}
		if !object.MaybeApplied(err) || it.enough(n, err, time.Since(began)) {
			return reply, err
		}
		done, found, derr := it.completedAlready(ctx, u)
		switch {
		case done, errors.Is(derr, errAbandon), object.ClassOf(derr) == object.ClassChanged:
			return found, derr
		case derr != nil:
			return reply, err // what became of it is not known: the upload's record has to stay
		}
		if err := it.pause(ctx, n, err); err != nil {
			return reply, err
		}
	}
}

// lookAgain narrows the window in which what others change is lost. Nothing in S3
// guards tags, grants, lock and metadata; the parts of a long copy give people
// hours to change them. Where a single part was copied, that window is no longer
// than a CopyObject's, and only the bytes are looked at, where Complete honours no
// condition on them.
func (it *item) lookAgain(ctx context.Context, u *object.Upload) error {
	switch {
	case len(u.PartSizes) > 1:
		now := &item{run: it.run, task: it.task, changed: it.changed}
		if err := now.inspect(ctx); err != nil {
			return err
		}
		return now.unchanged(ctx, u)
	case it.Caps.CompleteIfMatch == object.Yes || !it.Dest.InPlace():
		return nil
	}
	h, err := it.head(ctx, it.Store.Hot, u.Target)
	if err == nil && h.ETag != u.ETag {
		return changedSince("CompleteMultipartUpload", u.Target)
	}
	return err
}

// unchanged is an error of ClassChanged where the object, inspected just now, is
// another one than the upload was begun for, or carries something else.
func (it *item) unchanged(ctx context.Context, u *object.Upload) error {
	if it.obj.ETag == u.ETag && it.obj.Size == u.Size {
		req, err := it.copyRequest(ctx, object.Choice{Operation: object.OpMultipart})
		if err != nil {
			return err
		}
		if bytes.Equal(req.Carries(), u.Carries) {
			return nil
		}
	}
	return changedSince("CompleteMultipartUpload", u.Target)
}

// completedAlready asks what became of a Complete whose answer was lost. An
// upload that is still listed was not completed.
func (it *item) completedAlready(ctx context.Context, u *object.Upload) (bool, object.CopyReply, error) {
	_, err := it.listParts(ctx, u)
	if err == nil {
		return false, object.CopyReply{}, nil
	}
	if object.ClassOf(err) != object.ClassNoUpload {
		return false, object.CopyReply{}, err
	}
	h, err := it.head(ctx, it.Store.Hot, u.Target)
	if err != nil {
		return false, object.CopyReply{}, err
	}
	if h.Size != u.Size || !it.Target.Satisfied(&h.Object) {
		return false, object.CopyReply{}, changedSince("CompleteMultipartUpload", u.Target)
	}
	return true, object.CopyReply{ETag: h.ETag, VersionID: h.ShownVersionID, Encryption: h.Encryption, RequestID: h.RequestID}, nil
}

func (r *run) listParts(ctx context.Context, u *object.Upload) (parts []object.Part, err error) {
	call := object.Call{Kind: object.ReqListParts, Key: u.Target.Key}
	err = r.send(ctx, call, func(ctx context.Context) (err error) {
		parts, err = r.Store.ListParts(ctx, u.Target, u.ID, &r.Target)
		return err
	})
	return parts, err
}

// giveUp decides what becomes of an upload that did not finish: the next run may
// take it up where the run was interrupted; otherwise nothing stays behind.
func (it *item) giveUp(ctx context.Context, u *object.Upload, cause error) error {
	if ctx.Err() != nil || it.isDraining() || object.MaybeApplied(cause) {
		return cause
	}
	if object.ClassOf(cause) == object.ClassNoUpload {
		cause = changedSince("CompleteMultipartUpload", u.Target)
	}
	if err := it.abort(ctx, u); err != nil && object.ClassOf(cause) == object.ClassChanged {
		return err // another round would begin another upload and lose sight of this one
	}
	return cause
}

// abort removes the upload and then its record. Where the store does not answer,
// the record stays, and cleanUp tries again.
func (r *run) abort(ctx context.Context, u *object.Upload) error {
	if err := r.endUpload(ctx, u.Target, u.ID); err != nil {
		r.Log.Warn("an upload could not be aborted yet", "bucket", u.Target.Bucket, "key", u.Target.Key, "upload", u.ID, "error", err)
		return err
	}
	return r.forget(u)
}

// endUpload aborts an upload. One that is not there is as good as aborted.
func (r *run) endUpload(ctx context.Context, dest object.Ref, id string) error {
	err := r.send(ctx, object.Call{Kind: object.ReqAbort, Key: dest.Key}, func(ctx context.Context) error {
		return r.Store.AbortUpload(ctx, dest, id)
	})
	if object.ClassOf(err) == object.ClassNoUpload {
		return nil
	}
	return err
}

// resumeUpload takes up what an earlier process left. No outcome and no error
// means: start over.
func (it *item) resumeUpload(ctx context.Context, u *object.Upload, saved []object.Part) (*object.Outcome, error) {
	if err := it.inspect(ctx); err != nil {
		if object.ClassOf(err) == object.ClassGone {
			_ = it.abort(ctx, u) // cleanUp tries again
		}
		return nil, err
	}
	it.out.Operation = object.OpMultipart
	if it.obj.ETag != u.ETag || it.obj.Size != u.Size {
		return it.resumeChanged(ctx, u)
	}
	listed, err := it.listParts(ctx, u)
	if object.ClassOf(err) == object.ClassNoUpload {
		return nil, it.forget(u)
	}
	if err != nil {
		return nil, err
	}
	if err := it.unchanged(ctx, u); err != nil {
		return nil, it.giveUp(ctx, u, err)
	}
	if err := it.digestBefore(ctx, false); err != nil {
		return nil, err
	}
	return it.finishUpload(ctx, u, confirmed(saved, listed))
}

// resumeChanged handles an object that is not the upload's source any more:
// either our own Complete was the last thing that happened, or somebody wrote it.
func (it *item) resumeChanged(ctx context.Context, u *object.Upload) (*object.Outcome, error) {
	_, err := it.listParts(ctx, u)
	if err != nil && object.ClassOf(err) != object.ClassNoUpload {
		return nil, err
	}
	if err == nil { // the upload is open: it was not us
		return nil, it.abort(ctx, u)
	}
	if !it.Target.Satisfied(&it.obj) || it.obj.Size != u.Size {
		return nil, it.forget(u)
	}
	if err := it.reapply(ctx, u.Target, u.Reapply); err != nil {
		return nil, err
	}
	if err := it.forget(u); err != nil {
		return nil, err
	}
	out := it.foundAsWanted()
	if out.State == object.Done {
		out.Operation = object.OpMultipart
	}
	return out, nil
}

// forget drops an upload's record. Where a CreateMultipartUpload was lost on the
// way, the intent stays instead: that request may still arrive, and cleanUp looks
// for what it made.
func (it *item) forget(u *object.Upload) error {
	if !it.createLost {
		return it.run.forget(u)
	}
	intent := object.Upload{Seq: u.Seq, Begun: u.Begun, Target: u.Target}
	if err := it.Journal.SaveUpload(intent); err != nil {
		return journalError("written", err)
	}
	return nil
}

func (r *run) forget(u *object.Upload) error {
	if err := r.Journal.DropUpload(u.Seq); err != nil {
		return journalError("written", err)
	}
	return nil
}

// confirmed are the saved parts that the store still shows with the same ETag.
// What only the store knows is believed too: its ETag is what Complete needs.
func confirmed(saved, listed []object.Part) []object.Part {
	byNumber := make(map[int]object.Part, len(saved))
	for _, p := range saved {
		byNumber[p.Number] = p
	}
	var out []object.Part
	for _, l := range listed {
		if s, ok := byNumber[l.Number]; ok && s.ETag == l.ETag && l.Checksum == "" {
			l.Checksum = s.Checksum
		}
		out = append(out, l)
	}
	return out
}
