package engine

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// Where a listing shows the encryption, it proves many objects at once. Only a
// straggler, whose neighbours were proved before it, costs a HEAD. Where a page
// takes longer than the HEADs that it spares, these are asked instead.
func TestBulkProof(t *testing.T) {
	for _, test := range []struct {
		name         string
		page         time.Duration
		workers      int
		heads, lists [2]int // at least and at most
	}{
		{"quick pages", 100 * time.Millisecond, 32, [2]int{0, 100}, [2]int{5, 30}},
		{"slow pages", 20 * time.Second, 32, [2]int{2500, 5000}, [2]int{1, 6}},
		{"few objects a second", 500 * time.Millisecond, 1, [2]int{0, 100}, [2]int{5, 45}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newMemStore(5000)
				s.shows = false
				s.delays[object.ReqCopy], s.delays[object.ReqHead], s.delays[object.ReqList] = 12*time.Millisecond, 4*time.Millisecond, test.page
				j := planOf(s, true)
				cfg := memConfig(s, j, object.OpCopy)
				cfg.Bulk, cfg.Workers = s, test.workers
				if err := Run(t.Context(), cfg); err != nil {
					t.Fatal(err)
				}
				heads, lists := s.count(object.ReqHead), s.count(object.ReqList)
				check(t, s, j, 5000)
				if heads < test.heads[0] || heads > test.heads[1] || lists < test.lists[0] || lists > test.lists[1] {
					t.Errorf("%d HEADs and %d listings for 5,000 objects", heads, lists)
				}
			})
		})
	}
}

// A store that answers 200 and encrypts nothing is found out, by whatever proof.
func TestNothingIsClaimedUnseen(t *testing.T) {
	for _, bulk := range []bool{false, true} {
		for _, v := range []Verify{VerifyAuto, VerifyResponse, VerifyHead} {
			s := newMemStore(30)
			s.shows = false
			j := planOf(s, true)
			cfg := memConfig(s, j, object.OpCopy)
			cfg.Verify = v
			if bulk {
				cfg.Bulk = s
			}
			cfg.Store.Hot = noop{s}
			if err := Run(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
			if got := j.states(); got[object.Failed] != 30 {
				t.Errorf("bulk %v verify %v: %v", bulk, v, got)
			}
		}
	}
}

// Under --verify response the word of a store is taken whose replies never show
// the encryption and were found true; of any other it is not.
func TestTheReplyIsTheProof(t *testing.T) {
	proved := object.Capabilities{CompleteIfMatch: object.Yes, Encrypts: object.Yes, CopyShowsEncryption: object.No}
	shows, unproved := proved, proved
	shows.CopyShowsEncryption, unproved.Encrypts = object.Yes, object.Unknown
	for _, test := range []struct {
		name  string
		caps  object.Capabilities
		v     Verify
		heads int
	}{
		{"silent and true", proved, VerifyResponse, 0},
		{"silent, and others show it", shows, VerifyResponse, 30},
		{"never proved", unproved, VerifyResponse, 30},
		{"not asked for", proved, VerifyAuto, 30},
	} {
		s := newMemStore(30)
		s.shows = false
		j := planOf(s, true)
		cfg := memConfig(s, j, object.OpCopy)
		cfg.Verify, cfg.Caps, cfg.Target.ShownKeyID = test.v, test.caps, cfg.Target.KMSKeyID
		if err := Run(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		if got := s.count(object.ReqHead); got != test.heads {
			t.Errorf("%s: %d HEADs, want %d", test.name, got, test.heads)
		}
		check(t, s, j, 30)
		why := object.ReasonUnknown
		if test.heads == 0 {
			why = object.ReasonReply // the report says that nobody has looked
		}
		for _, o := range j.mu.outcomes {
			if o.Reason != why {
				t.Errorf("%s: the reason of %d is %q, want %q", test.name, o.Seq, o.Reason, why)
			}
		}
	}
}

// noop answers every copy with success and does nothing.
type noop struct{ *memStore }

func (n noop) Copy(_ context.Context, r *object.CopyRequest) (object.CopyReply, error) {
	return object.CopyReply{ETag: r.SourceETag}, nil
}
