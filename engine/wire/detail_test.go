package wire

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// A store that does not know a sub-resource sends the object itself, of any size: it is
// told by its ETag and not read; and what is longer than any detail is no detail.
func TestDetails(t *testing.T) {
	replies := map[string]string{
		"tagging":    "HTTP/1.1 200 OK\r\nx-amz-request-id: id1\r\nContent-Length: 9\r\n\r\n<Tagging/",
		"acl":        "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 136314880\r\n\r\n" + strings.Repeat("x", 1000),
		"retention":  "HTTP/1.1 200 OK\r\nContent-Length: 136314880\r\n\r\n" + strings.Repeat("x", 1000),
		"legal-hold": "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
	}
	s := serve(t, answers(func(r *http.Request) string {
		for sub, reply := range replies {
			if r.URL.Query().Has(sub) && r.Method == http.MethodGet {
				return reply
			}
		}
		return "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
	}))
	c := open(t, s, nil)
	ask := func(sub string) (DetailReply, error) {
		return c.Detail(t.Context(), DetailRequest{Op: "GetObject-" + sub, Ref: someRef, Sub: sub})
	}
	if got, err := ask("tagging"); err != nil || string(got.Body) != "<Tagging/" || got.ETag != "" || got.RequestID != "id1" || got.Status != 200 {
		t.Errorf("tagging: %+v, %v", got, err)
	}
	if got, err := ask("acl"); err != nil || got.ETag != `"e"` || len(got.Body) != 0 {
		t.Errorf("the object itself: %+v, %v", got, err)
	}
	if _, err := ask("retention"); object.ClassOf(err) != object.ClassOther || !errors.Is(err, errTooLong) {
		t.Errorf("a long answer: %v", err)
	}
	if _, err := ask("legal-hold"); asError(t, err).HTTPStatus != 404 {
		t.Errorf("none: %v", err)
	}
	if _, err := ask("tagging"); err != nil { // over a connection of its own
		t.Error(err)
	}
}
