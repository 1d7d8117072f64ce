package s3store

import (
	"context"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// lateRequest is how long after a process has died its last requests may still be
// on their way. Who looks earlier leaves behind what they make.
const lateRequest = 3 * time.Second

// Sweep removes what a probe left whose process died: every throwaway object,
// version and upload whose key begins with name, as ProbeOptions.Announce told
// it. Facts are those of the bucket.
func (s *Store) Sweep(ctx context.Context, bucket, name string, facts object.BucketFacts) error {
	timer := time.NewTimer(lateRequest)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return FailedToSend("Sweep", object.Ref{Bucket: bucket}, ctx, ctx.Err())
	case <-timer.C:
	}
	c := newCanary(s, ProbeOptions{Bucket: bucket, Facts: facts})
	c.name = name
	refs, listed := []object.Ref(nil), false
	if c.versioned() {
		refs, listed = c.listVersions(ctx)
	}
	if !listed {
		var rep object.ListReply
		err := c.try(ctx, func() (err error) {
			rep, err = s.ListPage(ctx, object.ListRequest{Bucket: bucket, Prefix: name})
			return err
		})
		if err != nil {
			return err
		}
		for _, o := range rep.Objects {
			refs = append(refs, o.Ref)
		}
	}
	for _, ref := range refs {
		c.litter.object(ref, ref.VersionID)
		if c.lock {
			c.litter.hold(ref, true)
		}
	}
	c.litter.uploadLost() // whether an upload was open nobody knows any more
	return c.clean(ctx)
}
