package engine

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/pace"
)

// night is a store and its surroundings on the test's clock.
type night struct {
	*memStore
	renewed  atomic.Int64 // when the credentials were, in Unix seconds
	renewals atomic.Int32
	disabled atomic.Bool // the KMS key
	refused  atomic.Int32
	outside  atomic.Int32 // copies that began outside the window
	down     func(time.Time) bool
}

const credentialLife = time.Hour

func windowOpen(t time.Time) bool { return t.Hour() >= 22 || t.Hour() < 6 }

// gate waits for the next whole minute inside the window.
func gate(ctx context.Context) error {
	for !windowOpen(time.Now()) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Minute):
		}
	}
	return ctx.Err()
}

func (n *night) answer(k object.RequestKind, _ string) (error, bool) {
	now := time.Now()
	switch {
	case n.down != nil && n.down(now):
		return &object.Error{Class: object.ClassUnreachable, Op: k.String(), NotSent: true}, false
	case now.Sub(time.Unix(n.renewed.Load(), 0)) > credentialLife:
		return &object.Error{Class: object.ClassCredentials, Op: k.String(), Code: "ExpiredToken", HTTPStatus: 400}, false
	case k == object.ReqCopy && n.disabled.Load():
		n.refused.Add(1)
		return &object.Error{Class: object.ClassKey, Op: "CopyObject", Code: "KMS.DisabledException", HTTPStatus: 400}, false
	}
	// A request takes seconds, and a batch was let through before the window closed.
	if k == object.ReqCopy && !windowOpen(now.Add(-5*time.Minute)) && !windowOpen(now) {
		n.outside.Add(1)
	}
	return nil, true
}

func (n *night) renew(context.Context) error {
	n.renewals.Add(1)
	n.renewed.Store(time.Now().Unix())
	return nil
}

// Friday evening to Saturday night: work only from ten to six, credentials that
// live for an hour, a store that is away from one to two, a key that somebody
// disables at three. The run stops at three and says why; once the key is back,
// the same job waits for its window and ends with every object done, once.
func TestANight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const objects = 40000
		time.Sleep(20*time.Hour - time.Duration(time.Now().Hour())*time.Hour)
		n := &night{memStore: newMemStore(objects)}
		n.delay = 4 * time.Second
		n.fault = n.answer
		n.renewed.Store(time.Now().Unix())
		day := time.Now().Day()
		n.down = func(t time.Time) bool { return t.Day() == day+1 && t.Hour() == 1 }
		j := planOf(n.memStore, false)
		cfg := memConfig(n.memStore, j, object.OpCopy)
		cfg.Pace = pace.New(pace.Limits{Concurrency: 16})
		cfg.Workers, cfg.Gate, cfg.Renew = 16, gate, n.renew
		began := time.Now()
		time.AfterFunc(7*time.Hour, func() { n.disabled.Store(true) }) // three at night

		err := Run(t.Context(), cfg)
		if object.ClassOf(err) != object.ClassKey {
			t.Fatalf("the run ended at %v with %v", time.Now(), err)
		}
		if now := time.Now(); now.Hour() != 3 || now.Minute() > 2 {
			t.Errorf("an unusable key stopped the run at %v, want three", now)
		}
		first := j.states()
		if first[object.Failed] > 0 || first[object.Done] == 0 {
			t.Errorf("at three: %v", first)
		}
		if r := n.refused.Load(); r > 48 {
			t.Errorf("%d requests were sent to a disabled key", r)
		}

		time.Sleep(6 * time.Hour) // nine in the morning
		n.disabled.Store(false)
		j.reopen()
		cfg.Pace = pace.New(pace.Limits{Concurrency: 16})
		if err := Run(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		check(t, n.memStore, j, objects)
		if n.outside.Load() > 0 {
			t.Errorf("%d copies began outside the window", n.outside.Load())
		}
		t.Logf("%d objects, %d done at three; %d renewals; %v in all", objects, first[object.Done], n.renewals.Load(), time.Since(began).Round(time.Minute))
	})
}
