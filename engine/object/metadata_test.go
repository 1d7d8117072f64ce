package object

import (
	"mime"
	"reflect"
	"strings"
	"testing"
)

func TestW3WordsThatDoNotFitAreSentAsTheyWere(t *testing.T) {
	text := strings.Repeat("漢", 200)
	words := mime.QEncoding.Encode("utf-8", text)
	if len(words) <= maxMetadata {
		t.Fatalf("%d bytes fit", len(words))
	}
	short := map[string]string{"a": mime.BEncoding.Encode("utf-8", "é"), "b": "x"}
	if got := SentMetadata(short); !reflect.DeepEqual(got, short) {
		t.Errorf("what fits is sent as it was shown: %q", got)
	}
	shown := map[string]string{"a": words, "plain": "=?utf-8?q?half", "control": mime.QEncoding.Encode("utf-8", "é\n"), "b64": mime.BEncoding.Encode("utf-8", "é")}
	got := SentMetadata(shown)
	want := map[string]string{"a": text, "plain": shown["plain"], "control": shown["control"], "b64": "é"}
	if !reflect.DeepEqual(got, want) || shown["a"] != words {
		t.Errorf("%q", got)
	}
	if got := SentMetadata(nil); got != nil {
		t.Error(got)
	}
}
