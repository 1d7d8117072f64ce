package report

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// TestTellsThatNothingGoesForward: a store whose KMS is away answers what looks, and fails
// whatever writes. After half a minute of that the progress says since when, and why.
func TestTellsThatNothingGoesForward(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		paused, planned := false, false
		p := NewProgress(ProgressOptions{Planned: func() (object.Tally, bool) { return object.Tally{Objects: 100}, planned },
			Pace: func() Pace { return Pace{Paused: paused} }})
		ok := object.Result{OK: true}
		away := object.Result{Class: object.ClassTransient, Err: &object.Error{Class: object.ClassTransient, Op: "PutObject", Message: "the KMS is away"}}
		second := func(results ...object.Result) *Snapshot {
			p.Requested(&object.Call{Kind: object.ReqHead}, ok)
			for _, r := range results {
				p.Requested(&object.Call{Kind: object.ReqPut}, r)
			}
			time.Sleep(time.Second)
			return p.Snapshot(time.Now())
		}
		seconds := func(n int, results ...object.Result) (s *Snapshot) {
			for range n {
				s = second(results...)
			}
			return s
		}
		if s := seconds(60, away); !s.StuckSince.IsZero() {
			t.Errorf("a plan looks at its objects: %s", s.Line())
		}
		planned = true
		if s := seconds(60, ok, away); !s.StuckSince.IsZero() {
			t.Errorf("some succeed: %s", s.Line())
		}
		second(ok)
		seconds(10)
		second(away)
		if s := seconds(25); !s.StuckSince.IsZero() {
			t.Errorf("one fails while copies take their time: %s", s.Line())
		}
		second(ok)
		since := time.Now().UTC()
		if s := seconds(25, away); !s.StuckSince.IsZero() {
			t.Errorf("too early: %s", s.Line())
		}
		p.Settled(&object.Outcome{State: object.Failed})
		s := seconds(10, away)
		if !s.StuckSince.Equal(since) || !strings.Contains(s.Line(), "nothing written since "+since.Format(TimeLayout)+"; the last error: PutObject: the KMS is away") || s.ETASeconds != nil {
			t.Errorf("not told: %s", s.Line())
		}
		if s := second(ok); !s.StuckSince.IsZero() {
			t.Errorf("it went forward: %s", s.Line())
		}
		if s := seconds(300); !s.StuckSince.IsZero() {
			t.Errorf("nothing fails: %s", s.Line())
		}
		paused = true
		seconds(300, away)
		paused = false
		if s := seconds(5, away); !s.StuckSince.IsZero() {
			t.Errorf("it was paused: %s", s.Line())
		}
	})
}
