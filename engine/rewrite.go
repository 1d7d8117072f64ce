package engine

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/resealhq/reseal/engine/look"
	"github.com/resealhq/reseal/engine/object"
)

// rewrite reads the object and writes the same bytes again under the target, on the
// condition that it still is the object that was read. The reading inspects: an
// object that nobody has looked at is decided on anew by what it shows, and a choice
// by the row alone is only a promise that reading is worth it.
func (it *item) rewrite(ctx context.Context, c object.Choice) (*object.Outcome, error) {
	if c.Route == object.RouteSend {
		return it.resend(ctx, c)
	}
	other, out, err := it.rewriteWhole(ctx)
	if other != nil { // it waits for room of its own, so that this one was given back
		return it.act(ctx, *other)
	}
	return out, err
}

// rewriteWhole is rewrite in one piece. other is the choice where that is another one.
func (it *item) rewriteWhole(ctx context.Context) (other *object.Choice, out *object.Outcome, err error) {
	buf, done, err := it.run.room.take(ctx, it.obj.Size)
	if err != nil {
		return nil, nil, err
	}
	defer done()
	seen := it.attrs != nil
	got, err := it.run.look.Read(ctx, &it.obj, seen, *buf)
	if err != nil {
		return it.unread(ctx, seen, err)
	}
	*buf = got.Body
	if seen && got.ETag == it.obj.ETag && look.Revealed(&got.Object, &it.obj) {
		// The reading shows less than a look before it: see look.MayHide.
		return nil, nil, look.ChangedSince("GetObject", it.obj.Ref)
	}
	it.shown(&got.Head)
	if c := it.choose(); !inOnePiece(c) {
		return &c, nil, nil
	}
	out, err = it.writeWhole(ctx, got.Body)
	return nil, out, err
}

func inOnePiece(c object.Choice) bool {
	return c.Operation == object.OpRewrite && c.Route != object.RouteSend
}

func (it *item) writeWhole(ctx context.Context, body []byte) (*object.Outcome, error) {
	it.out.Operation = object.OpRewrite
	noted, out, err := it.mayReplace(ctx)
	if out != nil || err != nil {
		return out, err
	}
	defer noted()
	return it.putAgain(ctx, body)
}

// putAgain writes the bytes that were read, on the condition that the object still is
// the one that had them.
func (it *item) putAgain(ctx context.Context, body []byte) (*object.Outcome, error) {
	if err := it.run.look.ReadTags(ctx, it.obj.Ref, it.attrs); err != nil {
		return nil, err
	}
	if it.run.cfg.Verify == VerifyRead {
		sum := sha256.Sum256(body)
		it.digest = sum[:]
	}
	if it.sums = nil; !it.run.cfg.Dest.InPlace() { // no ETag of before tells whose an object is that is found there
		it.sums = it.newSums()
		it.sums.add(0, body)
	}
	put := it.rules().Rewrite(&it.obj, it.attrs, body, time.Now())
	call := object.Call{Kind: object.ReqPut, Key: it.obj.Key, KMSKey: it.rules().KMSKey(&it.obj), Bytes: it.obj.Size}
	return it.replace(ctx, "PutObject", call, &put.CopyRequest, func(ctx context.Context) (object.CopyReply, error) {
		return it.run.cfg.Store.Put(ctx, put)
	})
}

// unread looks with HEAD at what a row promised and a GET did not give: under another
// customer key, archived, gone since. What is seen then is decided on; if that is a
// rewrite again, the GET's answer stands.
func (it *item) unread(ctx context.Context, seen bool, cause error) (other *object.Choice, out *object.Outcome, err error) {
	class := object.ClassOf(cause)
	if seen || class != object.ClassInvalid && class != object.ClassDenied && class != object.ClassArchived {
		return nil, nil, cause
	}
	if err := it.inspect(ctx); err != nil {
		return nil, nil, err
	}
	c := it.choose()
	if inOnePiece(c) {
		return nil, nil, cause
	}
	return &c, nil, nil
}

// othersBytes says whether what is there now has another checksum than what this
// item wrote or copied, so that it is somebody else's although it is as wanted.
func (it *item) othersBytes(h *object.Head) bool {
	return otherBytes(&it.obj, it.attrs, &h.Object, &h.Attributes)
}

// otherBytes says whether two looks at an object show that its bytes changed between
// them.
func otherBytes(was *object.Object, had *object.Attributes, is *object.Object, has *object.Attributes) bool {
	alg, there := look.Comparable(was, had), look.Comparable(is, has)
	return was.Size != is.Size || alg != "" && alg == there && had.Checksums[alg] != has.Checksums[alg]
}
