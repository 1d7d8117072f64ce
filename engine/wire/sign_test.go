package wire

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/resealhq/reseal/engine/object"
)

var signedAt = time.Date(2026, 11, 23, 19, 10, 5, 0, time.UTC)

func testCredentials(token string) Credentials {
	return Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", SessionToken: token}
}

// built is a request as it would be sent to an address.
func built(t testing.TB, a Address, creds Credentials, o Options, build func(*Client, *request, *host)) []byte {
	t.Helper()
	o.Resolve = func(context.Context, string) (Address, error) { return a, nil }
	o.Credentials = func(context.Context) (Credentials, error) { return creds, nil }
	o.Classify = func(context.Context, object.FailedReply) *object.Error { return nil }
	o.Proxy = func(*url.URL) (*url.URL, error) { return nil, nil }
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	h, err := c.newHost(a)
	if err != nil {
		t.Fatal(err)
	}
	key, err := h.keys.get(context.Background(), signedAt)
	if err != nil {
		t.Fatal(err)
	}
	var q request
	build(c, &q, h)
	if q.err != nil {
		t.Fatal(q.err)
	}
	q.sign(key, h, signedAt)
	return q.out
}

// checkSignature parses the request as a server would and lets the SDK sign it.
func checkSignature(t *testing.T, raw []byte, a Address, creds Credentials) *http.Request {
	t.Helper()
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
	if err != nil {
		t.Fatalf("%v in\n%s", err, raw)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(body)
	if got := req.Header.Get("X-Amz-Content-Sha256"); got != hex.EncodeToString(sum[:]) {
		t.Errorf("payload hash %s, the body has %x", got, sum)
	}
	ours := req.Header.Get("Authorization")
	req.Header.Del("Authorization")
	req.Header.Del("X-Amz-Date")
	req.Header.Del("X-Amz-Security-Token")
	path, _, _ := strings.Cut(req.RequestURI, "?")
	req.URL.Opaque = "//" + req.Host + path // as sent, not as net/url would write it
	for _, values := range req.Header {     // the SDK keeps tabs, which stores do not
		for i := range values {
			values[i] = strings.ReplaceAll(values[i], "\t", " ")
		}
	}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	err = signer.SignHTTP(context.Background(), aws.Credentials{AccessKeyID: creds.AccessKeyID,
		SecretAccessKey: creds.SecretAccessKey, SessionToken: creds.SessionToken},
		req, hex.EncodeToString(sum[:]), a.Service, a.Region, signedAt)
	if err != nil {
		t.Fatal(err)
	}
	if theirs := req.Header.Get("Authorization"); ours != theirs {
		t.Errorf("signature of\n%s\nours   %s\ntheirs %s", raw, ours, theirs)
	}
	req.RequestURI = path
	return req
}

// addresses are path style, virtual hosted, a port, a path, another region.
var addresses = []Address{
	{"https", "s3.eu-central-1.amazonaws.com", "/bucket", "eu-central-1", "s3"},
	{"https", "bucket.s3.us-east-1.amazonaws.com", "", "us-east-1", "s3"},
	{"http", "127.0.0.1:9000", "/bucket", "us-east-1", "s3"},
	{"https", "gateway.example:443", "/s3/base/bucket", "garage", "s3"},
	{"http", "[::1]:80", "/bucket", "", "s3"},
}

// keyShapes are keys that S3 allows and that naive encoders break.
var keyShapes = []string{
	"plain", "with space", "a+b", "a%20b", "100%", "a//b", "/lead", "trail/", "dir/../up", "./dot", "..", "é/ü/漢字/🙂",
	"a?b#c&d=e;f", "quote\"'`", "back\\slash", "~-._", "!*'()", "colon:at@comma,", "<xml>&amp;", "tab\there", "nl\nhere",
	"\x01\x7f", "\xff\xfe not utf-8", "{}|^[]", "$", strings.Repeat("k", 1024), "a=b", "*", " ", "  two  ", "?versionId=x", "%", "%2F",
}

func TestSignatureEqualsTheSDKs(t *testing.T) {
	key, err := object.ParseCustomerKey([]byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	source, err := object.ParseCustomerKey([]byte("fedcba9876543210fedcba9876543210"))
	if err != nil {
		t.Fatal(err)
	}
	kms := &object.Target{SSE: object.SSEKMS, KMSKeyID: "arn:aws:kms:eu-central-1:111122223333:key/1-2", BucketKey: object.On,
		Context: "eyJhIjoiYiJ9"}
	customer := &object.Target{SSE: object.SSEC, CustomerKey: key, SourceKey: source}
	full := object.CopyRequest{SourceETag: "0123-4", DestETag: "abc", Target: kms, StorageClass: "STANDARD_IA",
		Replace: true, ReplaceTags: true,
		Attributes: &object.Attributes{ContentType: "text/plain; charset=utf-8", CacheControl: "max-age=1,  private",
			ContentDisposition: `attachment; filename="a  b.txt"`, ContentEncoding: "gzip", ContentLanguage: "de", Expires: "Thu, 01 Dec 2026 16:00:00 GMT",
			Metadata: map[string]string{"zeta": " padded  twice ", "alpha": "é raw", "empty": "", "mtime": "1.5", "tab": "a\tb"},
			Tags:     []object.Tag{{Key: "a b", Value: "c&d=e/ü"}, {Key: "empty", Value: ""}}},
		Grants:   []object.Grant{{ID: "owner", Permission: "FULL_CONTROL"}, {URI: "http://acs.amazonaws.com/groups/global/AllUsers", Permission: "READ"}, {Email: "a@b.example", Permission: "READ_ACP"}},
		LockMode: "GOVERNANCE", RetainUntil: "2027-01-01T00:00:00.000Z", LegalHold: true, WebsiteRedirect: "/else where", ChecksumAlgorithm: "SHA256"}
	for _, a := range addresses {
		for _, token := range []string{"", "FwoGZXIvYXdzE//token+="} {
			creds := testCredentials(token)
			for _, k := range keyShapes {
				for _, version := range []string{"", "null", "3/L4kqtJl40Nr8X8gdRQBpUMLUo+=&"} {
					ref := object.Ref{Bucket: "bucket", Key: k, VersionID: version}
					head := built(t, a, creds, Options{}, func(c *Client, q *request, h *host) { c.buildRead(q, h, "HEAD", ref, object.CustomerKey{}, true) })
					checkSignature(t, head, a, creds)
					copied := built(t, a, creds, Options{}, func(c *Client, q *request, h *host) {
						c.buildCopy(q, h, &object.CopyRequest{Source: ref, Dest: ref, Target: kms, SourceETag: "e"})
					})
					req := checkSignature(t, copied, a, creds)
					checkSource(t, req.Header.Get("X-Amz-Copy-Source"), ref)
					checkPath(t, req.RequestURI, a, k)
				}
			}
			ref := object.Ref{Bucket: "bucket", Key: "dir/some key.bin", VersionID: "v1"}
			more := map[string]func(c *Client, q *request, h *host){
				"head with key": func(c *Client, q *request, h *host) { c.buildRead(q, h, "HEAD", ref, key, true) },
				"full copy":     func(c *Client, q *request, h *host) { r := full; r.Source, r.Dest = ref, ref; c.buildCopy(q, h, &r) },
				"customer copy": func(c *Client, q *request, h *host) {
					c.buildCopy(q, h, &object.CopyRequest{Source: ref, Dest: ref, Target: customer, SourceSSEC: true, DestAbsent: true})
				},
				"no target": func(c *Client, q *request, h *host) { c.buildCopy(q, h, &object.CopyRequest{Source: ref, Dest: ref}) },
				"update":    func(c *Client, q *request, h *host) { c.buildUpdate(q, h, ref, kms) },
				"part": func(c *Client, q *request, h *host) {
					c.buildPart(q, h, &object.PartRequest{Source: ref, SourceETag: "e", Dest: ref, UploadID: "2~Ab/+=", Number: 10000,
						First: 5 << 20, Last: 10<<20 - 1, Target: customer, SourceSSEC: true})
				},
				"whole part": func(c *Client, q *request, h *host) {
					c.buildPart(q, h, &object.PartRequest{Source: ref, Dest: ref, UploadID: "u", Number: 1, Last: -1, Target: kms})
				},
				"get": func(c *Client, q *request, h *host) {
					c.buildRead(q, h, "GET", ref, key, true)
					q.addETag("if-match", "e")
				},
				"full put": func(c *Client, q *request, h *host) {
					c.buildPut(q, h, &object.PutRequest{CopyRequest: full, Body: []byte("bytes")})
				},
				"put with a checksum": func(c *Client, q *request, h *host) {
					c.buildPut(q, h, &object.PutRequest{CopyRequest: object.CopyRequest{Dest: ref, Target: customer, DestETag: "e", ChecksumAlgorithm: "CRC32"},
						Body: []byte("bytes"), Checksum: "AAAAAA=="})
				},
				"empty put": func(c *Client, q *request, h *host) {
					c.buildPut(q, h, &object.PutRequest{CopyRequest: object.CopyRequest{Dest: ref, Target: kms}, Body: []byte{}})
				},
				"access point": func(c *Client, q *request, h *host) {
					s := ref
					s.Bucket = "arn:aws:s3:eu-central-1:111122223333:accesspoint/ap"
					c.buildCopy(q, h, &object.CopyRequest{Source: s, Dest: ref, Target: kms})
				},
			}
			for name, build := range more {
				for _, o := range []Options{{}, {RequestPayer: true, ExpectedBucketOwner: "111122223333", NoChecksums: true}} {
					t.Run(name, func(t *testing.T) {
						req := checkSignature(t, built(t, a, creds, o, build), a, creds)
						if owner := req.Header.Get("X-Amz-Expected-Bucket-Owner"); owner != o.ExpectedBucketOwner {
							t.Errorf("expected owner %q", owner)
						}
					})
				}
			}
		}
	}
}

// checkSource decodes x-amz-copy-source as S3 does.
func checkSource(t *testing.T, header string, ref object.Ref) {
	t.Helper()
	path, query, versioned := strings.Cut(header, "?")
	bucket, key, _ := strings.Cut(path, "/")
	key, err := url.QueryUnescape(key) // S3 decodes "+" as a space, so there must be none
	if err != nil || bucket != ref.Bucket || key != ref.Key {
		t.Errorf("copy source %q is %q %q (%v), want %q", header, bucket, key, err, ref.Key)
	}
	version := ""
	if versioned {
		v, err := url.ParseQuery(query)
		if err != nil {
			t.Error(err)
		}
		version = v.Get("versionId")
	}
	if version != ref.VersionID {
		t.Errorf("copy source %q names version %q, want %q", header, version, ref.VersionID)
	}
}

func checkPath(t *testing.T, path string, a Address, key string) {
	t.Helper()
	got, err := url.PathUnescape(strings.TrimPrefix(path, a.Path+"/"))
	if err != nil || got != key {
		t.Errorf("path %q is key %q (%v), want %q", path, got, err, key)
	}
}

func FuzzSignature(f *testing.F) {
	for i, k := range keyShapes {
		f.Add(k, "v"+k, "etag", " value  of "+k, i)
	}
	f.Fuzz(func(t *testing.T, key, version, etag, value string, n int) {
		if key == "" || len(key) > 1024 || !sendable(etag) || !sendable(value) {
			return // not a key or header value of S3
		}
		a := addresses[uint(n)%uint(len(addresses))]
		creds := testCredentials(strings.Repeat("t", int(uint(n)%3)))
		ref := object.Ref{Bucket: "bucket", Key: key, VersionID: version}
		raw := built(t, a, creds, Options{}, func(c *Client, q *request, h *host) {
			c.buildCopy(q, h, &object.CopyRequest{Source: ref, Dest: ref, SourceETag: etag, Target: &object.Target{SSE: object.SSES3},
				Replace: true, Attributes: &object.Attributes{ContentType: value, Metadata: map[string]string{"a": value, "b-c": etag}}})
		})
		req := checkSignature(t, raw, a, creds)
		checkSource(t, req.Header.Get("X-Amz-Copy-Source"), ref)
		checkPath(t, req.RequestURI, a, key)
	})
}

func sendable(v string) bool {
	return !strings.ContainsFunc(v, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

func TestValuesThatNoHeaderCanCarry(t *testing.T) {
	for _, v := range []string{"a\r\nx-evil: 1", "a\nb", "\x00", "\x7f"} {
		var q request
		q.reset("PUT")
		q.add("x-amz-meta-a", v)
		if q.err == nil {
			t.Errorf("%q was taken", v)
		}
		if q.err != nil && strings.Contains(q.err.Error(), v) {
			t.Errorf("the error quotes the value: %v", q.err)
		}
	}
	var q request
	q.reset("PUT")
	q.addDirectives(&object.CopyRequest{Replace: true, Attributes: &object.Attributes{Metadata: map[string]string{"bad name": "v"}}})
	if q.err == nil {
		t.Error("a metadata name with a space was taken")
	}
}

func TestSigningKeyChangesWithTheDay(t *testing.T) {
	a, b := signedAt, signedAt.Add(5*time.Hour)
	k := newSigningKey(testCredentials(""), "us-east-1", "s3", a)
	if !k.coversDay(a) || k.coversDay(b) || k.coversDay(a.Add(-24*time.Hour)) {
		t.Error("the key covers more or less than its UTC day")
	}
	// The same in a zone where the local date is another one.
	if !k.coversDay(a.In(time.FixedZone("far", 14*3600))) {
		t.Error("the local date decides, not the UTC one")
	}
}
