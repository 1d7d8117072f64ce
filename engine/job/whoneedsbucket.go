package job

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
)

// This file asks a bucket what of it depends on a key, besides its objects.

// bucket looks at the bucket itself: its settings, its region and uploads under way. It is
// nil where the bucket cannot be read.
func (w *whoNeeds) bucket(ctx context.Context, bucket, prefix string, p *KeyPlace) (*object.BucketFacts, error) {
	facts, err := w.store.BucketFacts(ctx, bucket)
	if err != nil {
		return nil, w.notLooked(ctx, p, "the bucket", err)
	}
	if err := w.settings(ctx, bucket, p); err != nil {
		return nil, err
	}
	if err := w.otherRegion(ctx, bucket); err != nil {
		return nil, w.notLooked(ctx, p, "the region of the bucket", err)
	}
	p.Uploads, err = w.store.OpenUploads(ctx, bucket, prefix)
	return &facts, w.notLooked(ctx, p, "uploads under way", err)
}

// otherRegion says so where the key is not in the region of a bucket of AWS, whose objects
// can be under keys of their own region only. A name that is no ARN may be another key there.
func (w *whoNeeds) otherRegion(ctx context.Context, bucket string) error {
	if !w.store.IsAWS() || w.answer.ARN == "" || strings.HasPrefix(w.q.Key, "arn:") {
		return nil
	}
	a, err := w.store.Address(ctx, bucket)
	if err != nil || a.Region == "" || strings.Contains(w.answer.ARN, ":kms:"+a.Region+":") {
		return err
	}
	return errors.New("it is in " + a.Region + ", and " + w.q.Key + " was resolved to " + w.answer.ARN + ", under which nothing there can be; name the key that is meant by its ARN")
}

// settings are those of the bucket that name the key.
func (w *whoNeeds) settings(ctx context.Context, bucket string, p *KeyPlace) error {
	note := func(what, key string) error {
		same, err := w.names(ctx, bucket, key)
		if same {
			p.Settings = append(p.Settings, what)
		}
		return w.notLooked(ctx, p, what+", which names "+key, err)
	}
	unread := func(what string, s s3store.Setting, err error) error {
		switch {
		case err != nil || s.Known || s.Unsupported:
		case s.Denied:
			err = errors.New("a permission is missing to read it")
		default:
			err = errors.New("the store did not tell them")
		}
		return w.notLooked(ctx, p, what, err)
	}
	def, err := w.store.BucketEncryption(ctx, bucket)
	if err := unread("the default encryption", def.Setting, err); err != nil {
		return err
	}
	switch key := def.Default.KMSKeyID; {
	case key != "": // whatever the kind of encryption is called
		err = note("the default encryption", key)
	case !w.store.IsAWS() && def.Default.Type.KMS():
		err = w.notLooked(ctx, p, "the default encryption", errors.New("it names no key, and which one the store takes then it does not tell"))
	case def.Default.Type.KMS():
		err = note("the default encryption", "alias/aws/s3")
	}
	if err != nil {
		return err
	}
	rules, set, err := w.store.Replication(ctx, bucket)
	if err := unread("the replication rules", set, err); err != nil {
		return err
	}
	for _, r := range rules {
		if err := note(fmt.Sprintf("the replication rule %q", r.ID), r.ReplicaKMSKeyID); err != nil {
			return err
		}
	}
	lists, set, err := w.store.InventoryKeys(ctx, bucket)
	if err := unread("the inventory configurations", set, err); err != nil {
		return err
	}
	for _, l := range lists {
		if err := note(fmt.Sprintf("the inventory configuration %q", l.ID), l.KMSKeyID); err != nil {
			return err
		}
	}
	return nil
}

// names says whether a setting means the key. Behind an alias may be any key.
func (w *whoNeeds) names(ctx context.Context, bucket, key string) (bool, error) {
	if key == "" || w.same(key) {
		return key != "", nil
	}
	if !object.IsKMSAlias(key) || key == "alias/aws/s3" && w.answer.ARN != "" && !w.service {
		return false, nil
	}
	arn, known := w.aliases[bucket+" "+key]
	if !known {
		k, err := w.store.ResolveKey(ctx, key)
		if err != nil {
			return false, err // also where no KMS can be asked
		}
		arn = k.ARN
		w.aliases[bucket+" "+key] = arn
	}
	return arn != "" && w.same(arn), nil
}

// listed says whether the store lists an object or version still: one that was not found
// may have been deleted since its row was read.
func (w *whoNeeds) listed(ctx context.Context, o *object.Object) (bool, error) {
	q, ask := object.ListRequest{Bucket: o.Bucket, Prefix: o.Key}, w.store.ListVersionsPage
	if o.VersionID == "" {
		q.MaxKeys, ask = 1, w.store.ListPage
	}
	var been object.Trail
	for {
		var page object.ListReply
		err := w.reads.Do(ctx, object.Call{Kind: object.ReqList, Key: o.Key}, func(ctx context.Context) (err error) {
			page, err = ask(ctx, q)
			return err
		})
		if err != nil {
			return false, err
		}
		last := ""
		for _, row := range page.Objects {
			if last = row.Key; row.Key == o.Key && (o.VersionID == "" || row.VersionID == o.VersionID) {
				return !row.DeleteMarker, nil
			}
		}
		next := object.ListRequest{Bucket: q.Bucket, Prefix: q.Prefix, KeyMarker: page.NextKeyMarker, VersionIDMarker: page.NextVersionIDMarker}
		switch {
		case o.VersionID == "" || !page.Truncated || last != o.Key:
			return false, nil
		case next.VersionIDMarker == "" || been.Back(next.KeyMarker+"\x00"+next.VersionIDMarker):
			return false, errors.New("its versions cannot be listed to their end")
		}
		q = next
	}
}
