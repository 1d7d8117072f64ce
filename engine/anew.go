package engine

import (
	"bytes"
	"context"
	"maps"
	"strings"

	"github.com/resealhq/reseal/engine/carry"
	"github.com/resealhq/reseal/engine/look"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/upload"
)

// anew is an envelope that is to be written: in the metadata of the object, or as the
// bytes of an instruction file.
type anew struct {
	metadata map[string]string // nil for a file
	file     []byte
	// shown is what the report says of it.
	shown object.ClientSide
	// underBefore and underAfter are the keys that wrap.
	underBefore, underAfter string
	// plain says that no envelope tells this write from another one.
	plain bool
}

// rules are the run's; a rewrap's are the object's own, which keep its encryption.
func (it *item) rules() *carry.Rules {
	if it.anew == nil {
		return it.run.rules
	}
	return it.own
}

// writes takes up an envelope that is to be written. The rules stay the same ones for
// all rounds, since an upload of an earlier round holds them.
func (it *item) writes(a *anew) {
	it.ownRules()
	*it.own = *it.run.rules
	if w := it.run.cfg.Reupload; w == nil || w.KeepsSSE {
		it.own.Keeps = true
		it.own.Target = it.run.rules.Target.Keep(it.obj.Encryption)
		it.own.Target.StorageClass = it.run.rules.Target.StorageClass
	}
	it.own.Replaced, it.own.Metadata = it.attrs.Metadata, a.metadata
	it.anew = a
}

func (it *item) ownRules() *carry.Rules {
	if it.own == nil {
		it.own = new(carry.Rules)
		*it.own = *it.run.rules
	}
	return it.own
}

// keptNone: nobody can ask a store to leave an object unencrypted, so it is not
// wanted of it. Whatever it has become instead is no loss.
func (it *item) keptNone() bool {
	return it.anew != nil && it.own.Target.SSE == object.SSENone
}

// ownCopier copies in parts by the item's own rules.
func (it *item) ownCopier() *upload.Copier {
	c := it.run.uploads
	return &upload.Copier{Loop: c.Loop, Look: c.Look, Rules: it.ownRules(), Store: c.Store, Journal: c.Journal,
		PartsInFlight: c.PartsInFlight, Gate: c.Gate, Log: c.Log}
}

// writeMetadata writes the object's metadata by the way that the chooser named; all of
// them are conditional as far as the store allows, and carry everything.
func (it *item) writeMetadata(ctx context.Context, c object.Choice) (*object.Outcome, error) {
	if out, err := it.overNullVersion(ctx); out != nil || err != nil {
		return out, err
	}
	switch c.Route {
	case object.RouteReplace:
		c.Operation = object.OpCopy
		return it.copy(ctx, c)
	case object.RouteMultipart:
		c.Operation = object.OpMultipart
		return it.multipart(ctx, c)
	}
	noted, out, err := it.takeAnnotations(ctx)
	if out != nil || err != nil {
		return out, err
	}
	defer noted()
	buf, done, err := it.run.room.take(ctx, it.obj.Size)
	if err != nil {
		return nil, err
	}
	defer done()
	got, err := it.run.look.Read(ctx, &it.obj, true, *buf)
	if err != nil {
		return nil, err
	}
	*buf = got.Body
	if !maps.Equal(got.Metadata, it.attrs.Metadata) {
		return nil, look.ChangedSince("GetObject", it.obj.Ref)
	}
	return it.putAgain(ctx, got.Body)
}

// rewrapped looks whether a write without an answer was applied: every wrap is another
// one, so whoever shows this one shows ours. The ETag does not tell, since a write of
// metadata may leave it as it was.
func (it *item) rewrapped(ctx context.Context, h *object.Head) (applied bool, err error) {
	same, err := it.showsEnvelope(ctx, h)
	if err == nil && same && it.anew.plain {
		same, err = it.showsText(ctx, h)
	}
	switch {
	case err != nil:
		return false, err
	case same:
		it.found = h
		return true, nil
	case h.ETag != it.obj.ETag || !maps.Equal(h.Metadata, it.attrs.Metadata):
		return false, look.ChangedSince("rewrap", h.Ref)
	}
	return false, nil
}

// showsEnvelope says whether an object that was just looked at has the envelope that
// was written.
func (it *item) showsEnvelope(ctx context.Context, h *object.Head) (bool, error) {
	if it.run.cfg.ToFiles { // it has none, and no metadata either
		return true, nil
	}
	if it.anew.metadata != nil {
		return maps.Equal(h.Metadata, it.anew.metadata), nil
	}
	if h.Size != int64(len(it.anew.file)) || !maps.Equal(h.Metadata, it.attrs.Metadata) {
		return false, nil
	}
	row := h.Object
	row.Ref = it.dest()
	got, err := it.run.look.Read(ctx, &row, true, nil)
	if err != nil {
		return false, err
	}
	return bytes.Equal(got.Body, it.anew.file), nil
}

// provesEnvelope compares what the store shows after the write with what was written:
// all of the metadata, and what HTTP shows beside it. Another client may have changed
// the metadata since without changing the ETag, so that the object is looked at once
// more; a store that shows something else again has not kept it.
func (it *item) provesEnvelope(ctx context.Context, op string, h *object.Head) error {
	if it.anew == nil {
		return nil
	}
	same, err := it.showsEnvelope(ctx, h)
	if err != nil {
		return err
	}
	if same && (it.run.cfg.ToFiles || sameHeaders(it.attrs, &h.Attributes) && object.SameClass(it.obj.StorageClass, h.StorageClass)) {
		it.out.ClientSideAfter = it.anew.shown
		if it.out.Message == "" && it.anew.underBefore != "" {
			it.out.Message = "its data key was under " + it.anew.underBefore + " and is under " + it.anew.underAfter
		}
		return nil
	}
	if !it.past.otherEnvelope {
		it.past.otherEnvelope = true
		return look.ChangedSince(op, h.Ref)
	}
	e := &object.Error{Class: object.ClassUnproved, Op: op, Ref: h.Ref, RequestID: h.RequestID,
		Message: "the store answered success, and does not show what was sent", Hint: "compare the object's metadata with its previous version, and run `reseal doctor`"}
	if names := changedNames(it.anew.metadata, h.Metadata); it.anew.metadata != nil && len(names) > 0 {
		e.Message += ": it differs in the metadata " + object.Cut(strings.Join(names, ", "), 200)
	}
	return e
}
