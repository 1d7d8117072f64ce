package cse

import (
	"encoding/base64"
	"errors"
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

func b64(n int) string { return base64.StdEncoding.EncodeToString(filled(n, uint64(n))) }

func metaV1() map[string]string {
	return map[string]string{nameKeyV1: b64(48), nameIV: b64(16), nameDesc: "{}", nameLength: "5"}
}

func metaV2(wrap string) map[string]string {
	m := map[string]string{nameKeyV2: b64(200), nameIV: b64(12), nameCEK: cekGCM, nameWrap: wrap, nameTagLen: "128", nameLength: "5"}
	switch wrap {
	case "kms+context":
		m[nameDesc] = `{"aws:x-amz-cek-alg":"AES/GCM/NoPadding","who":"me"}`
	case "kms":
		m[nameDesc] = `{"kms_cmk_id":"` + keyA + `"}`
	case "AES/GCM":
		m[nameKeyV2], m[nameDesc] = b64(60), "{}"
	case "RSA-OAEP-SHA1":
		m[nameKeyV2], m[nameDesc] = b64(256), "{}"
	case "AESWrap":
		m[nameKeyV2], m[nameDesc] = b64(40), "{}"
	}
	return m
}

func metaV3(code string) map[string]string {
	m := map[string]string{nameKeyV3: b64(200), nameSuite: "115", nameWrapV3: code, nameCommit: b64(28), nameMessageID: b64(28)}
	switch code {
	case "12":
		m[nameContextV3] = `{"aws:x-amz-cek-alg":"115","who":"me"}`
	case "02":
		m[nameKeyV3] = b64(60)
	case "22":
		m[nameKeyV3], m[nameDescV3] = b64(256), `{"key":"2024"}`
	}
	return m
}

func with(m map[string]string, pairs ...string) map[string]string {
	m = maps.Clone(m)
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

func without(m map[string]string, names ...string) map[string]string {
	m = maps.Clone(m)
	for _, name := range names {
		delete(m, name)
	}
	return m
}

// TestParse: what each format says, and what is refused, by its reason.
func TestParse(t *testing.T) {
	for _, c := range []struct {
		what     string
		metadata map[string]string
		want     string // String, or the reason
	}{
		{"nothing", nil, "none"},
		{"a user's own", map[string]string{"a": "b", "x-amz-meta-x-amz-key": "c"}, "none"},
		{"only a length, beside an instruction file", map[string]string{nameLength: "5"}, "none"},
		{"v1", metaV1(), "v1 AES"},
		{"v1 under RSA", with(metaV1(), nameKeyV1, b64(256)), "v1 RSA"},
		{"v1 without a description", without(metaV1(), nameDesc), "v1 AES"},
		{"v1 with a key of no size", with(metaV1(), nameKeyV1, b64(60)), string(ReasonAlgorithm)},
		{"v1 without its vector", without(metaV1(), nameIV), string(ReasonEnvelope)},
		{"v1 with an algorithm", with(metaV1(), nameCEK, cekGCM), string(ReasonEnvelope)},
		{"v2 kms", metaV2("kms"), "v2 kms"},
		{"v2 kms+context", metaV2("kms+context"), "v2 kms+context"},
		{"v2 AES/GCM", metaV2("AES/GCM"), "v2 AES/GCM"},
		{"v2 RSA", metaV2("RSA-OAEP-SHA1"), "v2 RSA-OAEP-SHA1"},
		{"v2 AESWrap", metaV2("AESWrap"), "v2 AESWrap"},
		{"v2 CBC", with(without(metaV2("kms"), nameTagLen), nameCEK, cekCBC5, nameIV, b64(16)), "v2 kms"},
		{"v2 CBC as Ruby may name it", with(without(metaV2("kms"), nameTagLen), nameCEK, cekCBC7, nameIV, b64(16)), "v2 kms"},
		{"v2 without a tag length", without(metaV2("AES/GCM"), nameTagLen), "v2 AES/GCM"},
		{"v2 without a length", without(metaV2("AES/GCM"), nameLength), "v2 AES/GCM"},
		{"v2 with a short tag", with(metaV2("AES/GCM"), nameTagLen, "96"), string(ReasonEnvelope)},
		{"v2 CBC with a tag", with(metaV2("kms"), nameCEK, cekCBC5, nameIV, b64(16)), string(ReasonEnvelope)},
		{"v2 with the vector of CBC", with(metaV2("kms"), nameIV, b64(16)), string(ReasonEnvelope)},
		{"v2 in counter mode", with(metaV2("kms"), nameCEK, "AES/CTR/NoPadding"), string(ReasonAlgorithm)},
		{"v2 with an unknown wrap", with(metaV2("kms"), nameWrap, "kms+grant"), string(ReasonAlgorithm)},
		{"v2 without a wrap", without(metaV2("kms"), nameWrap), string(ReasonAlgorithm)},
		{"v2 with a wrapped key of no size", with(metaV2("AES/GCM"), nameKeyV2, b64(61)), string(ReasonEnvelope)},
		{"v2 with an empty key", with(metaV2("kms"), nameKeyV2, ""), string(ReasonEnvelope)},
		{"v2 bound to other content", with(metaV2("kms+context"), nameDesc, `{"aws:x-amz-cek-alg":"115"}`), string(ReasonEnvelope)},
		{"v2 bound to nothing", with(metaV2("kms+context"), nameDesc, `{"who":"me"}`), string(ReasonEnvelope)},
		{"v2 without a context", without(metaV2("kms+context"), nameDesc), string(ReasonEnvelope)},
		{"v2 with a context of numbers", with(metaV2("kms"), nameDesc, `{"a":1}`), string(ReasonEnvelope)},
		{"v2 with a context twice", with(metaV2("kms"), nameDesc, `{"a":"1","a":"2"}`), string(ReasonEnvelope)},
		{"v2 with half a surrogate", with(metaV2("kms"), nameDesc, `{"a":"\ud83d"}`), string(ReasonEnvelope)},
		{"v2 raw with any description", with(metaV2("AES/GCM"), nameDesc, `{"a":1}`), "v2 AES/GCM"},
		{"v3 kms+context", metaV3("12"), "v3 kms+context"},
		{"v3 AES/GCM", metaV3("02"), "v3 AES/GCM"},
		{"v3 RSA", metaV3("22"), "v3 RSA-OAEP-SHA1"},
		{"v3 as Go writes it", with(metaV3("12"), nameDescV3, "", nameLength, ""), "v3 kms+context"},
		{"v3 with an unknown wrap", with(metaV3("12"), nameWrapV3, "32"), string(ReasonAlgorithm)},
		{"v3 with another suite", with(metaV3("12"), nameSuite, "114"), string(ReasonAlgorithm)},
		{"v3 without a commitment", without(metaV3("12"), nameCommit), string(ReasonEnvelope)},
		{"v3 with a short message ID", with(metaV3("12"), nameMessageID, b64(12)), string(ReasonEnvelope)},
		{"v3 bound to other content", with(metaV3("12"), nameContextV3, `{"aws:x-amz-cek-alg":"AES/GCM/NoPadding"}`), string(ReasonEnvelope)},
		{"v3 with a description for a context", with(metaV3("12"), nameDescV3, `{"a":"b"}`), string(ReasonEnvelope)},
		{"v3 with a context for a description", with(metaV3("02"), nameContextV3, `{"a":"b"}`), string(ReasonEnvelope)},
		{"v3 with a data key of 24 bytes", with(metaV3("02"), nameKeyV3, b64(52)), string(ReasonEnvelope)},
		{"v3 without its wrapped key", without(metaV3("02"), nameKeyV3, nameWrapV3), "v3 instruction"},
		{"v1 and v2", with(metaV1(), nameKeyV2, b64(60)), string(ReasonEnvelope)},
		{"v2 and v3", with(metaV2("kms"), nameKeyV3, b64(60)), string(ReasonEnvelope)},
		{"v1 and v3", with(metaV3("12"), nameKeyV1, b64(48)), string(ReasonEnvelope)},
		{"v3 with an empty mark of v2", with(metaV3("12"), nameKeyV2, ""), string(ReasonEnvelope)},
		{"v3 with leftovers of v2", with(metaV3("12"), nameIV, b64(12)), string(ReasonEnvelope)},
		{"v2 with leftovers of v3", with(metaV2("kms"), nameCommit, b64(28)), string(ReasonEnvelope)},
		{"v3 in a file with leftovers of v2", with(without(metaV3("02"), nameKeyV3), nameCEK, cekGCM), string(ReasonEnvelope)},
		{"leftovers without a mark", map[string]string{nameCEK: cekGCM}, string(ReasonEnvelope)},
	} {
		e, err := Parse(c.metadata)
		got := e.String()
		var r *Refusal
		if errors.As(err, &r) {
			got = string(r.Reason)
		}
		if got != c.want {
			t.Errorf("%s: %s (%v), want %s", c.what, got, err, c.want)
		}
		if err != nil && !reflect.DeepEqual(e, Envelope{}) {
			t.Errorf("%s: refused, and yet %v", c.what, e)
		}
	}
}

// TestDescriptions: what stores make of texts that are not ASCII.
func TestDescriptions(t *testing.T) {
	latin := func(s string) (out string) {
		for _, b := range []byte(s) {
			out += string(rune(b))
		}
		return out
	}
	word := func(s string) string { return "=?UTF-8?B?" + base64.StdEncoding.EncodeToString([]byte(s)) + "?=" }
	u := map[string]string{"who": "Zoë Müller"}
	text := `{"who":"Zoë Müller"}`
	for _, c := range []struct {
		what, text     string
		entries, other map[string]string
		encoded        bool
	}{
		{"as it is", text, u, nil, false},
		{"escaped", `{"who":"Zo\u00eb M\u00fcller"}`, u, nil, false},
		{"encoded once", word(text), u, nil, true},
		{"encoded twice", word(latin(text)), u, map[string]string{"who": latin("Zoë Müller")}, true},
		{"quoted", "=?UTF-8?Q?{=22who=22:=22Zo=C3=AB_M=C3=BCller=22}?=", u, nil, true},
		{"a smile", `{"who":"😀"}`, map[string]string{"who": "😀"}, nil, false},
	} {
		d, err := readDescription(c.text)
		if err != nil || !maps.Equal(d.entries, c.entries) || !maps.Equal(d.second, c.other) || d.encoded != c.encoded {
			t.Errorf("%s: %+v, %v", c.what, d, err)
		}
		ascii := writeDescription(d.entries)
		if strings.ContainsFunc(ascii, func(r rune) bool { return r >= 0x7f || r < ' ' }) {
			t.Errorf("%s: %q is not ASCII", c.what, ascii)
		}
		if again, err := readEntries(ascii); err != nil || !maps.Equal(again, c.entries) {
			t.Errorf("%s: %s is read as %v, %v", c.what, ascii, again, err)
		}
	}
	for _, bad := range []string{"", "[]", `{"a":"b"} {}`, `{"a":"b"`, "\xff", `{"a":{"b":"c"}}`, "=?x?B?eyJhIjoiYiJ9?="} {
		if d, err := readDescription(bad); err == nil {
			t.Errorf("%q is read as %v", bad, d.entries)
		}
	}
}

// TestParseFile: envelopes in instruction files, and what must not be in both.
func TestParseFile(t *testing.T) {
	file := func(m map[string]string) string { return writeDescription(m) }
	inObject := map[string]string{nameSuite: "115", nameCommit: b64(28), nameMessageID: b64(28)}
	inFile := without(metaV3("12"), nameSuite, nameCommit, nameMessageID)
	for _, c := range []struct {
		what     string
		metadata map[string]string
		file     string
		want     string
	}{
		{"v1", nil, file(metaV1()), "v1 AES instruction"},
		{"v2", map[string]string{nameLength: "5", "own": "x"}, file(metaV2("kms")), "v2 kms instruction"},
		{"v2 with numbers", nil, strings.Replace(file(metaV2("kms")), `"128"`, "128", 1), "v2 kms instruction"},
		{"v3", inObject, file(inFile), "v3 kms+context instruction"},
		{"v3 wholly in the file", nil, file(metaV3("12")), string(ReasonEnvelope)},
		{"v3 twice", inObject, file(metaV3("12")), string(ReasonEnvelope)},
		{"v2 for an object of v3", inObject, file(metaV2("kms")), string(ReasonEnvelope)},
		{"v3 for an object without", nil, file(inFile), string(ReasonEnvelope)},
		{"one in each", metaV2("kms"), file(metaV2("kms")), string(ReasonEnvelope)},
		{"one in each, of other versions", metaV3("12"), file(metaV2("kms")), string(ReasonEnvelope)},
		{"empty", nil, "{}", string(ReasonEnvelope)},
		{"not JSON", nil, "x-amz-key", string(ReasonEnvelope)},
		{"two objects", nil, file(metaV1()) + "{}", string(ReasonEnvelope)},
		{"a list", nil, "[" + file(metaV1()) + "]", string(ReasonEnvelope)},
		{"a name twice", nil, strings.Replace(file(metaV1()), "{", `{"x-amz-key":"",`, 1), string(ReasonEnvelope)},
		{"a name in other letters", nil, strings.Replace(file(metaV1()), "x-amz-iv", "X-Amz-Iv", 1), string(ReasonEnvelope)},
		{"a name that is no text", nil, strings.Replace(file(metaV1()), `"x-amz-matdesc":"{}"`, `"x-amz-matdesc":{}`, 1), string(ReasonEnvelope)},
		{"too large", nil, file(metaV1()) + strings.Repeat(" ", maxFile), string(ReasonEnvelope)},
	} {
		e, err := ParseFile(c.metadata, []byte(c.file))
		got := e.String()
		var r *Refusal
		if errors.As(err, &r) {
			got = string(r.Reason)
		}
		if got != c.want {
			t.Errorf("%s: %s (%v), want %s", c.what, got, err, c.want)
		}
	}
}

// TestSplice: members are replaced, added and dropped; what is between them stays.
func TestSplice(t *testing.T) {
	for _, c := range []struct {
		file string
		set  map[string]string
		drop []string
		want string
	}{
		{`{"x-amz-3":"old","b":[1, 2]}`, map[string]string{"x-amz-3": "new"}, nil, `{"x-amz-3":"new","b":[1, 2]}`},
		{" {\n\t\"b\" : { \"x-amz-3\" : 1 } ,\r\n \"x-amz-3\"\t:\"o\\u006cd\" } \n", map[string]string{"x-amz-3": "n/+="}, nil,
			" {\n\t\"b\" : { \"x-amz-3\" : 1 } ,\r\n \"x-amz-3\"\t:\"n/+=\" } \n"},
		{`{"a":1, "b":2, "c":3}`, nil, []string{"a"}, `{"b":2, "c":3}`},
		{`{"a":1, "b":2, "c":3}`, nil, []string{"b"}, `{"a":1, "c":3}`},
		{`{"a":1, "b":2, "c":"," }`, nil, []string{"c"}, `{"a":1, "b":2 }`},
		{`{"a":1, "b":2, "c":3}`, nil, []string{"c", "b"}, `{"a":1}`},
		{`{"a":1, "b":2, "c":3}`, nil, []string{"a", "b", "c"}, `{}`},
		{`{"a":1, "b":2}`, map[string]string{"x-amz-3": `"\`}, []string{"b"}, `{"x-amz-3":"\"\\","a":1}`},
		{`{"a":1}`, map[string]string{"x": "y", "z": "ü"}, []string{"a"}, `{"x":"y","z":"\u00fc"}`},
		{`{"a":"1","b":"2"}`, map[string]string{"a": "3"}, []string{"b"}, `{"a":"3"}`},
		{`{}`, map[string]string{"x": "y"}, nil, `{"x":"y"}`},
	} {
		got, err := splice([]byte(c.file), c.set, c.drop)
		if err != nil || string(got) != c.want {
			t.Errorf("%s with %v without %v: %s, %v, want %s", c.file, c.set, c.drop, got, err, c.want)
		}
	}
}

// FuzzSplice: after a splice the members are those before it, with the changes.
func FuzzSplice(f *testing.F) {
	f.Add([]byte(` { "x-amz-3" : "old" , "b" : [1,{"x-amz-3":2}], "c":"," } `), "new", "c")
	f.Add([]byte(`{"c":"d"}`), "", "c")
	f.Fuzz(func(t *testing.T, file []byte, value, drop string) {
		before, err := readFile(file)
		if err != nil || drop == nameKeyV3 {
			return
		}
		value = strings.ToValidUTF8(value, "")
		after, err := splice(file, map[string]string{nameKeyV3: value}, []string{drop})
		if err != nil {
			t.Fatal(err)
		}
		members, err := readFile(after)
		if err != nil {
			t.Fatalf("%q became %q: %v", file, after, err)
		}
		want := map[string]string{nameKeyV3: value}
		for _, m := range before {
			if m.name != drop && m.name != nameKeyV3 {
				want[m.name] = m.value
			}
		}
		got := map[string]string{}
		for _, m := range members {
			got[m.name] = m.value
		}
		if !maps.Equal(got, want) {
			t.Fatalf("%q became %q", file, after)
		}
	})
}

// FuzzParse: nothing from outside makes Parse panic, and what it takes can be
// rewritten under a new wrapped key, and reads as the same envelope then.
func FuzzParse(f *testing.F) {
	for _, m := range []map[string]string{metaV1(), metaV2("kms"), metaV2("AES/GCM"), metaV3("12"), metaV3("22"), without(metaV3("02"), nameKeyV3)} {
		f.Add(writeDescription(m), false)
		f.Add(writeDescription(m), true)
	}
	f.Fuzz(func(t *testing.T, text string, inFile bool) {
		m, err := readEntries(text)
		if err != nil {
			return
		}
		var e Envelope
		if inFile {
			if e, err = ParseFile(nil, []byte(text)); err != nil {
				return
			}
		} else if e, err = Parse(m); err != nil {
			return
		}
		if _, err := e.TextSize(1 << 20); err != nil {
			t.Fatal(err)
		}
		if e.Format != V2 && e.Format != V3 || e.NeedsFile {
			return
		}
		wrapped := filled(len(e.wrapped), 99)
		c := e.rewrapped(e.Wrap, wrapped, e.Description)
		if inFile {
			_, err = c.File([]byte(text))
		} else {
			_, err = c.Metadata(m)
		}
		var r *Refusal
		if err != nil && !(errors.As(err, &r) && r.Reason == ReasonBigMetadata) {
			t.Fatal(err)
		}
	})
}

// TestReupload: what the client is asked to carry, and what it leaves.
func TestReupload(t *testing.T) {
	parse := func(m map[string]string) Envelope {
		e, err := Parse(m)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	inFile, err := ParseFile(nil, []byte(writeDescription(metaV1())))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		e       Envelope
		size    int64
		to      Format
		accept  bool
		already bool
		reason  object.Reason
	}{
		{Envelope{}, 5, V3, false, false, ""},
		{Envelope{}, 5, None, false, true, ""},
		{Envelope{}, maxText, V3, false, false, ""},
		{Envelope{}, maxText + 1, V3, false, false, object.ReasonTooLarge},
		{parse(metaV1()), 16, V3, false, false, ""},
		{parse(metaV1()), 17, V3, false, false, ReasonEnvelope},
		{parse(metaV2("kms")), maxText + 16, V3, false, false, ""},
		{parse(metaV2("kms")), maxText + 17, V3, false, false, object.ReasonTooLarge},
		{parse(metaV2("kms")), 15, None, false, false, ReasonEnvelope},
		{parse(metaV3("12")), 16, V3, false, true, ""},
		{parse(metaV3("12")), 16, V2, false, false, ""},
		{parse(without(metaV3("02"), nameKeyV3)), 16, None, true, false, ReasonNoEnvelope},
		{inFile, 16, V3, false, false, ReasonInstruction},
		{inFile, 16, V3, true, false, ""},
	} {
		already, reason, message := Reupload(c.e, c.size, c.to, c.accept)
		if already != c.already || reason != c.reason || (reason == "") != (message == "") {
			t.Errorf("%s, %d bytes, to %s: %v, %q (%s)", c.e, c.size, c.to, already, reason, message)
		}
	}
}
