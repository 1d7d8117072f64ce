package upload

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/resealhq/reseal/engine/carry"
	"github.com/resealhq/reseal/engine/look"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/retry"
	"github.com/resealhq/reseal/engine/store"
)

// Copier makes multipart copies, for all workers of a run. Its exported fields are set
// before the first request.
type Copier struct {
	Loop    *retry.Loop
	Look    *look.Looker
	Rules   *carry.Rules
	Store   store.Store // that is written to
	Journal Journal
	// PartsInFlight of one object.
	PartsInFlight int
	// Gate blocks while no new work may begin; nil is always open.
	Gate func(context.Context) error
	Log  *slog.Logger

	// partsShowMD5 is set once a part's ETag was seen to be the MD5 of its bytes.
	partsShowMD5 atomic.Bool
	// unlisted says once that open uploads cannot be listed; told are those that the log names.
	unlisted sync.Once
	told     sync.Map
}

// Copy is the multipart copy of one object. It outlives the rounds in which the
// object is decided on anew, since a request of an earlier round may still arrive.
type Copy struct {
	c   *Copier
	seq uint64
	row object.Object
	// Attempts counts the requests that were sent to create and to complete uploads.
	Attempts int
	// made says, of an upload whose parts were sent, whether an object that was found is
	// what it makes; nil where size and encryption tell.
	made func(ctx context.Context, h *object.Head) (bool, error)
	// Leaves says whether the object, as it is now, would not be copied any more: it has
	// something that was not seen before and cannot be carried, or is as wanted. Nil for
	// never.
	Leaves func(now *object.Head) bool
	// CreateLost is set once a CreateMultipartUpload got no answer, so that an upload
	// may be open whose ID nobody knows.
	CreateLost bool
	// CompleteLost is set once a CompleteMultipartUpload got no answer.
	CompleteLost bool
	// Strays are the IDs of uploads that may be that one; Unlisted says that nobody may look
	// for them.
	Strays   []string
	Unlisted bool
	// begun is when the first upload was asked for.
	begun time.Time
}

// For is the copy of the task's object.
func (c *Copier) For(t *object.Task) *Copy { return &Copy{c: c, seq: t.Seq, row: t.Object} }

// Source is the object as it was decided on.
type Source struct {
	*object.Object
	// Changed says that somebody was seen to have written it since the plan.
	Changed bool
	// Looked is when the store showed it.
	Looked time.Time
}

// Begin copies src by the request, in parts of these sizes. The order is what makes
// it resumable: the intent is durable before the upload is created, its ID before
// the first part is sent, and so is each part before Complete; the record goes only
// once the upload is complete. A crash at any of these points leaves a record that
// Resume understands. lost is what has to be written again afterwards.
func (m *Copy) Begin(ctx context.Context, src Source, req *object.CopyRequest, sizes []int64, lost object.Reapply) (object.CopyReply, error) {
	u := &object.Upload{Seq: m.seq, Target: req.Dest, ETag: src.ETag, Size: src.Size, Carries: req.Carries()}
	if err := m.create(ctx, src, req, u); err != nil {
		return object.CopyReply{}, err
	}
	u.PartSizes, u.Reapply = sizes, lost
	if err := m.c.save(*u); err != nil {
		_ = m.c.abort(ctx, u)
		return object.CopyReply{}, err
	}
	return m.Finish(ctx, src, u, nil)
}

// Finish copies the parts that are missing, completes, and writes again what the
// copy dropped.
func (m *Copy) Finish(ctx context.Context, src Source, u *object.Upload, have []object.Part) (object.CopyReply, error) {
	parts, err := m.parts(ctx, src, u, have)
	if err != nil {
		return object.CopyReply{}, m.giveUp(ctx, u, err)
	}
	if err := m.checkSource(ctx, src, u, parts); err != nil {
		return object.CopyReply{}, m.giveUp(ctx, u, err)
	}
	reply, err := m.complete(ctx, src, u, parts)
	if err != nil {
		return object.CopyReply{}, m.giveUp(ctx, u, err)
	}
	return reply, m.giveBack(ctx, u, &reply)
}

// giveBack writes again what the completed object lacks, and forgets the upload.
func (m *Copy) giveBack(ctx context.Context, u *object.Upload, reply *object.CopyReply) error {
	err := m.c.Reapply(ctx, u.Target, reply.ETag, u.Reapply, reply.Made())
	if err != nil && object.ClassOf(err) != object.ClassChanged { // then what it carries now is another client's
		u.Made = reply.ETag
		return cmp.Or(m.c.save(*u), err)
	}
	return errors.Join(m.c.forget(u), err)
}

// create creates the upload and puts its ID into u. Before each attempt it records
// the intent durably: a lost reply may hide a created upload. On an error, the intent
// is forgotten only where no upload can be there; otherwise CleanUp or the next run
// looks for it.
func (m *Copy) create(ctx context.Context, src Source, req *object.CopyRequest, u *object.Upload) error {
	call := object.Call{Kind: object.ReqCreateUpload, Key: req.Dest.Key, KMSKey: m.c.Rules.KMSKey(src.Object), OtherKey: m.c.Rules.OtherKey(src.Object)}
	send := func(ctx context.Context) (err error) {
		if err := m.intend(u); err != nil {
			return err
		}
		m.Attempts++
		u.ID, _, err = m.c.Store.CreateUpload(ctx, req)
		return err
	}
	// Whether an upload that is open is ours cannot be told. It is named now, since the
	// next one's ID takes the place of the intent; CleanUp names what comes late.
	name := retry.AskFunc(func(ctx context.Context, _ error) (bool, error) {
		named, err := m.c.nameStrays(ctx, req.Dest, u.Begun)
		if errors.Is(err, retry.ErrStopping) {
			return false, err
		}
		m.Strays, m.Unlisted = named, errors.Is(err, ErrUnlisted)
		return false, nil
	})
	lost, err := m.c.Loop.Certain(ctx, call, send, name)
	m.CreateLost = m.CreateLost || lost
	u.CreateLost = m.CreateLost
	if err != nil && !m.CreateLost && ctx.Err() == nil { // refused: there is none
		return errors.Join(m.c.Forget(m.seq), err)
	}
	return err
}

// intend keeps when an upload of the object was first asked for, which covers all that
// follow.
func (m *Copy) intend(u *object.Upload) error {
	if !u.Begun.IsZero() {
		return nil
	}
	if m.begun.IsZero() {
		m.begun = time.Now().UTC()
	}
	u.Begun = m.begun
	return m.c.save(*u)
}

// parts copies what is missing, PartsInFlight at a time, and returns all parts in
// order. When the run drains, parts in flight finish and the rest is left to the
// next run.
func (m *Copy) parts(ctx context.Context, src Source, u *object.Upload, have []object.Part) ([]object.Part, error) {
	parts := make([]object.Part, len(u.PartSizes))
	for _, p := range have {
		if p.Number >= 1 && p.Number <= len(parts) && p.Size == u.PartSizes[p.Number-1] {
			parts[p.Number-1] = p
		}
	}
	var mu sync.Mutex
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(m.c.PartsInFlight)
	var offset int64
	for i, size := range u.PartSizes {
		req := m.c.Rules.Part(u, src.Object, i, offset)
		offset += size
		if parts[i].ETag != "" {
			continue
		}
		if err := m.c.mayGoOn(gctx); err != nil {
			g.Go(func() error { return err })
			break
		}
		g.Go(func() error {
			p, err := m.part(gctx, src, req, size, len(u.PartSizes) > 1)
			mu.Lock()
			defer mu.Unlock()
			parts[i] = p
			return err
		})
	}
	return parts, g.Wait()
}

func (m *Copy) part(ctx context.Context, src Source, req *object.PartRequest, size int64, save bool) (object.Part, error) {
	var reply object.CopyReply
	call := object.Call{Kind: object.ReqCopyPart, Key: req.Dest.Key, KMSKey: m.c.Rules.KMSKey(src.Object), OtherKey: m.c.Rules.OtherKey(src.Object), Bytes: size}
	err := m.c.Loop.Do(ctx, call, func(ctx context.Context) (err error) {
		reply, err = m.c.Store.CopyPart(ctx, req)
		return err
	})
	if err != nil {
		return object.Part{}, err
	}
	p := object.Part{Number: req.Number, ETag: reply.ETag, Size: size, Checksum: reply.Checksum}
	if save {
		return p, JournalError("written", m.c.Journal.SavePart(m.seq, p))
	}
	return p, nil
}

// mayGoOn waits for the window between two parts of a long upload, and ends it
// when the run drains, also while it waits.
func (c *Copier) mayGoOn(ctx context.Context) error {
	if c.Loop.IsStopping() {
		return retry.ErrStopping
	}
	if c.Gate == nil {
		return nil
	}
	waiting, end := c.Loop.UntilStopping(ctx)
	defer end()
	if err := c.Gate(waiting); err != nil {
		return retry.ErrStopping
	}
	return nil
}
