package s3store

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

func TestListings(t *testing.T) {
	clean(t)
	body := ""
	s, p := opened(t, Options{EndpointURL: "http://127.0.0.1:9"}, func(*http.Request) *http.Response { return answered(200, body) })
	list := func(b string) (object.ListReply, error) {
		body = b
		return s.ListPage(t.Context(), object.ListRequest{Bucket: "b", Prefix: "p+ü", StartAfter: "a b", MaxKeys: 7})
	}
	r, err := list(`<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><NextContinuationToken>a+b/%2B</NextContinuationToken>
		<Contents><Key>a+b%2Bc%2525</Key><ETag>&quot;e-2&quot;</ETag><Size>5</Size><StorageClass>STANDARD</StorageClass>
		<LastModified>2026-01-02T03:04:05.678Z</LastModified><ChecksumAlgorithm>SHA256</ChecksumAlgorithm><ChecksumType>COMPOSITE</ChecksumType></Contents>
		<Contents><Key>x%2Fy</Key><ETag>e</ETag><Size>0</Size><StorageClass>GLACIER</StorageClass></Contents></ListBucketResult>`)
	if err != nil || len(r.Objects) != 2 || !r.EncodingHonoured || !r.Truncated || r.NextToken != "a+b/%2B" {
		t.Fatalf("%+v, %v", r, err)
	}
	if o := r.Objects[0]; o.Key != "a b+c%25" || o.ETag != "e-2" || o.Size != 5 || o.StorageClass != "" || !o.MultipartUploaded ||
		!o.LastModified.Equal(time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)) || o.ChecksumAlgorithm != "SHA256" || o.ChecksumType != "COMPOSITE" ||
		o.Settled || o.Encryption.Type != object.SSEUnknown {
		t.Errorf("%+v", o)
	}
	if o := r.Objects[1]; o.Key != "x/y" || o.Size != 0 || !o.Archived() {
		t.Errorf("%+v", o)
	}
	q := p.seen[0].URL.Query()
	if q.Get("prefix") != "p+ü" || q.Get("start-after") != "a b" || q.Get("max-keys") != "7" || q.Get("encoding-type") != "url" || q.Get("list-type") != "2" {
		t.Errorf("query %v", q)
	}
	// Without the encoding keys stand as they are, percent signs too.
	r, err = list(`<ListBucketResult><EncodingType></EncodingType><Contents><Key>a%20b+c</Key></Contents></ListBucketResult>`)
	if err != nil || r.EncodingHonoured || r.Objects[0].Key != "a%20b+c" || r.Objects[0].Size != -1 {
		t.Errorf("%+v, %v", r, err)
	}
	// MinIO's positions tell of its walk.
	for token, want := range map[string]bool{"": false, "a+b/%2B": false, "ZC8wMTAwMFttaW5pb19jYWNoZTp2MixyZXR1cm46XQ==": true} {
		r, err = list(`<ListBucketResult><EncodingType>url</EncodingType><NextContinuationToken>` + token + `</NextContinuationToken></ListBucketResult>`)
		if err != nil || r.OneWalk != want {
			t.Errorf("%q: %+v, %v", token, r, err)
		}
	}
	for _, bad := range []string{
		`<ListBucketResult><Contents><Key>x&#x1;y</Key></Contents></ListBucketResult>`,
		"<ListBucketResult><Contents><Key>x\uFFFDy</Key></Contents></ListBucketResult>",
		`<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>100%</Key></Contents></ListBucketResult>`,
	} {
		if _, err := list(bad); !errors.Is(err, ErrUnreadable) || object.ClassOf(err) != object.ClassInvalid || !strings.Contains(err.Error(), "UnreadableXML") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := list(`<ListBucketResult><Contents><Key>x</Ke`); object.ClassOf(err) != object.ClassTransient {
		t.Errorf("cut off: %v", err)
	}
	if _, err := list(`<ListBucketResult></ListBucketResult>`); err != nil {
		t.Errorf("empty: %v", err)
	}
	// One URL-encoded key may well be U+FFFD.
	if r, err := list(`<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>%EF%BF%BD</Key></Contents></ListBucketResult>`); err != nil || r.Objects[0].Key != "\uFFFD" {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestM14WhatCanBeReadIsKept: one key that XML cannot carry does not take the page
// with it, and the error says where it stands.
func TestM14WhatCanBeReadIsKept(t *testing.T) {
	clean(t)
	version := func(key string) string {
		return "<Version><Key>" + key + "</Key><VersionId>v</VersionId><IsLatest>true</IsLatest><Size>3</Size></Version>"
	}
	for name, tc := range map[string]struct {
		encoding, rows string
		keys           []string
		behind         string // empty: no error
	}{
		"a control character":      {"", version("a") + version("b\x01c") + version("d") + version("\x02e"), []string{"a", "d"}, `2 of the page's 4 rows have a key that cannot be read, the first of them behind the key "a"`},
		"a reference to one":       {"", version("a") + version("b&#x1;c"), []string{"a"}, `behind the key "a"`},
		"encoded, as is said only": {"url", version("a+1") + version("b\x01c"), []string{"a 1"}, `behind the key "a 1"`},
		"half encoded":             {"url", version("a") + version("100%") + version("d"), []string{"a", "d"}, `1 of the page's 3 rows`},
		"encoded":                  {"url", version("a") + version("b%01c"), []string{"a", "b\x01c"}, ""},
		"an owner of that name":    {"", version("a") + "<Version><Key>b</Key><Owner><DisplayName>\x01</DisplayName></Owner></Version>", []string{"a", "b"}, ""},
	} {
		s, _ := opened(t, Options{EndpointURL: "http://127.0.0.1:9"}, func(*http.Request) *http.Response {
			return answered(200, "<ListVersionsResult><EncodingType>"+tc.encoding+"</EncodingType>"+tc.rows+"</ListVersionsResult>")
		})
		r, err := s.ListVersionsPage(t.Context(), object.ListRequest{Bucket: "b"})
		if tc.behind == "" && err != nil || tc.behind != "" && (!errors.Is(err, ErrUnreadable) || !strings.Contains(err.Error(), tc.behind)) {
			t.Errorf("%s: %v", name, err)
		}
		keys := []string{}
		for _, o := range r.Objects {
			keys = append(keys, o.Key)
		}
		if !reflect.DeepEqual(keys, tc.keys) {
			t.Errorf("%s: %q", name, keys)
		}
	}
}

// TestTheClassOfADeleteMarker: MinIO names STANDARD in the rows of all delete markers, and hides what was
// deleted; those of what it has still to take out of a tier name that, and hide nothing.
func TestTheClassOfADeleteMarker(t *testing.T) {
	clean(t)
	for class, freed := range map[string]bool{"STANDARD": false, "WARM": true} {
		s, _ := opened(t, Options{EndpointURL: "http://127.0.0.1:9"}, func(*http.Request) *http.Response {
			return answered(200, `<ListVersionsResult><Name>b</Name><IsTruncated>false</IsTruncated>
			<DeleteMarker><Key>k</Key><ETag></ETag><Size>0</Size><StorageClass>`+class+`</StorageClass><IsLatest>true</IsLatest><VersionId>v2</VersionId></DeleteMarker>
			<Version><Key>k</Key><Size>1</Size><StorageClass>STANDARD</StorageClass><IsLatest>false</IsLatest><VersionId>v1</VersionId></Version></ListVersionsResult>`)
		})
		r, err := s.ListVersionsPage(t.Context(), object.ListRequest{Bucket: "b"})
		if err != nil || len(r.Objects) != 2 || r.Objects[0].Freed() != freed || r.Objects[0].Noncurrent != freed || r.Objects[1].Noncurrent == freed {
			t.Errorf("%s: %+v, %v", class, r.Objects, err)
		}
	}
}

func TestVersionListings(t *testing.T) {
	clean(t)
	s, p := opened(t, Options{EndpointURL: "http://127.0.0.1:9"}, func(*http.Request) *http.Response {
		return answered(200, `<ListVersionsResult><Name>b</Name><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>
		<NextKeyMarker>k+2</NextKeyMarker><NextVersionIdMarker>v3</NextVersionIdMarker>
		<Version><Key>k+1</Key><VersionId>v1</VersionId><IsLatest>false</IsLatest><Size>3</Size></Version>
		<DeleteMarker><Key>k+1</Key><VersionId>v2</VersionId><IsLatest>true</IsLatest></DeleteMarker>
		<Version><Key>k+2</Key><VersionId>null</VersionId><IsLatest>true</IsLatest><Size>4</Size></Version></ListVersionsResult>`)
	})
	r, err := s.ListVersionsPage(t.Context(), object.ListRequest{Bucket: "b", KeyMarker: "a", VersionIDMarker: "v0"})
	if err != nil || len(r.Objects) != 3 || r.NextKeyMarker != "k 2" || r.NextVersionIDMarker != "v3" {
		t.Fatalf("%+v, %v", r, err)
	}
	a, b, c := r.Objects[0], r.Objects[1], r.Objects[2]
	if a.Key != "k 1" || !a.Noncurrent || a.DeleteMarker || a.VersionID != "v1" || !b.DeleteMarker || b.Noncurrent || c.VersionID != "null" || c.Noncurrent {
		t.Errorf("%+v", r.Objects)
	}
	if q := p.seen[0].URL.Query(); q.Get("key-marker") != "a" || q.Get("version-id-marker") != "v0" || !q.Has("versions") {
		t.Errorf("query %v", q)
	}
}

func TestDetailReplies(t *testing.T) {
	clean(t)
	var answer *http.Response
	s, _ := opened(t, Options{EndpointURL: "http://127.0.0.1:9"}, func(*http.Request) *http.Response { return answer })
	ref := object.Ref{Bucket: "b", Key: "k"}
	tags := func(a *http.Response) ([]object.Tag, error) { answer = a; return s.Tags(t.Context(), ref) }
	if got, err := tags(answered(200, `<Tagging><TagSet><Tag><Key>b</Key><Value>2</Value></Tag><Tag><Key>a</Key><Value> </Value></Tag></TagSet></Tagging>`)); err != nil ||
		!reflect.DeepEqual(got, []object.Tag{{Key: "a", Value: " "}, {Key: "b", Value: "2"}}) {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := tags(answered(200, "")); err != nil || got == nil || len(got) != 0 {
		t.Errorf("an empty answer: %v, %v", got, err)
	}
	for _, a := range []*http.Response{
		answered(200, "my own bytes"), answered(200, "<html></html>"), answered(200, `<Tagging><TagSet></TagSet></Tagging>`, "ETag", `"e"`),
	} {
		if got, err := tags(a); object.ClassOf(err) != object.ClassUnsupported {
			t.Errorf("%v, %v", got, err)
		}
	}
	grants := func(list string) ([]object.Grant, error) {
		answer = answered(200, `<AccessControlPolicy><Owner><ID>me</ID></Owner><AccessControlList>`+list+`</AccessControlList></AccessControlPolicy>`)
		return s.Grants(t.Context(), ref)
	}
	own := `<Grant><Grantee><ID>me</ID></Grantee><Permission>FULL_CONTROL</Permission></Grant>`
	if got, err := grants(own); err != nil || got == nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
	got, err := grants(own + `<Grant><Grantee><URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee><Permission>READ</Permission></Grant>`)
	if err != nil || !reflect.DeepEqual(got, []object.Grant{{ID: "me", Permission: "FULL_CONTROL"}, {URI: "http://acs.amazonaws.com/groups/global/AllUsers", Permission: "READ"}}) {
		t.Errorf("%v, %v", got, err)
	}
	answer = answered(403, errorXML("AccessDenied", ""))
	if _, _, _, err := s.Lock(t.Context(), ref); object.ClassOf(err) != object.ClassDenied {
		t.Errorf("a missing permission is not \"no lock\": %v", err)
	}
}

func TestHeadReply(t *testing.T) {
	clean(t)
	s, _ := opened(t, Options{EndpointURL: "https://127.0.0.1:9"}, func(*http.Request) *http.Response {
		r := answered(200, "", "Content-Length", "12", "ETag", `"e-3"`, "Last-Modified", "Fri, 02 Jan 2026 03:04:05 GMT", "Content-Type", "t/p",
			"Expires", "not a date at all", "X-Amz-Missing-Meta", "2", "X-Amz-Meta-A-b", " v ", "X-Amz-Meta-Empty", "", "X-Amz-Tagging-Count", "3",
			"X-Amz-Mp-Parts-Count", "3", "X-Amz-Checksum-Sha256", "s==", "X-Amz-Checksum-Type", "COMPOSITE", "X-Amz-Storage-Class", "GLACIER",
			"X-Amz-Restore", `ongoing-request="false", expiry-date="x"`, "X-Amz-Version-Id", "v1", "X-Amz-Server-Side-Encryption", "aws:kms:dsse",
			"X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id", "arn:k", "X-Amz-Object-Lock-Mode", "COMPLIANCE", "X-Amz-Object-Lock-Retain-Until-Date", "2030-01-01T00:00:00Z",
			"X-Amz-Object-Lock-Legal-Hold", "ON", "X-Amz-Website-Redirect-Location", "/r", "X-Amz-Archive-Status", "ARCHIVE_ACCESS", "X-Amz-Meta-X-Amz-Key-V2", "k",
			"X-Amz-Object-Lock-Event-Hold", "ON", "X-Amz-Object-Lock-Event-Hold-Duration-Days", "30", "X-Amz-Object-Lock-Event-Hold-Duration-Years", "2")
		return r
	})
	ref := object.Ref{Bucket: "b", Key: "k"}
	h, err := s.Head(t.Context(), ref, object.CustomerKey{})
	if err != nil {
		t.Fatal(err)
	}
	want := object.Head{Object: object.Object{Ref: ref, Size: 12, ETag: "e-3", LastModified: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		StorageClass: "GLACIER", ArchiveTier: "ARCHIVE_ACCESS", Encryption: object.Encryption{Type: object.DSSEKMS, KMSKeyID: "arn:k"}, Settled: true,
		MultipartUploaded: true, ChecksumAlgorithm: "SHA256", ChecksumType: "COMPOSITE", ClientSide: object.SomeEnvelope, LockMode: "COMPLIANCE",
		RetainUntil: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), LegalHold: true},
		Attributes: object.Attributes{ContentType: "t/p", Expires: "not a date at all", MissingMetadata: 2, TagCount: 3, PartsCount: 3,
			Metadata:  map[string]string{"a-b": " v ", "empty": "", "x-amz-key-v2": "k"},
			Checksums: map[string]string{"SHA256": "s=="}, WebsiteRedirect: "/r", Restored: true,
			EventHold: true, EventHoldDays: 30, EventHoldYears: 2}, ShownVersionID: "v1"}
	if !reflect.DeepEqual(h, want) {
		t.Errorf("got  %+v\nwant %+v", h, want)
	}
}

// TestA6NewKindsAreKnownByName: ten checksum algorithms, and an encryption that is
// none of ours and never taken for one.
func TestA6NewKindsAreKnownByName(t *testing.T) {
	clean(t)
	var answer *http.Response
	s, _ := opened(t, Options{EndpointURL: "http://127.0.0.1:9"}, func(*http.Request) *http.Response { return answer })
	ref := object.Ref{Bucket: "b", Key: "k"}
	for _, algorithm := range []string{"CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256", "SHA512", "MD5", "XXHASH64", "XXHASH3", "XXHASH128"} {
		answer = answered(200, "", "ETag", `"e"`, "X-Amz-Checksum-"+algorithm, "v==", "X-Amz-Checksum-Type", "COMPOSITE")
		h, err := s.Head(t.Context(), ref, object.CustomerKey{})
		if err != nil || h.ChecksumAlgorithm != algorithm || h.Checksums[algorithm] != "v==" || len(h.Checksums) != 1 {
			t.Errorf("%s: %v %q, %v", algorithm, h.Checksums, h.ChecksumAlgorithm, err)
		}
	}
	answer = answered(200, "", "ETag", `"e"`, "X-Amz-Server-Side-Encryption", "aws:backup", "X-Amz-Storage-Class", "AWS_BACKUP_WARM")
	h, err := s.Head(t.Context(), ref, object.CustomerKey{})
	if err != nil || h.Encryption.Type != object.SSEUnknown || h.UnknownEncryption != "aws:backup" || !h.Reserved() {
		t.Errorf("%#v, %v", h, err)
	}
}

// TestS7AListingIsBounded, and of those that are longer than usual one is in memory.
func TestS7AListingIsBounded(t *testing.T) {
	clean(t)
	var reading, most, read, looks, held atomic.Int64
	inUse := func() int64 { // without what waits for a collection
		var mem runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&mem)
		return int64(mem.HeapAlloc)
	}
	before := inUse()
	s, _ := opened(t, Options{EndpointURL: "http://127.0.0.1:9"}, func(*http.Request) *http.Response {
		resp, own := answered(200, ""), 0
		resp.Body = io.NopCloser(readerFunc(func(p []byte) (int, error) {
			read.Add(int64(len(p)))
			if own += len(p); own > usualReply {
				now := reading.Add(1)
				defer reading.Add(-1)
				for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
				}
				if own>>21 > (own-len(p))>>21 { // every 2 MiB
					looks.Add(1)
					held.Store(max(held.Load(), inUse()-before))
				}
			}
			copy(p, bytes.Repeat([]byte("<ListBucketResult><Contents>"), len(p)/28+1))
			return len(p), nil
		}))
		return resp
	})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if _, err := s.ListPage(t.Context(), object.ListRequest{Bucket: "b"}); object.ClassOf(err) != object.ClassOther || !strings.Contains(err.Error(), "longer") {
				t.Errorf("%v", err)
			}
		})
	}
	all.Wait()
	if got := read.Load(); got > 4*2*maxListing {
		t.Errorf("%d bytes were read", got)
	}
	// The buffer of one, the one that it grows out of, and the beginnings of the others.
	t.Logf("%d MiB held at most, of %d looks", held.Load()>>20, looks.Load())
	if held.Load() > 4*maxListing || looks.Load() == 0 {
		t.Errorf("%d MiB held, of %d looks", held.Load()>>20, looks.Load())
	}
	if most.Load() > 1 {
		t.Errorf("%d were read at the same time", most.Load())
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// A HEAD without an ETag is no object's: it must not pass for an unencrypted one.
func TestHeadWithoutAnETag(t *testing.T) {
	clean(t)
	s, _ := opened(t, Options{EndpointURL: "http://127.0.0.1:9"}, func(*http.Request) *http.Response { return answered(200, "", "Content-Type", "text/html") })
	if _, err := s.Head(t.Context(), object.Ref{Bucket: "b", Key: "k"}, object.CustomerKey{}); object.ClassOf(err) != object.ClassTransient {
		t.Error(err)
	}
}

// A checksum of any algorithm goes from the part's answer into Complete.
func TestPartChecksumOfAnyAlgorithm(t *testing.T) {
	clean(t)
	s, p := opened(t, Options{EndpointURL: "http://127.0.0.1:9"}, func(r *http.Request) *http.Response {
		if r.Method == http.MethodPut {
			return answered(200, `<CopyPartResult><ETag>"p"</ETag><LastModified>x</LastModified><ChecksumSHA512>abc=</ChecksumSHA512></CopyPartResult>`)
		}
		return answered(200, `<CompleteMultipartUploadResult><ETag>"e-1"</ETag><ChecksumSHA512>def=-1</ChecksumSHA512><ChecksumType>COMPOSITE</ChecksumType></CompleteMultipartUploadResult>`)
	})
	ref := object.Ref{Bucket: "b", Key: "k"}
	part, err := s.CopyPart(t.Context(), &object.PartRequest{Source: ref, Dest: ref, UploadID: "u", Number: 1, Last: -1})
	if err != nil || part.Checksum != "abc=" {
		t.Fatalf("%+v, %v", part, err)
	}
	if _, err := s.CompleteUpload(t.Context(), &object.CompleteRequest{Dest: ref, UploadID: "u", ChecksumAlgorithm: "SHA512", ChecksumType: "COMPOSITE",
		Parts: []object.Part{{Number: 1, ETag: part.ETag, Checksum: part.Checksum}}}); err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(p.seen[1].Body)
	if want := `<Part><PartNumber>1</PartNumber><ETag>&#34;p&#34;</ETag><ChecksumSHA512>abc=</ChecksumSHA512></Part>`; !strings.Contains(string(body), want) {
		t.Errorf("%s", body)
	}
}

// TestAskedAgain: a HEAD that fails without a code is asked about once.
func TestAskedAgain(t *testing.T) {
	clean(t)
	code, status := "ExpiredToken", 400
	s, p := opened(t, Options{EndpointURL: "http://127.0.0.1:9"}, func(r *http.Request) *http.Response {
		if r.Method == http.MethodHead {
			return answered(status, "", "Date", time.Now().UTC().Format(http.TimeFormat))
		}
		return answered(status, errorXML(code, ""), "Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
	})
	head := func() error {
		_, err := s.Head(t.Context(), object.Ref{Bucket: "b", Key: "k"}, object.CustomerKey{})
		return err
	}
	if err := head(); object.ClassOf(err) != object.ClassCredentials || len(p.seen) != 2 || p.seen[1].Header.Get("Range") != "bytes=0-0" {
		t.Errorf("%v after %d requests", err, len(p.seen))
	}
	code, status = "AccessDenied", 403
	if err := head(); object.ClassOf(err) != object.ClassDenied {
		t.Errorf("%v", err)
	}
	// The clock: corrected once, then it is the same time and no skew any more.
	code, status = "RequestTimeTooSkewed", 403
	before := s.Now()
	if err := head(); object.ClassOf(err) != object.ClassTransient {
		t.Errorf("%v", err)
	}
	if d := s.Now().Sub(before); d < 59*time.Minute || d > 61*time.Minute {
		t.Errorf("the clock moved by %v", d)
	}
	if err := head(); object.ClassOf(err) != object.ClassCredentials {
		t.Errorf("skewed again: %v", err)
	}
	// A request that was on its way when another one was corrected is sent again too.
	late := s.Failure(t.Context(), object.FailedReply{Op: "CopyObject", Status: status, Body: []byte(errorXML(code, "")), Signed: time.Now(),
		Header: http.Header{"Date": {time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)}}.Get})
	if late.Class != object.ClassTransient {
		t.Errorf("signed before the correction: %v", late)
	}
	// Refused, and answered when asked again: the refusal was of the moment.
	s, _ = opened(t, Options{EndpointURL: "http://127.0.0.1:9"}, func(r *http.Request) *http.Response {
		if r.Method == http.MethodHead {
			return answered(403, "")
		}
		return answered(206, "x")
	})
	if err := head(); object.ClassOf(err) != object.ClassTransient {
		t.Errorf("of two minds: %v", err)
	}
}

// TestA5WritesOfDetailsCarryAnMD5, which S3 asks for where a lock may be written.
func TestA5WritesOfDetailsCarryAnMD5(t *testing.T) {
	clean(t)
	s, p := opened(t, Options{EndpointURL: "http://127.0.0.1:9"}, func(*http.Request) *http.Response { return answered(200, "") })
	ref := object.Ref{Bucket: "b", Key: "k"}
	if err := errors.Join(s.PutTags(t.Context(), ref, []object.Tag{{Key: "a", Value: "b"}}), s.PutLock(t.Context(), ref, "GOVERNANCE", time.Now(), true)); err != nil {
		t.Fatal(err)
	}
	if len(p.seen) != 3 {
		t.Fatalf("%d requests", len(p.seen))
	}
	for _, r := range p.seen {
		if r.Header.Get("Content-Md5") == "" {
			t.Errorf("%s has none", r.URL)
		}
	}
}
