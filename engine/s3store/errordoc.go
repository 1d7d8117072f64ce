package s3store

import (
	"bytes"
	"encoding/xml"
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// errorDocument is what is read of S3's <Error>.
type errorDocument struct {
	Code, Message, RequestID string
	Region                   string
	// ResourceType is what a method is not allowed on.
	ResourceType string
	// Header and Condition are what a store says it does not implement, or that did
	// not hold; Additional says more about it.
	Header, Condition, Additional string
}

const (
	// maxErrorText and maxErrorBody bound what is read of an error: its texts are
	// cut before they are parsed, which costs a hundred times as much.
	maxErrorText = 3 << 10
	maxErrorBody = 64 << 10
)

// readError reads as much of an error as can be read: a page of a proxy has
// nothing of it, one that is cut off or holds what XML cannot carry has its
// beginning.
func readError(body []byte) (doc errorDocument) {
	dec := xml.NewDecoder(bytes.NewReader(legible(shortened(body))))
	var text *string
	for depth := 0; ; {
		tok, err := dec.Token()
		if err != nil {
			return doc
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			if depth++; depth == 1 && tok.Name.Local != "Error" {
				return doc
			}
			if text = nil; depth == 2 {
				text = doc.element(tok.Name.Local)
			}
		case xml.EndElement:
			if depth--; depth == 0 {
				return doc
			}
			text = nil
		case xml.CharData:
			if text != nil {
				*text = object.Cut(*text+string(tok), object.MaxMessage)
			}
		}
	}
}

func (doc *errorDocument) element(name string) *string {
	switch name {
	case "Code":
		return &doc.Code
	case "Message":
		return &doc.Message
	case "RequestId":
		return &doc.RequestID
	case "Region":
		return &doc.Region
	case "ResourceType":
		return &doc.ResourceType
	case "Header":
		return &doc.Header
	case "Condition":
		return &doc.Condition
	case "additionalMessage":
		return &doc.Additional
	}
	return nil
}

// shortened cuts every text of a document to maxErrorText, and the whole to
// maxErrorBody.
func shortened(body []byte) []byte {
	if len(body) <= maxErrorText {
		return body
	}
	short := make([]byte, 0, maxErrorBody)
	for len(body) > 0 && len(short) < maxErrorBody {
		text, rest := body, []byte(nil)
		if i := bytes.IndexByte(body, '<'); i >= 0 {
			text, rest = body[:i], body[i:]
		}
		short = append(short, cutText(text)...)
		if i := bytes.IndexByte(rest, '>'); i >= 0 && i < maxErrorText {
			short, body = append(short, rest[:i+1]...), rest[i+1:]
		} else {
			body = nil // no tag is that long
		}
	}
	return short
}

// cutText leaves no half of a reference or of a character behind.
func cutText(text []byte) []byte {
	if len(text) <= maxErrorText {
		return text
	}
	text = text[:maxErrorText]
	if i := bytes.LastIndexByte(text, '&'); i >= 0 && bytes.IndexByte(text[i:], ';') < 0 {
		text = text[:i]
	}
	return bytes.ToValidUTF8(text, nil)
}

// conditionHeaders are those that make a request depend on what an object is now.
var conditionHeaders = []string{"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "x-amz-copy-source-if-match",
	"x-amz-copy-source-if-none-match", "x-amz-copy-source-if-modified-since", "x-amz-copy-source-if-unmodified-since"}

// condition is the one that the store says it does not implement. S3 names it in
// <Header>, and again in words: "We don't accept the provided value of If-Match
// header for this API".
func (doc *errorDocument) condition() string {
	if doc.Code != "NotImplemented" {
		return ""
	}
	for _, told := range []string{doc.Header, doc.Condition} {
		for _, name := range conditionHeaders {
			if strings.EqualFold(told, name) {
				return name
			}
		}
	}
	for word := range strings.FieldsSeq(doc.Additional + " " + doc.Message) {
		for _, name := range conditionHeaders {
			if strings.EqualFold(strings.Trim(word, `"'.,;:()`), name) {
				return name
			}
		}
	}
	return ""
}

// withoutKeys takes out what has the form of a customer key, 32 bytes in Base64 or
// in hex, also where nobody knows whose key it is. (S3 itself shows a key's MD5,
// which is shorter.)
func withoutKeys(text string) string {
	var b strings.Builder
	kept, word, digits := 0, 0, 0 // how much is in b, and how long the runs are that end here
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '=' && word >= 43:
			b.WriteString(text[kept : i-43])
			b.WriteString(mayBeKey)
			kept, word, digits = i+1, 0, 0
			continue
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f', c >= 'A' && c <= 'F':
			word, digits = word+1, digits+1
		case c >= 'g' && c <= 'z', c >= 'G' && c <= 'Z', c == '+', c == '/', c == '_', c == '-':
			word, digits = word+1, 0
		default:
			word, digits = 0, 0
		}
		if digits == 64 {
			b.WriteString(text[kept : i-63])
			b.WriteString(mayBeKey)
			kept, word, digits = i+1, 0, 0
		}
	}
	if kept == 0 {
		return text
	}
	return b.String() + text[kept:]
}

const mayBeKey = "(withheld: it may be a key)"
