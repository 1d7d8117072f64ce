package s3store

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

const (
	leakToken  = "IQoJb3JpZ2luX2VjEPj//////////wEaCXVzLWVhc3QtMSJHMEUCIQDq+Zk8b1y0S4Y7h3n/p0Qw6m9uUQ=="
	leakSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYzEXAMPLEKEY"
)

// leakForms are the forms in which a store may repeat what was sent.
var leakForms = map[string]func(string) string{
	"raw": func(s string) string { return s }, "hex": func(s string) string { return hex.EncodeToString([]byte(s)) },
	"Base64": func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }, "URL": url.QueryEscape,
	"key in hex": func(s string) string {
		raw, err := base64.StdEncoding.DecodeString(s)
		if err != nil || len(s) == 64 { // a signature
			return s
		}
		return hex.EncodeToString(raw)
	},
}

// secretsOf are those that a request carries.
func secretsOf(r *http.Request) (all []string) {
	for _, name := range append([]string{"X-Amz-Security-Token"}, secretHeaders[:]...) {
		if v := r.Header.Get(name); v != "" {
			all = append(all, v)
		}
	}
	_, signature, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
	return append(all, signature)
}

// findLeak looks for a piece of a secret in what a person would see.
func findLeak(t *testing.T, what, seen string, secrets []string) {
	t.Helper()
	for _, secret := range secrets {
		for name, form := range leakForms {
			f := form(secret)
			for at := 0; at+20 <= len(f); at += 20 {
				if strings.Contains(seen, f[at:at+20]) {
					t.Fatalf("%s shows %q, a piece of a secret (%s): %s", what, f[at:at+20], name, seen)
				}
			}
		}
	}
}

// errorText is all that an error may bring to anybody's eyes.
func errorText(err error) string {
	var e *object.Error
	if !errors.As(err, &e) {
		return fmt.Sprint(err)
	}
	return fmt.Sprintf("%v\n%q %q %q %q %q %v", err, e.Code, e.Message, e.RequestID, e.Hint, e.Condition, e.Err)
}

// TestS1AStoreThatRepeatsRequests puts each secret of a request into every text of
// its reply, in every form, and asks for it in every way.
func TestS1AStoreThatRepeatsRequests(t *testing.T) {
	clean(t)
	t.Setenv("AWS_SESSION_TOKEN", leakToken)
	t.Setenv("AWS_SECRET_ACCESS_KEY", leakSecret)
	sum := sha256.Sum256([]byte("a customer key"))
	key, err := object.ParseCustomerKey(sum[:])
	if err != nil {
		t.Fatal(err)
	}
	ref := object.Ref{Bucket: "b", Key: "k"}
	to := &object.Target{SSE: object.SSEC, CustomerKey: key, SourceKey: key}
	requests := map[string]func(context.Context, *Store) (any, error){
		"head": func(ctx context.Context, s *Store) (any, error) { return s.Head(ctx, ref, key) },
		"copy": func(ctx context.Context, s *Store) (any, error) {
			return s.Copy(ctx, &object.CopyRequest{Source: ref, Dest: ref, Target: to, SourceSSEC: true})
		},
		"part": func(ctx context.Context, s *Store) (any, error) {
			return s.CopyPart(ctx, &object.PartRequest{Source: ref, Dest: ref, UploadID: "u", Number: 1, Target: to})
		},
		"create": func(ctx context.Context, s *Store) (any, error) {
			id, _, err := s.CreateUpload(ctx, &object.CopyRequest{Source: ref, Dest: ref, Target: to})
			return id, err
		},
		"parts": func(ctx context.Context, s *Store) (any, error) { return s.ListParts(ctx, ref, "u", to) },
		"list": func(ctx context.Context, s *Store) (any, error) {
			return s.ListPage(ctx, object.ListRequest{Bucket: "b", Metadata: true})
		},
		"versions": func(ctx context.Context, s *Store) (any, error) {
			return s.ListVersionsPage(ctx, object.ListRequest{Bucket: "b"})
		},
		"uploads": func(ctx context.Context, s *Store) (any, error) { return s.ListUploads(ctx, ref) },
		"tags":    func(ctx context.Context, s *Store) (any, error) { return s.Tags(ctx, ref) },
		"grants":  func(ctx context.Context, s *Store) (any, error) { return s.Grants(ctx, ref) },
		"default": func(ctx context.Context, s *Store) (any, error) { return s.BucketEncryption(ctx, "b") },
		"rules": func(ctx context.Context, s *Store) (any, error) {
			rules, _, err := s.Lifecycle(ctx, "b")
			return rules, err
		},
	}
	roots := map[string]string{"copy": "CopyObjectResult", "part": "CopyPartResult", "create": "InitiateMultipartUploadResult", "parts": "ListPartsResult",
		"list": "ListBucketResult", "versions": "ListVersionsResult", "uploads": "ListMultipartUploadsResult", "tags": "Tagging",
		"grants": "AccessControlPolicy", "default": "ServerSideEncryptionConfiguration", "rules": "LifecycleConfiguration"}
	var sent []string
	var answer func(secrets []string) *http.Response
	s, _ := opened(t, Options{EndpointURL: "https://127.0.0.1:9"}, func(r *http.Request) *http.Response {
		secrets := secretsOf(r)
		sent = append(sent, secrets...)
		return answer(secrets)
	})
	for form, as := range leakForms {
		for name, send := range requests {
			setting := name == "default" || name == "rules"
			for _, status := range []int{200, 301, 400, 403, 404, 405, 501, 503} {
				for which := range 4 {
					if setting && status > 500 {
						continue // which is waited for
					}
					what := fmt.Sprint(name, " ", status, " ", form, " ", which)
					sent, answer = nil, func(secrets []string) *http.Response {
						return repeating(status, roots[name], as(secrets[which%len(secrets)]))
					}
					got, err := send(t.Context(), s)
					findLeak(t, "the error of "+what, errorText(err), sent)
					findLeak(t, "the answer of "+what, fmt.Sprintf("%#v", got), sent)
					if err == nil && !setting && status == 200 {
						t.Errorf("%s is believed: %+v", what, got)
					}
				}
			}
		}
	}
}

// repeating is a reply with one text everywhere.
func repeating(status int, root, text string) *http.Response {
	var x strings.Builder
	_ = xml.EscapeText(&x, []byte(text))
	in := func(names ...string) string {
		var b strings.Builder
		for _, name := range names {
			fmt.Fprintf(&b, "<%s>%s</%s>", name, x.String(), name)
		}
		return b.String()
	}
	body := "<Error>" + in("Code", "Message", "RequestId", "Region", "Endpoint", "Header", "ResourceType") + "</Error>"
	if status == 200 {
		row := in("Key", "VersionId", "ETag", "StorageClass", "UploadId", "Value", "ID", "Prefix", "SSEAlgorithm", "KMSMasterKeyID")
		body = "<" + root + ">" + in("ETag", "UploadId", "NextContinuationToken", "NextKeyMarker") + "<IsTruncated>false</IsTruncated>"
		for _, name := range []string{"Contents", "Version", "Upload", "Part", "Rule"} {
			body += "<" + name + ">" + row + "<ApplyServerSideEncryptionByDefault>" + row + "</ApplyServerSideEncryptionByDefault></" + name + ">"
		}
		body += "<TagSet><Tag>" + row + "</Tag></TagSet><AccessControlList><Grant><Grantee>" + row + "</Grantee></Grant></AccessControlList></" + root + ">"
	}
	resp := answered(status, body)
	if root == "" {
		resp.Body = http.NoBody
		for _, name := range []string{"X-Amz-Meta-A", "X-Amz-Storage-Class", "Content-Type", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id", "X-Amz-Version-Id", "Etag"} {
			resp.Header.Set(name, text)
		}
	}
	for _, name := range []string{"X-Amz-Request-Id", "X-Amz-Id-2", "X-Amz-Bucket-Region", "X-Minio-Error-Code", "X-Minio-Error-Desc", "Retry-After", "Location"} {
		resp.Header.Set(name, text)
	}
	return resp
}

// TestS1AProxyThatAddsHeaders: what nobody reads goes nowhere, and does no harm.
func TestS1AProxyThatAddsHeaders(t *testing.T) {
	clean(t)
	t.Setenv("AWS_SESSION_TOKEN", leakToken)
	s, _ := opened(t, Options{EndpointURL: "https://127.0.0.1:9"}, func(r *http.Request) *http.Response {
		resp := answered(200, "", "ETag", `"e"`, "X-Debug-Request", fmt.Sprint(r.Header))
		for name := range r.Header {
			resp.Header.Set(name, r.Header.Get(name))
		}
		return resp
	})
	if h, err := s.Head(t.Context(), object.Ref{Bucket: "b", Key: "k"}, object.CustomerKey{}); err != nil || h.ETag != "e" {
		t.Errorf("%+v, %v", h, err)
	}
}

func longError(n int) []byte {
	return []byte(`<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code><Message>` + strings.Repeat("M&amp;0", n/6) +
		`</Message><Key>` + strings.Repeat("k", 9000) + `</Key><RequestId>R1</RequestId></Error>`)
}

// TestS2LongErrorsAreCut: the texts behind a long one are read all the same.
func TestS2LongErrorsAreCut(t *testing.T) {
	none := http.Header{}.Get
	long900 := longError(900 << 10)
	if n := len(shortened(long900)); n > maxErrorBody+2*maxErrorText {
		t.Errorf("%d bytes of it are parsed, want at most %d", n, maxErrorBody+2*maxErrorText)
	}
	f := object.FailedReply{Op: "CopyObject", Status: 503, Header: none, Body: long900}
	cost := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			Classify(f)
		}
	})
	if n := cost.AllocedBytesPerOp(); n > 3*maxErrorBody {
		t.Errorf("%d bytes are taken for it, want at most %d", n, 3*maxErrorBody)
	}
	e := Classify(f)
	if e.Class != object.ClassThrottled || e.Code != "SlowDown" || e.RequestID != "R1" || len(e.Message) > object.MaxMessage || !strings.HasPrefix(e.Message, "M&0M&0") {
		t.Errorf("%v %q %q, %d bytes", e.Class, e.Code, e.RequestID, len(e.Message))
	}
	long := strings.Repeat("C", 10000)
	e = Classify(object.FailedReply{Op: "HeadObject", Status: 500, Header: func(name string) string { return long }})
	if len(e.Code) > object.MaxCode || len(e.Message) > object.MaxMessage || len(e.RequestID) > object.MaxRequestID || len(e.Hint) > object.MaxMessage {
		t.Errorf("%d %d %d %d", len(e.Code), len(e.Message), len(e.RequestID), len(e.Hint))
	}
	for _, odd := range []string{"<", "<Error", strings.Repeat("<", 1<<20), strings.Repeat("<a>", 1<<18), "<Error>" + strings.Repeat("<Message>x</Message>", 1<<16),
		strings.Repeat("x", 1<<20), "<Error><Code>" + strings.Repeat("&#x1;", 1<<18), "<Error a='" + strings.Repeat("x", 1<<20)} {
		if e := Classify(object.FailedReply{Op: "CopyObject", Status: 500, Header: none, Body: []byte(odd)}); e.Class != object.ClassTransient || len(e.Error()) > 4<<10 {
			t.Errorf("%.30q: %v", odd, e.Class)
		}
	}
	// Half a document is read as far as it goes.
	if e := Classify(object.FailedReply{Op: "CopyObject", Status: 400, Header: none, Body: []byte("<Error><Code>KMS.DisabledException</Code><Message>it is dis")}); e.Class != object.ClassKey || e.Message != "it is dis" {
		t.Errorf("%v", e)
	}
}

func BenchmarkLongError(b *testing.B) {
	f := object.FailedReply{Op: "CopyObject", Status: 503, Header: http.Header{}.Get, Body: longError(900 << 10)}
	for b.Loop() {
		Classify(f)
	}
}

func TestS1WhatHasTheFormOfAKey(t *testing.T) {
	hex64, b64 := strings.Repeat("0aF9", 16), strings.Repeat("aB+/", 10)+"xyz"
	for text, want := range map[string]string{
		"":                             "",
		"The key does not exist.":      "The key does not exist.",
		hex64:                          mayBeKey,
		"a " + hex64 + ", b":           "a " + mayBeKey + ", b",
		hex64 + hex64:                  mayBeKey + mayBeKey,
		hex64[1:]:                      hex64[1:],
		b64:                            b64,
		"k=" + b64 + "= " + b64 + "=":  "k=" + mayBeKey + " " + mayBeKey,
		"MD5 CY9rzUYh03PK3k6DJie09g==": "MD5 CY9rzUYh03PK3k6DJie09g==",
	} {
		if got := withoutKeys(text); got != want {
			t.Errorf("%q becomes %q", text, got)
		}
	}
}
