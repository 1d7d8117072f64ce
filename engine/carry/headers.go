package carry

import "github.com/resealhq/reseal/engine/object"

// maxCarried is how much of what an object has is sent as headers. S3 takes 8 KB of
// headers in all, and the signature, a session token, the encryption and the
// conditions have to find room beside it.
const maxCarried = 5 << 10

// headerSize is about how many bytes of headers carry what the object has.
func headerSize(req *object.CopyRequest) int {
	n := len(req.WebsiteRedirect) + len(req.Target.Context)
	for _, g := range req.Grants {
		n += len(g.ID) + len(g.URI) + len(g.Email) + len(`emailAddress="", `)
	}
	a := req.Attributes
	n += len(a.ContentType) + len(a.CacheControl) + len(a.ContentDisposition) + len(a.ContentEncoding) + len(a.ContentLanguage) + len(a.Expires)
	for name, value := range object.SentMetadata(a.Metadata) {
		n += len("x-amz-meta-") + len(name) + len(value)
	}
	for _, t := range a.Tags {
		n += escapedSize(t.Key) + escapedSize(t.Value) + len("=&")
	}
	return n
}

// escapedSize is the size of a text in a query.
func escapedSize(s string) int {
	n := len(s)
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.', c == '~':
		default:
			n += 2
		}
	}
	return n
}
