package s3store_test

import (
	"bytes"
	"crypto/rand"
	"io"
	"maps"
	"mime"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// openAt opens a store on a real server, with the environment that a user of it
// would have.
func openAt(t *testing.T, srv *realserver.Server, o s3store.Options) *s3store.Store {
	t.Helper()
	for _, kv := range srv.Env() {
		name, value, _ := strings.Cut(kv, "=")
		t.Setenv(name, value)
	}
	t.Setenv("AWS_CONFIG_FILE", "/nonexistent")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
	s, err := s3store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func bucket(t *testing.T, c *s3.Client, name string, lock bool) string {
	t.Helper()
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name, ObjectLockEnabledForBucket: &lock}); err != nil {
		t.Fatal(err)
	}
	return name
}

func put(t *testing.T, c *s3.Client, in *s3.PutObjectInput, body string) *s3.PutObjectOutput {
	t.Helper()
	in.Body = strings.NewReader(body)
	out, err := c.PutObject(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func customerKey(t *testing.T) object.CustomerKey {
	t.Helper()
	b := make([]byte, 32)
	rand.Read(b)
	k, err := object.ParseCustomerKey(b)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func body(t *testing.T, s *s3store.Store, ref object.Ref, key object.CustomerKey) string {
	t.Helper()
	r, err := s.Open(t.Context(), ref, key, "")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestRealMinIO walks every request over MinIO with KES behind it, over TLS.
func TestRealMinIO(t *testing.T) {
	srv := realserver.StartKES(t, realserver.Options{Keys: []string{"key-a", "key-b"}})
	s := openAt(t, srv, s3store.Options{UserAgent: "reseal/test"})
	c := srv.Client()
	if s.IsAWS() || !s.PathStyle() {
		t.Fatalf("IsAWS %v, PathStyle %v", s.IsAWS(), s.PathStyle())
	}
	t.Run("attributes", func(t *testing.T) { testAttributes(t, s, c) })
	t.Run("encryptions", func(t *testing.T) { testEncryptions(t, s, c) })
	t.Run("keys", func(t *testing.T) { testOddKeys(t, s, c) })
	t.Run("multipart", func(t *testing.T) { testMultipart(t, s, c) })
	t.Run("details", func(t *testing.T) { testDetails(t, s, c) })
	t.Run("errors", func(t *testing.T) { testErrors(t, s, c, srv) })
}

func testAttributes(t *testing.T, s *s3store.Store, c *s3.Client) {
	b := bucket(t, c, "attributes", false)
	put(t, c, &s3.PutObjectInput{Bucket: &b, Key: aws.String("k"), ContentType: aws.String("text/x-odd; charset=utf-8"),
		CacheControl: aws.String("max-age=5"), ContentDisposition: aws.String(`attachment; filename="a b.txt"`),
		ContentLanguage: aws.String("de, en"), Metadata: map[string]string{"Owner": "Zoë", "empty": "", "x-amz-key-v2": "e"},
		Tagging: aws.String("a=1&b=x%20y")}, "hello")
	ref := object.Ref{Bucket: b, Key: "k"}
	h, err := s.Head(t.Context(), ref, object.CustomerKey{})
	if err != nil {
		t.Fatal(err)
	}
	if h.Size != 5 || h.ETag == "" || strings.Contains(h.ETag, `"`) || h.Encryption.Type != object.SSENone || !h.Settled ||
		h.ContentType != "text/x-odd; charset=utf-8" || h.CacheControl != "max-age=5" || h.ContentLanguage != "de, en" ||
		h.ContentDisposition != `attachment; filename="a b.txt"` || h.TagCount != 2 || !h.ClientSide.Encrypted() ||
		time.Since(h.LastModified) > time.Minute || h.RequestID == "" {
		t.Errorf("head = %+v", h)
	}
	// As a reply carries it: RFC 2047 where it is not ASCII.
	if h.Metadata["owner"] != "=?UTF-8?q?Zo=C3=AB?=" {
		t.Errorf("metadata = %q", h.Metadata)
	}
	// The same again by REPLACE: every byte of it must arrive.
	tags, err := s.Tags(t.Context(), ref)
	if err != nil || !reflect.DeepEqual(tags, []object.Tag{{Key: "a", Value: "1"}, {Key: "b", Value: "x y"}}) {
		t.Fatalf("tags = %v, %v", tags, err)
	}
	a := h.Attributes
	a.Tags = tags
	rep, err := s.Copy(t.Context(), &object.CopyRequest{Source: ref, Dest: ref, SourceETag: h.ETag, Replace: true, ReplaceTags: true,
		Attributes: &a, Target: &object.Target{SSE: object.SSES3}})
	if err != nil {
		t.Fatal(err)
	}
	after, err := s.Head(t.Context(), ref, object.CustomerKey{})
	if err != nil {
		t.Fatal(err)
	}
	if after.ETag != rep.ETag || after.Encryption.Type != object.SSES3 || !reflect.DeepEqual(after.Attributes.Metadata, h.Metadata) ||
		after.ContentDisposition != h.ContentDisposition || after.TagCount != 2 {
		t.Errorf("after = %+v", after)
	}
	// Raw UTF-8 and runs of spaces go out as they are, and the signature holds.
	a.Metadata = map[string]string{"raw": "Zoë  has   spaces", "quoted": `"a, b"; c=d`, "tab": "a\tb", "percent": "100%+/=", "long": strings.Repeat("x", 1500)}
	if _, err := s.Copy(t.Context(), &object.CopyRequest{Source: ref, Dest: ref, Replace: true, Attributes: &a, Target: &object.Target{SSE: object.SSES3}}); err != nil {
		t.Fatal(err)
	}
	if after, err = s.Head(t.Context(), ref, object.CustomerKey{}); err != nil {
		t.Fatal(err)
	}
	for name, want := range a.Metadata {
		got, err := new(mime.WordDecoder).DecodeHeader(after.Metadata[name])
		if err != nil || got != want {
			t.Errorf("%s = %q, %v; want %q", name, got, err, want)
		}
	}
	if got := body(t, s, ref, object.CustomerKey{}); got != "hello" {
		t.Errorf("body = %q", got)
	}
	testLongWords(t, s, c, b)
}

// testLongWords (W3): 600 bytes of metadata that a HEAD shows as more than S3 takes.
func testLongWords(t *testing.T, s *s3store.Store, c *s3.Client, b string) {
	text := strings.Repeat("漢", 200)
	put(t, c, &s3.PutObjectInput{Bucket: &b, Key: aws.String("words"), Metadata: map[string]string{"Title": text}}, "hello")
	ref := object.Ref{Bucket: b, Key: "words"}
	h, err := s.Head(t.Context(), ref, object.CustomerKey{})
	if err != nil || len(h.Metadata["title"]) <= 2048 {
		t.Fatalf("%d bytes are shown, %v", len(h.Metadata["title"]), err)
	}
	target := &object.Target{SSE: object.SSES3}
	if _, err := s.Copy(t.Context(), &object.CopyRequest{Source: ref, Dest: ref, Replace: true, Attributes: &h.Attributes, Target: target}); err != nil {
		t.Fatal(err)
	}
	after, err := s.Head(t.Context(), ref, object.CustomerKey{})
	if err != nil || after.Metadata["title"] != h.Metadata["title"] {
		t.Errorf("%q becomes %q, %v", h.Metadata["title"], after.Metadata["title"], err)
	}
	if _, _, err := s.CreateUpload(t.Context(), &object.CopyRequest{Source: ref, Dest: ref, Attributes: &h.Attributes, Target: target}); err != nil {
		t.Errorf("multipart: %v", err)
	}
}

func testEncryptions(t *testing.T, s *s3store.Store, c *s3.Client) {
	b := bucket(t, c, "encryptions", false)
	ref := object.Ref{Bucket: b, Key: "walk"}
	put(t, c, &s3.PutObjectInput{Bucket: &b, Key: &ref.Key}, "walking")
	k1, k2 := customerKey(t), customerKey(t)
	source := object.CustomerKey{}
	for i, target := range []object.Target{
		{SSE: object.SSES3},
		{SSE: object.SSEKMS, KMSKeyID: "key-a"},
		{SSE: object.SSEKMS, KMSKeyID: "key-b"},
		{SSE: object.SSEC, CustomerKey: k1},
		{SSE: object.SSEC, CustomerKey: k2},
		{SSE: object.SSEKMS, KMSKeyID: "key-a"},
		{SSE: object.SSES3},
	} {
		target.SourceKey = source
		h, err := s.Head(t.Context(), ref, source)
		if err != nil {
			t.Fatal(i, err)
		}
		if _, err := s.Copy(t.Context(), &object.CopyRequest{Source: ref, Dest: ref, SourceETag: h.ETag, Target: &target,
			SourceSSEC: !source.IsZero()}); err != nil {
			t.Fatal(i, err)
		}
		source = target.CustomerKey
		h, err = s.Head(t.Context(), ref, source)
		if err != nil {
			t.Fatal(i, err)
		}
		if !target.MetBy(h.Encryption) {
			t.Errorf("step %d: %+v does not meet %v", i, h.Encryption, target.SSE)
		}
		if got := body(t, s, ref, source); got != "walking" {
			t.Errorf("step %d: body = %q", i, got)
		}
		page, err := s.ListPage(t.Context(), object.ListRequest{Bucket: b, Metadata: true})
		if err != nil || len(page.Objects) != 1 || !page.EncodingHonoured {
			t.Fatalf("step %d: %+v, %v", i, page, err)
		}
		if o := page.Objects[0]; o.Encryption.Type != target.SSE || o.Settled == (target.SSE == object.SSEC) ||
			o.Settled && !target.MetBy(o.Encryption) {
			t.Errorf("step %d: listed as %+v", i, o)
		}
	}
}

// oddKeys are keys that break naive encoding.
var oddKeys = []string{"plain", "sp ace", "plus+plus", "per%cent", "%2F", "%", "a//b", "/lead", "trail/", "q?u=e&r#y", "<&>\"'",
	"semi;colon:at@$,", "e\u0301-nfd", "\u00e9-nfc", "🙂", "tilde~", "back`tick{}|^[]", "~dot.../x", "\u2028sep", "tab\tkey", "x\u007fdel",
	"日本語/キー", "versionId=?versionId=1", strings.Repeat(strings.Repeat("ü", 49)+"/", 10)}

func testOddKeys(t *testing.T, s *s3store.Store, c *s3.Client) {
	b := bucket(t, c, "odd-keys", false)
	want := map[string]bool{}
	for _, key := range oddKeys {
		if _, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &b, Key: aws.String(key), Body: strings.NewReader(key)}); err != nil {
			t.Logf("MinIO refuses %q: %v", key, err)
			continue
		}
		want[strings.TrimPrefix(key, "/")] = true // MinIO drops a leading slash
		ref := object.Ref{Bucket: b, Key: key}
		h, err := s.Head(t.Context(), ref, object.CustomerKey{})
		if err != nil {
			t.Errorf("head %q: %v", key, err)
			continue
		}
		if _, err := s.Copy(t.Context(), &object.CopyRequest{Source: ref, Dest: ref, SourceETag: h.ETag, Target: &object.Target{SSE: object.SSES3}}); err != nil {
			t.Errorf("copy %q: %v", key, err)
		}
		if got := body(t, s, ref, object.CustomerKey{}); got != key {
			t.Errorf("body of %q = %q", key, got)
		}
	}
	if len(want) < len(oddKeys)-3 {
		t.Errorf("only %d of %d keys were taken", len(want), len(oddKeys))
	}
	got, last := map[string]bool{}, ""
	for {
		objs, more, err := s.ListInspected(t.Context(), b, "", last, 7)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objs {
			if o.Key <= last {
				t.Errorf("%q after %q", o.Key, last)
			}
			last, got[o.Key] = o.Key, true
			if o.Encryption.Type != object.SSES3 || !o.Settled || !o.Plain {
				t.Errorf("listed %+v", o)
			}
		}
		if !more {
			break
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("listed %q\nput %q", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
}

func testMultipart(t *testing.T, s *s3store.Store, c *s3.Client) {
	b := bucket(t, c, "multipart", false)
	const mib = 1 << 20
	data := bytes.Repeat([]byte("0123456789abcdef"), 11*mib/16)
	ref := object.Ref{Bucket: b, Key: "big one"}
	if _, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &b, Key: &ref.Key, Body: bytes.NewReader(data),
		Metadata: map[string]string{"who": "me"}}); err != nil {
		t.Fatal(err)
	}
	h, err := s.Head(t.Context(), ref, object.CustomerKey{})
	if err != nil {
		t.Fatal(err)
	}
	var source object.CustomerKey
	for _, target := range []*object.Target{{SSE: object.SSEKMS, KMSKeyID: "key-b"}, {SSE: object.SSEC, CustomerKey: customerKey(t)},
		{SSE: object.SSEC, CustomerKey: customerKey(t)}, {SSE: object.SSES3}} {
		target.SourceKey = source
		source = target.CustomerKey
		id, _, err := s.CreateUpload(t.Context(), &object.CopyRequest{Source: ref, Dest: ref, Target: target, Attributes: &h.Attributes})
		if err != nil {
			t.Fatal(err)
		}
		open, err := s.ListUploads(t.Context(), ref)
		if err != nil || len(open) != 1 || open[0].ID != id {
			t.Errorf("uploads = %+v, %v", open, err)
		}
		var parts []object.Part
		for n, first := 1, int64(0); first < h.Size; n, first = n+1, first+5*mib {
			last := min(first+5*mib, h.Size) - 1
			rep, err := s.CopyPart(t.Context(), &object.PartRequest{Source: ref, SourceETag: h.ETag, Dest: ref, UploadID: id, Number: n,
				First: first, Last: last, Target: target, SourceSSEC: h.Encryption.Type == object.SSEC})
			if err != nil {
				t.Fatal(err)
			}
			parts = append(parts, object.Part{Number: n, ETag: rep.ETag, Size: last - first + 1})
		}
		listed, err := s.ListParts(t.Context(), ref, id, target)
		if err != nil || !reflect.DeepEqual(listed, parts) {
			t.Errorf("parts = %+v, %v; want %+v", listed, err, parts)
		}
		if _, err := s.CompleteUpload(t.Context(), &object.CompleteRequest{Dest: ref, UploadID: id, Parts: parts, Size: h.Size,
			DestETag: "00000000000000000000000000000000", Target: target}); object.ClassOf(err) != object.ClassChanged {
			t.Errorf("complete with a wrong If-Match: %v", err)
		}
		if _, err := s.CompleteUpload(t.Context(), &object.CompleteRequest{Dest: ref, UploadID: id, Parts: parts, Size: h.Size,
			DestETag: h.ETag, Target: target}); err != nil {
			t.Fatal(err)
		}
		if h, err = s.Head(t.Context(), ref, target.CustomerKey); err != nil {
			t.Fatal(err)
		}
		if !target.MetBy(h.Encryption) || h.Metadata["who"] != "me" || h.Size != int64(len(data)) {
			t.Errorf("after = %+v", h)
		}
		sizes, _, err := s.Parts(t.Context(), ref, target.CustomerKey)
		if err != nil || !reflect.DeepEqual(sizes, []int64{5 * mib, 5 * mib, mib}) {
			t.Errorf("parts = %v, %v", sizes, err)
		}
		if err := s.AbortUpload(t.Context(), ref, id); err != nil && object.ClassOf(err) != object.ClassNoUpload {
			t.Errorf("abort after complete: %v", err)
		}
		if got := body(t, s, ref, target.CustomerKey); got != string(data) {
			t.Error("the bytes changed")
		}
	}
}
