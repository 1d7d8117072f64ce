package engine

import (
	"context"
	"errors"
	"strings"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/upload"
)

// endIntent names the uploads that may be the one that a process which died asked for.
func (it *item) endIntent(ctx context.Context, u *object.Upload) (err error) {
	it.strays, err = it.run.uploads.EndIntent(ctx, u)
	if it.unlisted = errors.Is(err, upload.ErrUnlisted); it.unlisted {
		return nil // the object can be done all the same
	}
	return err
}

// openUploads tells of uploads that may be left open. One that comes late is named in
// the log alone, and none where nobody may look for them.
func openUploads(strays []string, unlisted bool) string {
	which := "the log names it where there is one"
	switch {
	case len(strays) > 0:
		which = "look at upload " + object.Cut(strings.Join(strays, ", "), 512)
	case unlisted:
		which = "open uploads cannot be listed (s3:ListBucketMultipartUploads)"
	}
	return "an upload of it may be left open, since the answer to a CreateMultipartUpload was lost; " + which
}
