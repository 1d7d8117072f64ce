package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"
	"unicode/utf8"

	"github.com/resealhq/reseal/engine/object"
)

// The customer keys that an SSE-C object of the job can be under.
const (
	noKey int32 = iota
	sourceKey
	targetKey
)

func (r *run) customerKey(which int32) object.CustomerKey {
	switch which {
	case sourceKey:
		return r.Target.SourceKey
	case targetKey:
		return r.Target.CustomerKey
	}
	return object.CustomerKey{}
}

// inspect brings obj and attrs up to what the store shows now, and everything
// that Choose needs beside HEAD.
func (it *item) inspect(ctx context.Context) error {
	row := it.task.Object
	h, err := it.head(ctx, it.Source.Hot, row.Ref)
	if err != nil {
		return err
	}
	it.version = h.ShownVersionID
	it.obj = h.Object
	it.obj.Ref, it.obj.Noncurrent, it.obj.Settled = row.Ref, row.Noncurrent, true
	if row.VersionID != "" && !row.Noncurrent && it.changed {
		if it.obj.Noncurrent, err = it.superseded(ctx); err != nil {
			return err
		}
	}
	it.attrs = &h.Attributes
	it.out.Size, it.out.ETagBefore, it.out.Before = h.Size, h.ETag, h.Encryption
	return it.readGrants(ctx)
}

// superseded says whether the version that the plan saw as the current one is
// not that any more.
func (it *item) superseded(ctx context.Context) (bool, error) {
	ref := it.obj.Ref
	named := ref.VersionID
	ref.VersionID = ""
	h, err := it.head(ctx, it.Source.Hot, ref)
	if object.ClassOf(err) == object.ClassGone {
		return true, nil // by a delete marker
	}
	return h.ShownVersionID != named, err
}

// ErrMissingKey: the object is under SSE-C, and none of the job's keys opens it.
var ErrMissingKey = errors.New("under SSE-C with another customer key")

// head asks for one object. An SSE-C object answers only to its key, and a plain
// one refuses to be asked with a key, so the keys of the job are tried in turn,
// beginning with the one that fitted last.
func (r *run) head(ctx context.Context, hot Hot, ref object.Ref) (object.Head, error) {
	order := r.keysToTry()
	var h object.Head
	var err error
	keyWanted := false
	for _, which := range order {
		h, err = r.headWith(ctx, hot, ref, r.customerKey(which))
		if err == nil {
			if len(order) > 1 {
				r.ssec.Store(which)
			}
			return h, nil
		}
		switch class := object.ClassOf(err); {
		case class == object.ClassInvalid && !utf8.ValidString(ref.Key):
			return h, notUTF8(err)
		case which == noKey && class == object.ClassInvalid:
			keyWanted = true // only an SSE-C object refuses a HEAD that has nothing else in it
		case class != object.ClassInvalid && class != object.ClassDenied:
			return h, err
		}
	}
	if keyWanted {
		err = ErrMissingKey
	}
	return h, err
}

// notUTF8 names what a HEAD, whose refusal has no words, is refused for: some
// stores (MinIO) know only keys of UTF-8.
func notUTF8(err error) error {
	var e *object.Error
	if !errors.As(err, &e) {
		return err
	}
	named := *e
	named.Message, named.Hint = "the store refuses to be asked for it, and its key is not valid UTF-8", "check how the list of keys was encoded"
	return &named
}

func (r *run) keysToTry() []int32 {
	keys := []int32{noKey}
	if !r.Target.SourceKey.IsZero() {
		keys = append(keys, sourceKey)
	}
	if !r.Target.CustomerKey.IsZero() {
		keys = append(keys, targetKey)
	}
	for i, k := range keys {
		if k == r.ssec.Load() {
			keys[0], keys[i] = keys[i], keys[0]
		}
	}
	return keys
}

func (r *run) headWith(ctx context.Context, hot Hot, ref object.Ref, key object.CustomerKey) (object.Head, error) {
	var h object.Head
	err := r.send(ctx, object.Call{Kind: object.ReqHead, Key: ref.Key}, func(ctx context.Context) (err error) {
		h, err = hot.Head(ctx, ref, key)
		return err
	})
	return h, err
}

// overNullVersion looks for an older null version, which a copy in a bucket with
// suspended versioning would overwrite although it is not the object's current
// version. A bucket that shows version IDs and does not tell whether it still makes
// new ones may be one.
func (it *item) overNullVersion(ctx context.Context) (*object.Outcome, error) {
	if !maySuspend(it.Facts.Versioning) || !it.Dest.InPlace() || it.version == "null" || it.version == "" {
		return nil, nil
	}
	ref := it.obj.Ref
	ref.VersionID = "null"
	_, err := it.head(ctx, it.Source.Hot, ref)
	if object.ClassOf(err) == object.ClassGone {
		return nil, nil
	}
	if err != nil && !errors.Is(err, ErrMissingKey) {
		return nil, err
	}
	return it.left(object.ReasonNullVersion, "versioning is suspended or cannot be told, and a copy would overwrite the older null version of this key; "+
		"turn versioning on for the time of the job, or remove that version"), nil
}

func maySuspend(v object.Versioning) bool {
	return v == object.VersioningSuspended || v == object.VersioningUnknown
}

// readGrants reads the ACL where the bucket can have one that matters: a store
// that was seen to keep no grants has none to lose. One that may not be read stays
// untold, which Choose takes for a loss wherever it would be one.
func (it *item) readGrants(ctx context.Context) error {
	if it.Facts.ACLsDisabled == object.Yes || it.Caps.GetACL != object.Yes || it.Caps.PutACL == object.No || it.attrs.Grants != nil {
		return nil
	}
	err := it.send(ctx, object.Call{Kind: object.ReqGetDetail, Key: it.obj.Key}, func(ctx context.Context) (err error) {
		it.attrs.Grants, err = it.Source.Grants(ctx, it.obj.Ref)
		return err
	})
	if object.ClassOf(err) == object.ClassDenied {
		it.attrs.Grants = nil
		return nil
	}
	return err
}

// readTags reads the tags where they have to be resent. TagCount is no help: HEAD
// omits it both for none and for a missing permission.
func (it *item) readTags(ctx context.Context) error {
	if it.Caps.GetTagging != object.Yes || it.attrs.Tags != nil {
		return nil
	}
	return it.send(ctx, object.Call{Kind: object.ReqGetDetail, Key: it.obj.Key}, func(ctx context.Context) (err error) {
		it.attrs.Tags, err = it.Source.Tags(ctx, it.obj.Ref)
		return err
	})
}

// stamped is the metadata with the LastModified in it, where that is asked for.
// An mtime that somebody stored before is older and stays.
func (it *item) stamped() (a *object.Attributes, changed bool) {
	if !it.Target.StampMtime || it.attrs == nil {
		return it.attrs, false
	}
	if _, has := it.attrs.Metadata["mtime"]; has {
		return it.attrs, false
	}
	b := *it.attrs
	b.Metadata = maps.Clone(b.Metadata)
	if b.Metadata == nil {
		b.Metadata = map[string]string{}
	}
	b.Metadata["mtime"] = fmt.Sprint(it.obj.LastModified.Unix())
	return &b, true
}

// destOccupied looks at the place that --dest names. Nothing there: no outcome.
// The same object there: already. Anything else: left, never overwritten.
func (it *item) destOccupied(ctx context.Context) (*object.Outcome, error) {
	dest := it.Dest.Ref(it.obj.Ref)
	h, err := it.head(ctx, it.Store.Hot, dest)
	if object.ClassOf(err) == object.ClassGone {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	same, err := it.sameBytes(ctx, &h)
	if err != nil {
		return nil, err
	}
	if !same {
		return it.left(object.ReasonForeign, "another object stands at "+dest.String()+"; it was not overwritten"), nil
	}
	if !it.Target.Satisfied(&h.Object) {
		return it.left(object.ReasonForeign, "the same object stands at "+dest.String()+" under another encryption; re-encrypt it in place"), nil
	}
	out := it.already()
	out.ETagAfter, out.After = h.ETag, h.Encryption
	return out, nil
}

// rfc3339 is the header form of a retention date; empty for none.
func rfc3339(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z07:00")
}
