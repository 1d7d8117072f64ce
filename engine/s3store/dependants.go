package s3store

import (
	"context"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store/patience"
)

// This file reads what depends on a KMS key beside the objects themselves.

// Buckets are the names of the account's buckets, in the order of the store.
func (s *Store) Buckets(ctx context.Context) ([]string, error) {
	var names []string
	var been object.Trail
	for token := ""; ; {
		var doc struct {
			Buckets           struct{ Bucket []struct{ Name string } }
			ContinuationToken string
		}
		err := patience.Try(ctx, "", func() error {
			r := newRequest("ListBuckets", http.MethodGet, object.Ref{})
			if token != "" {
				r.query.Set("continuation-token", token)
			}
			rep, err := s.call(ctx, r)
			if err != nil {
				return err
			}
			doc.Buckets.Bucket, doc.ContinuationToken = nil, ""
			return decode(r, rep, "ListAllMyBucketsResult", &doc)
		})
		if err != nil {
			return nil, err
		}
		for _, b := range doc.Buckets.Bucket {
			names = append(names, b.Name)
		}
		switch {
		case doc.ContinuationToken == "":
			return names, nil
		case been.Back(doc.ContinuationToken):
			return nil, &object.Error{Class: object.ClassUnsupported, Op: "ListBuckets", Message: "the store goes on repeating one page of its buckets", Hint: "name the buckets"}
		}
		token = doc.ContinuationToken
	}
}

// OpenUploads counts the multipart uploads that are under way below a prefix. What
// they will be encrypted with no store tells.
func (s *Store) OpenUploads(ctx context.Context, bucket, prefix string) (n int, err error) {
	whole := false
	err = patience.Try(ctx, bucket, func() (err error) {
		n = 0
		whole, err = s.eachUpload(ctx, object.Ref{Bucket: bucket, Key: prefix}, func(object.PendingUpload) { n++ })
		return err
	})
	if err == nil && !whole {
		err = &object.Error{Class: object.ClassUnsupported, Op: "ListMultipartUploads", Ref: object.Ref{Bucket: bucket}, Message: "the store says that there are more uploads, and not where to go on"}
	}
	return n, err
}

// InventoryKey is an inventory configuration whose lists are encrypted with a KMS key.
type InventoryKey struct{ ID, KMSKeyID string }

// maxConfigurations is how many inventory configurations a bucket can have; a store
// that shows more is not believed.
const maxConfigurations = 1000

// InventoryKeys are those of a bucket's inventory configurations that name a key.
func (s *Store) InventoryKeys(ctx context.Context, bucket string) ([]InventoryKey, Setting, error) {
	var keys []InventoryKey
	var been object.Trail
	token := ""
	for seen := 0; ; {
		var doc struct {
			InventoryConfiguration []struct {
				ID          string `xml:"Id"`
				Destination struct {
					S3BucketDestination struct {
						Encryption struct {
							KMS struct {
								KeyID string `xml:"KeyId"`
							} `xml:"SSE-KMS"`
						}
					}
				}
			}
			IsTruncated           bool
			NextContinuationToken string
		}
		query := map[string]string{}
		if token != "" {
			query["continuation-token"] = token
		}
		found, told, err := s.settingPage(ctx, "ListBucketInventoryConfigurations", bucket, "inventory", query, "ListInventoryConfigurationsResult", &doc)
		if err != nil || !found {
			return nil, told, err
		}
		for _, c := range doc.InventoryConfiguration {
			if key := c.Destination.S3BucketDestination.Encryption.KMS.KeyID; key != "" {
				keys = append(keys, InventoryKey{ID: c.ID, KMSKeyID: key})
			}
		}
		seen += len(doc.InventoryConfiguration)
		if !doc.IsTruncated || been.Back(doc.NextContinuationToken) || seen >= maxConfigurations {
			return keys, Setting{Known: !doc.IsTruncated, Present: seen > 0}, nil
		}
		token = doc.NextContinuationToken
	}
}

// KeyUse is when KMS saw a key at work.
type KeyUse struct {
	// Last successful cryptographic operation and its time; empty where KMS has seen
	// none since Since.
	Operation string
	Last      time.Time
	Since     time.Time
}

// KeyUse asks KMS when a key, named by its ARN, was last used (GetKeyLastUsage).
func (s *Store) KeyUse(ctx context.Context, arn string) (KeyUse, error) {
	out, err := s.kmsClient(arn).GetKeyLastUsage(ctx, &kms.GetKeyLastUsageInput{KeyId: aws.String(arn)})
	if err != nil {
		return KeyUse{}, s.kmsError(ctx, "GetKeyLastUsage", arn, err)
	}
	use := KeyUse{Since: aws.ToTime(out.TrackingStartDate)}
	if u := out.KeyLastUsage; u != nil {
		use.Operation, use.Last = object.Cut(string(u.Operation), object.MaxCode), aws.ToTime(u.Timestamp)
	}
	return use, nil
}

// KeyRotation is how often the material of a key was changed. The older generations stay
// with the key, so that what they encrypted needs it as much.
type KeyRotation struct {
	Rotations int       `json:"rotations"`
	Last      time.Time `json:"last,omitzero"`
	// Material is the ID of the generation that encrypts now; empty where it is not told.
	Material string `json:"key_material_id,omitempty"`
}

// maxRotationPages bounds what is read: a key has some dozens of rotations.
const maxRotationPages = 20

// KeyRotation asks KMS for a key's rotations, by its ARN (ListKeyRotations).
func (s *Store) KeyRotation(ctx context.Context, k Key) (KeyRotation, error) {
	r := KeyRotation{Material: object.Cut(k.Material, object.MaxCode)}
	in := &kms.ListKeyRotationsInput{KeyId: aws.String(k.ARN)}
	for range maxRotationPages {
		out, err := s.kmsClient(k.ARN).ListKeyRotations(ctx, in)
		if err != nil {
			return r, s.kmsError(ctx, "ListKeyRotations", k.ARN, err)
		}
		for i := range out.Rotations {
			r.Rotations++
			if at := aws.ToTime(out.Rotations[i].RotationDate); at.After(r.Last) {
				r.Last = at.UTC()
			}
		}
		if !out.Truncated || aws.ToString(out.NextMarker) == "" {
			return r, nil
		}
		in.Marker = out.NextMarker
	}
	return r, &object.Error{Class: object.ClassUnsupported, Op: "ListKeyRotations", Message: "the rotations of the key do not come to an end"}
}
