package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/resealhq/reseal/engine/object"
)

func (s *memStore) Annotations(ctx context.Context, ref object.Ref) ([]object.Annotation, error) {
	if err, _ := s.enter(ctx, object.ReqGetDetail, ref.Key); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	list, notes := []object.Annotation{}, s.mu.objects[ref.Key].notes
	for _, name := range slices.Sorted(maps.Keys(notes)) {
		list = append(list, object.Annotation{Name: name, Size: int64(len(notes[name])), ETag: "of " + notes[name]})
	}
	return list, nil
}

func (s *memStore) Annotation(ctx context.Context, ref object.Ref, name string) ([]byte, error) {
	if err, _ := s.enter(ctx, object.ReqGetDetail, ref.Key); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return []byte(s.mu.objects[ref.Key].notes[name]), nil
}

func (s *memStore) PutAnnotation(ctx context.Context, ref object.Ref, etag string, a *object.Annotation) error {
	err, apply := s.enter(ctx, object.ReqPutDetail, ref.Key)
	if !apply {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o := *s.mu.objects[ref.Key]
	if o.ETag != etag {
		return &object.Error{Class: object.ClassChanged, Op: "PutObjectAnnotation", Ref: ref, HTTPStatus: 412}
	}
	o.notes = maps.Clone(o.notes)
	if o.notes == nil {
		o.notes = map[string]string{}
	}
	o.notes[a.Name] = string(a.Text)
	s.mu.objects[ref.Key] = &o
	return err
}

func (s *memStore) LocksNewObjects(context.Context, string) (object.Finding, error) {
	return object.No, nil
}

func notesOf(key string) map[string]string {
	return map[string]string{"a": "first of " + key, "b": "second of " + key}
}

// annotatedStore is a store whose objects all have annotations, and a run on it that
// keeps them.
func annotatedStore(n int, op object.Operation) (*memStore, *memJournal, Config) {
	s := newMemStore(n)
	for key, o := range s.mu.objects {
		o.notes = notesOf(key)
	}
	j := planOf(s, false)
	cfg := memConfig(s, j, op)
	cfg.KeepAnnotations, cfg.Caps.Source = true, "aws"
	return s, j, cfg
}

func checkNotes(t *testing.T, s *memStore) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, o := range s.mu.objects {
		if !maps.Equal(o.notes, notesOf(key)) {
			t.Errorf("%s has the annotations %v", key, o.notes)
		}
	}
}

// Annotations are written again on what the operation makes, also where its answer or
// one of theirs is lost, and where the run ends between the two: the next one does it.
func TestL8AnnotationsAreWrittenAgain(t *testing.T) {
	commits := map[object.Operation]object.RequestKind{object.OpMultipart: object.ReqComplete, object.OpRewrite: object.ReqPut}
	for op, commit := range commits {
		for _, fault := range []string{"none", "lost", "detail fails once", "stopped between"} {
			t.Run(fmt.Sprint(op, " ", fault), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s, j, cfg := annotatedStore(20, op)
					drain := make(chan struct{})
					cfg.Drain = drain
					s.fault = annotationFault(fault, commit, sync.OnceFunc(func() { close(drain) }))
					_ = Run(t.Context(), cfg)
					if s.fault = nil; fault == "stopped between" {
						if got := j.states(); got[object.Done] > 0 {
							t.Errorf("%v, and no annotation was written", got)
						}
					}
					j.reopen()
					cfg.Drain = nil
					if err := Run(t.Context(), cfg); err != nil {
						t.Fatal(err)
					}
					check(t, s, j, 20)
					checkNotes(t, s)
				})
			})
		}
	}
}

func annotationFault(fault string, commit object.RequestKind, stop func()) func(object.RequestKind, string) (error, bool) {
	var committed, failed sync.Map
	return func(k object.RequestKind, key string) (error, bool) {
		_, done := committed.Load(key)
		if k == commit {
			committed.Store(key, true)
		}
		once := func() bool { _, again := failed.LoadOrStore(key, true); return !again }
		switch {
		case fault == "lost" && k == commit && once():
			return &object.Error{Class: object.ClassTransient, Op: k.String()}, true
		case fault == "detail fails once" && done && k == object.ReqPutDetail && once():
			return &object.Error{Class: object.ClassTransient, Op: k.String()}, false
		case fault == "stopped between" && done && k == object.ReqPutDetail:
			stop()
			return &object.Error{Class: object.ClassUnreachable, Op: k.String(), NotSent: true}, false
		}
		return nil, true
	}
}

// What another client writes after the copy keeps what that client gives it.
func TestL8AnnotationsAreNotPutOnOthersObjects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, j, cfg := annotatedStore(10, object.OpRewrite)
		var written sync.Map
		var theirs sync.Map
		s.fault = func(k object.RequestKind, key string) (error, bool) {
			if k == object.ReqPut {
				written.Store(key, true)
			} else if _, done := written.Load(key); done && k == object.ReqPutDetail {
				if _, again := theirs.LoadOrStore(key, true); !again {
					s.put(key, []byte("newer "+key))
				}
			}
			return nil, true
		}
		if err := Run(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		if got := j.states(); got[object.Done] != 10 || len(j.mu.uploads) != 0 {
			t.Errorf("%v, and %d records are left", got, len(j.mu.uploads))
		}
		for key, o := range s.mu.objects {
			if string(o.body) != "newer "+key || len(o.notes) != 0 || o.Encryption.Type != object.SSEKMS {
				t.Errorf("%s: %q under %v with %v", key, o.body, o.Encryption.Type, o.notes)
			}
		}
	})
}

// An annotation that came while the parts were copied is not lost: the upload is begun
// again.
func TestL8AnnotationsOfALongCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, cfg := annotatedStore(1, object.OpMultipart)
		s.put("k000000", make([]byte, 11<<20))
		j := planOf(s, false)
		cfg.Journal, cfg.PartSize = j, MinPartSize
		once := sync.OnceFunc(func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.mu.objects["k000000"].notes = notesOf("k000000")
		})
		s.fault = func(k object.RequestKind, _ string) (error, bool) {
			if k == object.ReqCopyPart {
				once()
			}
			return nil, true
		}
		if err := Run(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		if got := j.states(); got[object.Done] != 1 || len(s.mu.uploads)+len(j.mu.uploads) != 0 {
			t.Errorf("%v, %d uploads open", got, len(s.mu.uploads))
		}
		checkNotes(t, s)
	})
}

// Annotations that may not be written again keep the object from being touched.
func TestL8WhatMayNotBeAnnotatedIsLeft(t *testing.T) {
	for _, op := range []object.Operation{object.OpMultipart, object.OpRewrite} {
		s, j, cfg := annotatedStore(5, op)
		s.fault = func(k object.RequestKind, _ string) (error, bool) {
			if k == object.ReqPutDetail {
				return &object.Error{Class: object.ClassDenied, Op: k.String()}, false
			}
			return nil, true
		}
		if err := Run(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		if got := j.states(); got[object.Left] != 5 {
			t.Errorf("%v: %v", op, got)
		}
		checkNotes(t, s)
	}
}

// TestAnnotationsGoNowhereElse: from AWS to a store that has none. It would take the
// request for one about the object itself, so that the object is left by name.
func TestAnnotationsGoNowhereElse(t *testing.T) {
	s, j, cfg := annotatedStore(3, object.OpMultipart)
	cfg.Caps.Source = "canary"
	if err := Run(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if got := j.states(); got[object.Left] != 3 || s.count(object.ReqPutDetail) > 0 {
		t.Errorf("%v, %d details written: %+v", got, s.count(object.ReqPutDetail), j.mu.outcomes[0])
	}
}
