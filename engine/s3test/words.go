package s3test

import (
	"encoding/base64"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"
)

// DecodeWords is what S3 keeps of metadata that came as words of RFC 2047: the
// text that they stand for. What is no such word stays as it came.
func DecodeWords(v string) string {
	if !strings.Contains(v, "=?") {
		return v
	}
	text, err := new(mime.WordDecoder).DecodeHeader(v)
	if err != nil || !utf8.ValidString(text) {
		return v
	}
	return text
}

// encodeWords is how S3 shows metadata that HTTP cannot carry: as one word of RFC
// 2047, in Q where most of its characters are ASCII and in B where they are not.
func encodeWords(v string) string {
	plain, odd := 0, 0
	for _, r := range v {
		switch {
		case r < 0x20 && r != '\t' && r != '\r' && r != '\n', r >= 0x7f && r <= 0xffff:
			odd++
		case r > 0xffff:
			odd += 2 // as UTF-16 counts it
		default:
			plain++
		}
	}
	switch {
	case odd == 0:
		return v
	case plain > odd:
		return "=?UTF-8?Q?" + quotedWord(v) + "?="
	}
	return "=?UTF-8?B?" + base64.StdEncoding.EncodeToString([]byte(v)) + "?="
}

func quotedWord(v string) string {
	const hexDigits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(v) {
		switch c := v[i]; {
		case c == ' ':
			b.WriteByte('_')
		case c < 0x20, c >= 0x7f, c == '=', c == '_', c == '?':
			b.Write([]byte{'=', hexDigits[c>>4], hexDigits[c&15]})
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// metadataSize counts user metadata as it was sent; which form S3 counts, the
// words or the text, nobody has recorded, so that the longer one is taken.
func (q *request) metadataSize() (n int) {
	for name, vs := range q.http.Header {
		if m, ok := strings.CutPrefix(name, "X-Amz-Meta-"); ok {
			n += len(m) + len(strings.Join(vs, ","))
		}
	}
	return n
}

// maxHeaders is the most that the headers of a request may take together.
const maxHeaders = 8192

// checkHeaders refuses a request whose headers are too large.
func (s *Server) checkHeaders(h http.Header) *s3Error {
	n := 0
	for name, vs := range h {
		for _, v := range vs {
			n += len(name) + len(v)
		}
	}
	switch {
	case n <= maxHeaders:
		return nil
	case s.profile.HeadersAreMetadata:
		return fail(http.StatusBadRequest, "MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size.")
	}
	return fail(http.StatusBadRequest, "RequestHeaderSectionTooLarge", "Your request header section exceeds the maximum allowed request header size.").
		with("MaxSizeAllowed", itoa(maxHeaders))
}
