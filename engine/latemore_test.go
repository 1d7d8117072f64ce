package engine

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// TestTagsOfOthersWhileVersionsAreAskedFor: between the copy, which drops the tags, and the
// request that writes them again the store is asked whether it keeps versions, and takes long.
// Tags that others set meanwhile stay.
func TestTagsOfOthersWhileVersionsAreAskedFor(t *testing.T) {
	theirs := []object.Tag{{Key: "set by", Value: "another"}}
	synctest.Test(t, func(t *testing.T) {
		s, j, cfg := tagged(1, object.OpCopy)
		cfg.Facts.Versioning, cfg.Caps.VersionsInReplies = object.VersioningEnabled, object.Yes
		asked := 0
		cfg.Versioning = func(context.Context) (object.Versioning, error) {
			asked++
			time.Sleep(5 * time.Minute)
			s.alter("k000000", func(o *memObject) { o.attrs.Tags = theirs })
			return object.VersioningEnabled, nil
		}
		if err := Run(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		if got := s.mu.objects["k000000"].attrs.Tags; asked == 0 || !slices.Equal(got, theirs) || j.states()[object.Done] != 1 {
			t.Errorf("asked %d times; tags %v, %v", asked, got, j.states())
		}
	})
}

// taggedSent is tagged for objects that go through this process in parts.
func taggedSent(n int) (*memStore, *memJournal, Config) {
	s, j, cfg := resends(n)
	s.dropsTags = true
	for _, o := range s.mu.objects {
		o.attrs.Tags = someTags
	}
	cfg.Caps.KeepsTags, cfg.Caps.PutTagging, cfg.Caps.GetTagging = object.No, object.Yes, object.Yes
	return s, j, cfg
}

// TestACompleteThatComesBeforeTheAbort: a Complete got no answer, and the object has something
// else since, so that the upload is given up. It takes effect just before it is aborted. What
// the store has dropped with it is written again all the same.
func TestACompleteThatComesBeforeTheAbort(t *testing.T) {
	for name, make := range map[string]func(int) (*memStore, *memJournal, Config){
		"copied": func(n int) (*memStore, *memJournal, Config) { return tagged(n, object.OpMultipart) },
		"sent":   taggedSent,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, j, cfg := make(1)
				lost, aborted := false, false
				s.fault = func(k object.RequestKind, key string) (error, bool) {
					switch {
					case k == object.ReqComplete && !lost:
						lost = true
						s.alter(key, func(o *memObject) { o.attrs.CacheControl = "no-store" })
						return &object.Error{Class: object.ClassTransient, Op: k.String()}, false
					case k == object.ReqAbort && !aborted:
						aborted = true
						s.completeNow()
						return &object.Error{Class: object.ClassNoUpload, Op: "AbortMultipartUpload"}, false
					}
					return nil, true
				}
				if err := Run(t.Context(), cfg); err != nil {
					t.Fatal(err)
				}
				if !aborted || j.states()[object.Done] != 1 || len(j.mu.uploads)+len(s.mu.uploads) > 0 {
					t.Errorf("aborted %t, %v, %d records, %d uploads", aborted, j.states(), len(j.mu.uploads), len(s.mu.uploads))
				}
				checkTags(t, s)
			})
		})
	}
}

// TestALostUpdateIsNoLostCopy: an update got no answer and is refused then, and the copy that
// follows waits for so long that the object is looked at again. No row tells of a copy that may
// have taken effect.
func TestALostUpdateIsNoLostCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemStore(1)
		j, cfg := refusing(s, object.Capabilities{Update: object.Yes, CopyIfMatch: object.Yes}, false)
		updates := 0
		s.fault = func(k object.RequestKind, _ string) (error, bool) {
			switch {
			case k == object.ReqUpdate && updates == 0:
				updates++
				return &object.Error{Class: object.ClassTransient, Op: "UpdateObjectEncryption"}, false
			case k == object.ReqUpdate:
				return &object.Error{Class: object.ClassDenied, Op: "UpdateObjectEncryption"}, false
			case k == object.ReqCopy:
				return &object.Error{Class: object.ClassThrottled, Op: "CopyObject"}, false
			}
			return nil, true
		}
		cfg.Facts.Versioning = object.VersioningEnabled
		if err := Run(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		if out := j.mu.outcomes[0]; out.State != object.Failed || strings.Contains(out.Message, "a copy that got no answer") {
			t.Errorf("%v: %s", out.State, out.Message)
		}
	})
}

// TestWhatWasNotWrittenAgainIsNotForOthers: tags that a copy dropped could not be written again,
// and another client has written the object since, of the same size and as wanted. The next
// process, which tries it again, does not give it the tags of the one before.
func TestWhatWasNotWrittenAgainIsNotForOthers(t *testing.T) {
	for name, make := range map[string]func() (*memStore, *memJournal, Config){
		"copy":      func() (*memStore, *memJournal, Config) { return tagged(1, object.OpCopy) },
		"multipart": func() (*memStore, *memJournal, Config) { return tagged(1, object.OpMultipart) },
		"sent":      func() (*memStore, *memJournal, Config) { return taggedSent(1) },
	} {
		for _, written := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " written ", written), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s, j, cfg := make()
					s.fault = func(k object.RequestKind, _ string) (error, bool) {
						if k == object.ReqPutDetail {
							return &object.Error{Class: object.ClassDenied, Op: "PutObjectTagging"}, false
						}
						return nil, true
					}
					if err := Run(t.Context(), cfg); err != nil || j.states()[object.Failed] != 1 || len(j.mu.uploads) != 1 {
						t.Fatalf("%v, %v, %d records", err, j.states(), len(j.mu.uploads))
					}
					if written {
						s.alter("k000000", func(o *memObject) { o.ETag, o.body = "theirs", bytes.Repeat([]byte("t"), len(o.body)) })
					}
					s.fault = nil
					clear(j.mu.outcomes) // --retry-failed
					j.reopen()
					if err := Run(t.Context(), cfg); err != nil || j.states()[object.Failed] > 0 || len(j.mu.uploads) > 0 {
						t.Errorf("%v, %v, %d records", err, j.states(), len(j.mu.uploads))
					}
					if got := s.mu.objects["k000000"].attrs.Tags; (len(got) == 0) != written {
						t.Errorf("it has the tags %v", got)
					}
				})
			})
		}
	}
}

// TestALostCopyMayComeAfterTheAnsweredOne: a copy got no answer, the next one did, and the tags that
// it dropped could not be written again. Then the first takes effect. The next process gives the
// tags to what that has made, which has another ETag.
func TestALostCopyMayComeAfterTheAnsweredOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, j, cfg := tagged(1, object.OpCopy)
		copies := 0
		s.fault = func(k object.RequestKind, _ string) (error, bool) {
			switch k {
			case object.ReqCopy:
				if copies++; copies == 1 {
					return &object.Error{Class: object.ClassTransient, Op: "CopyObject"}, false
				}
			case object.ReqPutDetail:
				return &object.Error{Class: object.ClassDenied, Op: "PutObjectTagging"}, false
			}
			return nil, true
		}
		if err := Run(t.Context(), cfg); err != nil || copies != 2 || j.states()[object.Failed] != 1 || len(j.mu.uploads) != 1 {
			t.Fatalf("%v, %d copies, %v, %d records", err, copies, j.states(), len(j.mu.uploads))
		}
		s.alter("k000000", func(o *memObject) { o.ETag = "late" })
		s.fault = nil
		clear(j.mu.outcomes) // --retry-failed
		j.reopen()
		if err := Run(t.Context(), cfg); err != nil || j.states()[object.Failed] > 0 || len(j.mu.uploads) > 0 {
			t.Errorf("%v, %v, %d records", err, j.states(), len(j.mu.uploads))
		}
		checkTags(t, s)
	})
}
