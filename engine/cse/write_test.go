package cse

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// TestRewrapFile: in an instruction file one value changes, and every other byte
// stays; the object's metadata is not touched.
func TestRewrapFile(t *testing.T) {
	k := newKMS(t)
	for _, f := range []Format{V2, V3} {
		content := GCM
		if f == V3 {
			content = Committed
		}
		m := makeEnvelope(t, k, f, KMSContext, content, Key{}, nil).metadata
		object, inFile := map[string]string{"own": "value"}, without(m, "own", nameLength)
		if f == V3 {
			for _, name := range []string{nameSuite, nameCommit, nameMessageID} {
				object[name] = m[name]
				delete(inFile, name)
			}
		}
		key := nameKeyV2
		if f == V3 {
			key = nameKeyV3
		}
		file := []byte(" " + strings.ReplaceAll(writeDescription(inFile), `","x-`, "\" ,\n  \"x-") + "\n")
		e, err := ParseFile(object, file)
		if err != nil {
			t.Fatal(err)
		}
		d, err := Decide(e, Target{KMSKeyID: keyB})
		if err != nil {
			t.Fatal(err)
		}
		r, err := d.Do(t.Context(), k)
		if err != nil {
			t.Fatal(err)
		}
		after, err := r.Changes.File(file)
		if err != nil {
			t.Fatal(err)
		}
		if want := bytes.Replace(file, []byte(inFile[key]), []byte(r.Changes.set[key]), 1); !bytes.Equal(after, want) || bytes.Equal(after, file) {
			t.Errorf("%s: %s\nbecame\n%s", f, file, after)
		}
		if _, err := r.Changes.Metadata(object); err == nil {
			t.Error("the changes of a file were put into metadata")
		}
		if _, err := r.Changes.File(bytes.Replace(file, []byte(`"x-amz-`), []byte(`"x-amy-`), 1)); err == nil {
			t.Error("a file that changed meanwhile was taken")
		}
	}
}

// TestBigMetadata: what would pass 2 KB is refused before anything is written,
// and one byte less is not.
func TestBigMetadata(t *testing.T) {
	k := newKMS(t)
	m := makeEnvelope(t, k, V3, AESGCM, Committed, rawKey(t, 32, 1), nil)
	target := Target{Wrap: RSAOAEP, Key: rsaKey(t), SourceKey: rawKey(t, 32, 1)}
	_, after := rewrapOnce(t, k, m, target)
	room := maxUserMetadata - MetadataSize(after)
	e, err := Parse(m.metadata)
	if err != nil {
		t.Fatal(err)
	}
	d, err := Decide(e, target)
	if err != nil {
		t.Fatal(err)
	}
	r, err := d.Do(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	for over := range 2 {
		m.metadata["own"] = "value" + strings.Repeat("x", room+over)
		_, err := r.Changes.Metadata(m.metadata)
		var refusal *Refusal
		if big := errors.As(err, &refusal) && refusal.Reason == ReasonBigMetadata; big != (over == 1) {
			t.Errorf("%d bytes over: %v", over, err)
		}
	}
}

// TestRewrapOfWhatChanged: between HEAD and the write the metadata got another
// envelope. The changes do not fit it any more.
func TestRewrapOfWhatChanged(t *testing.T) {
	k := newKMS(t)
	m := makeEnvelope(t, k, V3, KMSContext, Committed, Key{}, nil)
	e, err := Parse(m.metadata)
	if err != nil {
		t.Fatal(err)
	}
	d, err := Decide(e, Target{KMSKeyID: keyB})
	if err != nil {
		t.Fatal(err)
	}
	r, err := d.Do(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	for what, other := range map[string]map[string]string{
		"another message": with(m.metadata, nameMessageID, b64(28)), "another wrap": metaV3("02"), "another wrapped key": with(m.metadata, nameKeyV3, b64(200)), "v2": metaV2("kms+context"), "nothing": {},
	} {
		if got, err := r.Changes.Metadata(other); err == nil {
			t.Errorf("%s: %v", what, got)
		}
	}
}
