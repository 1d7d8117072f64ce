package planner

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

func ptr[T any](v T) *T { return &v }

func TestSelectionOrderRule(t *testing.T) {
	in, ex := func(p string) Filter { return Filter{true, p} }, func(p string) Filter { return Filter{false, p} }
	for _, c := range []struct {
		name    string
		prefix  string
		filters []Filter
		key     string
		want    Verdict
	}{
		{"no filter", "", nil, "a", Yes},
		{"an include alone excludes nothing", "", []Filter{in("*.jpg")}, "a.txt", Yes},
		{"exclude all, then include", "", []Filter{ex("*"), in("*.jpg")}, "a.jpg", Yes},
		{"exclude all, then include: others", "", []Filter{ex("*"), in("*.jpg")}, "a.txt", No},
		{"include, then exclude all", "", []Filter{in("*.jpg"), ex("*")}, "a.jpg", No},
		{"the last that matches wins", "", []Filter{ex("*"), in("*.jpg"), ex("tmp/*")}, "tmp/a.jpg", No},
		{"relative to the prefix", "data/", []Filter{ex("2024/*")}, "data/2024/a", No},
		{"not to the bucket", "data/", []Filter{ex("data/*")}, "data/2024/a", Yes},
		{"a folder without its slash", "data", []Filter{ex("2024/*")}, "data/2024/a", No},
		{"a prefix in the middle of a name", "data", []Filter{ex("base/*")}, "database/a", No},
		{"the bucket", "", []Filter{ex("/a")}, "/a", No},
	} {
		s := Selection{Prefix: c.prefix, Filters: c.filters}
		o := under(object.SSES3, "")
		o.Key = c.key
		if got := s.Match(&o); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestSelectionMatch(t *testing.T) {
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	type O = *object.Object
	for _, c := range []struct {
		name   string
		s      Selection
		change func(o O)
		want   Verdict
	}{
		{"nothing asked", Selection{}, func(o O) {}, Yes},
		{"delete marker", Selection{AllVersions: true}, func(o O) { o.DeleteMarker = true }, No},
		{"noncurrent", Selection{}, func(o O) { o.Noncurrent = true }, No},
		{"all versions", Selection{AllVersions: true}, func(o O) { o.Noncurrent = true }, Yes},
		{"at the minimum", Selection{MinSize: ptr(int64(10))}, func(o O) {}, Yes},
		{"below it", Selection{MinSize: ptr(int64(11))}, func(o O) {}, No},
		{"at the maximum", Selection{MaxSize: ptr(int64(10))}, func(o O) {}, Yes},
		{"only empty ones", Selection{MaxSize: ptr(int64(0))}, func(o O) {}, No},
		{"size not told", Selection{MaxSize: ptr(int64(0))}, func(o O) { o.Size = -1 }, Inspect},
		{"before", Selection{ModifiedBefore: noon}, func(o O) { o.LastModified = noon.Add(-1) }, Yes},
		{"not before", Selection{ModifiedBefore: noon}, func(o O) { o.LastModified = noon }, No},
		{"after", Selection{ModifiedAfter: noon}, func(o O) { o.LastModified = noon.Add(1) }, Yes},
		{"not after", Selection{ModifiedAfter: noon}, func(o O) { o.LastModified = noon }, No},
		{"time not told", Selection{ModifiedAfter: noon}, func(o O) {}, Inspect},
		{"class", Selection{OnlyStorageClass: []string{"STANDARD_IA", "GLACIER"}}, func(o O) { o.StorageClass = "GLACIER" }, Yes},
		{"other class", Selection{OnlyStorageClass: []string{"STANDARD_IA"}}, func(o O) {}, No},
		{"STANDARD by omission", Selection{OnlyStorageClass: []string{"STANDARD"}}, func(o O) {}, Yes},
		{"class of a bare key", Selection{OnlyStorageClass: []string{"STANDARD"}}, func(o O) { o.Size = -1 }, Inspect},
		{"encryption", Selection{OnlyEncryption: []EncryptionFilter{{Type: object.SSENone}, {Type: object.SSES3}}}, func(o O) {}, Yes},
		{"other encryption", Selection{OnlyEncryption: []EncryptionFilter{{Type: object.SSENone}}}, func(o O) {}, No},
		{"encryption not told", Selection{OnlyEncryption: []EncryptionFilter{{Type: object.SSENone}}}, func(o O) { o.Encryption = object.Encryption{} }, Inspect},
		{"key", Selection{OnlyEncryption: []EncryptionFilter{{object.SSEKMS, keyA}}}, func(o O) { *o = under(object.SSEKMS, keyA) }, Yes},
		{"key by ID", Selection{OnlyEncryption: []EncryptionFilter{{object.SSEKMS, "aaaaaaaa-0000-0000-0000-000000000000"}}}, func(o O) { *o = under(object.SSEKMS, keyA) }, Yes},
		{"other key", Selection{OnlyEncryption: []EncryptionFilter{{object.SSEKMS, keyA}}}, func(o O) { *o = under(object.SSEKMS, keyB) }, No},
		{"key not told", Selection{OnlyEncryption: []EncryptionFilter{{object.SSEKMS, keyA}}}, func(o O) { *o = under(object.SSEKMS, "") }, Inspect},
		{"any key will do", Selection{OnlyEncryption: []EncryptionFilter{{object.SSEKMS, keyA}, {Type: object.SSEKMS}}}, func(o O) { *o = under(object.SSEKMS, "") }, Yes},
		{"excluded beats untold", Selection{MinSize: ptr(int64(99)), ModifiedAfter: noon}, func(o O) {}, No},
	} {
		o := under(object.SSES3, "")
		c.change(&o)
		if got := c.s.Match(&o); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestSelectionIsData(t *testing.T) {
	s := Selection{Prefix: "p/", Filters: []Filter{{false, "*"}, {true, "[a-z]*"}}, MinSize: ptr(int64(0)), MaxSize: ptr(int64(9)),
		ModifiedBefore: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), OnlyEncryption: []EncryptionFilter{{object.SSEKMS, keyA}},
		OnlyStorageClass: []string{"STANDARD"}, AllVersions: true, Limit: 3}
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var back Selection
	if err := json.Unmarshal(data, &back); err != nil || !reflect.DeepEqual(s, back) {
		t.Errorf("%v: %s came back as %+v", err, data, back)
	}
	if data, _ := json.Marshal(Selection{}); string(data) != "{}" {
		t.Errorf("the zero selection is written as %s", data)
	}
}

func TestParseEncryptionFilter(t *testing.T) {
	for word, want := range map[string]EncryptionFilter{
		"none": {Type: object.SSENone}, "sse-s3": {Type: object.SSES3}, "AES256": {Type: object.SSES3}, "sse-kms": {Type: object.SSEKMS},
		"sse-kms=" + keyA: {object.SSEKMS, keyA}, "dsse-kms=x": {object.DSSEKMS, "x"}, " sse-c": {Type: object.SSEC},
	} {
		if got, err := ParseEncryptionFilter(word); err != nil || got != want {
			t.Errorf("%q: %+v, %v", word, got, err)
		}
	}
	for _, word := range []string{"", "unknown", "sse-kms=", "sse-s3=x", "rot13", "none=1"} {
		if got, err := ParseEncryptionFilter(word); err == nil {
			t.Errorf("%q was taken for %+v", word, got)
		}
	}
}
