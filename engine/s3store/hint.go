package s3store

import (
	"cmp"
	"regexp"
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// actions are the IAM actions that an operation needs on the object or bucket.
var actions = map[string]string{
	"ListObjectsV2":                      "s3:ListBucket",
	"ListObjectVersions":                 "s3:ListBucketVersions",
	"HeadBucket":                         "s3:ListBucket",
	"HeadObject":                         "s3:GetObject (and s3:GetObjectVersion for versions)",
	"GetObject":                          "s3:GetObject (and s3:GetObjectVersion for versions)",
	"GetObjectAttributes":                "s3:GetObject and s3:GetObjectAttributes",
	"CopyObject":                         "s3:GetObject, s3:PutObject, s3:GetObjectTagging and s3:PutObjectTagging",
	"UploadPartCopy":                     "s3:GetObject and s3:PutObject",
	"CreateMultipartUpload":              "s3:PutObject and, with tags, s3:PutObjectTagging",
	"CompleteMultipartUpload":            "s3:PutObject",
	"AbortMultipartUpload":               "s3:AbortMultipartUpload",
	"ListMultipartUploads":               "s3:ListBucketMultipartUploads",
	"ListParts":                          "s3:ListMultipartUploadParts",
	"UpdateObjectEncryption":             "s3:PutObject and s3:UpdateObjectEncryption",
	"PutObject":                          "s3:PutObject",
	"UploadPart":                         "s3:PutObject",
	"DeleteObject":                       "s3:DeleteObject (and s3:DeleteObjectVersion)",
	"ListObjectAnnotations":              "s3:ListObjectAnnotations",
	"GetObjectAnnotation":                "s3:GetObjectAnnotation",
	"PutObjectAnnotation":                "s3:PutObjectAnnotation",
	"GetObjectTagging":                   "s3:GetObjectTagging (and s3:GetObjectVersionTagging)",
	"PutObjectTagging":                   "s3:PutObjectTagging",
	"GetObjectAcl":                       "s3:GetObjectAcl",
	"PutObjectAcl":                       "s3:PutObjectAcl",
	"GetObjectRetention":                 "s3:GetObjectRetention",
	"GetObjectLegalHold":                 "s3:GetObjectLegalHold",
	"PutObjectRetention":                 "s3:PutObjectRetention",
	"PutObjectLegalHold":                 "s3:PutObjectLegalHold",
	"GetBucketVersioning":                "s3:GetBucketVersioning",
	"GetBucketEncryption":                "s3:GetEncryptionConfiguration",
	"PutBucketEncryption":                "s3:PutEncryptionConfiguration",
	"GetBucketOwnershipControls":         "s3:GetBucketOwnershipControls",
	"GetBucketWebsite":                   "s3:GetBucketWebsite",
	"GetObjectLockConfiguration":         "s3:GetBucketObjectLockConfiguration",
	"GetBucketLifecycleConfiguration":    "s3:GetLifecycleConfiguration",
	"GetBucketReplication":               "s3:GetReplicationConfiguration",
	"GetBucketNotificationConfiguration": "s3:GetBucketNotification",
	"DescribeKey":                        "kms:DescribeKey",
}

var action = regexp.MustCompile(`s3:[A-Za-z]+`)

// Actions are the IAM actions on the object or bucket that an operation needs, by S3's
// name of it.
func Actions(op string) []string { return action.FindAllString(actions[op], -1) }

// wrapActions are those on the keys where a client asks KMS itself about a data key.
var wrapActions = map[string]string{
	"ReEncrypt": "kms:ReEncryptTo on the new key, and kms:ReEncryptFrom on the one that the data key is under now",
	"Encrypt":   "kms:Encrypt on the new key",
	"Decrypt":   "kms:Decrypt on the key that the data key is under now",
}

// kmsActions are those on the keys, where an operation makes S3 call KMS.
var kmsActions = map[string]string{
	"PutObject":               "kms:GenerateDataKey",
	"CopyObject":              "kms:GenerateDataKey (and kms:Decrypt on the key that the object is under now)",
	"CreateMultipartUpload":   "kms:GenerateDataKey and kms:Decrypt",
	"UploadPartCopy":          "kms:Decrypt on both keys",
	"CompleteMultipartUpload": "kms:Decrypt",
	"UpdateObjectEncryption":  "kms:Encrypt, kms:Decrypt, kms:GenerateDataKey and kms:ReEncrypt*",
}

// hint says what a person can do about an error.
func hint(e *object.Error, f object.FailedReply, region string) string {
	switch e.Class {
	case object.ClassDenied:
		if key := otherKey(e.Message, f); key != "" && (codes[e.Code] == object.ClassKey || strings.HasPrefix(e.Code, "KMS.")) {
			return "the object is under it now, and its bytes cannot be read: " + keyHint(e.Code, key)
		}
		if strings.HasPrefix(e.Message, cephNoKey) {
			return "the object is under it now, and its bytes cannot be read: look into the store's KMS"
		}
		return deniedHint(f)
	case object.ClassKey:
		if strings.HasPrefix(e.Message, cephNoKey) && cephKey(e.Message) == "" {
			return "its key for SSE-S3 of this bucket is one that the store has made: look into the store's KMS (Vault's transit engine)"
		}
		return keyHint(e.Code, cmp.Or(otherKey(e.Message, f), f.KMSKey))
	case object.ClassCredentials:
		return credentialsHint(e.Code)
	case object.ClassNoBucket:
		if region != "" {
			return "the bucket is in " + region + ": use --region " + region
		}
		if e.Code == "InvalidBucketName" {
			return "no bucket can have this name (3 to 63 of a-z, 0-9, dot and hyphen): check s3://BUCKET, and --path-style if it is right"
		}
		return "check the bucket name, --endpoint-url and --region"
	case object.ClassArchived:
		return "restore the object first (aws s3api restore-object), then run again"
	case object.ClassTooLarge:
		return "it needs a multipart copy: lower --multipart-threshold"
	case object.ClassKMSThrottled:
		return "KMS limits the rate for this key: --max-kms-requests-per-second, S3 Bucket Keys (--bucket-key on), or a quota increase"
	case object.ClassThrottled:
		return "the store asks for a lower rate; the run slows down by itself"
	case object.ClassFull:
		return "the store has no room, or a quota is used up: make room, and the run goes on by itself"
	case object.ClassKMSAway:
		if wrapActions[f.Op] != "" {
			return "KMS itself fails: see whether it answers others; a run that is at work waits for it"
		}
		return "the store cannot reach its KMS, or the KMS fails, or takes no key of that name: bring it back, which a run that is at work waits for, or correct the name"
	case object.ClassUnsupported:
		return "this store does not implement " + f.Op + ": reseal doctor shows what it can do"
	}
	if e.Code == "KeyTooLongError" {
		return "no key is longer than 1,024 bytes: name a shorter prefix, and choose below it by --exclude '*' and --include"
	}
	if e.Code == "XMinioInsecureClientRequest" {
		return "use an https:// endpoint for SSE-C"
	}
	return ""
}

func deniedHint(f object.FailedReply) string {
	h := ""
	if a := actions[f.Op]; a != "" && f.Op != "DescribeKey" {
		ref := f.Ref
		if f.Op == "ListMultipartUploads" { // asked about a key, and granted on the bucket
			ref.Key = ""
		}
		h = "grant " + a + " on " + arnOf(ref)
	}
	if f.Op == "DescribeKey" {
		return "grant kms:DescribeKey on " + f.KMSKey
	}
	if a := wrapActions[f.Op]; a != "" {
		return "grant " + a + " (in the key policy too)"
	}
	switch f.Op {
	case "PutObject", "CopyObject", "CreateMultipartUpload":
		h += ", with a lock s3:PutObjectRetention and s3:PutObjectLegalHold, with grants s3:PutObjectAcl"
	}
	if f.KMSKey != "" {
		if a := kmsActions[f.Op]; a != "" {
			h += ", and " + a + " on " + f.KMSKey + " (in the key policy too)"
		}
	}
	if h == "" {
		return "the credentials lack a permission, or a bucket policy denies the request"
	}
	return h + "; a bucket policy, an SCP, a block on SSE-C, or Requester Pays without --request-payer requester may deny it as well"
}

// inPartition is a text with the ARNs of arnOf as the store's partition has them.
func (s *Store) inPartition(text string) string {
	if p := object.PartitionOf(s.keyRegion()); p != "aws" {
		return strings.ReplaceAll(text, "arn:aws:s3:::", "arn:"+p+":s3:::")
	}
	return text
}

func arnOf(ref object.Ref) string {
	if object.IsAccessPoint(ref.Bucket) {
		if ref.Key == "" {
			return ref.Bucket
		}
		return ref.Bucket + "/object/" + ref.Key
	}
	if ref.Key == "" {
		return "arn:aws:s3:::" + ref.Bucket
	}
	return "arn:aws:s3:::" + ref.Bucket + "/" + ref.Key
}

func keyHint(code, key string) string {
	if key == "" {
		key = "the key that the object is under"
	}
	switch code {
	case "KMS.DisabledException", "DisabledException": // the latter of KMS itself
		return "enable " + key + " (aws kms enable-key) and run again"
	case "KMS.KMSInvalidStateException", "KMS.InvalidStateException", "KMSInvalidStateException":
		return key + " is pending deletion or unavailable: aws kms cancel-key-deletion, then enable it"
	case notAuthorized:
		return "a policy of the store's KMS forbids the store to use " + key + " (or the key that an object is under now): allow both in it " +
			"(KES: /v1/key/generate/NAME and /v1/key/decrypt/NAME in the policy of the store's identity)"
	case "KMS.InvalidKeyUsageException", "InvalidKeyUsageException":
		return key + " must be a symmetric key for ENCRYPT_DECRYPT"
	}
	return "check that " + key + " exists, in the bucket's region, and is named by its ID or ARN"
}

func credentialsHint(code string) string {
	switch code {
	case "ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired", "InvalidToken", "InvalidTokenId":
		return "the session has expired: refresh it (aws sso login, or new AWS_SESSION_TOKEN) and run again"
	case "InvalidAccessKeyId", "InvalidClientTokenId", "UnrecognizedClientException":
		return "the store does not know this access key: check AWS_ACCESS_KEY_ID, --profile and --endpoint-url"
	case "SignatureDoesNotMatch":
		return "the secret key does not fit the access key: check AWS_SECRET_ACCESS_KEY, or a proxy that changes requests"
	case "RequestTimeTooSkewed":
		return "the clock of this machine is off: set it (NTP)"
	}
	return "check the credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, --profile, SSO or the instance role"
}
