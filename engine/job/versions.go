package job

import (
	"context"
	"errors"

	"github.com/resealhq/reseal/engine"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
)

// listsVersions says whether whoever looks for all that a bucket holds lists its versions,
// or its objects alone. A bucket of AWS that keeps no versions has none. Elsewhere it may
// have some from before: MinIO was seen to forget, while it starts, that a bucket keeps
// them. So there the listing is asked, and only a store that has none of versions is
// believed. Where it is denied nobody knows.
func listsVersions(ctx context.Context, store *s3store.Store, reads *engine.Reads, bucket, prefix string, kept object.Versioning) (bool, error) {
	if kept != object.VersioningOff {
		return true, nil
	}
	if store.IsAWS() {
		return false, nil
	}
	err := reads.Do(ctx, object.Call{Kind: object.ReqList}, func(ctx context.Context) error {
		_, err := store.ListVersionsPage(ctx, object.ListRequest{Bucket: bucket, Prefix: prefix, MaxKeys: 1})
		return err
	})
	switch class := object.ClassOf(err); {
	case class == object.ClassUnsupported || class == object.ClassInvalid:
		return false, nil
	case errors.Is(err, s3store.ErrUnreadable): // a key that no XML can carry; the listing will tell
		return true, nil
	}
	return err == nil, err
}
