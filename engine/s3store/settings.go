package s3store

import (
	"context"

	"github.com/resealhq/reseal/engine/object"
)

// Ownership is the bucket's ObjectOwnership: BucketOwnerEnforced,
// BucketOwnerPreferred or ObjectWriter; the last one also where AWS says that no
// controls were ever set. Empty where the store does not tell.
func (s *Store) Ownership(ctx context.Context, bucket string) (string, error) {
	var doc struct {
		Rule []struct{ ObjectOwnership string }
	}
	found, known, _, err := s.setting(ctx, "GetBucketOwnershipControls", bucket, "ownershipControls", "OwnershipControls", &doc,
		"OwnershipControlsNotFoundError")
	switch {
	case err != nil || !known:
		return "", err
	case !found:
		return "ObjectWriter", nil
	case len(doc.Rule) == 0:
		return "", nil
	}
	return doc.Rule[0].ObjectOwnership, nil
}

// ObjectLock is the lock configuration of a bucket.
type ObjectLock struct {
	// Enabled is whether the bucket can hold locked objects.
	Enabled object.Finding
	// Mode, Days and Years are the default retention of new objects; an empty Mode
	// means that there is none.
	Mode        string
	Days, Years int
}

// ObjectLock reads the lock configuration.
func (s *Store) ObjectLock(ctx context.Context, bucket string) (ObjectLock, error) {
	var doc struct {
		ObjectLockEnabled string
		Rule              struct {
			DefaultRetention struct {
				Mode        string
				Days, Years int
			}
		}
	}
	found, known, _, err := s.setting(ctx, "GetObjectLockConfiguration", bucket, "object-lock", "ObjectLockConfiguration", &doc,
		"ObjectLockConfigurationNotFoundError", "NoSuchObjectLockConfiguration")
	if err != nil || !known {
		return ObjectLock{}, err
	}
	d := doc.Rule.DefaultRetention
	return ObjectLock{Enabled: object.Found(found && doc.ObjectLockEnabled == "Enabled"), Mode: d.Mode, Days: d.Days, Years: d.Years}, nil
}
