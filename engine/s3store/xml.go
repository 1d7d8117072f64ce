package s3store

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// ErrUnreadable is the cause of an error where a reply holds characters that XML
// cannot carry (or that were replaced on the way), so that keys are lost: such a
// listing must never pass for a complete one.
var ErrUnreadable = errors.New("the reply holds characters that XML cannot carry")

// decode reads the body of r's reply into v, whose document must have the given
// root (or one of several, separated by "|"). What came instead is an error with its reason: an error document, an
// empty body or only a prolog, a truncated one, another document.
//
// Only of a listing are the keys wanted; elsewhere one that XML cannot carry
// stands in the reply as an echo, and must not hide the rest.
func decode(r *request, rep *reply, root string, v any) error {
	body := rep.body
	if r.max != maxListing {
		body = legible(body)
	}
	dec := xml.NewDecoder(bytes.NewReader(body))
	start, err := firstElement(dec)
	switch {
	case errors.Is(err, io.EOF) && len(bytes.TrimSpace(rep.body)) == 0,
		errors.Is(err, io.EOF) && bytes.HasPrefix(bytes.TrimSpace(rep.body), []byte("<?")):
		return r.fail(rep, object.ClassTransient, "the answer says success and is empty")
	case err != nil:
		return unreadable(r, rep, err, dec.InputOffset())
	case start.Name.Local == "Error":
		return Classify(object.FailedReply{Op: r.op, Ref: r.ref, KMSKey: r.kmsKey, Status: rep.status, Header: rep.header.Get, Body: rep.body})
	case !isRoot(start.Name.Local, root):
		e := r.fail(rep, object.ClassUnsupported,
			fmt.Sprintf("the store answered with a <%s> document instead of <%s>", start.Name.Local, root))
		e.Hint = "this store does not implement " + r.op + ", or it is no S3 API that answers: check --endpoint-url"
		return e
	}
	if err := dec.DecodeElement(v, &start); err != nil {
		return unreadable(r, rep, err, dec.InputOffset())
	}
	return nil
}

// isRoot compares without case: MinIO writes getObjectAttributesResponse.
func isRoot(name, roots string) bool {
	for root := range strings.SplitSeq(roots, "|") {
		if strings.EqualFold(name, root) {
			return true
		}
	}
	return false
}

var characterReference = regexp.MustCompile(`&#(?:x[0-9A-Fa-f]+|[0-9]+);`)

// legible replaces the characters that XML does not allow, also as references,
// which S3 writes all the same.
func legible(body []byte) []byte {
	body = characterReference.ReplaceAllFunc(body, func(ref []byte) []byte {
		digits, base := string(ref[2:len(ref)-1]), 10
		if digits[0] == 'x' {
			digits, base = digits[1:], 16
		}
		if n, err := strconv.ParseInt(digits, base, 32); err != nil || !inXML(rune(n)) {
			return []byte("\ufffd")
		}
		return ref
	})
	return bytes.Map(func(c rune) rune {
		if !inXML(c) {
			return '\ufffd'
		}
		return c
	}, body)
}

// inXML is the Char of XML 1.0.
func inXML(c rune) bool {
	return c == '\t' || c == '\n' || c == '\r' || c >= 0x20 && c <= 0xd7ff || c >= 0xe000 && c <= 0xfffd || c >= 0x10000 && c <= 0x10ffff
}

// isError says whether a body is S3's <Error>, whatever its status.
func isError(body []byte) bool {
	start, err := firstElement(xml.NewDecoder(bytes.NewReader(body[:min(len(body), maxErrorBody)])))
	return err == nil && start.Name.Local == "Error"
}

func firstElement(dec *xml.Decoder) (xml.StartElement, error) {
	for {
		tok, err := dec.Token()
		if err != nil {
			return xml.StartElement{}, err
		}
		if start, ok := tok.(xml.StartElement); ok {
			return start, nil
		}
	}
}

// unreadable tells a reply that was cut off, whose end the parser has seen and
// wanted more, from one that no parser can read.
func unreadable(r *request, rep *reply, err error, read int64) error {
	var syntax *xml.SyntaxError
	if !bytes.HasPrefix(bytes.TrimSpace(rep.body), []byte("<")) {
		e := r.fail(rep, object.ClassUnsupported, "the store answered with something that is no document")
		e.Err = err
		return e
	}
	if read >= int64(len(bytes.TrimSpace(rep.body))) {
		e := r.fail(rep, object.ClassTransient, "the answer was cut off")
		e.Err = err
		return e
	}
	e := r.fail(rep, object.ClassInvalid, err.Error())
	e.Err = err
	if errors.As(err, &syntax) {
		e.Code, e.Err = "UnreadableXML", fmt.Errorf("%w: %w", ErrUnreadable, err)
		e.Hint = "a key holds a character that this store's listing cannot carry; give the keys as a list (--manifest)"
	}
	return e
}

// document renders a request body.
func document(v any) []byte {
	b, err := xml.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("s3store: cannot marshal %T: %v", v, err)) // only our own types come here
	}
	return append([]byte(xml.Header), b...)
}

// s3Namespace stands in documents that S3 wants it in.
const s3Namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
