package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/resealhq/reseal/engine/object"
)

// env is what one check works with: a bucket of its own, the store under test,
// and the independent client.
type env struct {
	*testing.T
	*suite
	check  string
	bucket string
}

func (s *suite) env(t *testing.T, c check) *env {
	e := &env{T: t, suite: s, check: c.name}
	e.bucket = "conf-" + strings.Map(func(r rune) rune {
		if r == ' ' || r == ',' || r == '-' {
			return -1
		}
		return r
	}, strings.ToLower(c.name))
	in := &s3.CreateBucketInput{Bucket: &e.bucket}
	if c.bucket.locks {
		in.ObjectLockEnabledForBucket = aws.Bool(true)
	}
	if c.bucket.acls {
		in.ObjectOwnership = types.ObjectOwnershipObjectWriter
	}
	_, err := s.client.CreateBucket(t.Context(), in)
	e.must(err)
	if c.bucket.versioned {
		e.versioning(types.BucketVersioningStatusEnabled)
	}
	return e
}

// fact states one thing that AWS does, and what was seen.
func (e *env) fact(name, aws, got string) {
	e.Helper()
	if wrong := e.facts.judge(e.check+": "+name, aws, got); wrong != "" {
		e.Error(wrong)
	}
}

func (e *env) ctx() context.Context { return e.Context() }

func (e *env) must(err error) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
}

// outcome is done, or the class of the error, whose form is checked too.
func (e *env) outcome(err error) string {
	e.Helper()
	if err == nil {
		return "done"
	}
	var oe *object.Error
	if !errors.As(err, &oe) {
		e.Errorf("not an *object.Error: %T %v", err, err)
		return "unclassified"
	}
	if oe.Op == "" || oe.Ref.Bucket == "" {
		e.Errorf("an error that names no operation or bucket: %#v", oe)
	}
	if oe.Class == object.ClassOther && !oe.NotSent {
		e.Errorf("nobody classified: %v", oe)
	}
	if s := err.Error(); strings.Contains(s, e.srv.SecretKey) {
		e.Errorf("the error shows the secret key: %s", s)
	}
	e.classes[oe.Class.String()] = true
	return oe.Class.String()
}

func (e *env) ref(key string) object.Ref { return object.Ref{Bucket: e.bucket, Key: key} }

func (e *env) version(key, id string) object.Ref {
	return object.Ref{Bucket: e.bucket, Key: key, VersionID: id}
}

func (e *env) versioning(status types.BucketVersioningStatus) {
	e.Helper()
	_, err := e.client.PutBucketVersioning(e.ctx(), &s3.PutBucketVersioningInput{Bucket: &e.bucket,
		VersioningConfiguration: &types.VersioningConfiguration{Status: status}})
	e.must(err)
}

// seeded is what a PUT told.
type seeded struct{ etag, version string }

// put seeds an object through the independent client.
func (e *env) put(key, body string, change ...func(*s3.PutObjectInput)) seeded {
	e.Helper()
	s, err := e.tryPut(key, body, change...)
	if err != nil {
		e.Fatalf("seeding %q: %v", key, err)
	}
	return s
}

func (e *env) tryPut(key, body string, change ...func(*s3.PutObjectInput)) (seeded, error) {
	in := &s3.PutObjectInput{Bucket: &e.bucket, Key: &key, Body: strings.NewReader(body)}
	for _, c := range change {
		c(in)
	}
	out, err := e.client.PutObject(e.ctx(), in)
	if err != nil {
		return seeded{}, err
	}
	return seeded{strings.Trim(aws.ToString(out.ETag), `"`), aws.ToString(out.VersionId)}, nil
}

// under seeds under an encryption.
func under(t *object.Target) func(*s3.PutObjectInput) {
	return func(in *s3.PutObjectInput) {
		if t.SSE == object.SSEC {
			in.SSECustomerAlgorithm = aws.String("AES256")
			in.SSECustomerKey = aws.String(t.CustomerKey.Base64())
			in.SSECustomerKeyMD5 = aws.String(t.CustomerKey.MD5())
			return
		}
		in.ServerSideEncryption = types.ServerSideEncryption(t.SSE.Header())
		if t.KMSKeyID != "" {
			in.SSEKMSKeyId = &t.KMSKeyID
		}
		if t.Context != "" {
			in.SSEKMSEncryptionContext = &t.Context
		}
		if t.BucketKey != object.Default {
			in.BucketKeyEnabled = aws.Bool(t.BucketKey == object.On)
		}
	}
}

// look asks the independent client for everything that HEAD shows.
func (e *env) look(ref object.Ref, key object.CustomerKey) *s3.HeadObjectOutput {
	e.Helper()
	in := &s3.HeadObjectInput{Bucket: &ref.Bucket, Key: &ref.Key, ChecksumMode: types.ChecksumModeEnabled}
	if ref.VersionID != "" {
		in.VersionId = &ref.VersionID
	}
	if !key.IsZero() {
		in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5 = aws.String("AES256"), aws.String(key.Base64()), aws.String(key.MD5())
	}
	out, err := e.client.HeadObject(e.ctx(), in)
	if err != nil {
		e.Fatalf("looking at %q: %v", ref.Key, err)
	}
	return out
}

// shown is the encryption that the independent client sees, as object has it.
func shown(h *s3.HeadObjectOutput) object.Encryption {
	enc := object.Encryption{Type: object.SSENone, KMSKeyID: aws.ToString(h.SSEKMSKeyId), BucketKey: aws.ToBool(h.BucketKeyEnabled),
		CustomerKeyMD5: aws.ToString(h.SSECustomerKeyMD5)}
	switch {
	case aws.ToString(h.SSECustomerAlgorithm) != "":
		enc.Type = object.SSEC
	case h.ServerSideEncryption == types.ServerSideEncryptionAes256:
		enc.Type = object.SSES3
	case h.ServerSideEncryption == types.ServerSideEncryptionAwsKms:
		enc.Type = object.SSEKMS
	case h.ServerSideEncryption == types.ServerSideEncryptionAwsKmsDsse:
		enc.Type = object.DSSEKMS
	}
	return enc
}

// read gives the bytes through the independent client.
func (e *env) read(ref object.Ref, key object.CustomerKey) []byte {
	e.Helper()
	body, err := e.tryRead(ref, key)
	if err != nil {
		e.Fatalf("reading %q: %v", ref.Key, err)
	}
	return body
}

func (e *env) tryRead(ref object.Ref, key object.CustomerKey) ([]byte, error) {
	in := &s3.GetObjectInput{Bucket: &ref.Bucket, Key: &ref.Key}
	if ref.VersionID != "" {
		in.VersionId = &ref.VersionID
	}
	if !key.IsZero() {
		in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5 = aws.String("AES256"), aws.String(key.Base64()), aws.String(key.MD5())
	}
	out, err := e.client.GetObject(e.ctx(), in)
	if err != nil {
		return nil, err
	}
	defer out.Body.Close()
	return io.ReadAll(out.Body)
}

// holds asserts the bytes of an object.
func (e *env) holds(ref object.Ref, key object.CustomerKey, want string) {
	e.Helper()
	if got := e.read(ref, key); !bytes.Equal(got, []byte(want)) {
		e.Errorf("%q holds %s, want %s", ref.Key, abridged(got), abridged([]byte(want)))
	}
}

func abridged(b []byte) string {
	if len(b) <= 40 {
		return fmt.Sprintf("%q", b)
	}
	return fmt.Sprintf("%d bytes %q…", len(b), b[:30])
}

// head asks the store under test, and compares with the independent client.
func (e *env) head(ref object.Ref, key object.CustomerKey) object.Head {
	e.Helper()
	h, err := e.store.Head(e.ctx(), ref, key)
	if err != nil {
		e.Fatalf("Head %q: %v", ref.Key, err)
	}
	out := e.look(ref, key)
	if h.Encryption != shown(out) {
		e.Errorf("Head %q shows %+v, the SDK %+v", ref.Key, h.Encryption, shown(out))
	}
	if want := strings.Trim(aws.ToString(out.ETag), `"`); h.ETag != want {
		e.Errorf("Head %q: ETag %q, the SDK %q", ref.Key, h.ETag, want)
	}
	if h.Size != aws.ToInt64(out.ContentLength) {
		e.Errorf("Head %q: size %d, the SDK %d", ref.Key, h.Size, aws.ToInt64(out.ContentLength))
	}
	return h
}

// reseal copies an object onto itself under t, conditional on its ETag, which is
// what the engine does all day.
func (e *env) reseal(key, etag string, t *object.Target, change ...func(*object.CopyRequest)) (object.CopyReply, error) {
	r := &object.CopyRequest{Source: e.ref(key), Dest: e.ref(key), SourceETag: etag, Target: t}
	for _, c := range change {
		c(r)
	}
	return e.store.Copy(e.ctx(), r)
}

// multipart does the same through an upload of these parts; sizes nil is one
// part without a range.
func (e *env) multipart(r *object.CopyRequest, sizes []int64, size int64, change ...func(*object.CompleteRequest)) (object.CopyReply, error) {
	e.Helper()
	id, _, err := e.store.CreateUpload(e.ctx(), r)
	if err != nil {
		return object.CopyReply{}, err
	}
	done := &object.CompleteRequest{Dest: r.Dest, UploadID: id, Size: size, Target: r.Target,
		ChecksumAlgorithm: r.ChecksumAlgorithm, ChecksumType: r.ChecksumType}
	at := int64(0)
	if sizes == nil {
		sizes = []int64{0}
	}
	for i, n := range sizes {
		p := &object.PartRequest{Source: r.Source, SourceETag: r.SourceETag, Dest: r.Dest, UploadID: id, Number: i + 1,
			First: at, Last: at + n - 1, Target: r.Target, SourceSSEC: r.SourceSSEC}
		reply, err := e.store.CopyPart(e.ctx(), p)
		if err != nil {
			if err := e.store.AbortUpload(e.ctx(), r.Dest, id); err != nil {
				e.Errorf("aborting: %v", err)
			}
			return reply, err
		}
		if n == 0 {
			n = size
		}
		done.Parts = append(done.Parts, object.Part{Number: i + 1, ETag: reply.ETag, Size: n, Checksum: reply.Checksum})
		at += n
	}
	for _, c := range change {
		c(done)
	}
	reply, err := e.store.CompleteUpload(e.ctx(), done)
	if err != nil {
		if err := e.store.AbortUpload(e.ctx(), r.Dest, id); err != nil && object.ClassOf(err) != object.ClassNoUpload {
			e.Errorf("aborting: %v", err)
		}
	}
	return reply, err
}

// The encryptions that checks ask for.
var toSSES3 = &object.Target{SSE: object.SSES3}

func (e *env) toKMS(i int) *object.Target {
	return &object.Target{SSE: object.SSEKMS, KMSKeyID: e.srv.Keys[i], ShownKeyID: e.srv.Shown[i]}
}

func itoa(n int) string { return strconv.Itoa(n) }
