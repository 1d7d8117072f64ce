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
func (it *item) rewrite(ctx context.Context) (*object.Outcome, error) {
	buf, done, err := it.run.room.take(ctx, it.obj.Size)
	if err != nil {
		return nil, err
	}
	defer done()
	seen := it.attrs != nil
	got, err := it.run.look.Read(ctx, &it.obj, seen, *buf)
	if err != nil {
		return it.unread(ctx, seen, err)
	}
	*buf = got.Body
	it.shown(&got.Head)
	if c := it.choose(); c.Operation != object.OpRewrite {
		return it.act(ctx, c)
	}
	it.out.Operation = object.OpRewrite
	noted, out, err := it.mayReplace(ctx)
	if out != nil || err != nil {
		return out, err
	}
	defer noted()
	return it.putAgain(ctx, got.Body)
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
	put := it.rules().Rewrite(&it.obj, it.attrs, body, time.Now())
	call := object.Call{Kind: object.ReqPut, Key: it.obj.Key, KMSKey: it.rules().KMSKey(&it.obj), Bytes: it.obj.Size}
	return it.replace(ctx, "PutObject", call, &put.CopyRequest, func(ctx context.Context) (object.CopyReply, error) {
		return it.run.cfg.Store.Put(ctx, put)
	})
}

// unread looks with HEAD at what a row promised and a GET did not give: under another
// customer key, archived, gone since. What is seen then is decided on; if that is a
// rewrite again, the GET's answer stands.
func (it *item) unread(ctx context.Context, seen bool, cause error) (*object.Outcome, error) {
	class := object.ClassOf(cause)
	if seen || class != object.ClassInvalid && class != object.ClassDenied && class != object.ClassArchived {
		return nil, cause
	}
	if err := it.inspect(ctx); err != nil {
		return nil, err
	}
	c := it.choose()
	if c.Operation == object.OpRewrite {
		return nil, cause
	}
	return it.act(ctx, c)
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
