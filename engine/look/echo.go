package look

import (
	"context"
	"encoding/xml"
	"io"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/store"
)

// bodies are the documents that the engine's requests carry, by their root element.
// A store that does not know a request's sub-resource takes it for a PutObject, and
// writes the document over the object.
var bodies = map[string]string{
	"ObjectEncryption":        "UpdateObjectEncryption",
	"Tagging":                 "PutObjectTagging",
	"Retention":               "PutObjectRetention",
	"LegalHold":               "PutObjectLegalHold",
	"AccessControlPolicy":     "PutObjectAcl",
	"CompleteMultipartUpload": "CompleteMultipartUpload",
}

// maxBody is more than any of these documents takes.
const maxBody = 64 << 10

// Echo names the request whose body the object's bytes are; empty where they are
// anything else, and where nobody can read them. It is asked only about an object
// that has changed under a request of ours.
func (l *Looker) Echo(ctx context.Context, s store.Store, o *object.Object) (op string, err error) {
	if s.Reader == nil || o.Size <= 0 || o.Size > maxBody {
		return "", nil
	}
	key := l.Rules.CustomerKey(&o.Encryption)
	err = l.Loop.Do(ctx, object.Call{Kind: object.ReqGet, Key: o.Key}, func(ctx context.Context) error {
		body, err := s.Open(ctx, o.Ref, key, o.ETag)
		if err != nil {
			return err
		}
		defer body.Close()
		op = bodies[root(io.LimitReader(body, maxBody))]
		return nil
	})
	return op, err
}

// root is the name of the element that a document of S3 begins with.
func root(r io.Reader) string {
	for d := xml.NewDecoder(r); ; {
		t, _ := d.Token() // nil at an error, and where the bytes are no XML
		switch t := t.(type) {
		case xml.StartElement:
			return t.Name.Local
		case xml.ProcInst:
		default:
			return ""
		}
	}
}
