package engine

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// faults asks several fault functions in turn; the first that has one answers.
func faults(fs ...func(object.RequestKind, string) (error, bool)) func(object.RequestKind, string) (error, bool) {
	return func(k object.RequestKind, key string) (error, bool) {
		for _, f := range fs {
			if err, applied := f(k, key); err != nil {
				return err, applied
			}
		}
		return nil, true
	}
}

// An upload whose CreateMultipartUpload was answered by nothing is ended, whatever
// the requests that look for it meet.
func TestUploadsNobodyHeardOfAreEnded(t *testing.T) {
	transient := classError(object.ClassTransient)
	lost := oncePerKey(object.ReqCreateUpload, transient, true)
	for name, also := range map[string]func(object.RequestKind, string) (error, bool){
		"nothing":         func(object.RequestKind, string) (error, bool) { return nil, true },
		"listing fails":   oncePerKey(object.ReqListParts, transient, false),
		"abort fails":     oncePerKey(object.ReqAbort, transient, false),
		"abort's answer":  oncePerKey(object.ReqAbort, transient, true),
		"complete's gone": oncePerKey(object.ReqComplete, transient, true),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newMemStore(20)
				s.fault = faults(lost, also)
				j := planOf(s, false)
				if err := Run(t.Context(), memConfig(s, j, object.OpMultipart)); err != nil {
					t.Fatal(err)
				}
				check(t, s, j, 20)
			})
		})
		lost = oncePerKey(object.ReqCreateUpload, transient, true)
	}
}

// lateUploads lets the first CreateUpload of every key fail and take effect two
// seconds after its answer.
type lateUploads struct {
	*memStore
	seen sync.Map
	wg   sync.WaitGroup
}

func (s *lateUploads) CreateUpload(ctx context.Context, r *object.CopyRequest) (string, object.Encryption, error) {
	if _, seen := s.seen.LoadOrStore(r.Dest.Key, true); seen {
		return s.memStore.CreateUpload(ctx, r)
	}
	s.wg.Go(func() {
		time.Sleep(2 * time.Second)
		_, _, _ = s.memStore.CreateUpload(context.WithoutCancel(ctx), r)
	})
	return "", object.Encryption{}, classError(object.ClassTransient)()
}

// A CreateMultipartUpload that arrives when its object is long done leaves no
// upload behind either.
func TestUploadsThatComeLateAreEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &lateUploads{memStore: newMemStore(20)}
		j := planOf(s.memStore, false)
		cfg := memConfig(s.memStore, j, object.OpMultipart)
		cfg.Store.Uploads = s
		if err := Run(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		s.wg.Wait()
		check(t, s.memStore, j, 20)
	})
}

// Where an upload cannot be aborted, its record outlives the next rounds and the
// process, and the next run ends it.
func TestUploadsThatCannotBeAbortedAreKeptInMind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemStore(20)
		s.fault = func(k object.RequestKind, _ string) (error, bool) {
			switch k {
			case object.ReqCopyPart:
				return &object.Error{Class: object.ClassChanged, Op: "UploadPartCopy"}, false
			case object.ReqAbort:
				return &object.Error{Class: object.ClassDenied, Op: "AbortMultipartUpload"}, false
			}
			return nil, true
		}
		j := planOf(s, false)
		if err := Run(t.Context(), memConfig(s, j, object.OpMultipart)); err != nil {
			t.Fatal(err)
		}
		if n := len(j.mu.uploads); n != 20 || len(s.mu.uploads) != n {
			t.Fatalf("%d uploads in the journal, %d in the store; want the 20 that could not be aborted in both", n, len(s.mu.uploads))
		}
		s.fault = nil
		if err := Run(t.Context(), memConfig(s, j, object.OpMultipart)); err != nil {
			t.Fatal(err)
		}
		if len(j.mu.uploads) > 0 || len(s.mu.uploads) > 0 {
			t.Errorf("%d uploads in the journal, %d in the store after the next run", len(j.mu.uploads), len(s.mu.uploads))
		}
	})
}
