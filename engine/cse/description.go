package cse

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"slices"
	"strings"
	"unicode/utf8"
)

// description is a material description or an encryption context as it was read.
type description struct {
	entries map[string]string
	// second is the other reading of an encoded text, nil where there is only one.
	second  map[string]string
	encoded bool
}

// readDescription reads a JSON object of strings, which a store may show in words
// of RFC 2047. AWS encodes what it took for Latin-1, that is UTF-8 twice; others
// encode once. Where both readings are possible, twice comes first: by accident a
// text hardly ever looks so.
func readDescription(text string) (description, error) {
	if !strings.Contains(text, "=?") {
		entries, err := readEntries(text)
		return description{entries: entries}, err
	}
	once, err := new(mime.WordDecoder).DecodeHeader(text)
	if err != nil {
		return description{}, errors.New("its encoded words cannot be decoded")
	}
	d := description{encoded: once != text}
	if d.entries, err = readEntries(once); err != nil {
		return description{}, err
	}
	if twice, ok := fromLatin1(once); ok {
		if entries, err := readEntries(twice); err == nil {
			d.entries, d.second = entries, d.entries
		}
	}
	return d, nil
}

// fromLatin1 undoes a reading of UTF-8 as Latin-1; ok is false where the text
// cannot come from one, or is ASCII.
func fromLatin1(text string) (string, bool) {
	raw, ascii := make([]byte, 0, len(text)), true
	for _, r := range text {
		if r > 0xff {
			return "", false
		}
		raw, ascii = append(raw, byte(r)), ascii && r < utf8.RuneSelf
	}
	return string(raw), !ascii && utf8.Valid(raw)
}

// readEntries reads a JSON object of strings without duplicates, and without
// anything that could not be written again as it was.
func readEntries(text string) (map[string]string, error) {
	if !utf8.ValidString(text) {
		return nil, errors.New("it is not UTF-8")
	}
	dec := json.NewDecoder(strings.NewReader(text))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("it is not a JSON object")
	}
	entries := map[string]string{}
	for dec.More() {
		name, err := readString(dec)
		if err != nil {
			return nil, err
		}
		if has(entries, name) {
			return nil, fmt.Errorf("it has %q twice", name)
		}
		if entries[name], err = readString(dec); err != nil {
			return nil, err
		}
	}
	if t, err := dec.Token(); err != nil || t != json.Delim('}') {
		return nil, errors.New("it is not a JSON object")
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("something follows its JSON object")
	}
	return entries, nil
}

func readString(dec *json.Decoder) (string, error) {
	t, err := dec.Token()
	s, ok := t.(string)
	if err != nil || !ok {
		return "", errors.New("it is not a JSON object of strings")
	}
	if strings.ContainsRune(s, utf8.RuneError) {
		return "", errors.New("it holds half a surrogate pair")
	}
	return s, nil
}

// writeDescription is the JSON of the entries in ASCII, sorted: no store encodes
// it, and KMS sees the context that it always saw.
func writeDescription(entries map[string]string) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, name := range slices.Sorted(maps.Keys(entries)) {
		if i > 0 {
			b.WriteByte(',')
		}
		writeString(&b, name)
		b.WriteByte(':')
		writeString(&b, entries[name])
	}
	b.WriteByte('}')
	return b.String()
}

func writeString(b *strings.Builder, s string) {
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r >= ' ' && r < 0x7f:
			b.WriteRune(r)
		case r > 0xffff:
			r -= 0x10000
			fmt.Fprintf(b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			fmt.Fprintf(b, `\u%04x`, r)
		}
	}
	b.WriteByte('"')
}
