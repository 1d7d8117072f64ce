package look

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/resealhq/reseal/engine/carry"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/retry"
	"github.com/resealhq/reseal/engine/store"
)

// ErrMissingKey: the object is under SSE-C, and none of the job's keys opens it.
var ErrMissingKey = errors.New("under SSE-C with another customer key")

// Looker asks about objects, for all workers of a run. Its exported fields are set
// before the first request.
type Looker struct {
	Loop *retry.Loop
	// Source is asked about the objects that are read.
	Source store.Store
	Rules  *carry.Rules
	// Facts of the bucket that is read.
	Facts *object.BucketFacts
	// TwoStores: what is asked elsewhere than in Source is in another store, which is not to
	// know the keys of the sources, as Source is not to know the target's.
	TwoStores bool

	// fitted is the customer key that the last SSE-C object opened with, the first
	// guess for the next.
	fitted atomic.Int32
}

// The customer keys that an SSE-C object of the job can be under: none, the target's,
// and from sourceKey on those of sources.
const (
	noKey int32 = iota
	targetKey
	sourceKey
)

func (l *Looker) customerKey(which int32) object.CustomerKey {
	switch which {
	case noKey:
		return object.CustomerKey{}
	case targetKey:
		return l.Rules.Target.CustomerKey
	case sourceKey:
		return l.Rules.Target.SourceKey
	}
	return l.Rules.Target.MoreSourceKeys[which-sourceKey-1]
}

// Head asks for one object. An SSE-C object answers only to its key, and a plain
// one refuses to be asked with a key, so the keys of the job are tried in turn,
// beginning with the one that fitted last.
func (l *Looker) Head(ctx context.Context, hot store.Hot, ref object.Ref) (*object.Head, error) {
	order := l.keysToTry(hot)
	var err error
	keyWanted := false
	for _, which := range order {
		var h *object.Head
		h, err = l.headWith(ctx, hot, ref, l.customerKey(which))
		if err == nil {
			if len(order) > 1 {
				l.fitted.Store(which)
			}
			return h, nil
		}
		switch class := object.ClassOf(err); {
		case class == object.ClassInvalid && !utf8.ValidString(ref.Key):
			return nil, notUTF8(err)
		case which == noKey && object.WantsCustomerKey(err):
			keyWanted = true // only an SSE-C object refuses a HEAD that has nothing else in it
		case class != object.ClassDenied && (which == noKey || class != object.ClassInvalid):
			return nil, err
		}
	}
	if keyWanted {
		err = ErrMissingKey
	}
	return nil, err
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

func (l *Looker) keysToTry(hot store.Hot) []int32 {
	keys := []int32{noKey}
	if !l.Rules.Target.SourceKey.IsZero() && !(l.TwoStores && hot != l.Source.Hot) {
		for i := range len(l.Rules.Target.MoreSourceKeys) + 1 {
			keys = append(keys, sourceKey+int32(i))
		}
	}
	if !l.Rules.Target.CustomerKey.IsZero() && !(l.TwoStores && hot == l.Source.Hot) {
		keys = append(keys, targetKey)
	}
	for i, k := range keys {
		if k == l.fitted.Load() {
			keys[0], keys[i] = keys[i], keys[0]
		}
	}
	return keys
}

func (l *Looker) headWith(ctx context.Context, hot store.Hot, ref object.Ref, key object.CustomerKey) (*object.Head, error) {
	h := new(object.Head)
	err := l.Loop.Do(ctx, object.Call{Kind: object.ReqHead, Key: ref.Key}, func(ctx context.Context) (err error) {
		*h, err = hot.Head(ctx, ref, key)
		return err
	})
	if err != nil {
		return nil, err
	}
	h.At = time.Now()
	return h, nil
}

// Inspect tells what the store shows now of an object that a plan names, and
// everything that a choice needs beside HEAD. again says that the plan may be out of
// date: then a version that it named as the current one is compared with the
// current one.
func (l *Looker) Inspect(ctx context.Context, row *object.Object, again bool) (*object.Head, error) {
	h, err := l.Head(ctx, l.Source.Hot, row.Ref)
	if err != nil {
		return nil, err
	}
	h.Ref, h.Noncurrent, h.Settled = row.Ref, row.Noncurrent, true
	if row.VersionID != "" && !row.Noncurrent && again {
		if h.Noncurrent, err = l.superseded(ctx, row.Ref); err != nil {
			return nil, err
		}
	}
	if err := l.readGrants(ctx, h); err != nil {
		return nil, err
	}
	return h, nil
}

// superseded says whether the version that the plan saw as the current one is
// not that any more.
func (l *Looker) superseded(ctx context.Context, ref object.Ref) (bool, error) {
	named := ref.VersionID
	ref.VersionID = ""
	h, err := l.Head(ctx, l.Source.Hot, ref)
	switch {
	case object.ClassOf(err) == object.ClassGone:
		return true, nil // by a delete marker
	case err != nil:
		return false, err
	}
	return h.ShownVersionID != named && !(named == object.NullVersion && h.ShownVersionID == ""), nil // which MinIO does not name
}

// NullVersion says whether the key has a null version that is no delete marker.
func (l *Looker) NullVersion(ctx context.Context, hot store.Hot, ref object.Ref) (bool, error) {
	ref.VersionID = object.NullVersion
	_, err := l.Head(ctx, hot, ref)
	switch {
	case object.ClassOf(err) == object.ClassGone:
		return false, nil
	case err != nil && !errors.Is(err, ErrMissingKey):
		return false, err
	}
	return true, nil
}

// ChangedSince is the error for an object that is seen to be another one than the
// one that was decided on.
func ChangedSince(op string, ref object.Ref) error {
	return &object.Error{Class: object.ClassChanged, Op: op, Ref: ref, Message: "another client wrote the object meanwhile"}
}
