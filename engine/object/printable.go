package object

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable makes a text that came from a store, a key or a file fit for a terminal
// and for one line of it: control characters, those that change the direction of
// writing, invisible ones and bytes that are no UTF-8 become Go's escapes, \x1b or
// \u202e. Everything else stands as it is. It is the one place where that is
// decided; whoever prints a text from outside calls it.
func Printable(s string) string {
	if utf8.ValidString(s) && strings.IndexFunc(s, hidden) < 0 {
		return s
	}
	return escaped(s)
}

// ShellWord is a text as one word of a command line that is shown to be typed or
// pasted: in quotes where a shell would take it apart or make something else of it.
func ShellWord(s string) string {
	switch {
	case s != "" && strings.IndexFunc(s, special) < 0:
		return s
	case Printable(s) != s: // which bash and zsh read from such quotes
		return "$'" + escaped(strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s)) + "'"
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// special is what a shell may read as more than itself.
func special(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("_@%+=:,./-", r)
}

func escaped(s string) string {
	const hex = "0123456789abcdef"
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == utf8.RuneError && n == 1, r < utf8.RuneSelf && hidden(r):
			b.WriteString(`\x` + string(hex[s[i]>>4]) + string(hex[s[i]&15]))
		case hidden(r) && r > 0xffff:
			b.WriteString(`\U`)
			for shift := 28; shift >= 0; shift -= 4 {
				b.WriteByte(hex[r>>shift&15])
			}
		case hidden(r):
			b.WriteString(`\u`)
			for shift := 12; shift >= 0; shift -= 4 {
				b.WriteByte(hex[r>>shift&15])
			}
		default:
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

// hidden says whether a character does something else than to be seen: C0, DEL, C1,
// line and paragraph separators, and format characters, among them those that turn
// the direction of writing.
func hidden(r rune) bool {
	if r < utf8.RuneSelf {
		return r < ' ' || r == 0x7f
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}
