package cse

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxFile bounds an instruction file; real ones have some hundred bytes.
const maxFile = 64 << 10

// member is one member of the JSON object that an instruction file is: where it
// stands in the file, and what it says.
type member struct {
	name, value string
	isString    bool
	start, end  int // of the member, from the quote of its name to the end of its value
	from        int // of the value
}

// readFile takes an instruction file apart. What readers could disagree about is
// refused: a name that is there twice, or in other letters than its own.
func readFile(file []byte) ([]member, error) {
	if len(file) > maxFile {
		return nil, refuse(ReasonEnvelope, "the instruction file is too large for one")
	}
	if !utf8.Valid(file) {
		return nil, refuse(ReasonEnvelope, "the instruction file is not UTF-8")
	}
	malformed := refuse(ReasonEnvelope, "the instruction file is not one JSON object")
	dec := json.NewDecoder(bytes.NewReader(file))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, malformed
	}
	var members []member
	for dec.More() {
		m, err := readMember(dec, file)
		if err != nil {
			return nil, malformed
		}
		if slices.ContainsFunc(members, func(o member) bool { return strings.EqualFold(o.name, m.name) }) {
			return nil, refuse(ReasonEnvelope, "the instruction file has "+m.name+" twice")
		}
		for _, name := range every {
			if name != m.name && strings.EqualFold(name, m.name) || name == m.name && !m.isString && name != nameTagLen && name != nameLength {
				return nil, refuse(ReasonEnvelope, "the instruction file does not have "+name+" as a text under this name")
			}
		}
		members = append(members, m)
	}
	if t, err := dec.Token(); err != nil || t != json.Delim('}') {
		return nil, malformed
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, malformed
	}
	return members, nil
}

// HoldsKey says whether a file that is no whole instruction file seems to hold the wrapped
// key of one.
func HoldsKey(file []byte) bool {
	lower := bytes.ToLower(file)
	return bytes.Contains(lower, []byte(nameKeyV1)) || bytes.Contains(lower, []byte(`"`+nameKeyV3+`"`))
}

func readMember(dec *json.Decoder, file []byte) (member, error) {
	before := int(dec.InputOffset())
	t, err := dec.Token()
	name, ok := t.(string)
	if err != nil || !ok {
		return member{}, io.ErrUnexpectedEOF
	}
	m := member{name: name, start: before + bytes.IndexByte(file[before:], '"')}
	var raw json.RawMessage
	if err := dec.Decode(&raw); err != nil {
		return member{}, err
	}
	m.end = int(dec.InputOffset())
	m.from = m.end - len(raw)
	m.value, m.isString = string(raw), raw[0] == '"'
	if m.isString {
		if err := json.Unmarshal(raw, &m.value); err != nil {
			return member{}, err
		}
	}
	return m, nil
}

// splice replaces and adds members, and drops others; every byte of the file
// that is not theirs stays.
func splice(file []byte, set map[string]string, drop []string) ([]byte, error) {
	members, err := readFile(file)
	if err != nil {
		return nil, err
	}
	out, at, added := make([]byte, 0, len(file)+256), 0, false
	for i, m := range members {
		value, ok := set[m.name]
		switch {
		case ok:
			out = append(append(out, file[at:m.from]...), quote(value)...)
			at = m.end
		case slices.Contains(drop, m.name):
			out, at = cut(out, file, members, at, i)
		}
	}
	out = append(out, file[at:]...)
	brace := bytes.IndexByte(out, '{') + 1
	var head []byte
	for _, name := range sortedNames(set) {
		if !slices.ContainsFunc(members, func(m member) bool { return m.name == name }) {
			head, added = append(append(append(append(head, quote(name)...), ':'), quote(set[name])...), ','), true
		}
	}
	if added && bytes.HasPrefix(bytes.TrimLeft(out[brace:], " \t\r\n"), []byte("}")) {
		head = head[:len(head)-1]
	}
	return slices.Insert(out, brace, head...), nil
}

// cut leaves member i out, with the comma that parted it from a neighbour: the
// one behind it, or for the last the one before.
func cut(out, file []byte, members []member, at, i int) ([]byte, int) {
	m := members[i]
	if i+1 < len(members) {
		return append(out, file[at:m.start]...), members[i+1].start
	}
	if at < m.start {
		out = append(out, file[at:m.start]...)
	}
	if comma := bytes.LastIndexByte(out, ','); i > 0 && comma >= 0 && len(bytes.TrimSpace(out[comma+1:])) == 0 {
		out = out[:comma]
	}
	return out, m.end
}

func quote(s string) string {
	var b strings.Builder
	writeString(&b, s)
	return b.String()
}
