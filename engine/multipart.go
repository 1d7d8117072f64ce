package engine

import (
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
