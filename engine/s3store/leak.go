package s3store

import (
	"net/http"
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// secretHeaders are those that no reply may repeat, beside the credentials that
// retrieve brings and the signature, which is another one each time.
var secretHeaders = [...]string{"X-Amz-Server-Side-Encryption-Customer-Key", "X-Amz-Copy-Source-Server-Side-Encryption-Customer-Key"}

// signatureOf is that of the request behind a reply, in hex.
func signatureOf(resp *http.Response) string {
	if resp.Request == nil {
		return ""
	}
	_, signature, _ := strings.Cut(resp.Request.Header.Get("Authorization"), "Signature=")
	return signature
}

// leaks says whether a text of a reply repeats what was sent in confidence. A
// signature, which is good for one request and a quarter of an hour, is looked for
// in all its forms only where that costs nothing.
func leaks[T string | []byte](s *Store, resp *http.Response, text T) bool {
	if object.Repeats(&s.secrets, text) {
		return true
	}
	signature := signatureOf(resp)
	if len(text) > maxErrorBody {
		return object.RepeatsWhole(text, signature)
	}
	return object.RepeatsSignature(string(text), signature)
}

// headerLeaks is leaks for the headers that are read.
func (s *Store) headerLeaks(resp *http.Response) bool {
	for name, values := range resp.Header {
		for _, value := range values {
			if isRead(name) && leaks(s, resp, value) {
				return true
			}
		}
	}
	return false
}

// leaked refuses a reply of success that repeats a secret in anything that is read
// of it: it would go into the checkpoint, into reports, or as metadata into the
// next object. What the request was to do may be done.
func (r *request) leaked(rep *reply) error {
	e := r.fail(&reply{status: rep.status}, object.ClassTransient, object.ErrLeak.Error())
	e.Hint, e.Err = object.LeakHint, object.ErrLeak
	return e
}
