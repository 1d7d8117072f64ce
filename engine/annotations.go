package engine

import (
	"context"
	"fmt"

	"github.com/resealhq/reseal/engine/object"
)

// An object's annotations may have a thousand times a MiB. Those of one object are read
// and kept in the journal up to maxAnnotated, those of all objects in flight up to
// maxAnnotationsHeld. Who holds some waits for nothing that waits for them.
const (
	maxAnnotated       = 16 << 20
	maxAnnotationsHeld = 64 << 20
)

// mayReplace is asked before bytes of ours take the object's place: whether they would
// go over an older null version, and for the annotations that they would drop. done is
// takeAnnotations's.
func (it *item) mayReplace(ctx context.Context) (done func(), out *object.Outcome, err error) {
	if out, err := it.overNullVersion(ctx); out != nil || err != nil {
		return nil, out, err
	}
	return it.takeAnnotations(ctx)
}

// mayReplaceWithTags is mayReplace where the tags are written with the bytes.
func (it *item) mayReplaceWithTags(ctx context.Context) (done func(), out *object.Outcome, err error) {
	done, out, err = it.mayReplace(ctx)
	if out != nil || err != nil {
		return nil, out, err
	}
	if err := it.run.look.ReadTags(ctx, it.obj.Ref, it.attrs); err != nil {
		done()
		return nil, nil, err
	}
	return done, nil, nil
}

// takeAnnotations reads the annotations that the operation would drop, so that they can
// be written again on what it makes. Only CopyObject takes them along; nothing but a
// request of its own tells whether there are any; and only AWS has them. An object is
// left where they cannot be told, read or written again. done is called when nobody
// needs them any more; it is nil beside an outcome or an error.
func (it *item) takeAnnotations(ctx context.Context) (done func(), out *object.Outcome, err error) {
	if !it.run.rules.Annotations {
		return func() {}, nil, nil
	}
	if err := it.run.look.ListAnnotations(ctx, &it.obj, it.attrs); err != nil {
		out, err := it.mayNot(err, "whether it has annotations may not be asked; grant s3:ListObjectAnnotations")
		return nil, out, err
	}
	list := it.attrs.Annotations
	if len(list) == 0 {
		return func() {}, nil, nil
	}
	if out, err := it.dropsAnnotations(ctx, list); out != nil || err != nil {
		return nil, out, err
	}
	size := sizeOf(list)
	if err := it.run.notes.Acquire(ctx, size); err != nil {
		return nil, nil, &object.Error{Class: object.ClassCanceled, Op: "GetObjectAnnotation", Message: "not sent: " + err.Error(), NotSent: true, Err: err}
	}
	if out, err := it.readAnnotations(ctx, list); out != nil || err != nil {
		it.run.notes.Release(size)
		return nil, out, err
	}
	return func() { it.run.notes.Release(size) }, nil, nil
}

// readAnnotations reads the texts, and asks whether they may be written.
func (it *item) readAnnotations(ctx context.Context, list []object.Annotation) (*object.Outcome, error) {
	if err := it.run.look.ReadAnnotations(ctx, it.obj.Ref, list); err != nil {
		return it.mayNot(err, "its annotations may not be read; grant s3:GetObjectAnnotation")
	}
	may, err := it.run.uploads.MayAnnotate(ctx, it.dest(), &list[0])
	if err == nil && !may {
		return it.leftAnnotated("it has annotations, which may not be written again; grant s3:PutObjectAnnotation"), nil
	}
	return nil, err
}

func sizeOf(list []object.Annotation) (n int64) {
	for i := range list {
		n += list[i].Size
	}
	return n
}

// dropsAnnotations leaves an object whose annotations could not be written again on
// what the operation makes of it.
func (it *item) dropsAnnotations(ctx context.Context, list []object.Annotation) (*object.Outcome, error) {
	rules, dest := it.rules(), it.dest()
	switch {
	case !rules.Caps.IsAWS(): // another store takes their requests for ones about the object
		return it.leftAnnotated("it has annotations, and the store that it goes to has none"), nil
	case rules.Target.SSE == object.SSEC:
		return it.leftAnnotated("an object under SSE-C can have no annotations, and it has some"), nil
	case sizeOf(list) > maxAnnotated:
		return it.leftAnnotated(fmt.Sprintf("its annotations have %d bytes, and at most 16 MiB of one object are written again", sizeOf(list))), nil
	case it.sentEventHold():
		return it.leftAnnotated("it has annotations and an event hold, and what has an event hold from the beginning takes no annotation"), nil
	case it.obj.Locked() && rules.Locks(true) && rules.Caps.PutRetention != object.Yes:
		return it.leftAnnotated("it has annotations and is locked, and this store was not seen to lock what has been annotated"), nil
	}
	switch locks, err := it.run.uploads.LocksNewObjects(ctx, dest.Bucket); {
	case err != nil:
		return nil, err
	case locks != object.No:
		return it.leftAnnotated("it has annotations, and the bucket locks every new object by a rule, or does not tell: what is locked takes no annotation"), nil
	}
	return nil, nil
}

// mayNot leaves an object of which a request about annotations was refused; other
// errors it passes on.
func (it *item) mayNot(err error, why string) (*object.Outcome, error) {
	switch object.ClassOf(err) {
	case object.ClassDenied, object.ClassUnsupported:
		return it.leftAnnotated(why), nil
	}
	return nil, err
}

func (it *item) leftAnnotated(why string) *object.Outcome {
	return it.left(object.ReasonAnnotations, why+"; one CopyObject takes them along (raise --multipart-threshold where the size allows, 5 GiB), "+
		"and --accept annotations drops them")
}
