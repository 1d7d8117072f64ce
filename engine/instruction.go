package engine

import (
	"context"
	"crypto/sha256"
	"strings"
	"time"

	"github.com/resealhq/reseal/engine/cse"
	"github.com/resealhq/reseal/engine/object"
)

// maxInstruction bounds the instruction files that are read.
const maxInstruction = 64 << 10

// An instruction file and the object that it belongs to have a task each, and nobody
// says in which order, or whether in one job. So both look at the pair, and whoever is
// first writes the file, on the condition that it is the one that was read: who comes
// second finds it as wanted. The row of the object tells of its envelope, that of the
// file of the bytes that were written.

// namedInstruction says whether the key is that of an instruction file.
func (it *item) namedInstruction() bool {
	return strings.HasSuffix(it.obj.Key, cse.InstructionSuffix) && len(it.obj.Key) > len(cse.InstructionSuffix)
}

// rewrapThisFile is the task of an instruction file.
func (it *item) rewrapThisFile(ctx context.Context) (*object.Outcome, error) {
	ref := object.Ref{Bucket: it.obj.Bucket, Key: strings.TrimSuffix(it.obj.Key, cse.InstructionSuffix)}
	h, err := it.run.look.Head(ctx, it.run.cfg.Store.Hot, ref)
	switch {
	case object.ClassOf(err) == object.ClassGone && cse.IsInstructionFile(it.attrs.Metadata):
		return it.left(object.ReasonOrphan, "it is an instruction file, and "+ref.String()+" is not there"), nil
	case object.ClassOf(err) == object.ClassGone:
		return it.left(cse.ReasonNoEnvelope, "no envelope: the object was not encrypted by a client"), nil
	case err != nil:
		return nil, err
	}
	return it.rewrapFile(ctx, h.Metadata)
}

// rewrapItsFile is the task of an object whose envelope may lie in a file beside it.
func (it *item) rewrapItsFile(ctx context.Context) (*object.Outcome, error) {
	row := object.Object{Ref: object.Ref{Bucket: it.obj.Bucket, Key: it.obj.Key + cse.InstructionSuffix}}
	if len(row.Key) > object.MaxKey {
		return it.left(cse.ReasonNoEnvelope, "no envelope: the object was not encrypted by a client"), nil
	}
	h, err := it.run.look.Inspect(ctx, &row, false)
	switch {
	case object.ClassOf(err) == object.ClassGone:
		return it.left(cse.ReasonNoEnvelope, "no envelope: the object was not encrypted by a client, or its instruction file is gone"), nil
	case err != nil:
		return nil, err
	}
	f := &item{run: it.run, task: object.Task{Seq: it.task.Seq, Object: h.Object}, past: history{otherEnvelope: it.past.otherEnvelope}}
	f.shown(h)
	out, err := f.rewrapFile(ctx, it.attrs.Metadata)
	it.past.otherEnvelope = f.past.otherEnvelope
	it.out.Attempts += f.out.Attempts
	if object.ClassOf(err) == object.ClassGone { // of the file, and not of the object
		if _, gone := it.run.look.Head(ctx, it.run.cfg.Store.Hot, row.Ref); object.ClassOf(gone) == object.ClassGone {
			return it.left(cse.ReasonNoEnvelope, "no envelope: its instruction file was deleted since it was looked at"), nil
		}
	}
	if err != nil || out == nil {
		return nil, err
	}
	return it.asItsFile(f.told(out)), nil
}

// asItsFile makes the outcome of an object from that of its instruction file: the
// object itself was not touched.
func (it *item) asItsFile(f *object.Outcome) *object.Outcome {
	it.out.State, it.out.Operation, it.out.Reason = f.State, f.Operation, f.Reason
	it.out.ErrorCode, it.out.HTTPStatus, it.out.RequestID, it.out.Message = f.ErrorCode, f.HTTPStatus, f.RequestID, f.Message
	it.out.ClientSideBefore, it.out.ClientSideAfter = f.ClientSideBefore, f.ClientSideAfter
	if f.State == object.Done || f.State == object.Already {
		it.out.ETagAfter, it.out.After = it.out.ETagBefore, it.out.Before
	}
	return &it.out
}

// rewrapFile brings the envelope in this instruction file under the new wrap, by one
// conditional PUT. above is the metadata of the object that it belongs to.
func (it *item) rewrapFile(ctx context.Context, above map[string]string) (*object.Outcome, error) {
	it.out.Operation = object.OpRewrap
	if out := it.unwritableFile(); out != nil {
		return out, nil
	}
	got, err := it.run.look.Read(ctx, &it.obj, true, nil)
	if err != nil {
		return nil, err
	}
	e, err := cse.ParseFile(above, got.Body)
	if err != nil {
		return it.refusedEnvelope(err)
	}
	res, out, err := it.wrap(ctx, e)
	if out != nil || err != nil {
		return out, err
	}
	file, err := res.Changes.File(got.Body)
	if err != nil {
		return it.refusedEnvelope(err)
	}
	after, err := cse.ParseFile(above, file)
	if err != nil {
		return it.refusedEnvelope(err)
	}
	if out, err := it.opened(ctx, after); out != nil || err != nil {
		return out, err
	}
	it.writes(&anew{file: file, shown: shown(after), underBefore: res.SourceKey, underAfter: res.Key})
	return it.putFile(ctx)
}

// unwritableFile is the outcome of a file that no conditional PUT can replace.
func (it *item) unwritableFile() *object.Outcome {
	switch {
	case it.obj.Size > maxInstruction:
		return it.left(cse.ReasonEnvelope, "it is too large for an instruction file")
	case it.run.rules.Caps.PutIfMatch != object.Yes:
		return it.left(object.ReasonUnsupported, "its envelope is in an instruction file, and this store was not seen to replace an object on a condition")
	case it.obj.Archived() && !it.attrs.Restored:
		return it.left(object.ReasonArchived, "its instruction file is archived; restore it first, then run again")
	case it.attrs.MissingMetadata > 0:
		return it.left(object.ReasonMetadata, "its instruction file has user metadata that HTTP cannot show, so that it cannot be sent again")
	case it.obj.Encryption.Type == object.SSEUnknown:
		return it.left(object.ReasonUnsupported, "the store shows an encryption of the instruction file that reseal does not know")
	}
	return nil
}

func (it *item) putFile(ctx context.Context) (*object.Outcome, error) {
	noted, out, err := it.mayReplaceWithTags(ctx)
	if out != nil || err != nil {
		return out, err
	}
	defer noted()
	put := it.own.Rewrite(&it.obj, it.attrs, it.anew.file, time.Now())
	put.Checksum = object.Checksum(put.ChecksumAlgorithm, it.anew.file)
	if lost := it.own.Lost(&put.CopyRequest, &it.obj, it.attrs, time.Now()); !lost.IsZero() {
		return it.left(object.ReasonTags, "its instruction file has tags, annotations or a lock that can be written only after it, when they would be missing for a moment"), nil
	}
	if it.run.cfg.Verify == VerifyRead {
		sum := sha256.Sum256(it.anew.file)
		it.digest = sum[:]
	}
	it.obj.Size = int64(len(it.anew.file))
	call := object.Call{Kind: object.ReqPut, Key: it.obj.Key, KMSKey: it.own.KMSKey(&it.obj), Bytes: it.obj.Size}
	out, err = it.replace(ctx, "PutObject", call, &put.CopyRequest, func(ctx context.Context) (object.CopyReply, error) {
		return it.run.cfg.Store.Put(ctx, put)
	})
	if out != nil {
		out.Size = it.obj.Size
	}
	return out, err
}
