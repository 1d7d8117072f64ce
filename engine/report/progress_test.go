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
		Requests: map[string]uint64{"copy": 950}, Errors: map[string]uint64{"throttled": 4, "denied": 20, "gone": 950}, Pace: Pace{Concurrency: 8, Why: "S3 throttles"}}
}

func TestLine(t *testing.T) {
	s := sampleSnapshot()
	want := "1,000 of 2,000 objects (50.0%), 20 failed, 30 left, ETA 1h2m0s, 12.3 objects/s, 3.0 MiB done, S3 throttles, 2.0 KiB/s, errors: 20 denied 4 throttled"
	if got := s.Line(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	s.PlanComplete, s.ETASeconds = false, nil
	s.PausedUntil = time.Date(2026, 11, 23, 22, 0, 0, 0, time.UTC)
	if got := s.Line(); !strings.Contains(got, "2,000 planned so far") || !strings.Contains(got, "paused until Mon 22:00 UTC") {
		t.Error(got)
	}
}

func TestLinesTellTimeAndJob(t *testing.T) {
	var b bytes.Buffer
	s := sampleSnapshot()
	Lines(&b).Print(s)
	if want := s.At.Local().Format(time.RFC3339) + " j: " + s.Line() + "\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

// What matters stands within the columns: state, failures, what was left, and at 80
// also the ETA.
func TestBarLine(t *testing.T) {
	s := sampleSnapshot()
	for columns, want := range map[int]string{
		45:  "[#####-----] 50.0% 1,000/2,000, 20 failed, 30",
		79:  "[#####-----] 50.0% 1,000/2,000, 20 failed, 30 left, ETA 1h2m0s, 12.3 objects/s,",
		121: "[############------------] 50.0% 1,000/2,000, 20 failed, 30 left, ETA 1h2m0s, 12.3 objects/s, 3.0 MiB done, S3 throttles,",
	} {
		if got := s.barLine(columns); got != want {
			t.Errorf("%d columns:\n got %q\nwant %q", columns, got, want)
		}
	}
	s.WaitingSince, s.ETASeconds = s.At, nil
	if got, want := s.barLine(79), "[#####-----] 50.0% 1,000/2,000, S3 throttles, 20 failed, 30 left, 12.3 objects/"; got != want {
		t.Errorf("waiting:\n got %q\nwant %q", got, want)
	}
	s.PlanComplete = false
	if got, want := s.barLine(60), "1,000 of 2,000 planned so far, S3 throttles, 20 failed, 30 l"; got != want {
		t.Errorf("planning:\n got %q\nwant %q", got, want)
	}
	empty := &Snapshot{PlanComplete: true}
	if got := empty.barLine(79); !strings.HasPrefix(got, "[##########] 100% 0/0") {
		t.Errorf("an empty plan: %q", got)
	}
}

// The end takes the bar away, and stands there instead.
func TestBarEnds(t *testing.T) {
	var b bytes.Buffer
	p, s := Bar(&b), sampleSnapshot()
	p.Print(s)
	b.Reset()
	s.Final = true
	p.Print(s)
	if want := "\r\x1b[J" + s.Line() + "\n"; b.String() != want {
		t.Errorf("at the end: %q", b.String())
	}
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
		{object.Result{Class: object.ClassKMSAway}, "waiting for the KMS", true},
	} {
		p.Requested(copied, step.result)
		s := p.Snapshot(time.Now())
		if !strings.Contains(s.Why, step.why) || !strings.Contains(s.Line(), step.why) || s.WaitingSince.IsZero() == step.waits {
			t.Errorf("after %+v: %q since %v", step.result, s.Why, s.WaitingSince)
		}
	}
}

// The wait for a KMS is over when what needs it succeeds, and not with what only looks, needs
// none, or goes to another store.
func TestProgressWaitsForTheKMS(t *testing.T) {
	p := NewProgress(ProgressOptions{})
	p.Requested(&object.Call{Kind: object.ReqPut, KMSKey: "key"}, object.Result{Class: object.ClassKMSAway})
	for _, other := range []object.Call{{Kind: object.ReqHead}, {Kind: object.ReqCopy}, {Kind: object.ReqCopy, OtherKey: true},
		{Kind: object.ReqGet, KMSKey: "key", OtherKey: true}, {Kind: object.ReqCreateUpload, KMSKey: "key"}} {
		p.Requested(&other, object.Result{OK: true})
		if s := p.Snapshot(time.Now()); s.WaitingFor != "kms-away" {
			t.Errorf("the wait ended with %+v", other)
		}
	}
	p.Requested(&object.Call{Kind: object.ReqCopyPart, KMSKey: "key"}, object.Result{OK: true})
	if s := p.Snapshot(time.Now()); s.WaitingFor != "" {
		t.Errorf("still waiting for %s", s.WaitingFor)
	}
}

// MinIO needs its KMS for listings, too, and while a plan is made nothing else is sent.
func TestProgressWaitsForAListing(t *testing.T) {
	p := NewProgress(ProgressOptions{})
	page := &object.Call{Kind: object.ReqList}
	p.Requested(page, object.Result{Class: object.ClassKMSAway})
	p.Requested(&object.Call{Kind: object.ReqGet, OtherKey: true}, object.Result{OK: true})
	if s := p.Snapshot(time.Now()); s.WaitingFor != "kms-away" {
		t.Error("the wait ended with the reading of an object")
	}
	p.Requested(page, object.Result{OK: true})
	if s := p.Snapshot(time.Now()); s.WaitingFor != "" {
		t.Errorf("still waiting for %s", s.WaitingFor)
	}
}

// A failure of the moment is one object's trouble, and is waited for where nobody is answered.
func TestProgressWaitsForAnAnswer(t *testing.T) {
	p := NewProgress(ProgressOptions{})
	p.Requested(&object.Call{Kind: object.ReqHead}, object.Result{Class: object.ClassTransient})
	if s := p.Snapshot(time.Now()); s.WaitingFor != "" {
		t.Errorf("waiting for %s", s.WaitingFor)
	}
	p.Requested(&object.Call{Kind: object.ReqHead, Unanswered: true}, object.Result{Class: object.ClassTransient})
	if s := p.Snapshot(time.Now()); s.WaitingFor != "transient" || !strings.Contains(s.Why, "answers nobody") {
		t.Errorf("waiting for %q: %s", s.WaitingFor, s.Why)
	}
	p.Requested(&object.Call{Kind: object.ReqHead}, object.Result{OK: true})
	if s := p.Snapshot(time.Now()); s.WaitingFor != "" {
		t.Errorf("still waiting for %s", s.WaitingFor)
	}
	// Where the data are away, objects may be looked at all the while.
	p.Requested(&object.Call{Kind: object.ReqCopy, Unanswered: true}, object.Result{Class: object.ClassTransient})
	p.Requested(&object.Call{Kind: object.ReqHead}, object.Result{OK: true})
	if s := p.Snapshot(time.Now()); s.WaitingFor != "transient" {
		t.Errorf("waiting for %q", s.WaitingFor)
	}
	p.Requested(&object.Call{Kind: object.ReqCopy}, object.Result{OK: true})
	if s := p.Snapshot(time.Now()); s.WaitingFor != "" {
		t.Errorf("still waiting for %s", s.WaitingFor)
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
