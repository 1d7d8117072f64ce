package retry

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// outage is what is known of whether the store answers anybody.
type outage struct {
	// answers are those to requests of each side, which may go to different stores, and of them to
	// those that read an object's bytes: some stores answer HEAD while the data are away. A refusal
	// is one too.
	answers [object.NumKMSSides + 1]atomic.Uint64

	asking sync.Mutex // held while the store is asked
	asked  time.Time
	silent bool
}

// How long an answer to the question is good for, and the lack of one, and how long it is
// waited for.
const (
	answerHolds  = time.Second
	silenceHolds = 5 * time.Second
	answerWithin = 5 * time.Second
)

func (o *outage) of(c *object.Call) *atomic.Uint64 {
	if c.Kind == object.ReqGet {
		return &o.answers[object.NumKMSSides]
	}
	return &o.answers[c.KMSUse().Side]
}

// met counts an answer; what a proxy says whose store is away is none.
func (o *outage) met(c *object.Call, r *object.Result) {
	switch r.Class {
	case object.ClassTransient, object.ClassUnreachable, object.ClassThrottled, object.ClassKMSThrottled, object.ClassCanceled:
		return
	}
	o.of(c).Add(1)
}

// Answered is how many requests were answered so far, be it by a refusal.
func (l *Loop) Answered() (n uint64) {
	for i := range l.outage.answers {
		n += l.outage.answers[i].Load()
	}
	return n
}

// maybeAway says whether a failure may be that of a store that is away: one of the moment, or the
// 503 of a proxy, which is no S3 that asks for fewer requests and says so. MinIO says such words
// where too many of its drives are away.
func maybeAway(err error) bool {
	e, _ := errors.AsType[*object.Error](err)
	if e == nil || e.Class != object.ClassThrottled {
		return e != nil && e.Class == object.ClassTransient
	}
	return e.Code == "" || e.Code == "SlowDownRead" || e.Code == "SlowDownWrite"
}

// silent says whether a call that failed for a moment met a store that fails for everybody:
// nobody was answered since it failed before, and neither is a question that is about no
// object. Such a failure says nothing of the call's own object. While the question is on its
// way nobody knows, and nothing is given up.
func (l *Loop) silent(ctx context.Context, c *object.Call, err error) bool {
	o := &l.outage
	if l.Answers == nil || c.Kind == object.ReqKMS {
		return false
	}
	if !o.asking.TryLock() {
		return true
	}
	defer o.asking.Unlock()
	holds := answerHolds
	if o.silent {
		holds = silenceHolds
	}
	if o.asked.IsZero() || time.Since(o.asked) > holds {
		ctx, end := l.UntilStopping(ctx)
		defer end()
		ctx, cancel := context.WithTimeout(ctx, answerWithin)
		defer cancel()
		o.silent = l.Answers(ctx) != nil
		o.asked = time.Now()
	}
	if o.silent {
		l.tell(object.ClassOf(err), err)
	}
	return o.silent
}

// class is the trouble that an error counts as. Proxies say 502 and 503 in turn of one store that is
// away, which is not to be waited for twice as long.
func (t *troubles) class(err error) object.Class {
	class := object.ClassOf(err)
	if t.silent && class == object.ClassThrottled {
		return object.ClassTransient
	}
	return class
}

// away is for how long such a trouble was waited for. A store that fails for everybody and one that cannot
// be reached are one absence: a proxy that is restarted meanwhile takes no connection.
func (t *troubles) away(class object.Class) time.Duration {
	sum := t.waited(class)
	switch class {
	case object.ClassTransient:
		sum += t.waited(object.ClassUnreachable)
	case object.ClassUnreachable:
		sum += t.waited(object.ClassTransient)
	}
	return sum
}

// oneAbsence counts the trouble that add has just taken in as what it is.
func (t *troubles) oneAbsence(err error) {
	was, is := object.ClassOf(err), t.class(err)
	if was == is {
		return
	}
	if t.of[is] == nil {
		t.of[is] = new(waited)
	}
	t.of[was].times--
	t.of[is].times++
	t.last = is
}

// orStopped is the error of what is given up, which had waited for a store that fails for everybody:
// once that has stopped the run, it is no failure of one object.
func (l *Loop) orStopped(err error, met *troubles) error {
	if met.silent && l.IsStopping() {
		return ErrStopping
	}
	return err
}

// reopened waits until something may begin again before a mutation is sent once more: the window
// may have closed while it waited. That time is none in which the store was away.
func (l *Loop) reopened(ctx context.Context, c *object.Call, met *troubles) error {
	if l.Gate == nil || c.Ends || !c.Kind.Mutates() || met.at.IsZero() {
		return nil
	}
	began := time.Now()
	ctx, end := l.UntilStopping(ctx)
	defer end()
	if err := l.Gate(ctx); err != nil {
		return ErrStopping
	}
	met.at = met.at.Add(time.Since(began))
	return nil
}
