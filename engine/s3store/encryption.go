package s3store

import (
	"context"
	"encoding/xml"
	"net/http"
	"slices"

	"github.com/resealhq/reseal/engine/object"
)

// BucketEncryption is what a bucket does to new objects.
type BucketEncryption struct {
	// Setting tells whether there is a configuration at all, as far as it could be
	// read.
	Setting
	// Default encryption: SSENone where the store says that there is no
	// configuration, SSEUnknown where it did not answer with one.
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

// BucketEncryption reads the default encryption. A store that answers with
// anything else than an encryption configuration, as several do, tells nothing.
func (s *Store) BucketEncryption(ctx context.Context, bucket string) (BucketEncryption, error) {
	var doc encryptionConfig
	_, told, err := s.setting(ctx, "GetBucketEncryption", bucket, "encryption", "ServerSideEncryptionConfiguration", &doc,
		"ServerSideEncryptionConfigurationNotFoundError")
	out := BucketEncryption{Setting: told}
	if err != nil || !told.Known {
		return out, err
	}
	out.Default.Type, out.BlocksSSEC = object.SSENone, object.No
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
	if slices.Contains(out.Blocked, "SSE-C") {
		out.BlocksSSEC = object.Yes
	}
	return out, nil
}

// BucketEncryptionChange says what to set; what is not said stays as it is.
type BucketEncryptionChange struct {
	// SSE of new objects: SSES3, SSEKMS or DSSEKMS; SSEUnknown leaves it.
	SSE      object.SSE
	KMSKeyID string
	// BucketKey; Default leaves it, and is off where the type changes to one that
	// knows no bucket keys.
	BucketKey object.Switch
	// BlockSSEC: On refuses SSE-C writes from now on, Off allows them.
	BlockSSEC object.Switch
}

// SetBucketEncryption changes the default encryption: it reads the
// configuration, changes what is asked for and writes it all back, so that other
// settings of it survive. It refuses a store that does not answer with such a
// configuration, since several of those take the request for another one.
func (s *Store) SetBucketEncryption(ctx context.Context, bucket string, change BucketEncryptionChange) error {
	ref := object.Ref{Bucket: bucket}
	read := newRequest("GetBucketEncryption", http.MethodGet, ref)
	read.query.Set("encryption", "")
	var doc encryptionConfig
	rep, err := s.call(ctx, read)
	if err == nil {
		err = decode(read, rep, "ServerSideEncryptionConfiguration", &doc)
	}
	if err != nil && codeOf(err) != "ServerSideEncryptionConfigurationNotFoundError" {
		return err
	}
	if len(doc.Rule) == 0 {
		doc.Rule = []encryptionRule{{}}
	}
	change.apply(&doc.Rule[0])
	doc.XMLNS = s3Namespace
	doc.XMLName = xml.Name{Local: "ServerSideEncryptionConfiguration"}
	write := newRequest("PutBucketEncryption", http.MethodPut, ref)
	write.query.Set("encryption", "")
	write.kmsKey = change.KMSKeyID
	_, err = s.call(ctx, write.payload(document(doc)))
	return err
}

func (c *BucketEncryptionChange) apply(rule *encryptionRule) {
	if c.SSE != object.SSEUnknown {
		rule.Default = &defaultEncryption{SSEAlgorithm: c.SSE.Header(), KMSMasterKeyID: c.KMSKeyID}
		if c.SSE == object.DSSEKMS {
			rule.BucketKeyEnabled = nil // DSSE knows none
		}
	}
	if c.BucketKey != object.Default {
		on := c.BucketKey == object.On
		rule.BucketKeyEnabled = &on
	}
	switch c.BlockSSEC {
	case object.On:
		if rule.Blocked == nil {
			rule.Blocked = &blockedTypes{}
		}
		all := rule.Blocked.EncryptionType // what else is blocked stays so
		all = slices.DeleteFunc(all, func(name string) bool { return name == "NONE" || name == "SSE-C" })
		rule.Blocked.EncryptionType = append(all, "SSE-C")
	case object.Off:
		rule.Blocked = &blockedTypes{EncryptionType: []string{"NONE"}}
	}
}
