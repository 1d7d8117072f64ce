package wire

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

func asError(t *testing.T, err error) *object.Error {
	t.Helper()
	e, ok := errors.AsType[*object.Error](err)
	if !ok {
		t.Fatalf("error %v is no *object.Error", err)
	}
	return e
}

func TestHeadAndCopyShareAConnection(t *testing.T) {
	s := serve(t, answers(canned))
	c := open(t, s, nil)
	ctx := context.Background()
	for range 3 {
		h, err := c.Head(ctx, someRef, object.CustomerKey{})
		if err != nil {
			t.Fatal(err)
		}
		want := object.Encryption{Type: object.SSEKMS, KMSKeyID: "arn:aws:kms:key-a"}
		if h.Size != 1024 || h.ETag != "9b2cf535f27731c974343645a3985328" || h.Encryption != want || !h.Settled ||
			!h.LastModified.Equal(signedAt) || h.ContentType != "application/octet-stream" || h.RequestID != "17D6B4A1C2E3F405" {
			t.Errorf("head %+v", h)
		}
		r, err := c.Copy(ctx, someCopy)
		if err != nil {
			t.Fatal(err)
		}
		if r.ETag != "9b2cf535f27731c974343645a3985328" || r.RequestID != "17D6B4A1C2E3F405" || r.Encryption.Type != object.SSEUnknown {
			t.Errorf("copy %+v", r)
		}
	}
	if conns, requests := s.seen(); conns != 1 || requests != 6 || c.Dials() != 1 {
		t.Errorf("%d connections for %d requests", conns, requests)
	}
}

func TestEveryAttributeOfAHead(t *testing.T) {
	s := serve(t, answers(func(*http.Request) string {
		return "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 5368709121\r\nEtag: \"d41d8-12\"\r\nLast-Modified: Monday, 23-Nov-26 19:10:05 GMT\r\n" +
			"Content-Type: text/plain\r\nCache-Control: no-store\r\nContent-Disposition: inline\r\nContent-Encoding: gzip\r\nContent-Language: de\r\n" +
			"Expires: never\r\nX-Amz-Meta-Foo:  bar \r\nX-Amz-Meta-Foo: baz\r\nx-amz-meta-x-amz-key-v2: k\r\nx-amz-meta-empty:\r\nx-amz-missing-meta: 2\r\n" +
			"x-amz-storage-class: INTELLIGENT_TIERING\r\nx-amz-archive-status: ARCHIVE_ACCESS\r\nx-amz-restore: ongoing-request=\"false\", expiry-date=\"x\"\r\n" +
			"x-amz-object-lock-mode: GOVERNANCE\r\nx-amz-object-lock-retain-until-date: 2027-01-01T00:00:00.000Z\r\nx-amz-object-lock-legal-hold: ON\r\n" +
			"x-amz-website-redirect-location: /x\r\nx-amz-tagging-count: 3\r\nx-amz-mp-parts-count: 12\r\nx-amz-version-id: v9\r\nx-amz-id-2: id2\r\n" +
			"x-amz-checksum-crc64nvme: AAAAAAAAAAA=\r\nx-amz-checksum-type: FULL_OBJECT\r\nx-amz-checksum-algorithm: CRC64NVME\r\nx-amz-checksum-mode: ENABLED\r\n" +
			"x-amz-object-lock-event-hold: ON\r\nx-amz-object-lock-event-hold-duration-days: 30\r\nx-amz-object-lock-event-hold-duration-years: 2\r\n" +
			"x-amz-server-side-encryption-customer-algorithm: AES256\r\nx-amz-server-side-encryption-customer-key-MD5: md5==\r\n\r\n"
	}))
	c := open(t, s, nil)
	h, err := c.Head(context.Background(), someRef, object.CustomerKey{})
	if err != nil {
		t.Fatal(err)
	}
	until := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	want := object.Head{
		Object: object.Object{Ref: someRef, Size: 5368709121, ETag: "d41d8-12", LastModified: signedAt, StorageClass: "INTELLIGENT_TIERING",
			ArchiveTier: "ARCHIVE_ACCESS", Encryption: object.Encryption{Type: object.SSEC, CustomerKeyMD5: "md5=="}, Settled: true,
			MultipartUploaded: true, ChecksumAlgorithm: "CRC64NVME", ChecksumType: "FULL_OBJECT", ClientSide: object.SomeEnvelope,
			LockMode: "GOVERNANCE", RetainUntil: until, LegalHold: true},
		Attributes: object.Attributes{ContentType: "text/plain", CacheControl: "no-store", ContentDisposition: "inline", ContentEncoding: "gzip",
			ContentLanguage: "de", Expires: "never", Metadata: map[string]string{"foo": "bar,baz", "x-amz-key-v2": "k", "empty": ""},
			MissingMetadata: 2, WebsiteRedirect: "/x", TagCount: 3, PartsCount: 12, Checksums: map[string]string{"CRC64NVME": "AAAAAAAAAAA="}, Restored: true,
			EventHold: true, EventHoldDays: 30, EventHoldYears: 2},
		ShownVersionID: "v9", RequestID: "id2",
	}
	if !reflect.DeepEqual(h, want) { // not printed: a Head prints as its Ref
		t.Errorf("got  %#v\nwant %#v", h, want)
	}
}

func TestRepliesToACopy(t *testing.T) {
	const ok = object.Class(255)
	chunk := func(parts ...string) string {
		b := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		for _, p := range parts {
			b += fmt.Sprintf("%x;ext=1\r\n%s\r\n", len(p), p)
		}
		return b + "0\r\nTrailer: x\r\n\r\n"
	}
	for name, test := range map[string]struct {
		reply string
		class object.Class
		code  string
	}{
		"length":           {withLength("", copyXML), ok, ""},
		"chunked":          {chunk(copyXML[:40], copyXML[40:]), ok, ""},
		"byte by byte":     {chunk(strings.Split(copyXML, "")...), ok, ""},
		"kept alive":       {chunk("<?xml version=\"1.0\"?>\n", "   \n", "  ", strings.TrimPrefix(copyXML, `<?xml version="1.0" encoding="UTF-8"?>`)), ok, ""},
		"continue first":   {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nX: y\r\n\r\n" + withLength("", copyXML), ok, ""},
		"closed":           {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + copyXML, ok, ""},
		"old":              {"HTTP/1.0 200 OK\r\n\r\n" + copyXML, ok, ""},
		"no reason":        {"HTTP/1.1 200\r\nContent-Length: " + itoa(len(copyXML)) + "\r\n\r\n" + copyXML, ok, ""},
		"unquoted":         {withLength("", "<CopyObjectResult><ETag>abc</ETag></CopyObjectResult>"), ok, ""},
		"prefix, comment":  {withLength("", "<!-- <Error> --><s:CopyObjectResult a='>'><!-- c --><s:ETag >&#34;abc&#x22;</s:ETag ></s:CopyObjectResult>"), ok, ""},
		"error within":     {withLength("", "<?xml version=\"1.0\"?>\n<Error><Code>InternalError</Code></Error>"), object.ClassOther, "InternalError"},
		"error, spaces":    {chunk("  \n", "<Error><Code>SlowDown</Code></Error>"), object.ClassOther, "SlowDown"},
		"empty":            {withLength("", ""), object.ClassTransient, ""},
		"204":              {"HTTP/1.1 204 No Content\r\n\r\n", object.ClassTransient, ""},
		"prolog":           {withLength("", "<?xml version=\"1.0\"?>\n  "), object.ClassTransient, ""},
		"no etag":          {withLength("", "<CopyObjectResult><LastModified/></CopyObjectResult>"), object.ClassTransient, ""},
		"empty etag":       {withLength("", "<CopyObjectResult><ETag>&quot;&quot;</ETag></CopyObjectResult>"), object.ClassTransient, ""},
		"cut xml":          {withLength("", copyXML[:len(copyXML)-len("</CopyObjectResult>")]), object.ClassTransient, ""},
		"cut etag":         {withLength("", copyXML[:len(copyXML)-40]), object.ClassTransient, ""},
		"bad reference":    {withLength("", "<CopyObjectResult><ETag>&nope;</ETag></CopyObjectResult>"), object.ClassTransient, ""},
		"another document": {withLength("", "<ListBucketResult/>"), object.ClassUnsupported, ""},
		"not xml":          {withLength("", "OK"), object.ClassTransient, ""},
		"cut body":         {"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + copyXML, object.ClassTransient, ""},
		"cut chunk":        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n<Copy", object.ClassTransient, ""},
		"bad chunk":        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", object.ClassTransient, ""},
		"huge chunk":       {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffff\r\n", object.ClassTransient, ""},
		"huge":             {"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", object.ClassTransient, ""},
		"two lengths":      {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", object.ClassTransient, ""},
		"negative":         {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", object.ClassTransient, ""},
		"gzip":             {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", object.ClassTransient, ""},
		"folded":           {"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", object.ClassTransient, ""},
		"no colon":         {"HTTP/1.1 200 OK\r\nA\r\n\r\n", object.ClassTransient, ""},
		"not http":         {"SSH-2.0-OpenSSH_9.9\r\n\r\n", object.ClassTransient, ""},
		"http2":            {"HTTP/2.0 200 OK\r\n\r\n", object.ClassTransient, ""},
		"nothing":          {"", object.ClassTransient, ""},
		"half a header":    {"HTTP/1.1 200 OK\r\nContent-Le", object.ClassTransient, ""},
		"endless header":   {"HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", maxHeader) + "\r\n\r\n", object.ClassTransient, ""},
		"403":              {"HTTP/1.1 403 Forbidden\r\nContent-Length: 46\r\n\r\n<Error><Code>AccessDenied</Code></Error>      ", object.ClassOther, "AccessDenied"},
		"redirect":         {"HTTP/1.1 301 Moved Permanently\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n", object.ClassOther, ""},
		"switching":        {"HTTP/1.1 101 Switching Protocols\r\n\r\n", object.ClassTransient, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(s *store, _ int, c net.Conn, r *bufio.Reader) {
				if s.read(r) != nil {
					io.WriteString(c, test.reply)
				}
			})
			c := open(t, s, nil)
			r, err := c.Copy(context.Background(), someCopy)
			if test.class == ok {
				if err != nil || (r.ETag != "abc" && r.ETag != "9b2cf535f27731c974343645a3985328") {
					t.Errorf("got %+v, %v", r, err)
				}
				return
			}
			if e := asError(t, err); e.Class != test.class || e.Code != test.code || e.NotSent || e.Op != "CopyObject" || e.Ref != someRef {
				t.Errorf("got %v %+v", e.Class, e)
			}
		})
	}
}

func TestPartAndUpdate(t *testing.T) {
	var body string
	s := serve(t, func(s *store, _ int, c net.Conn, r *bufio.Reader) {
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			if req.URL.Query().Has("encryption") {
				b, _ := io.ReadAll(req.Body)
				body = string(b)
				io.WriteString(c, "HTTP/1.1 200 OK\r\nx-amz-request-id: up\r\nContent-Length: 0\r\n\r\n")
				continue
			}
			io.WriteString(c, withLength("x-amz-server-side-encryption: AES256\r\n",
				"<CopyPartResult><ETag>\"p1\"</ETag><ChecksumType>FULL_OBJECT</ChecksumType><ChecksumCRC64NVME>AAA=</ChecksumCRC64NVME></CopyPartResult>"))
		}
	})
	c := open(t, s, nil)
	ctx := context.Background()
	p, err := c.CopyPart(ctx, &object.PartRequest{Source: someRef, Dest: someRef, UploadID: "u", Number: 3, First: 0, Last: 9, Target: &object.Target{SSE: object.SSES3}})
	if err != nil || p.ETag != "p1" || p.Checksum != "AAA=" || p.Encryption.Type != object.SSES3 {
		t.Errorf("part %+v, %v", p, err)
	}
	id, err := c.Update(ctx, someRef, &object.Target{SSE: object.SSEKMS, KMSKeyID: "arn:a<b", BucketKey: object.On})
	if err != nil || id != "up" {
		t.Errorf("update %q, %v", id, err)
	}
	if want := `<ObjectEncryption xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><SSE-KMS><KMSKeyArn>arn:a&lt;b</KMSKeyArn><BucketKeyEnabled>true</BucketKeyEnabled></SSE-KMS></ObjectEncryption>`; body != want {
		t.Errorf("body %s", body)
	}
	_, err = c.Update(ctx, someRef, &object.Target{SSE: object.SSES3})
	if e := asError(t, err); e.Class != object.ClassInvalid || !e.NotSent {
		t.Errorf("an update to SSE-S3: %v", err)
	}
}

func TestCustomerKeysTravelOverTLSOnly(t *testing.T) {
	s := serve(t, answers(canned))
	c := open(t, s, nil)
	key, err := object.ParseCustomerKey([]byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Head(context.Background(), someRef, key)
	if e := asError(t, err); e.Class != object.ClassInvalid || !e.NotSent {
		t.Errorf("a key over plain HTTP: %v", err)
	}
	if _, requests := s.seen(); requests != 0 {
		t.Error("the key was sent")
	}
}

// TestA6NewKindsAreKnownByName: ten checksum algorithms, and an encryption that is
// none of ours and never taken for one.
func TestA6NewKindsAreKnownByName(t *testing.T) {
	header := ""
	c := open(t, serve(t, answers(func(*http.Request) string { return withLength("ETag: \"e\"\r\n"+header, "") })), nil)
	for _, algorithm := range []string{"CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256", "SHA512", "MD5", "XXHASH64", "XXHASH3", "XXHASH128"} {
		header = "x-amz-checksum-" + strings.ToLower(algorithm) + ": v==\r\nx-amz-checksum-type: COMPOSITE\r\n"
		h, err := c.Head(t.Context(), someRef, object.CustomerKey{})
		if err != nil || h.ChecksumAlgorithm != algorithm || h.Checksums[algorithm] != "v==" || len(h.Checksums) != 1 || h.ChecksumType != "COMPOSITE" {
			t.Errorf("%s: %v %q %q, %v", algorithm, h.Checksums, h.ChecksumAlgorithm, h.ChecksumType, err)
		}
	}
	header = "x-amz-server-side-encryption: aws:backup\r\nx-amz-storage-class: AWS_BACKUP_LOW_COST_WARM\r\n"
	h, err := c.Head(t.Context(), someRef, object.CustomerKey{})
	if err != nil || h.Encryption.Type != object.SSEUnknown || h.UnknownEncryption != "aws:backup" || !h.Reserved() {
		t.Errorf("%#v, %v", h, err)
	}
}
