package look

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/store"
)

// Digest is the SHA-256 of an object's bytes, read in one stream, conditional on its
// ETag. A body of another size is not the object: a 200 can carry an error.
func (l *Looker) Digest(ctx context.Context, s store.Store, o *object.Object) ([]byte, error) {
	var sum []byte
	key := l.Rules.CustomerKey(&o.Encryption)
	err := l.Loop.Do(ctx, object.Call{Kind: object.ReqGet, Key: o.Key, Bytes: max(0, o.Size)}, func(ctx context.Context) error {
		body, err := s.Open(ctx, o.Ref, key, o.ETag)
		if err != nil {
			return err
		}
		defer body.Close()
		h := sha256.New()
		n, err := io.Copy(h, body)
		if err != nil {
			return &object.Error{Class: object.ClassTransient, Op: "GetObject", Ref: o.Ref, Message: "the body broke off", Err: err}
		}
		if o.Size >= 0 && n != o.Size {
			return &object.Error{Class: object.ClassTransient, Op: "GetObject", Ref: o.Ref, Message: "the body does not have the object's size"}
		}
		sum = h.Sum(nil)
		return nil
	})
	return sum, err
}

// Opens asks whether an object's bytes can be read, by a GET that is ended at once:
// no key but the one that it is under can make that fail.
func (l *Looker) Opens(ctx context.Context, o *object.Object) error {
	key := l.Rules.CustomerKey(&o.Encryption)
	return l.Loop.Do(ctx, object.Call{Kind: object.ReqGet, Key: o.Key}, func(ctx context.Context) error {
		body, err := l.Source.Open(ctx, o.Ref, key, o.ETag)
		if err != nil {
			return err
		}
		return body.Close()
	})
}

// Same compares the source with an object that stands in dest: by checksum where
// these say something about the bytes, else by reading both.
func (l *Looker) Same(ctx context.Context, src *object.Object, a *object.Attributes, dest store.Store, there *object.Head) (bool, error) {
	if there.Size != src.Size {
		return false, nil
	}
	if alg := Comparable(src, a); alg != "" && there.ChecksumType == object.FullObject && there.Checksums[alg] != "" {
		return a.Checksums[alg] == there.Checksums[alg], nil
	}
	x, err := l.Digest(ctx, l.Source, src)
	if err != nil {
		return false, err
	}
	y, err := l.Digest(ctx, dest, &there.Object)
	return bytes.Equal(x, y), err
}

// Comparable names a checksum algorithm of which a holds a value over the whole
// object; empty for none.
func Comparable(o *object.Object, a *object.Attributes) string {
	if a == nil || o.ChecksumType != object.FullObject {
		return ""
	}
	for algorithm := range a.Checksums {
		return algorithm
	}
	return ""
}
