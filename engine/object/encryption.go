package object

import (
	"fmt"
	"strings"
)

// SSE is a kind of server-side encryption. Its String is the name that the
// command line, the audit and the report use.
type SSE uint8

// The kinds of server-side encryption. The zero value is SSEUnknown: nobody
// has looked yet, which is never the same as SSENone.
const (
	SSEUnknown SSE = iota
	SSENone
	SSES3
	SSEKMS
	DSSEKMS
	SSEC
)

var sseNames = [...]string{"unknown", "none", "sse-s3", "sse-kms", "dsse-kms", "sse-c"}

// String is the name used in flags, audit and report: none, sse-s3, sse-kms,
// dsse-kms, sse-c or unknown.
func (s SSE) String() string {
	if int(s) < len(sseNames) {
		return sseNames[s]
	}
	return fmt.Sprintf("SSE(%d)", uint8(s))
}

// Header is the value of x-amz-server-side-encryption that asks for s, or
// empty where no such header exists (none, sse-c, unknown).
func (s SSE) Header() string {
	switch s {
	case SSES3:
		return "AES256"
	case SSEKMS:
		return "aws:kms"
	case DSSEKMS:
		return "aws:kms:dsse"
	}
	return ""
}

// KMS says whether s uses a KMS key.
func (s SSE) KMS() bool { return s == SSEKMS || s == DSSEKMS }

// ParseSSE understands S3's header values, the names of the command line and those of
// S3 Inventory (SSE-S3, SSE-KMS, DSSE-KMS, SSE-C, NOT-SSE), in any case.
func ParseSSE(s string) (SSE, error) {
	switch strings.ToLower(s) {
	case "none", "not-sse":
		return SSENone, nil
	case "aes256", "sse-s3":
		return SSES3, nil
	case "aws:kms", "sse-kms":
		return SSEKMS, nil
	case "aws:kms:dsse", "dsse-kms":
		return DSSEKMS, nil
	case "sse-c":
		return SSEC, nil
	case "unknown":
		return SSEUnknown, nil
	}
	return SSEUnknown, fmt.Errorf("unknown encryption %q: use AES256, aws:kms, aws:kms:dsse or sse-c", s)
}

// MarshalText writes the audit name.
func (s SSE) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads whatever ParseSSE understands.
func (s *SSE) UnmarshalText(b []byte) (err error) {
	*s, err = ParseSSE(string(b))
	return err
}

// Encryption is how one object is encrypted at rest, as the store shows it.
type Encryption struct {
	Type SSE `json:"Type"`
	// KMSKeyID is the key as the store shows it: an ARN on AWS, arn:aws:kms:NAME
	// on MinIO, the bare ID on Ceph. Empty where Type uses no KMS key, and where
	// the source of the row (an inventory) does not tell.
	KMSKeyID string `json:"KMSKeyID"`
	// BucketKey is whether the data key was derived from an S3 Bucket Key.
	BucketKey bool `json:"BucketKey"`
	// CustomerKeyMD5 is the base64 MD5 of the customer key of an SSE-C object,
	// as HEAD returns it. It is not secret: S3 itself sends it in clear.
	CustomerKeyMD5 string `json:"CustomerKeyMD5"`
}

// SameKMSKey says whether two names, each as asked for or as shown by a store,
// mean the same KMS key. ARNs compare whole; a bare ID equals the ARN that ends
// in it. An alias equals only itself: it has to be resolved before.
func SameKMSKey(a, b string) bool {
	if a == b {
		return true
	}
	if a == "" || b == "" {
		return false
	}
	aARN, bARN := strings.HasPrefix(a, "arn:"), strings.HasPrefix(b, "arn:")
	if aARN == bARN {
		return false // two different ARNs, or two different bare names
	}
	if bARN {
		a, b = b, a
	}
	return kmsKeyName(a) == b
}

// IsKMSAlias says whether a key is named by an alias, behind which another key may
// stand tomorrow.
func IsKMSAlias(key string) bool {
	return strings.HasPrefix(key, "alias/") || strings.Contains(key, ":alias/")
}

// kmsKeyName is the bare key ID within an ARN: what follows "key/" on AWS, what
// follows "arn:aws:kms:" on MinIO.
func kmsKeyName(arn string) string {
	if _, id, ok := strings.Cut(arn, ":key/"); ok {
		return id
	}
	return strings.TrimPrefix(arn, "arn:aws:kms:")
}
