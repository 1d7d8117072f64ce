package report

import (
	"bytes"
	"context"
	"encoding/json"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// collect keeps what it was given.
type collect struct{ got []*Snapshot }

func (c *collect) Print(s *Snapshot) { c.got = append(c.got, s) }

func TestProgressFollowsAJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var complete atomic.Bool
		base := object.Totals{}
		base.States[object.Done] = object.Tally{Objects: 100, Bytes: 1000}
		p := NewProgress(ProgressOptions{Job: "j", Base: base, Planned: func() (object.Tally, bool) { return object.Tally{Objects: 1000, Bytes: 10000}, complete.Load() }})
		ctx, cancel := context.WithCancel(t.Context())
		var out collect
		var wg sync.WaitGroup
		wg.Go(func() { p.Show(ctx, 30*time.Second, &out) })
		// Ten objects a second for ten minutes of which a minute is enough to know.
		for second := range 80 {
			for range 10 {
				p.Settled(&object.Outcome{State: object.Done, Size: 5})
			}
			if second == 40 {
				p.Settled(&object.Outcome{State: object.Failed, Size: -1})
				p.Requested(&object.Call{Kind: object.ReqCopy}, object.Result{Class: object.ClassDenied})
			}
			p.Requested(&object.Call{Kind: object.ReqHead}, object.Result{OK: true})
			complete.Store(second > 50)
			time.Sleep(time.Second) // on the bubble's clock
		}
		cancel()
		wg.Wait()
		if len(out.got) != 4 { // at 0, 30, 60 and the end
			t.Fatalf("%d snapshots", len(out.got))
		}
		if out.got[1].ETASeconds != nil {
			t.Error("an ETA before the plan is complete")
		}
		s := out.got[3]
		if !s.Final || s.Done != 900 || s.Failed != 1 || s.Remaining != 99 || s.Bytes != 5000 || s.Requests["head"] != 80 || s.Errors["denied"] != 1 {
			t.Errorf("%+v", s)
		}
		if s.ObjectsPerSecond < 9 || s.ObjectsPerSecond > 11 || s.ETASeconds == nil || *s.ETASeconds < 9 || *s.ETASeconds > 11 {
			t.Errorf("rate %v, ETA %v", s.ObjectsPerSecond, s.ETASeconds)
		}
	})
}

func TestRatesForgetWhatIsLongAgo(t *testing.T) {
	now := time.Unix(0, 0)
	p := NewProgress(ProgressOptions{})
	for range 1000 {
		p.Settled(&object.Outcome{State: object.Done})
	}
	p.Snapshot(now)
	for range 10 * 60 {
		now = now.Add(time.Second)
		p.Snapshot(now)
	}
	if s := p.Snapshot(now); s.ObjectsPerSecond != 0 {
		t.Errorf("nothing moved for ten minutes, and the rate is %v", s.ObjectsPerSecond)
	}
	if n := len(p.mu.samples); n > 110 {
		t.Errorf("%d samples are kept", n)
	}
}

func sampleSnapshot() *Snapshot {
	eta := 3700.0
	return &Snapshot{Job: "j", At: time.Unix(1e9, 0).UTC(), Planned: 2000, PlanComplete: true, Done: 900, Already: 50, Left: 30, Failed: 20, Remaining: 1000,
		Bytes: 3 << 20, ObjectsPerSecond: 12.34, BytesPerSecond: 2048, ETASeconds: &eta,
		Requests: map[string]uint64{"copy": 950}, Errors: map[string]uint64{"throttled": 4, "denied": 20}, Pace: Pace{Concurrency: 8, Why: "S3 throttles"}}
}

func TestLine(t *testing.T) {
	s := sampleSnapshot()
	want := "1,000 of 2,000 objects (50.0%), 3.0 MiB done, 12.3 objects/s, ETA 1h2m0s, 20 failed, 30 left, S3 throttles, 2.0 KiB/s, errors: 20 denied 4 throttled"
	if got := s.Line(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	s.PlanComplete, s.ETASeconds = false, nil
	s.PausedUntil = time.Date(2026, 11, 23, 22, 0, 0, 0, time.UTC)
	if got := s.Line(); !strings.Contains(got, "2,000 planned so far") || !strings.Contains(got, "paused until Mon 22:00 UTC") {
		t.Error(got)
	}
}

func TestLinesSayNothingBeforeAnythingHappened(t *testing.T) {
	var b bytes.Buffer
	l := Lines(&b)
	l.Print(sampleSnapshot())
	if b.Len() != 0 {
		t.Errorf("the first line is %q", b.String())
	}
	l.Print(sampleSnapshot())
	if strings.Count(b.String(), "\n") != 1 {
		t.Errorf("got %q", b.String())
	}
}

func TestBar(t *testing.T) {
	var b bytes.Buffer
	p := Bar(&b)
	s := sampleSnapshot()
	s.PlanComplete = false
	p.Print(s)
	if !strings.Contains(b.String(), "12.3 objects/s") {
		t.Errorf("while planning: %q", b.String())
	}
	b.Reset()
	s.PlanComplete = true
	p.Print(s)
	if !strings.Contains(b.String(), "(1000/2000)") || !strings.Contains(b.String(), "50%") || !strings.Contains(b.String(), "ETA") {
		t.Errorf("with a plan: %q", b.String())
	}
	b.Reset()
	s.Final = true
	p.Print(s)
	if !strings.HasSuffix(b.String(), s.Line()+"\n") {
		t.Errorf("at the end: %q", b.String())
	}
	empty := Bar(&b)
	empty.Print(&Snapshot{PlanComplete: true})
	empty.Print(&Snapshot{PlanComplete: true, Final: true})
}

func TestJSONLines(t *testing.T) {
	var b bytes.Buffer
	p := JSONLines(&b)
	want := sampleSnapshot()
	p.Print(want)
	p.Print(want)
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	var got Snapshot
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &got); err != nil || len(lines) != 2 || !reflect.DeepEqual(&got, want) {
		t.Errorf("%v: %d lines\n got %+v\nwant %+v", err, len(lines), &got, want)
	}
}

// A run that waits for the outside world says so, until a request comes through.
func TestProgressSaysWhatItWaitsFor(t *testing.T) {
	p := NewProgress(ProgressOptions{Pace: func() Pace { return Pace{Why: "a ceiling"} }})
	copied := &object.Call{Kind: object.ReqCopy}
	for _, step := range []struct {
		result object.Result
		why    string
		waits  bool
	}{
		{object.Result{Class: object.ClassThrottled}, "a ceiling", false},
		{object.Result{Class: object.ClassFull}, "room in the store", true},
		{object.Result{Class: object.ClassUnreachable}, "cannot be reached", true},
		{object.Result{Class: object.ClassTransient}, "cannot be reached", true},
		{object.Result{Class: object.ClassCredentials}, "credentials", true},
		{object.Result{OK: true}, "a ceiling", false},
	} {
		p.Requested(copied, step.result)
		s := p.Snapshot(time.Now())
		if !strings.Contains(s.Why, step.why) || !strings.Contains(s.Line(), step.why) || s.WaitingSince.IsZero() == step.waits {
			t.Errorf("after %+v: %q since %v", step.result, s.Why, s.WaitingSince)
		}
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 objects", 1: "1 object", 2: "2 objects", 12345: "12,345 objects", 1 << 40: "1,099,511,627,776 objects"} {
		if got := Count(n, "object"); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
	s := Snapshot{PlanComplete: true}
	s.Planned, s.Done = 1, 1
	if got := s.Line(); !strings.HasPrefix(got, "1 of 1 object (100.0%)") {
		t.Errorf("the line of one object: %s", got)
	}
}
