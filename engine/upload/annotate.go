package upload

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// annotate writes annotations on the copy that has the ETag, and reads them back. One
// that is there already is left alone: it is ours, of a process that died, or somebody
// else's later word.
func (c *Copier) annotate(ctx context.Context, dest object.Ref, etag string, all []object.Annotation) error {
	if len(all) == 0 {
		return nil
	}
	looked := time.Now()
	there, err := c.annotations(ctx, dest)
	if err != nil {
		return err
	}
	for i := range all {
		if annotated(there, all[i].Name) {
			continue
		}
		if err := c.putAnnotation(ctx, dest, etag, &all[i], looked); err != nil {
			return err
		}
	}
	return nil
}

func (c *Copier) annotations(ctx context.Context, dest object.Ref) (all []object.Annotation, err error) {
	err = c.Loop.Do(ctx, getDetail(dest), func(ctx context.Context) (err error) {
		all, err = c.Store.Annotations(ctx, dest)
		return err
	})
	return all, err
}

func annotated(all []object.Annotation, name string) bool {
	return slices.ContainsFunc(all, func(a object.Annotation) bool { return a.Name == name })
}

func (c *Copier) putAnnotation(ctx context.Context, dest object.Ref, etag string, a *object.Annotation, lacked time.Time) error {
	has := func(ctx context.Context) (bool, error) {
		now, err := c.annotations(ctx, dest)
		return annotated(now, a.Name), err
	}
	put := func(ctx context.Context) error { return c.Store.PutAnnotation(ctx, dest, etag, a) }
	if had, err := c.give(ctx, dest, &lacking{has: has, seen: lacked}, put); had || err != nil {
		return err
	}
	var text []byte
	err := c.Loop.Do(ctx, getDetail(dest), func(ctx context.Context) (err error) {
		text, err = c.Store.Annotation(ctx, dest, a.Name)
		return err
	})
	switch {
	case object.ClassOf(err) == object.ClassGone, err == nil && !bytes.Equal(text, a.Text):
		return lostDetail("PutObjectAnnotation", dest, "the annotations")
	}
	return err
}

// noSuchObject is an ETag that no object has.
var noSuchObject = strings.Repeat("0", 32)

// MayAnnotate asks whether annotations may be written where the copy goes, before it
// drops them: by a PUT of one that is there already, as it is, on a condition that does
// not hold. The store refuses it for want of permission, or because of the condition.
func (c *Copier) MayAnnotate(ctx context.Context, dest object.Ref, a *object.Annotation) (bool, error) {
	err := c.Loop.Do(ctx, putDetail(dest), func(ctx context.Context) error {
		return c.Store.PutAnnotation(ctx, dest, noSuchObject, a)
	})
	switch object.ClassOf(err) {
	case object.ClassDenied:
		return false, nil
	case object.ClassChanged, object.ClassGone: // as it has to be, in place and elsewhere
		return true, nil
	}
	return err == nil, err
}

// LocksNewObjects says whether a copy is locked by a rule of its bucket, so that it
// takes no annotation.
func (c *Copier) LocksNewObjects(ctx context.Context, bucket string) (locks object.Finding, err error) {
	if c.Rules.Facts.ObjectLock == object.No {
		return object.No, nil
	}
	err = c.Loop.Do(ctx, getDetail(object.Ref{Bucket: bucket}), func(ctx context.Context) (err error) {
		locks, err = c.Store.LocksNewObjects(ctx, bucket)
		return err
	})
	return locks, err
}
