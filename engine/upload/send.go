package upload

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/resealhq/reseal/engine/look"
	"github.com/resealhq/reseal/engine/object"
)

// Sending are the parts of an upload that this process sends.
type Sending struct {
	m   *Copy
	src Source
	u   *object.Upload
	// algorithm of the parts' checksums; empty for none.
	algorithm string

	mu    sync.Mutex
	parts []object.Part
}

// Sent is how an object goes through this process.
type Sent struct {
	// Fill sends every part. An error of it gives the upload up.
	Fill func(ctx context.Context, s *Sending) error
	// Made says whether an object that was found after a lost answer is the new one.
	Made func(ctx context.Context, h *object.Head) (bool, error)
}

// Send writes an object by the request from parts that this process sends, and
// completes it on the condition that nobody wrote meanwhile. What was not completed
// serves no second attempt: it is aborted, by this process or by the next.
func (m *Copy) Send(ctx context.Context, src Source, req *object.CopyRequest, lost object.Reapply, how Sent) (object.CopyReply, error) {
	m.made = how.Made
	u := &object.Upload{Seq: m.seq, Target: req.Dest, ETag: src.ETag, Size: src.Size, Sent: true, Carries: req.Carries()}
	if err := m.create(ctx, src, req, u); err != nil {
		return object.CopyReply{}, err
	}
	u.Reapply = lost
	if err := m.c.save(*u); err != nil {
		_ = m.c.abort(ctx, u)
		return object.CopyReply{}, err
	}
	s := &Sending{m: m, src: src, u: u, algorithm: req.ChecksumAlgorithm}
	if err := how.Fill(ctx, s); err != nil {
		return object.CopyReply{}, m.abortSent(ctx, u, err)
	}
	parts := s.inOrder()
	for i := range parts {
		u.PartSizes = append(u.PartSizes, parts[i].Size)
	}
	if !lost.IsZero() { // whoever writes it again after a crash has to know the object
		if err := m.c.save(*u); err != nil {
			return object.CopyReply{}, err
		}
	}
	reply, err := m.complete(ctx, src, u, parts)
	if err != nil {
		return object.CopyReply{}, m.endSending(ctx, u, err)
	}
	return reply, m.giveBack(ctx, u, &reply)
}

// endSending gives an upload up whose completion failed. One that may have been
// completed is left to the next run.
func (m *Copy) endSending(ctx context.Context, u *object.Upload, cause error) error {
	if mayBeCompleted(cause) || !m.c.Loop.IsStopping() {
		return m.giveUp(ctx, u, cause)
	}
	return m.abortSent(ctx, u, cause)
}

// abortSent ends an upload that was not completed, also where the run stops: nobody
// goes on with it. What cannot be told the store now, the next run tells it.
func (m *Copy) abortSent(ctx context.Context, u *object.Upload, cause error) error {
	switch {
	case ctx.Err() != nil:
		return cause
	case object.ClassOf(cause) == object.ClassNoUpload:
		cause = look.ChangedSince(completeOp, u.Target)
	}
	if err := m.c.abort(ctx, u); err != nil && object.ClassOf(cause) == object.ClassChanged {
		return err // another round would lose sight of it
	}
	return cause
}

// MayGoOn waits for the window between two parts, and ends the upload when the run
// drains.
func (s *Sending) MayGoOn(ctx context.Context) error { return s.m.c.mayGoOn(ctx) }

// Part sends one part, which begins at first in the new object. body belongs to the
// caller again when it returns.
func (s *Sending) Part(ctx context.Context, number int, first int64, body []byte) error {
	m := s.m
	req := &object.SendRequest{Dest: s.u.Target, UploadID: s.u.ID, Number: number, First: first, Target: &m.c.Rules.Target, Body: body}
	if sum := object.Checksum(s.algorithm, body); sum != "" {
		req.ChecksumAlgorithm, req.Checksum = s.algorithm, sum
	}
	var reply object.CopyReply
	call := object.Call{Kind: object.ReqCopyPart, Key: s.u.Target.Key, KMSKey: m.c.Rules.KMSKey(s.src.Object), OtherKey: m.c.Rules.OtherKey(s.src.Object), Bytes: int64(len(body))}
	err := m.c.Loop.Do(ctx, call, func(ctx context.Context) (err error) {
		reply, err = m.c.Store.SendPart(ctx, req)
		return err
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parts = append(s.parts, object.Part{Number: number, ETag: reply.ETag, Size: int64(len(body)), Checksum: reply.Checksum})
	return nil
}

// inOrder are the parts that were sent.
func (s *Sending) inOrder() []object.Part {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.SortFunc(s.parts, func(a, b object.Part) int { return cmp.Compare(a.Number, b.Number) })
	return s.parts
}
