package s3store

import (
	"bytes"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// This file is the one table of the house that says what an error of a store
// means. Codes come first, since stores differ in the status they put beside
// them; the status decides where there is no code, as in every HEAD.

// notAuthorized is how MinIO tells that its KMS refuses it a key.
const notAuthorized = "kms:NotAuthorized"

// codes sorts S3's error codes, and those of MinIO and Ceph, into classes.
var codes = map[string]object.Class{
	"SlowDown":                 object.ClassThrottled,
	"SlowDownRead":             object.ClassThrottled, // MinIO
	"SlowDownWrite":            object.ClassThrottled, // MinIO
	"ServerBusy":               object.ClassThrottled, // MinIO
	"Busy":                     object.ClassThrottled,
	"ServiceUnavailable":       object.ClassThrottled,
	"TooManyRequests":          object.ClassThrottled,
	"TooManyRequestsException": object.ClassThrottled,
	"RequestLimitExceeded":     object.ClassThrottled,
	"BandwidthLimitExceeded":   object.ClassThrottled,

	"ThrottlingException":     object.ClassKMSThrottled,
	"Throttling":              object.ClassKMSThrottled,
	"KMS.ThrottlingException": object.ClassKMSThrottled,

	"InternalError":                      object.ClassTransient,
	"InternalFailure":                    object.ClassTransient,
	"InternalServerError":                object.ClassTransient,
	"RequestTimeout":                     object.ClassTransient,
	"RequestTimeoutException":            object.ClassTransient,
	"OperationAborted":                   object.ClassTransient,
	"IncompleteBody":                     object.ClassTransient,
	"ClientDisconnected":                 object.ClassTransient, // MinIO
	"XMinioServerNotInitialized":         object.ClassTransient,
	"XMinioIAMNotInitialized":            object.ClassTransient,
	"XMinioBackendDown":                  object.ClassTransient, // a drive, or what else it needs, is away for now
	"XMinioBucketMetadataNotInitialized": object.ClassTransient,

	"KMS.InternalException":          object.ClassKMSAway,
	"KMS.KMSInternalException":       object.ClassKMSAway,
	"KMS.DependencyTimeoutException": object.ClassKMSAway,
	"KMS.KeyUnavailableException":    object.ClassKMSAway, // AWS says of each of these that it may be repeated

	"PreconditionFailed":          object.ClassChanged,
	"ConditionalRequestConflict":  object.ClassChanged,
	"NotModified":                 object.ClassChanged,
	"ObjectSerializationConflict": object.ClassChanged,

	"NoSuchKey":     object.ClassGone,
	"NoSuchVersion": object.ClassGone,
	"NotFound":      object.ClassGone,

	"NoSuchUpload": object.ClassNoUpload,
	"NoSuchBucket": object.ClassNoBucket,

	"InvalidBucketName": object.ClassNoBucket, // so there is none

	"XMinioStorageFull":              object.ClassFull,
	"XMinioAdminBucketQuotaExceeded": object.ClassFull,
	"QuotaExceeded":                  object.ClassFull, // Ceph, with a 403

	"InvalidObjectState":         object.ClassArchived,
	"ObjectNotInActiveTierError": object.ClassArchived,

	"KMS.DisabledException":        object.ClassKey,
	"KMS.KMSInvalidStateException": object.ClassKey,
	"KMS.InvalidStateException":    object.ClassKey,
	"KMS.NotFoundException":        object.ClassKey,
	"KMS.InvalidKeyUsageException": object.ClassKey,
	"KMS.InvalidArnException":      object.ClassKey,
	"kms:KeyNotFound":              object.ClassKey, // MinIO
	notAuthorized:                  object.ClassKey, // MinIO, whose KMS has a policy

	"kms:InvalidCiphertextException": object.ClassOther, // MinIO: one object's data key, and no reason to stop the others

	"ExpiredToken":                object.ClassCredentials,
	"ExpiredTokenException":       object.ClassCredentials,
	"RequestExpired":              object.ClassCredentials,
	"InvalidToken":                object.ClassCredentials,
	"InvalidTokenId":              object.ClassCredentials, // MinIO
	"TokenRefreshRequired":        object.ClassCredentials,
	"InvalidAccessKeyId":          object.ClassCredentials,
	"InvalidClientTokenId":        object.ClassCredentials,
	"UnrecognizedClientException": object.ClassCredentials,
	"SignatureDoesNotMatch":       object.ClassCredentials,
	"RequestTimeTooSkewed":        object.ClassCredentials,
	"AuthFailure":                 object.ClassCredentials,
	"NotSignedUp":                 object.ClassCredentials,

	// The bucket lives in another region: nothing here can succeed, and the run
	// stops with the region in its hint.
	"PermanentRedirect":                  object.ClassNoBucket,
	"TemporaryRedirect":                  object.ClassNoBucket,
	"Redirect":                           object.ClassNoBucket,
	"AuthorizationHeaderMalformed":       object.ClassNoBucket,
	"IllegalLocationConstraintException": object.ClassNoBucket,

	"AccessDenied":          object.ClassDenied,
	"AccessDeniedException": object.ClassDenied,
	"AllAccessDisabled":     object.ClassDenied,
	"AccountProblem":        object.ClassDenied,
	"UnauthorizedAccess":    object.ClassDenied,
	"Forbidden":             object.ClassDenied,

	"NotImplemented":   object.ClassUnsupported,
	"MethodNotAllowed": object.ClassUnsupported,

	"EntityTooLarge": object.ClassTooLarge,

	"InvalidRequest":                  object.ClassInvalid,
	"InvalidArgument":                 object.ClassInvalid,
	"InvalidEncryptionAlgorithmError": object.ClassInvalid,
	"InvalidStorageClass":             object.ClassInvalid,
	"InvalidTag":                      object.ClassInvalid,
	"KeyTooLongError":                 object.ClassInvalid,
	"MetadataTooLarge":                object.ClassInvalid,
	"MalformedXML":                    object.ClassInvalid,
	"BadDigest":                       object.ClassInvalid,
	"InvalidDigest":                   object.ClassInvalid,
	"InvalidPart":                     object.ClassInvalid,
	"InvalidPartOrder":                object.ClassInvalid,
	"EntityTooSmall":                  object.ClassInvalid,
	"InvalidRange":                    object.ClassInvalid,
	"XMinioInvalidObjectName":         object.ClassInvalid,
	"XMinioInsecureClientRequest":     object.ClassInvalid, // SSE-C over http
}

// cutShort: the reply has lost the body that tells what its status means, which for
// these is anything from a missing setting to a missing bucket. Nothing but a HEAD is
// answered without one, and a page of a proxy is no document that could be cut.
func cutShort(f object.FailedReply) bool {
	switch f.Status {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound:
		body := bytes.TrimSpace(f.Body)
		return !strings.HasPrefix(f.Op, "Head") && (len(body) == 0 || bytes.HasPrefix(body, []byte("<?xml")) || bytes.HasPrefix(body, []byte("<Error")))
	}
	return false
}

// byStatus is for answers whose code is absent or unknown.
func byStatus(status int) object.Class {
	switch status {
	case http.StatusOK: // an error in the body of a 200
		return object.ClassTransient
	case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return object.ClassNoBucket
	case http.StatusNotModified, http.StatusPreconditionFailed:
		return object.ClassChanged
	case http.StatusUnauthorized:
		return object.ClassCredentials
	case http.StatusForbidden:
		return object.ClassDenied
	case http.StatusNotFound, http.StatusGone:
		return object.ClassGone
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return object.ClassUnsupported
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusGatewayTimeout:
		return object.ClassTransient
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return object.ClassThrottled
	case http.StatusInsufficientStorage:
		return object.ClassFull
	case http.StatusRequestEntityTooLarge:
		return object.ClassTooLarge
	}
	switch status / 100 {
	case 4:
		return object.ClassInvalid
	case 5:
		return object.ClassTransient
	}
	return object.ClassOther
}

// Classify turns a failed reply into its error. It is pure; Store.Failure also
// asks the store where the reply alone cannot tell.
func Classify(f object.FailedReply) *object.Error {
	doc := readError(f.Body) // a page of a proxy has no code: the status decides
	e := &object.Error{Op: f.Op, Ref: f.Ref, Code: doc.Code, HTTPStatus: f.Status, Message: doc.Message,
		RequestID: requestID(f.Header), RetryAfter: retryAfter(f.Header("Retry-After")), Condition: doc.condition()}
	if e.RequestID == "" {
		e.RequestID = doc.RequestID
	}
	if e.Code == "" {
		e.Code = f.Header("X-Minio-Error-Code") // MinIO's HEAD tells here
		e.Message = strings.Trim(f.Header("X-Minio-Error-Desc"), `"`)
	}
	e.Code, e.RequestID = object.Cut(e.Code, object.MaxCode), object.Cut(e.RequestID, object.MaxRequestID)
	for _, text := range []*string{&e.Code, &e.Message, &e.RequestID} {
		*text = withoutKeys(object.Cut(*text, object.MaxMessage))
	}
	e.CustomerKey = e.Code == "InvalidArgument" && strings.Contains(e.Message, "Customer provided keys")
	class, known := codes[e.Code]
	switch {
	case !known && (strings.HasPrefix(e.Code, "KMS.") || strings.HasPrefix(e.Code, "kms:")) && f.Status != http.StatusNotImplemented:
		class = object.ClassKey
		if f.Status/100 == 5 || f.Status == http.StatusOK && strings.HasPrefix(e.Code, "kms:") { // MinIO, to which KES does not answer
			class = object.ClassKMSAway
		}
	case !known && e.Code == "" && cutShort(f):
		class = object.ClassTransient
	case !known:
		class = byStatus(f.Status)
	}
	e.Class = refine(class, e, f, &doc)
	e.Hint = hint(e, f, regionOf(f, &doc))
	return e
}

// refine is what neither the code nor the status tells alone.
func refine(class object.Class, e *object.Error, f object.FailedReply, doc *errorDocument) object.Class {
	switch {
	case strings.HasPrefix(e.Message, cephNoKey):
		return cephKMS(e, f)
	case class == object.ClassThrottled && mentionsKMS(e.Message):
		return object.ClassKMSThrottled
	case class == object.ClassTransient && strings.Contains(e.Message, "no space left on device"):
		return object.ClassFull // MinIO, where a drive is smaller than its threshold foresees
	case class == object.ClassKey && otherKey(e.Message, f) != "":
		return object.ClassDenied // the object's own key: no reason to stop the others
	case e.Code == "MethodNotAllowed" || e.Code == "" && f.Status == http.StatusMethodNotAllowed:
		// The version is a delete marker, or the current one is: only HEAD and GET
		// show the header then, and GetObjectTagging tells in its document.
		if f.Header("X-Amz-Delete-Marker") == "true" || doc.ResourceType == "DeleteMarker" {
			return object.ClassGone
		}
	case class == object.ClassGone && f.Ref.Key == "" && e.Code == "":
		return object.ClassNoBucket // HeadBucket
	}
	return class
}

var keyARN = regexp.MustCompile(`arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]*:key/[A-Za-z0-9-]+`)

// otherKey is the KMS key that a message complains of, where that is another one
// than the request asked the store to use: the one that the object is under now.
// The code is the same for both. An alias cannot be compared.
func otherKey(message string, f object.FailedReply) string {
	key := keyARN.FindString(message)
	if key == "" || f.KMSKey == "aws/s3" || object.IsKMSAlias(f.KMSKey) || object.SameKMSKey(key, f.KMSKey) {
		return ""
	}
	return key
}

// mentionsKMS reads a message, as otherKey does and nothing else here: S3 reports KMS
// throttling as the same 503 SlowDown as its own, and only the words "Please
// reduce your request rate for operations involving AWS KMS" tell them apart.
func mentionsKMS(message string) bool { return strings.Contains(message, "KMS") }

// retryAfter reads the header, in seconds or as a date.
func retryAfter(v string) time.Duration {
	if v == "" {
		return 0
	}
	if n, err := strconv.Atoi(v); err == nil && n >= 0 {
		return time.Duration(min(n, 1<<30)) * time.Second // more has no place in a Duration
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(0, time.Until(t))
	}
	return 0
}

// regionOf is the region that a redirect or a signature error names, where it has
// the form of one.
func regionOf(f object.FailedReply, doc *errorDocument) string {
	for _, region := range []string{f.Header("X-Amz-Bucket-Region"), doc.Region} {
		if regionName.MatchString(region) {
			return region
		}
	}
	return ""
}

// regionName is what AWS and others name regions with.
var regionName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,40}$`)
