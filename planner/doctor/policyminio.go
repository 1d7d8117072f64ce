package doctor

import (
	"slices"
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// minioActions are those of ours that MinIO knows. It refuses a policy with any other, or with
// KMS keys: its own KMS asks nobody's permission.
var minioActions = []string{
	"s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads",
	"s3:GetBucketVersioning", "s3:GetEncryptionConfiguration", "s3:GetBucketObjectLockConfiguration", "s3:GetLifecycleConfiguration",
	"s3:GetReplicationConfiguration", "s3:GetBucketNotification",
	"s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectTagging", "s3:GetObjectVersionTagging", "s3:GetObjectAttributes",
	"s3:GetObjectVersionAttributes", "s3:GetObjectRetention", "s3:GetObjectLegalHold",
	"s3:PutObject", "s3:PutObjectTagging", "s3:PutObjectRetention", "s3:PutObjectLegalHold", "s3:AbortMultipartUpload",
	"s3:ListMultipartUploadParts", "s3:DeleteObject", "s3:DeleteObjectVersion",
}

// onThrowaways is what is done with them beside writing and reading them: what they carry is read
// back, also where the objects of the job are only written, and they are removed.
var onThrowaways = []string{
	"s3:GetObjectTagging", "s3:GetObjectAcl", "s3:GetObjectAttributes", "s3:GetObjectRetention", "s3:GetObjectLegalHold", "s3:DeleteObject", "s3:DeleteObjectVersion",
}

// WithThrowaways is the policy for a store that is tried on throwaway objects first, which have to be
// removed again.
func (d Document) WithThrowaways() Document {
	out := Document{Version: d.Version}
	for _, s := range d.Statement {
		if strings.HasPrefix(s.Sid, "WriteObjects") {
			own := Statement{Sid: strings.Replace(s.Sid, "WriteObjects", "ThrowawayObjects", 1), Effect: s.Effect, Action: slices.Clone(onThrowaways)}
			for _, r := range s.Resource {
				own.Resource = append(own.Resource, strings.TrimSuffix(r, "*")+object.ThrowawayMark+"*")
			}
			out.Statement = append(out.Statement, own)
		}
		out.Statement = append(out.Statement, s)
	}
	return out
}

// ForMinIO is the policy as MinIO takes it.
func (d Document) ForMinIO() Document {
	out := Document{Version: d.Version}
	for _, s := range d.WithThrowaways().Statement {
		s.Action = slices.DeleteFunc(slices.Clone(s.Action), func(a string) bool { return !slices.Contains(minioActions, a) })
		if len(s.Action) == 0 {
			continue
		}
		s.Resource = slices.Clone(s.Resource)
		for i, r := range s.Resource {
			if _, name, ok := strings.Cut(r, ":s3:::"); ok {
				s.Resource[i] = "arn:aws:s3:::" + name
			}
		}
		switch {
		case strings.HasPrefix(s.Sid, "BucketSettings"):
			s.Action = append(s.Action, "s3:GetBucketPolicy") // what its GetObjectAcl and GetBucketWebsite ask for
		case strings.HasPrefix(s.Sid, "PruneVersions"):
			s.Action = append(s.Action, "s3:DeleteObject") // of versions too
		}
		out.Statement = append(out.Statement, s)
	}
	return out
}
