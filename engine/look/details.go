package look

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/resealhq/reseal/engine/object"
)

// readGrants reads the ACL where the bucket can have one that matters: a store
// that was seen to keep no grants has none to lose. One that may not be read stays
// untold, which Choose takes for a loss wherever it would be one.
func (l *Looker) readGrants(ctx context.Context, h *object.Head) error {
	caps := &l.Rules.Caps
	if l.Facts.ACLsDisabled == object.Yes || caps.GetACL != object.Yes || caps.KeepsNoGrants() || h.Grants != nil {
		return nil
	}
	err := l.Loop.Do(ctx, detail(h.Ref), func(ctx context.Context) (err error) {
		h.Grants, err = l.Source.Grants(ctx, h.Ref)
		return err
	})
	if object.ClassOf(err) == object.ClassDenied {
		h.Grants = nil
		return nil
	}
	return err
}

// ReadTags completes a by the tags, where they can be read and were not. TagCount is
// a help only where the store was seen to tell it in any case: AWS omits it both for
// none and for a missing permission.
func (l *Looker) ReadTags(ctx context.Context, ref object.Ref, a *object.Attributes) error {
	if l.Rules.Caps.GetTagging != object.Yes || a.Tags != nil {
		return nil
	}
	if l.Rules.Caps.CountsTags == object.Yes && a.TagCount == 0 {
		a.Tags = []object.Tag{}
		return nil
	}
	var tags []object.Tag
	err := l.Loop.Do(ctx, detail(ref), func(ctx context.Context) (err error) {
		tags, err = l.Source.Tags(ctx, ref)
		return err
	})
	if err == nil && a.TagCount > 0 && len(tags) != a.TagCount {
		// Somebody has changed them since, or the reply lost its body on the way.
		return ChangedSince("GetObjectTagging", ref)
	}
	a.Tags = tags
	return err
}

// SameTags says whether two versions have the same tags. It fails where these cannot be read.
func (l *Looker) SameTags(ctx context.Context, x, y object.Ref) (bool, error) {
	if l.Rules.Caps.GetTagging == object.No {
		return true, nil
	}
	if l.Rules.Caps.GetTagging != object.Yes {
		return false, errors.New("its tags cannot be read")
	}
	var of [2][]object.Tag
	for i, ref := range []object.Ref{x, y} {
		err := l.Loop.Do(ctx, detail(ref), func(ctx context.Context) (err error) {
			of[i], err = l.Source.Tags(ctx, ref)
			return err
		})
		if err != nil {
			return false, err
		}
	}
	return object.SameTags(of[0], of[1]), nil
}

// SameGrants says whether two versions have the same grants, as far as these are read. See readGrants.
func (l *Looker) SameGrants(ctx context.Context, x, y object.Ref) (bool, error) {
	a, b := &object.Head{Object: object.Object{Ref: x}}, &object.Head{Object: object.Object{Ref: y}}
	if err := cmp.Or(l.readGrants(ctx, a), l.readGrants(ctx, b)); err != nil {
		return false, err
	}
	return slices.Equal(a.Grants, b.Grants), nil
}

// Parts are the sizes of the parts that o was uploaded in, and the type of its
// checksum where the store tells it; nil where it does not.
func (l *Looker) Parts(ctx context.Context, o *object.Object) (sizes []int64, checksumType string, err error) {
	err = l.Loop.Do(ctx, detail(o.Ref), func(ctx context.Context) (err error) {
		sizes, checksumType, err = l.Source.Parts(ctx, o.Ref, l.Rules.CustomerKey(&o.Encryption))
		return err
	})
	return sizes, checksumType, err
}

// ListAnnotations completes a by the annotations of o, without their texts, where they
// have to be kept and were not listed. An object under SSE-C can have none. In place
// it is the current version that is asked about, as it is the one that is copied.
func (l *Looker) ListAnnotations(ctx context.Context, o *object.Object, a *object.Attributes) error {
	if !l.Rules.Annotations || a.Annotations != nil {
		return nil
	}
	if o.Encryption.Type == object.SSEC {
		a.Annotations = []object.Annotation{}
		return nil
	}
	ref := l.current(o.Ref)
	return l.Loop.Do(ctx, detail(ref), func(ctx context.Context) (err error) {
		a.Annotations, err = l.Source.Annotations(ctx, ref)
		return err
	})
}

// ReadAnnotations reads the texts of those that are listed. One that is gone or of
// another size was changed by another client.
func (l *Looker) ReadAnnotations(ctx context.Context, ref object.Ref, list []object.Annotation) error {
	ref = l.current(ref)
	for i := range list {
		a := &list[i]
		err := l.Loop.Do(ctx, detail(ref), func(ctx context.Context) (err error) {
			a.Text, err = l.Source.Annotation(ctx, ref, a.Name)
			return err
		})
		switch {
		case object.ClassOf(err) == object.ClassGone, err == nil && int64(len(a.Text)) != a.Size:
			return ChangedSince("GetObjectAnnotation", ref)
		case err != nil:
			return err
		}
	}
	return nil
}

// current is the ref of the object that a copy reads.
func (l *Looker) current(ref object.Ref) object.Ref {
	if l.Rules.Dest.InPlace() {
		ref.VersionID = ""
	}
	return ref
}

func detail(ref object.Ref) object.Call { return object.Call{Kind: object.ReqGetDetail, Key: ref.Key} }
