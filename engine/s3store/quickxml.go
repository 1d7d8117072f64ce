package s3store

import (
	"strings"
	"unicode/utf8"
)

// plainXML says whether every character is one that XML allows and that its
// reader gives back as it is.
func plainXML(s string) bool {
	ascii, i := true, 0
	for ; i+8 <= len(s); i += 8 {
		const each = 0x0101010101010101
		w := uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 |
			uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56
		if w&(0x80*each) == 0 && (w-' '*each)&(0x80*each) == 0 {
			continue // eight characters of ASCII that are no control characters
		}
		if !plainBytes(s[i:i+8], &ascii) {
			return false
		}
	}
	if !plainBytes(s[i:], &ascii) {
		return false
	}
	if !ascii {
		if !utf8.ValidString(s) {
			return false
		}
		for _, r := range s {
			if !inXML(r) {
				return false
			}
		}
	}
	return !strings.Contains(s, "]]>")
}

// plainBytes looks at each byte for itself, and notes those that are not ASCII.
func plainBytes(s string, ascii *bool) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= utf8.RuneSelf:
			*ascii = false
		case c < ' ' && c != '\t' && c != '\n':
			return false // "\r" would become "\n"
		}
	}
	return true
}

func (q *quick) space() { q.s = strings.TrimLeft(q.s, " \t\n") }

// prolog takes an XML declaration of UTF-8, where there is one.
func (q *quick) prolog() {
	if !strings.HasPrefix(q.s, "<?xml ") {
		return
	}
	decl, rest, ok := strings.Cut(q.s, "?>")
	if !ok || decl != `<?xml version="1.0" encoding="UTF-8"` && decl != `<?xml version="1.0"` {
		q.ok = false
		return
	}
	q.s = rest
	q.space()
}

// open takes the root's start tag, which may have a namespace.
func (q *quick) open(root string) bool {
	rest, ok := strings.CutPrefix(q.s, "<"+root)
	if !q.ok || !ok {
		return false
	}
	if after, ok := strings.CutPrefix(rest, ` xmlns="http://s3.amazonaws.com/doc/2006-03-01/"`); ok {
		rest = after
	}
	q.s, ok = strings.CutPrefix(rest, ">")
	return ok
}

// child takes the next start tag below parent, or parent's end tag, then name is
// empty. Nothing but white space may stand between.
func (q *quick) child(parent string) (name string, empty bool) {
	q.space()
	if len(q.s) < 3 || q.s[0] != '<' {
		q.ok = false
		return "", false
	}
	if q.s[1] == '/' {
		q.end(parent)
		return "", false
	}
	i := 1
	for i < len(q.s) && nameByte(q.s[i], i == 1) {
		i++
	}
	name, q.s = q.s[1:i], q.s[i:]
	switch {
	case name == "":
	case strings.HasPrefix(q.s, ">"):
		q.s = q.s[1:]
		return name, false
	case strings.HasPrefix(q.s, "/>"):
		q.s = q.s[2:]
		return name, true
	}
	q.ok = false
	return "", false
}

// nameByte are the bytes of the names that stores use.
func nameByte(c byte, first bool) bool {
	letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
	return letter || !first && (c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.')
}

// end takes an end tag.
func (q *quick) end(name string) {
	n := len(name)
	if len(q.s) < n+3 || q.s[:2] != "</" || q.s[2:2+n] != name || q.s[2+n] != '>' {
		q.ok = false
		return
	}
	q.s = q.s[n+3:]
}

// leaf takes the text of an element and its end tag.
func (q *quick) leaf(name string) string {
	i := strings.IndexByte(q.s, '<')
	if i < 0 {
		q.ok = false
		return ""
	}
	text := q.s[:i]
	q.s = q.s[i:]
	q.end(name)
	if strings.IndexByte(text, '&') < 0 {
		return text
	}
	if name == "ETag" {
		return q.etag(text)
	}
	return q.resolve(text)
}

// skip takes everything up to the end tag of name.
func (q *quick) skip(name string) {
	for q.ok {
		child, empty := q.child(name)
		if child == "" {
			return
		}
		if !empty {
			q.leaf(child)
		}
	}
}

// resolve replaces the references that stores write.
func (q *quick) resolve(text string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, "&")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		ref, rest, closed := strings.Cut(after, ";")
		c, known := map[string]string{"amp": "&", "lt": "<", "gt": ">", "quot": `"`, "apos": "'", "#34": `"`, "#39": "'", "#x22": `"`}[ref]
		if !closed || !known {
			q.ok = false
			return ""
		}
		b.WriteString(c)
		text = rest
	}
}

func (q *quick) bool(text string) bool {
	if text != "true" && text != "false" {
		q.ok = false
	}
	return text == "true"
}
