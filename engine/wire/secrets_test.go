package wire

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

const leakToken = "IQoJb3JpZ2luX2VjEPj//////////wEaCXVzLWVhc3QtMSJHMEUCIQDq+Zk8b1y0S4Y7h3n/p0Qw6m9uUQ=="

// secretsOf are those that a request carries, the signature first.
func secretsOf(r *http.Request) []string {
	_, signature, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
	all := []string{signature}
	for name := range r.Header {
		if name == "X-Amz-Security-Token" || strings.HasSuffix(name, "-Customer-Key") {
			all = append(all, r.Header.Get(name))
		}
	}
	return all
}

// TestS1AStoreThatRepeatsRequests: no text of a reply, of a success or of a
// failure, may bring back what was sent in confidence. The table of errors is one
// that believes everything.
func TestS1AStoreThatRepeatsRequests(t *testing.T) {
	sum := sha256.Sum256([]byte("a customer key"))
	key, err := object.ParseCustomerKey(sum[:])
	if err != nil {
		t.Fatal(err)
	}
	to := &object.Target{SSE: object.SSEC, CustomerKey: key, SourceKey: key}
	forms := map[string]func(string) string{
		"raw": func(s string) string { return s }, "hex": func(s string) string { return hex.EncodeToString([]byte(s)) },
		"Base64": func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }, "URL": url.QueryEscape,
	}
	var sent []string
	var reply func(secrets []string) string
	srv, roots := tlsStore(t, answers(func(r *http.Request) string {
		secrets := secretsOf(r)
		sent = append(sent, secrets...)
		return reply(secrets)
	}))
	c := open(t, srv, func(o *Options) {
		overTLS(srv, roots)(o)
		o.Credentials = func(context.Context) (Credentials, error) { return testCredentials(leakToken), nil }
		o.Classify = func(_ context.Context, f object.FailedReply) *object.Error {
			id := f.Header("X-Amz-Request-Id")
			return &object.Error{Class: object.ClassOther, Op: f.Op, Ref: f.Ref, Code: id, Message: string(f.Body), RequestID: id, Hint: id, Err: errors.New(id)}
		}
	})
	requests := map[string]func() (any, error){
		"HeadObject": func() (any, error) { return c.Head(t.Context(), someRef, key) },
		"CopyObject": func() (any, error) {
			return c.Copy(t.Context(), &object.CopyRequest{Source: someRef, Dest: someRef, Target: to, SourceSSEC: true})
		},
		"UploadPartCopy": func() (any, error) {
			return c.CopyPart(t.Context(), &object.PartRequest{Source: someRef, Dest: someRef, UploadID: "u", Number: 1, Target: to})
		},
	}
	for form, as := range forms {
		for op, send := range requests {
			for _, status := range []int{200, 400, 403, 500} {
				for which := range 3 {
					if status == 200 && which == 0 && form != "raw" {
						continue // a signature is looked for as it is
					}
					what := fmt.Sprint(op, " ", status, " ", form, " ", which)
					sent, reply = nil, func(secrets []string) string { return repeating(op, status, as(secrets[min(which, len(secrets)-1)])) }
					got, err := send()
					if err == nil {
						t.Errorf("%s is believed: %+v", what, got)
						continue
					}
					var e *object.Error
					if !errors.As(err, &e) {
						t.Fatal(err)
					}
					seen := fmt.Sprintf("%v %q %q %q %q %v %s", err, e.Code, e.Message, e.RequestID, e.Hint, e.Err, fmt.Sprintf("%#v", got))
					for _, secret := range sent {
						for _, as := range forms {
							if f := as(secret); strings.Contains(seen, f[:24]) {
								t.Fatalf("%s shows a piece of a secret: %s", what, seen)
							}
						}
					}
					if status == 200 && (e.Class != object.ClassTransient || !errors.Is(err, object.ErrLeak)) {
						t.Errorf("%s: %v", what, err) // a copy may well have happened
					}
				}
			}
		}
	}
}

func repeating(op string, status int, text string) string {
	escaped := strings.NewReplacer("&", "&amp;", "<", "&lt;").Replace(text)
	body := "<Error><Code>" + escaped + "</Code><Message>" + escaped + "</Message></Error>"
	switch {
	case op == "HeadObject":
		body = ""
	case status == 200:
		root := map[string]string{"CopyObject": "CopyObjectResult", "UploadPartCopy": "CopyPartResult"}[op]
		body = "<" + root + "><ETag>" + escaped + "</ETag></" + root + ">"
	}
	header := "ETag: \"" + text + "\"\r\nx-amz-request-id: " + text + "\r\nx-amz-version-id: " + text + "\r\nx-amz-meta-a: " + text +
		"\r\nx-amz-server-side-encryption-aws-kms-key-id: " + text + "\r\n"
	return strings.Replace(withLength(header, body), "200 OK", fmt.Sprint(status, " X"), 1)
}

// TestS2LongErrorsAreCut: the status of a failure is an answer however long its
// words are, and only their beginning is taken.
func TestS2LongErrorsAreCut(t *testing.T) {
	body := "<Error><Code>SlowDown</Code><Message>" + strings.Repeat("x", 5<<20)
	for name, reply := range map[string]string{
		"with a length": "Content-Length: " + itoa(len(body)) + "\r\n\r\n" + body,
		"in chunks":     "Transfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body),
		"to the end":    "Connection: close\r\n\r\n" + body,
	} {
		var told object.FailedReply
		length := 0
		c := open(t, serve(t, answers(func(*http.Request) string { return "HTTP/1.1 503 Slow Down\r\n" + reply })), func(o *Options) {
			o.Classify = func(_ context.Context, f object.FailedReply) *object.Error {
				told, length = f, len(f.Body)
				return &object.Error{Class: object.ClassThrottled}
			}
		})
		if _, err := c.Copy(t.Context(), someCopy); object.ClassOf(err) != object.ClassThrottled || told.Status != 503 || length != maxFailure {
			t.Errorf("%s: %v, status %d, %d bytes", name, err, told.Status, length)
		}
	}
}
