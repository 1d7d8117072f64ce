package s3store

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

func errorXML(code, message string) string {
	return `<?xml version="1.0" encoding="UTF-8"?><Error><Code>` + code + `</Code><Message>` + message + `</Message><RequestId>R1</RequestId></Error>`
}

func TestClassify(t *testing.T) {
	for _, tc := range []struct {
		name   string
		op     string
		status int
		body   string
		header map[string]string
		want   object.Class
	}{
		// Throttling: KMS's own comes with the same code and other words.
		{"slow down", "CopyObject", 503, errorXML("SlowDown", "Please reduce your request rate."), nil, object.ClassThrottled},
		{"slow down for KMS", "CopyObject", 503, errorXML("SlowDown", "Please reduce your request rate for operations involving AWS KMS"), nil, object.ClassKMSThrottled},
		{"MinIO", "CopyObject", 503, errorXML("SlowDownWrite", "Resource requested is unwritable, please reduce your request rate"), nil, object.ClassThrottled},
		{"KMS code", "CopyObject", 400, errorXML("KMS.ThrottlingException", "Rate exceeded"), nil, object.ClassKMSThrottled},
		{"ThrottlingException", "CopyObject", 400, errorXML("ThrottlingException", "Rate exceeded"), nil, object.ClassKMSThrottled},
		{"503 without a body", "HeadObject", 503, "", nil, object.ClassThrottled},
		{"429", "HeadObject", 429, "", nil, object.ClassThrottled},
		// Transient.
		{"internal", "CopyObject", 500, errorXML("InternalError", "We encountered an internal error."), nil, object.ClassTransient},
		{"in a 200", "CopyObject", 200, errorXML("InternalError", "We encountered an internal error."), nil, object.ClassTransient},
		{"unknown in a 200", "CopyObject", 200, errorXML("SomethingNew", ""), nil, object.ClassTransient},
		{"denied in a 200", "CopyObject", 200, errorXML("AccessDenied", "Access Denied"), nil, object.ClassDenied},
		{"timeout", "PutObject", 400, errorXML("RequestTimeout", ""), nil, object.ClassTransient},
		{"operation aborted", "CopyObject", 409, errorXML("OperationAborted", ""), nil, object.ClassTransient},
		{"a proxy's page", "CopyObject", 502, "<html>Bad gateway</html>", nil, object.ClassTransient},
		// Changed.
		{"412", "CopyObject", 412, errorXML("PreconditionFailed", ""), nil, object.ClassChanged},
		{"409 race", "CompleteMultipartUpload", 409, errorXML("ConditionalRequestConflict", ""), nil, object.ClassChanged},
		{"304", "CopyObject", 304, "", nil, object.ClassChanged},
		{"412 HEAD", "HeadObject", 412, "", nil, object.ClassChanged},
		// Gone.
		{"no key", "CopyObject", 404, errorXML("NoSuchKey", ""), nil, object.ClassGone},
		{"no version", "CopyObject", 404, errorXML("NoSuchVersion", ""), nil, object.ClassGone},
		{"404 HEAD", "HeadObject", 404, "", nil, object.ClassGone},
		{"a delete marker by its version", "HeadObject", 405, "", map[string]string{"X-Amz-Delete-Marker": "true"}, object.ClassGone},
		{"405", "UploadPartCopy", 405, errorXML("MethodNotAllowed", ""), nil, object.ClassUnsupported},
		{"no upload", "UploadPartCopy", 404, errorXML("NoSuchUpload", ""), nil, object.ClassNoUpload},
		// No room.
		{"MinIO, full", "CopyObject", 507, errorXML("XMinioStorageFull", ""), nil, object.ClassFull},
		{"MinIO, a drive is full", "CopyObject", 500, errorXML("InternalError", "We encountered an internal error, please try again.: cause(no space left on device)"), nil, object.ClassFull},
		{"Ceph, quota", "CopyObject", 403, errorXML("QuotaExceeded", ""), nil, object.ClassFull},
		{"full, without a code", "CompleteMultipartUpload", 507, "", nil, object.ClassFull},
		{"no bucket's name", "ListObjectsV2", 400, errorXML("InvalidBucketName", ""), nil, object.ClassNoBucket},
		{"no bucket", "ListObjectsV2", 404, errorXML("NoSuchBucket", ""), nil, object.ClassNoBucket},
		// Archived: a 403 that is not a permission.
		{"archived", "CopyObject", 403, errorXML("InvalidObjectState", ""), nil, object.ClassArchived},
		{"archive tier", "CopyObject", 403, errorXML("ObjectNotInActiveTierError", ""), nil, object.ClassArchived},
		// The key.
		{"disabled", "CopyObject", 400, errorXML("KMS.DisabledException", ""), nil, object.ClassKey},
		{"pending", "CopyObject", 400, errorXML("KMS.KMSInvalidStateException", ""), nil, object.ClassKey},
		{"not found", "CopyObject", 400, errorXML("KMS.NotFoundException", ""), nil, object.ClassKey},
		{"usage", "CopyObject", 400, errorXML("KMS.InvalidKeyUsageException", ""), nil, object.ClassKey},
		{"a new KMS code", "CopyObject", 400, errorXML("KMS.SomethingNewException", ""), nil, object.ClassKey},
		{"MinIO, KMS away", "CopyObject", 500, errorXML("kms:KeyGenerationFailed", ""), nil, object.ClassKMSAway},
		{"MinIO, KMS away, in a 200", "CompleteMultipartUpload", 200, errorXML("kms:DecryptionFailed", ""), nil, object.ClassKMSAway},
		{"MinIO, no key, in a 200", "CompleteMultipartUpload", 200, errorXML("kms:KeyNotFound", ""), nil, object.ClassKey},
		{"MinIO, another key error", "CopyObject", 403, errorXML("kms:SomethingNew", ""), nil, object.ClassKey},
		{"MinIO key", "CopyObject", 400, errorXML("kms:KeyNotFound", ""), nil, object.ClassKey},
		{"the target's key by its ARN", "CopyObject", 400, errorXML("KMS.DisabledException", "arn:aws:kms:eu-west-1:1:key/K is disabled."), nil, object.ClassKey},
		{"the key that the source is under", "CopyObject", 400, errorXML("KMS.DisabledException", "arn:aws:kms:eu-west-1:1:key/OLD is disabled."), nil, object.ClassDenied},
		{"the same, deleted", "UpdateObjectEncryption", 400, errorXML("KMS.KMSInvalidStateException", "arn:aws:kms:eu-west-1:1:key/OLD is pending deletion."), nil, object.ClassDenied},
		// What may be repeated in AWS's own words, and what is new.
		{"unavailable", "CopyObject", 500, errorXML("KMS.KeyUnavailableException", ""), nil, object.ClassKMSAway},
		{"a new KMS failure", "CopyObject", 503, errorXML("KMS.SomethingNewException", ""), nil, object.ClassKMSAway},
		{"MinIO, not supported", "CopyObject", 501, errorXML("kms:NotSupported", ""), nil, object.ClassUnsupported},
		// Ceph, whose KMS (Vault, Barbican, KMIP) does not answer, or has no such key.
		{"Ceph, KMS away", "UploadPartCopy", 500, errorXML("UnknownError", "Failed to retrieve the actual key, kms-keyid: K"), nil, object.ClassKMSAway},
		{"Ceph, the other key's KMS away", "UploadPartCopy", 500, errorXML("UnknownError", "Failed to retrieve the actual key, kms-keyid: OLD"), nil, object.ClassKMSAway},
		{"Ceph, its own KMS away", "PutObject", 500, errorXML("UnknownError", "Failed to retrieve the actual key"), nil, object.ClassKMSAway},
		{"Ceph, no such key in Vault", "CreateMultipartUpload", 404, errorXML("NoSuchKey", "Failed to retrieve the actual key, kms-keyid: K"), nil, object.ClassKey},
		{"Ceph, Vault forbids the key", "CreateMultipartUpload", 403, errorXML("AccessDenied", "Failed to retrieve the actual key, kms-keyid: K"), nil, object.ClassKey},
		{"Ceph, the source's is not in Vault", "UploadPartCopy", 404, errorXML("NoSuchKey", "Failed to retrieve the actual key, kms-keyid: OLD"), nil, object.ClassDenied},
		// Credentials.
		{"expired", "CopyObject", 400, errorXML("ExpiredToken", ""), nil, object.ClassCredentials},
		{"unknown access key", "ListObjectsV2", 403, errorXML("InvalidAccessKeyId", ""), nil, object.ClassCredentials},
		{"signature", "ListObjectsV2", 403, errorXML("SignatureDoesNotMatch", ""), nil, object.ClassCredentials},
		{"skew", "ListObjectsV2", 403, errorXML("RequestTimeTooSkewed", ""), nil, object.ClassCredentials},
		{"MinIO HEAD", "HeadObject", 403, "", map[string]string{"X-Minio-Error-Code": "SignatureDoesNotMatch"}, object.ClassCredentials},
		// Another region.
		{"301", "HeadObject", 301, "", map[string]string{"X-Amz-Bucket-Region": "eu-west-1"}, object.ClassNoBucket},
		{"redirect", "ListObjectsV2", 301, errorXML("PermanentRedirect", ""), map[string]string{"X-Amz-Bucket-Region": "eu-west-1"}, object.ClassNoBucket},
		{"wrong region signed", "ListObjectsV2", 400,
			`<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>`, nil, object.ClassNoBucket},
		// The object's own.
		{"denied", "CopyObject", 403, errorXML("AccessDenied", ""), nil, object.ClassDenied},
		{"403 HEAD", "HeadObject", 403, "", nil, object.ClassDenied},
		{"invalid", "CopyObject", 400, errorXML("InvalidRequest", ""), nil, object.ClassInvalid},
		{"an unknown 400", "CopyObject", 400, errorXML("SomethingNew", ""), nil, object.ClassInvalid},
		{"not implemented", "CopyObject", 501, errorXML("NotImplemented", ""), nil, object.ClassUnsupported},
		{"too large", "PutObject", 400, errorXML("EntityTooLarge", ""), nil, object.ClassTooLarge},
		// A body that was lost on its way: the status alone tells too little.
		{"404 that lost its body", "GetBucketEncryption", 404, "", nil, object.ClassTransient},
		{"404 cut short", "ListObjectsV2", 404, "<?xml version=\"1.0\"?>\n<Error><Co", nil, object.ClassTransient},
		{"an upload's 404 that lost its body", "CompleteMultipartUpload", 404, "", nil, object.ClassTransient},
		{"403 that lost its body", "CopyObject", 403, "", nil, object.ClassTransient},
		{"400 that lost its body", "CopyObject", 400, "\n", nil, object.ClassTransient},
		{"a proxy's 403", "CopyObject", 403, "<html><body>Forbidden</body></html>", nil, object.ClassDenied},
		{"HeadBucket 404", "HeadBucket", 404, "", nil, object.ClassNoBucket},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ref := object.Ref{Bucket: "b", Key: "k"}
			if tc.op == "HeadBucket" || tc.op == "ListObjectsV2" {
				ref.Key = ""
			}
			h := http.Header{}
			for k, v := range tc.header {
				h.Set(k, v)
			}
			e := Classify(object.FailedReply{Op: tc.op, Ref: ref, KMSKey: "arn:aws:kms:eu-west-1:1:key/K", Status: tc.status, Header: h.Get, Body: []byte(tc.body)})
			if e.Class != tc.want {
				t.Errorf("class %v, want %v (%v)", e.Class, tc.want, e)
			}
			if e.Op != tc.op || e.Ref != ref || e.HTTPStatus != tc.status {
				t.Errorf("got %+v", e)
			}
			if e.Class == object.ClassNoBucket && strings.Contains(fmt.Sprint(tc.header, tc.body), "eu-west-1") && !strings.Contains(e.Hint, "--region eu-west-1") {
				t.Errorf("hint %q does not name the region", e.Hint)
			}
		})
	}
}

func TestHintsName(t *testing.T) {
	h := http.Header{}
	e := Classify(object.FailedReply{Op: "CopyObject", Ref: object.Ref{Bucket: "b", Key: "k"}, KMSKey: "arn:aws:kms:eu-west-1:1:key/K", Status: 403,
		Header: h.Get, Body: []byte(errorXML("AccessDenied", "Access Denied"))})
	for _, want := range []string{"s3:PutObject", "arn:aws:s3:::b/k", "kms:GenerateDataKey", "key/K"} {
		if !strings.Contains(e.Hint, want) {
			t.Errorf("hint %q lacks %s", e.Hint, want)
		}
	}
	e = Classify(object.FailedReply{Op: "CopyObject", KMSKey: "arn:aws:kms:eu-west-1:1:key/K", Status: 400, Header: h.Get,
		Body: []byte(errorXML("KMS.DisabledException", "arn:aws:kms:eu-west-1:1:key/OLD is disabled."))})
	if !strings.Contains(e.Hint, "enable arn:aws:kms:eu-west-1:1:key/OLD") {
		t.Errorf("hint %q does not name the key that the object is under", e.Hint)
	}
	for _, alias := range []string{"aws/s3", "alias/new", "arn:aws:kms:eu-west-1:1:alias/new"} {
		e = Classify(object.FailedReply{Op: "CopyObject", KMSKey: alias, Status: 400, Header: h.Get,
			Body: []byte(errorXML("KMS.DisabledException", "arn:aws:kms:eu-west-1:1:key/K is disabled."))})
		if e.Class != object.ClassKey {
			t.Errorf("%s may be that key, and the class is %v", alias, e.Class)
		}
	}
	e = Classify(object.FailedReply{Op: "ListObjectsV2", Ref: object.Ref{Bucket: "No_Bucket"}, Status: 400, Header: h.Get, Body: []byte(errorXML("InvalidBucketName", "The specified bucket is not valid."))})
	if !strings.Contains(e.Hint, "check s3://BUCKET") {
		t.Errorf("hint %q does not say what to check", e.Hint)
	}
	h.Set("Retry-After", "7")
	h.Set("X-Amz-Request-Id", "R9")
	e = Classify(object.FailedReply{Op: "CopyObject", Ref: object.Ref{Bucket: "b", Key: "k"}, Status: 503, Header: h.Get, Body: []byte(errorXML("SlowDown", ""))})
	if e.RetryAfter != 7*time.Second || e.RequestID != "R9" {
		t.Errorf("got %+v", e)
	}
	h.Set("Retry-After", "9999999999")
	if e = Classify(object.FailedReply{Op: "CopyObject", Status: 503, Header: h.Get}); e.RetryAfter < time.Hour {
		t.Errorf("RetryAfter %v", e.RetryAfter)
	}
	h.Set("Retry-After", time.Now().Add(time.Minute).UTC().Format(http.TimeFormat))
	if e = Classify(object.FailedReply{Op: "CopyObject", Status: 503, Header: h.Get}); e.RetryAfter < 50*time.Second || e.RetryAfter > time.Minute {
		t.Errorf("RetryAfter %v", e.RetryAfter)
	}
}

// Every code of the table has a class that is not the one it would get from a
// status alone by luck, and every class has somebody to make it.
func TestEveryOperationHasItsActions(t *testing.T) {
	for op := range kmsActions {
		if actions[op] == "" {
			t.Errorf("%s has KMS actions and no S3 action", op)
		}
	}
}

// TestWhoMayListUploads: the permission is asked for by its name, and on the bucket, though the
// request is about a key.
func TestWhoMayListUploads(t *testing.T) {
	h := deniedHint(object.FailedReply{Op: "ListMultipartUploads", Ref: object.Ref{Bucket: "b", Key: "k"}})
	if !strings.HasPrefix(h, "grant s3:ListBucketMultipartUploads on arn:aws:s3:::b;") {
		t.Error(h)
	}
}

func TestFailedToSend(t *testing.T) {
	wrap := func(err error) error { return &url.Error{Op: "Put", URL: "http://secret/", Err: err} }
	live, stop := context.WithCancel(t.Context())
	stop()
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	for _, tc := range []struct {
		name    string
		ctx     context.Context
		err     error
		want    object.Class
		notSent bool
	}{
		{"refused", t.Context(), wrap(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}), object.ClassUnreachable, true},
		{"DNS", t.Context(), wrap(&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host"}}), object.ClassUnreachable, true},
		{"reset", t.Context(), wrap(&net.OpError{Op: "read", Err: syscall.ECONNRESET}), object.ClassTransient, false},
		{"EOF", t.Context(), wrap(io.EOF), object.ClassTransient, false},
		{"cut off", t.Context(), io.ErrUnexpectedEOF, object.ClassTransient, false},
		{"cancelled", live, wrap(context.Canceled), object.ClassCanceled, false},
		{"hung", late, wrap(context.DeadlineExceeded), object.ClassTransient, false},
		{"http instead of https", t.Context(), wrap(http.ErrSchemeMismatch), object.ClassOther, true},
		{"http, as TLS sees it", t.Context(), wrap(tls.RecordHeaderError{RecordHeader: [5]byte([]byte("HTTP/"))}), object.ClassOther, true},
	} {
		e := FailedToSend("CopyObject", object.Ref{Bucket: "b", Key: "k"}, tc.ctx, tc.err)
		if e.Class != tc.want || e.NotSent != tc.notSent || strings.Contains(e.Error(), "secret") || !errors.Is(e, tc.err) {
			t.Errorf("%s: %v (not sent: %v): %v", tc.name, e.Class, e.NotSent, e)
		}
		if tc.want == object.ClassOther && !strings.Contains(e.Hint, "speaks plain HTTP") {
			t.Errorf("%s: the hint is %q", tc.name, e.Hint)
		}
		if object.MaybeApplied(e) != (tc.want == object.ClassTransient || tc.want == object.ClassCanceled) {
			t.Errorf("%s: maybe applied: %v", tc.name, object.MaybeApplied(e))
		}
	}
}

// TestA1OnlySomeRefusalsAreSSEC: a HEAD without a code says that the object is
// under SSE-C by its status 400 alone, and what GET answers then is believed.
func TestA1OnlySomeRefusalsAreSSEC(t *testing.T) {
	clean(t)
	ref := object.Ref{Bucket: "b", Key: "k", VersionID: "none-can-have-this"}
	get := ""
	status := 0
	s, _ := opened(t, Options{EndpointURL: "http://127.0.0.1:9"}, func(r *http.Request) *http.Response {
		if r.Method == http.MethodHead {
			return answered(status, "")
		}
		return answered(status, get)
	})
	for _, status = range []int{402, 406, 407, 411, 414, 418, 421, 426, 428, 431, 451, 499} {
		_, err := s.Head(t.Context(), ref, object.CustomerKey{})
		if object.WantsCustomerKey(err) || object.ClassOf(err) != object.ClassInvalid || !strings.Contains(fmt.Sprint(err), fmt.Sprint(status)) {
			t.Errorf("%d: %v", status, err)
		}
	}
	status = 400
	for body, want := range map[string]bool{"": true, "<html>a proxy</html>": true, errorXML("InvalidRequest", "The object was stored using a form of Server Side Encryption."): true,
		errorXML("InvalidArgument", "Requests specifying Server Side Encryption with Customer provided keys must provide a valid encryption algorithm."): true,
		errorXML("InvalidArgument", "Invalid version id specified"):                                                                                      false, errorXML("SomethingNew", ""): false} {
		get = body
		if _, err := s.Head(t.Context(), ref, object.CustomerKey{}); object.WantsCustomerKey(err) != want {
			t.Errorf("%s: %v, %v", body, !want, err)
		}
	}
}

// TestA3ConditionsThatAreNotImplemented: named in an element, or in words.
func TestA3ConditionsThatAreNotImplemented(t *testing.T) {
	for body, want := range map[string]string{
		`<Error><Code>NotImplemented</Code><Message>A header you provided implies functionality that is not implemented</Message><Header>If-Match</Header></Error>`:                   "If-Match",
		`<Error><Code>NotImplemented</Code><Message>x</Message><Header>if-none-match</Header><additionalMessage>y</additionalMessage></Error>`:                                        "If-None-Match",
		`<Error><Code>NotImplemented</Code><Message>A header is not implemented</Message><additionalMessage>We don't accept If-Match header for this API</additionalMessage></Error>`: "If-Match",
		`<Error><Code>NotImplemented</Code><Message>The header "x-amz-copy-source-if-match" is not implemented.</Message></Error>`:                                                    "x-amz-copy-source-if-match",
		`<Error><Code>NotImplemented</Code><Message>A header you provided implies functionality that is not implemented</Message><Header>x-amz-tagging</Header></Error>`:              "",
		`<Error><Code>PreconditionFailed</Code><Message>x</Message><Condition>If-Match</Condition></Error>`:                                                                           "",
	} {
		e := Classify(object.FailedReply{Op: "CopyObject", Status: 501, Header: http.Header{}.Get, Body: []byte(body)})
		if e.Condition != want || want != "" && e.Class != object.ClassUnsupported {
			t.Errorf("%q, %v for %s", e.Condition, e.Class, body)
		}
	}
}

// TestA4ADeleteMarkerWithoutItsHeader is what GetObjectTagging answers.
func TestA4ADeleteMarkerWithoutItsHeader(t *testing.T) {
	clean(t)
	s, _ := opened(t, Options{EndpointURL: "http://127.0.0.1:9"}, func(*http.Request) *http.Response {
		return answered(405, `<Error><Code>MethodNotAllowed</Code><Message>The specified method is not allowed against this resource.</Message><Method>GET</Method><ResourceType>DeleteMarker</ResourceType></Error>`)
	})
	if _, err := s.Tags(t.Context(), object.Ref{Bucket: "b", Key: "k"}); object.ClassOf(err) != object.ClassGone {
		t.Errorf("%v", err)
	}
}

// TestM8APolicyIsCalledAPolicy: the key exists, and the store's KMS refuses it.
func TestM8APolicyIsCalledAPolicy(t *testing.T) {
	e := Classify(object.FailedReply{Op: "CopyObject", KMSKey: "keynew", Status: 403, Header: http.Header{}.Get,
		Body: []byte(errorXML("kms:NotAuthorized", "insufficient permissions to perform KMS operation"))})
	if e.Class != object.ClassKey || !strings.Contains(e.Hint, "policy") || !strings.Contains(e.Hint, "keynew") || strings.Contains(e.Hint, "exists") {
		t.Errorf("%v", e)
	}
	e = Classify(object.FailedReply{Op: "CopyObject", KMSKey: "keynew", Status: 400, Header: http.Header{}.Get, Body: []byte(errorXML("kms:InvalidCiphertextException", ""))})
	if e.Class.Fatal() {
		t.Errorf("one object's data key stops the run: %v", e)
	}
}
