package look

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// sound is an error where the bytes that were read are not those that the reply itself
// tells of, by a checksum over the whole object or by an ETag that is their MD5. They are
// read a second time before that is said: what comes again was not changed on its way. Then
// a checksum says that the store holds other bytes than were written, and an ETag that this
// store makes its ETags in another way.
func (l *Looker) sound(ctx context.Context, req *object.GetRequest, got *object.GetReply) error {
	if _, ok := asTold(got); ok {
		return nil
	}
	first, size := md5.Sum(got.Body), len(got.Body)
	again, err := l.Source.Get(ctx, req)
	if err != nil {
		return err
	}
	*got = again
	algorithm, ok := asTold(got)
	switch {
	case ok:
		return nil
	case len(got.Body) != size || md5.Sum(got.Body) != first:
		return &object.Error{Class: object.ClassTransient, Op: "GetObject", Ref: req.Ref, Message: "two readings of the object gave different bytes"}
	case algorithm != "":
		return &object.Error{Class: object.ClassInvalid, Op: "GetObject", Ref: req.Ref, Message: "its bytes do not have the " + algorithm + " that the store shows of them",
			Hint: "nothing was written; restore the object from a version or a backup"}
	}
	return nil
}

// asTold says whether the bytes are those that the reply tells of, as far as it does, and
// names the checksum that it tells.
func asTold(got *object.GetReply) (algorithm string, ok bool) {
	if algorithm = Comparable(&got.Object, &got.Attributes); object.KnowsChecksum(algorithm) {
		return algorithm, object.Checksum(algorithm, got.Body) == got.Checksums[algorithm]
	}
	switch plain := got.Encryption.Type; {
	case plain != object.SSENone && plain != object.SSES3, len(got.ETag) != 2*md5.Size, strings.Trim(got.ETag, "0123456789abcdef") != "":
		return "", true // no MD5
	}
	sum := md5.Sum(got.Body)
	return "", hex.EncodeToString(sum[:]) == got.ETag
}
