package wire

import (
	"bytes"
	"errors"
	"strconv"
	"unicode/utf8"
)

var errXML = errors.New("the reply's XML is not complete")

// element is what stands between a start tag and its end tag.
type element struct{ name, content []byte }

// rootElement is the name of the document's root, without its prefix, and what
// follows its start tag; a nil name if there is none.
func rootElement(doc []byte) (name, rest []byte) {
	for {
		i := bytes.IndexByte(doc, '<')
		if i < 0 || i+1 == len(doc) || len(bytes.TrimSpace(bytes.TrimPrefix(doc[:i], utf8BOM))) > 0 {
			return nil, nil
		}
		doc = doc[i:]
		if doc[1] != '?' && doc[1] != '!' {
			break
		}
		end := []byte(">")
		if doc[1] == '?' {
			end = []byte("?>")
		} else if bytes.HasPrefix(doc, []byte("<!--")) {
			end = []byte("-->")
		}
		i = bytes.Index(doc, end)
		if i < 0 {
			return nil, nil
		}
		doc = doc[i+len(end):]
	}
	name, rest, empty, ok := startTag(doc)
	if !ok || empty {
		return name, nil
	}
	return name, rest
}

var utf8BOM = []byte("\ufeff")

// startTag takes the start tag that doc begins with; empty is <name/>.
func startTag(doc []byte) (name, rest []byte, empty, ok bool) {
	i := 1
	for i < len(doc) && doc[i] != '>' && doc[i] != '/' && doc[i] > ' ' {
		i++
	}
	name = doc[1:i]
	if c := bytes.IndexByte(name, ':'); c >= 0 {
		name = name[c+1:]
	}
	var quote byte
	for ; i < len(doc); i++ {
		switch c := doc[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '>':
			return name, doc[i+1:], doc[i-1] == '/', len(name) > 0
		}
	}
	return name, nil, false, false
}

// next takes the next child element out of what rootElement left. It ends with
// done at the root's end tag; a document that just stops is an error.
func next(rest []byte) (e element, tail []byte, done bool, err error) {
	for {
		i := bytes.IndexByte(rest, '<')
		if i < 0 || i+1 == len(rest) {
			return e, nil, false, errXML
		}
		rest = rest[i:]
		if rest[1] == '/' {
			if bytes.IndexByte(rest, '>') < 0 {
				return e, nil, false, errXML
			}
			return e, nil, true, nil
		}
		if rest[1] != '!' {
			break
		}
		i = bytes.Index(rest, []byte("-->"))
		if !bytes.HasPrefix(rest, []byte("<!--")) || i < 0 {
			return e, nil, false, errXML
		}
		rest = rest[i+3:]
	}
	name, tail, empty, ok := startTag(rest)
	if !ok {
		return e, nil, false, errXML
	}
	e.name = name
	if empty {
		return e, tail, false, nil
	}
	// The replies' children hold text only; nested elements of the same name do
	// not occur, so the first end tag of that name is the right one.
	at := 0
	for {
		i := bytes.Index(tail[at:], []byte("</"))
		if i < 0 {
			return e, nil, false, errXML
		}
		from := at + i
		j := bytes.IndexByte(tail[from:], '>')
		if j < 0 {
			return e, nil, false, errXML
		}
		end := bytes.TrimRight(tail[from+2:from+j], " \t\r\n")
		if c := bytes.IndexByte(end, ':'); c >= 0 {
			end = end[c+1:]
		}
		if bytes.Equal(end, name) {
			e.content = tail[:from]
			return e, tail[from+j+1:], false, nil
		}
		at = from + j + 1
	}
}

// appendText appends the text of an element with its references resolved.
func appendText(dst, text []byte) ([]byte, error) {
	text = bytes.TrimSpace(text)
	for len(text) > 0 {
		i := bytes.IndexAny(text, "&<")
		if i < 0 {
			return append(dst, text...), nil
		}
		dst = append(dst, text[:i]...)
		if text[i] == '<' {
			return nil, errXML // markup where text is expected
		}
		ref, tail, ok := bytes.Cut(text[i+1:], []byte(";"))
		if !ok {
			return nil, errXML
		}
		text = tail
		switch string(ref) {
		case "quot":
			dst = append(dst, '"')
		case "apos":
			dst = append(dst, '\'')
		case "amp":
			dst = append(dst, '&')
		case "lt":
			dst = append(dst, '<')
		case "gt":
			dst = append(dst, '>')
		default:
			r, err := charRef(ref)
			if err != nil {
				return nil, err
			}
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst, nil
}

func charRef(ref []byte) (rune, error) {
	if len(ref) < 2 || ref[0] != '#' {
		return 0, errXML
	}
	base, digits := 10, string(ref[1:])
	if digits[0] == 'x' || digits[0] == 'X' {
		base, digits = 16, digits[1:]
	}
	n, err := strconv.ParseUint(digits, base, 21)
	if err != nil {
		return 0, errXML
	}
	return rune(n), nil
}
