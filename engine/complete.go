package engine

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

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
