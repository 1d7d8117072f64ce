package engine

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
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

// told keeps what a run logs.
type told struct {
	mu sync.Mutex
	b  strings.Builder
}

func (w *told) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

func (w *told) into(cfg *Config) { cfg.Log = slog.New(slog.NewTextHandler(w, nil)) }

// checkNamed is check for a store on which uploads may stay open: each is named once in
// the log, none was aborted, and the journal has forgotten them.
func checkNamed(t *testing.T, s *memStore, j *memJournal, n int, log *told) {
	t.Helper()
	s.mu.Lock()
	open := s.mu.uploads
	s.mu.uploads = map[string]*memUpload{}
	s.mu.Unlock()
	check(t, s, j, n)
	if len(open) != n {
		t.Errorf("%d uploads are open, want the %d whose creation got no answer", len(open), n)
	}
	for id, u := range open {
		if n := strings.Count(log.b.String(), "key="+u.ref.Key+" upload="+id+" "); n != 1 {
			t.Errorf("the log names %s of %s %d times", id, u.ref.Key, n)
		}
	}
	if s.count(object.ReqAbort) > 0 {
		t.Errorf("%d uploads were aborted that nobody can tell to be ours", s.count(object.ReqAbort))
	}
}

// An upload whose CreateMultipartUpload was answered by nothing is named, whatever
// the requests that look for it meet.
func TestUploadsNobodyHeardOfAreNamed(t *testing.T) {
	transient := classError(object.ClassTransient)
	for name, also := range map[string]func(object.RequestKind, string) (error, bool){
		"nothing":         func(object.RequestKind, string) (error, bool) { return nil, true },
		"listing fails":   oncePerKey(object.ReqListParts, transient, false),
		"complete's gone": oncePerKey(object.ReqComplete, transient, true),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, log := newMemStore(20), new(told)
				s.fault = faults(oncePerKey(object.ReqCreateUpload, transient, true), also)
				j := planOf(s, false)
				cfg := memConfig(s, j, object.OpMultipart)
				log.into(&cfg)
				if err := Run(t.Context(), cfg); err != nil {
					t.Fatal(err)
				}
				checkNamed(t, s, j, 20, log)
				for _, o := range j.mu.outcomes {
					if !strings.Contains(o.Message, "may be left open") {
						t.Errorf("the outcome of %d says %q", o.Seq, o.Message)
					}
				}
			})
		})
	}
}

// An upload that another client began just when the answer to ours was lost is never
// aborted, although it is the only open one of its key.
func TestL9OthersUploadsAreLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, log := newMemStore(20), new(told)
		lost := oncePerKey(object.ReqCreateUpload, classError(object.ClassTransient), false)
		s.fault = func(k object.RequestKind, key string) (error, bool) {
			err, applied := lost(k, key)
			if err != nil {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.mu.uploads["theirs-"+key] = &memUpload{ref: object.Ref{Bucket: "b", Key: key}, parts: map[int][]byte{}, began: time.Now()}
			}
			return err, applied
		}
		j := planOf(s, false)
		cfg := memConfig(s, j, object.OpMultipart)
		log.into(&cfg)
		if err := Run(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		checkNamed(t, s, j, 20, log)
	})
}

// TestUploadsOfADeadProcessAreFoundWhateverTheClocksSay: a process dies when the upload
// was created and before it heard the ID. The next one finds it, wherever the store's
// clock was then, and names it in log and report; another client's, which has a part,
// is none of its business.
func TestUploadsOfADeadProcessAreFoundWhateverTheClocksSay(t *testing.T) {
	for name, off := range map[string]time.Duration{"alike": 0, "hours behind": -26 * time.Hour, "hours ahead": 26 * time.Hour, "no date": -200 * 365 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newMemStore(1)
				j := planOf(s, false)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				s.mu.uploads["theirs"] = &memUpload{ref: object.Ref{Bucket: "b", Key: "k000000"}, parts: map[int][]byte{1: {}}, began: time.Now().Add(off)}
				s.fault = func(k object.RequestKind, _ string) (error, bool) {
					if k != object.ReqCreateUpload {
						return nil, true
					}
					cancel()
					return &object.Error{Class: object.ClassCanceled, Op: "CreateMultipartUpload", Err: context.Canceled}, true
				}
				if err := Run(ctx, memConfig(s, j, object.OpMultipart)); err == nil {
					t.Fatal("it ended in time")
				}
				var ours string
				for id, u := range s.mu.uploads {
					if id != "theirs" {
						u.began, ours = time.Now().Add(off), id
					}
				}
				j.reopen()
				s.fault = nil
				cfg, log := memConfig(s, j, object.OpMultipart), new(told)
				log.into(&cfg)
				if err := Run(t.Context(), cfg); err != nil {
					t.Fatal(err)
				}
				if got := log.b.String(); ours == "" || !strings.Contains(got, "upload="+ours) || strings.Contains(got, "theirs") {
					t.Errorf("of %q the log says %s", ours, got)
				}
				if out := j.mu.outcomes[0]; out.State != object.Done || !strings.Contains(out.Message, ours) {
					t.Errorf("%v %q", out.State, out.Message)
				}
				if len(s.mu.uploads) != 2 || len(j.mu.uploads) > 0 || s.count(object.ReqAbort) > 0 {
					t.Errorf("%d uploads in the store, %d in the journal, %d aborted", len(s.mu.uploads), len(j.mu.uploads), s.count(object.ReqAbort))
				}
			})
		})
	}
}

// unlisted lists no open upload to anybody.
type unlisted struct{ *memStore }

func (unlisted) ListUploads(context.Context, object.Ref) ([]object.PendingUpload, error) {
	return nil, &object.Error{Class: object.ClassDenied, Op: "ListMultipartUploads"}
}

// TestUploadsThatNobodyMayListStandInNobodysWay: of a process that died nobody knows whether
// it has left uploads open, and whoever comes next may not list them. Its objects are done all
// the same, their rows tell it, and the log names the permission once.
func TestUploadsThatNobodyMayListStandInNobodysWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemStore(3)
		j := planOf(s, false)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var asked atomic.Int32
		s.fault = func(k object.RequestKind, _ string) (error, bool) {
			if k != object.ReqCreateUpload {
				return nil, true
			}
			if asked.Add(1) == 3 {
				cancel()
			}
			<-ctx.Done()
			return &object.Error{Class: object.ClassCanceled, Op: "CreateMultipartUpload", Err: context.Canceled}, true
		}
		if err := Run(ctx, memConfig(s, j, object.OpMultipart)); err == nil {
			t.Fatal("it ended in time")
		}
		j.reopen()
		s.fault = nil
		cfg, log := memConfig(s, j, object.OpMultipart), new(told)
		cfg.Store.Uploads = unlisted{s}
		log.into(&cfg)
		if err := Run(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(log.b.String(), "grant s3:ListBucketMultipartUploads"); n != 1 {
			t.Errorf("the permission is named %d times: %s", n, log.b.String())
		}
		for seq, o := range j.mu.outcomes {
			if o.State != object.Done || !strings.Contains(o.Message, "s3:ListBucketMultipartUploads") {
				t.Errorf("%d: %v %q", seq, o.State, o.Message)
			}
		}
		if len(j.mu.outcomes) != 3 {
			t.Errorf("%d outcomes", len(j.mu.outcomes))
		}
	})
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

// A CreateMultipartUpload that arrives when its object is long done is named too.
func TestUploadsThatComeLateAreNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &lateUploads{memStore: newMemStore(20)}
		j := planOf(s.memStore, false)
		cfg, log := memConfig(s.memStore, j, object.OpMultipart), new(told)
		cfg.Store.Uploads = s
		log.into(&cfg)
		if err := Run(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		s.wg.Wait()
		checkNamed(t, s.memStore, j, 20, log)
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

// TestAnUploadIsNotLostSightOfWhileStopping: a run that is told to stop aborts no
// upload, and begins no other one in its place either.
func TestAnUploadIsNotLostSightOfWhileStopping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemStore(20)
		j := planOf(s, false)
		drain, hit := make(chan struct{}), new(sync.Map)
		var stop sync.Once
		s.fault = func(k object.RequestKind, key string) (error, bool) {
			if k != object.ReqCopyPart {
				return nil, true
			}
			stop.Do(func() { close(drain) })
			time.Sleep(time.Second)
			if _, again := hit.LoadOrStore(key, true); !again {
				return &object.Error{Class: object.ClassChanged, Op: "UploadPartCopy"}, false
			}
			return nil, true
		}
		cfg := memConfig(s, j, object.OpMultipart)
		cfg.Drain = drain
		if err := Run(t.Context(), cfg); !errors.Is(err, ErrDrained) {
			t.Fatal(err)
		}
		if n := len(j.mu.uploads); n == 0 || len(s.mu.uploads) != n {
			t.Fatalf("%d uploads in the journal, %d in the store", n, len(s.mu.uploads))
		}
		j.reopen()
		if err := Run(t.Context(), memConfig(s, j, object.OpMultipart)); err != nil {
			t.Fatal(err)
		}
		if len(j.mu.uploads) > 0 || len(s.mu.uploads) > 0 || j.states()[object.Done] != 20 {
			t.Errorf("%d uploads in the journal, %d in the store after the next run; %v", len(j.mu.uploads), len(s.mu.uploads), j.states())
		}
	})
}

// TestALostCreationThatNobodyMayLookFor: where the answer to a creation is lost and uploads
// may not be listed, the row and the log say so.
func TestALostCreationThatNobodyMayLookFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, log := newMemStore(5), new(told)
		s.fault = oncePerKey(object.ReqCreateUpload, classError(object.ClassTransient), true)
		j := planOf(s, false)
		cfg := memConfig(s, j, object.OpMultipart)
		cfg.Store.Uploads = unlisted{s}
		log.into(&cfg)
		if err := Run(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		for seq, o := range j.mu.outcomes {
			if o.State != object.Done || !strings.Contains(o.Message, "s3:ListBucketMultipartUploads") {
				t.Errorf("%d: %v %q", seq, o.State, o.Message)
			}
		}
		if n := strings.Count(log.b.String(), "grant s3:ListBucketMultipartUploads"); n != 1 || len(j.mu.outcomes) != 5 {
			t.Errorf("%d outcomes; the permission is named %d times: %s", len(j.mu.outcomes), n, log.b.String())
		}
	})
}
