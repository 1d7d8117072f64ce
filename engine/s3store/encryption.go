package s3store

import (
	"context"
	"encoding/xml"

	"github.com/resealhq/reseal/engine/object"
)

// BucketEncryption is what a bucket does to new objects.
type BucketEncryption struct {
	// Default encryption: SSENone where AWS's document says that there is no
	// configuration, SSEUnknown where the store did not answer with one.
	Default object.Encryption
	// BlocksSSEC is whether SSE-C writes are refused.
	BlocksSSEC object.Finding
	// Blocked are the names of the blocked types, as S3 gives them.
	Blocked []string
}

type encryptionConfig struct {
	XMLName xml.Name         `xml:"ServerSideEncryptionConfiguration"`
	XMLNS   string           `xml:"xmlns,attr,omitempty"`
	Rule    []encryptionRule `xml:"Rule"`
}

type encryptionRule struct {
	Default *defaultEncryption `xml:"ApplyServerSideEncryptionByDefault"`
	// BucketKeyEnabled is nil where the rule does not tell.
	BucketKeyEnabled *bool         `xml:"BucketKeyEnabled"`
	Blocked          *blockedTypes `xml:"BlockedEncryptionTypes"`
}

type defaultEncryption struct {
	SSEAlgorithm   string
	KMSMasterKeyID string `xml:"KMSMasterKeyID,omitempty"`
}

type blockedTypes struct {
	EncryptionType []string
}

// BucketEncryption reads the default encryption.
func (s *Store) BucketEncryption(ctx context.Context, bucket string) (BucketEncryption, error) {
	doc, known, err := s.encryptionConfig(ctx, bucket)
	if err != nil || !known {
		return BucketEncryption{}, err
	}
	out := BucketEncryption{Default: object.Encryption{Type: object.SSENone}, BlocksSSEC: object.No}
	for _, rule := range doc.Rule {
		if d := rule.Default; d != nil {
			out.Default.Type, _ = object.ParseSSE(d.SSEAlgorithm) // unknown stays unknown
			out.Default.KMSKeyID = d.KMSMasterKeyID
			out.Default.BucketKey = rule.BucketKeyEnabled != nil && *rule.BucketKeyEnabled
		}
		if rule.Blocked != nil {
			out.Blocked = append(out.Blocked, rule.Blocked.EncryptionType...)
		}
	}
	for _, b := range out.Blocked {
		if b == "SSE-C" {
			out.BlocksSSEC = object.Yes
		}
	}
	return out, nil
}

func (s *Store) encryptionConfig(ctx context.Context, bucket string) (doc encryptionConfig, known bool, err error) {
	_, known, _, err = s.setting(ctx, "GetBucketEncryption", bucket, "encryption", "ServerSideEncryptionConfiguration", &doc,
		"ServerSideEncryptionConfigurationNotFoundError")
	return doc, known, err
}
