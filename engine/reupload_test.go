package engine

import (
	"bytes"
	"sync"
	"testing"

	"github.com/resealhq/reseal/engine/cse"
	"github.com/resealhq/reseal/engine/object"
)

// throughHere sends large objects in parts, and needs to have looked.
type throughHere struct{}

func (throughHere) Choose(o *object.Object, a *object.Attributes) object.Choice {
	switch {
	case a == nil:
		return object.Choice{Operation: object.OpUndecided}
	case o.Size > sentPart:
		return object.Choice{Operation: object.OpRewrite, Route: object.RouteSend}
	}
	return object.Choice{Operation: object.OpRewrite, Route: object.RouteRewrite}
}

// reuploads is a store with a small, an empty and a large object, and a raw key.
func reuploads(t *testing.T) (*memStore, map[string][]byte, cse.Key) {
	t.Helper()
	key, err := cse.ParseKey(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	s := newMemStore(0)
	texts := map[string][]byte{"empty": {}, "small": []byte("a text"), "large": bytes.Repeat([]byte("seventeen letters"), 800_000)}
	for name, text := range texts {
		s.put(name, text)
	}
	return s, texts, key
}

func reuploadConfig(s *memStore, j *memJournal, format cse.Format, key cse.Key) Config {
	cfg := memConfig(s, j, object.OpRewrite)
	cfg.Chooser = throughHere{}
	cfg.Reupload = &Reupload{Format: format, Target: cse.Target{Wrap: cse.AESGCM, Key: key}, KeepsSSE: true, Plaintext: true}
	if format == cse.None {
		cfg.Reupload.Target = cse.Target{SourceKey: key}
	}
	return cfg
}

// sealedText opens an object of the store, and gives the data key that it is under.
func sealedText(t *testing.T, s *memStore, name string, key cse.Key) ([]byte, cse.DataKey) {
	t.Helper()
	o := s.mu.objects[name]
	e, err := cse.Parse(o.attrs.Metadata)
	if err != nil || e.Format != cse.V3 {
		t.Fatalf("%s is %v: %v", name, e, err)
	}
	d, err := e.Unwrap(t.Context(), cse.Opener{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	r, err := e.NewReader(d, bytes.NewReader(o.body), int64(len(o.body)))
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if _, err := text.ReadFrom(r); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return text.Bytes(), d
}

// TestReuploadKeepsOthersWrites: each object is overwritten by somebody else before its
// PUT or the completion of its upload. The newer bytes stay and are encrypted, by an
// attempt with a data key of its own, and no upload is left.
func TestReuploadKeepsOthersWrites(t *testing.T) {
	s, texts, key := reuploads(t)
	j := planOf(s, false)
	var seen sync.Map
	s.fault = func(kind object.RequestKind, name string) (error, bool) {
		if kind == object.ReqPut || kind == object.ReqComplete {
			if _, again := seen.LoadOrStore(name, true); !again {
				s.put(name, append([]byte("newer "), texts[name]...))
			}
		}
		return nil, false
	}
	if err := Run(t.Context(), reuploadConfig(s, j, cse.V3, key)); err != nil {
		t.Fatal(err)
	}
	if got := j.states(); got[object.Done] != len(texts) {
		t.Fatalf("%v: %+v", got, j.mu.outcomes)
	}
	used := map[string]bool{}
	for name, text := range texts {
		got, d := sealedText(t, s, name, key)
		if !bytes.Equal(got, append([]byte("newer "), text...)) {
			t.Errorf("%s has lost what somebody wrote", name)
		}
		used[string(d.Bytes())] = true
	}
	if len(used) != len(texts) || len(s.mu.uploads) > 0 {
		t.Errorf("%d data keys, %d uploads left", len(used), len(s.mu.uploads))
	}
}

// TestReuploadLostAnswer: the answer to each PUT and completion is lost after it took
// effect. Into version 3 the envelope tells that it is ours; out of it the bytes do.
// Each object is written once.
func TestReuploadLostAnswer(t *testing.T) {
	s, texts, key := reuploads(t)
	lost := func() func(object.RequestKind, string) (error, bool) {
		var seen sync.Map
		return func(kind object.RequestKind, name string) (error, bool) {
			if _, again := seen.LoadOrStore(name, true); (kind == object.ReqPut || kind == object.ReqComplete) && !again {
				return &object.Error{Class: object.ClassTransient, Op: kind.String(), Message: "no answer"}, true
			} else if !again {
				seen.Delete(name)
			}
			return nil, false
		}
	}
	for _, format := range []cse.Format{cse.V3, cse.None} {
		j := planOf(s, false)
		s.fault = lost()
		writes := map[string]int{}
		for name, o := range s.mu.objects {
			writes[name] = o.writes
		}
		if err := Run(t.Context(), reuploadConfig(s, j, format, key)); err != nil {
			t.Fatal(err)
		}
		if got := j.states(); got[object.Done] != len(texts) {
			t.Fatalf("%v: %v: %+v", format, got, j.mu.outcomes)
		}
		for name, text := range texts {
			o := s.mu.objects[name]
			if o.writes != writes[name]+1 {
				t.Errorf("%v: %s was written %d times", format, name, o.writes-writes[name])
			}
			got := o.body
			if format == cse.V3 {
				got, _ = sealedText(t, s, name, key)
			}
			if !bytes.Equal(got, text) {
				t.Errorf("%v: %s has another text", format, name)
			}
		}
	}
}
