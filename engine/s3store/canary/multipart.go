package canary

import (
	"context"

	"github.com/resealhq/reseal/engine/object"
)

// multipart copies by an upload of one part, or sends it.
func (c *canary) multipart(ctx context.Context, t *trial, req *object.CopyRequest) (object.CopyReply, error) {
	u, err := c.beginUpload(ctx, t, req)
	if err != nil {
		return object.CopyReply{}, err
	}
	if t.wrongFirst {
		rep, err := c.completeWrongly(ctx, t, u)
		if err != nil || t.wrongCondition == object.No {
			return rep, err
		}
		if t.wrongCondition == object.Yes {
			u.DestETag = t.source.etag
		}
	}
	rep, err := c.completeUpload(ctx, t, u)
	if object.ClassOf(err) == object.ClassChanged && t.wrongFirst && u.DestETag != "" {
		t.wrongCondition = object.No // the right one is refused as well
		c.note("CompleteMultipartUpload refuses an If-Match that holds")
		u.DestETag = ""
		return c.completeUpload(ctx, t, u)
	}
	return rep, err
}

// sumOfParts is what is asked for where an upload is to have a composite checksum.
const sumOfParts = "CRC32"

// beginUpload creates an upload, and copies or sends its part. Complete is what is left to send.
func (c *canary) beginUpload(ctx context.Context, t *trial, req *object.CopyRequest) (*object.CompleteRequest, error) {
	var id string
	var shown object.Encryption
	err := c.try(ctx, func() (err error) {
		id, shown, err = c.s.CreateUpload(ctx, req)
		if object.MaybeApplied(err) {
			c.litter.uploadLost()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	t.replyShows = c.met(shown)
	c.litter.upload(id, req.Dest)
	var part object.CopyReply
	err = c.try(ctx, func() (err error) {
		if t.route == object.RouteSend {
			send := &object.SendRequest{Dest: req.Dest, UploadID: id, Number: 1, Target: req.Target, Body: []byte(t.source.body)}
			if req.ChecksumAlgorithm != "" {
				send.ChecksumAlgorithm, send.Checksum = req.ChecksumAlgorithm, object.Checksum(req.ChecksumAlgorithm, send.Body)
			}
			part, err = c.s.SendPart(ctx, send)
			return err
		}
		part, err = c.s.CopyPart(ctx, &object.PartRequest{Source: req.Source, SourceETag: req.SourceETag, SourceTwice: req.SourceTwice,
			Dest: req.Dest, UploadID: id, Number: 1, First: 0, Last: -1, Target: req.Target, SourceSSEC: req.SourceSSEC})
		return err
	})
	if err != nil {
		return nil, err
	}
	size := int64(len(t.source.body))
	return &object.CompleteRequest{Dest: req.Dest, UploadID: id, Size: size, Target: req.Target,
		DestETag: req.DestETag, DestAbsent: req.DestAbsent, ChecksumAlgorithm: req.ChecksumAlgorithm, ChecksumType: req.ChecksumType,
		Parts: []object.Part{{Number: 1, ETag: part.ETag, Size: size, Checksum: part.Checksum}}}, nil
}

func (c *canary) completeUpload(ctx context.Context, t *trial, u *object.CompleteRequest) (object.CopyReply, error) {
	rep, err := c.once(ctx, t, func() (object.CopyReply, error) { return c.s.CompleteUpload(ctx, u) })
	if err == nil {
		c.litter.uploadEnded(u.UploadID)
		c.litter.object(u.Dest, rep.VersionID)
		t.replyShows = t.replyShows || c.met(rep.Encryption)
	}
	return rep, err
}

// completeWrongly sends Complete with an If-Match that does not hold. A store that
// answers with success has done what it should not; the copy is then finished.
func (c *canary) completeWrongly(ctx context.Context, t *trial, u *object.CompleteRequest) (object.CopyReply, error) {
	wrong := *u
	wrong.DestETag = wrongETag
	rep, err := c.completeUpload(ctx, t, &wrong)
	switch {
	case err == nil:
		t.wrongCondition = object.No
	case object.ClassOf(err) == object.ClassChanged:
		t.wrongCondition = object.Yes
	case undecided(err):
		return rep, err
	}
	return rep, nil
}
