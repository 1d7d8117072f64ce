package job

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/report"
	"github.com/resealhq/reseal/engine/retry"
)

const (
	// lookoutEvery is how often a run looks at the settings of its buckets again, as long as
	// it copies objects: a few requests a minute.
	lookoutEvery = time.Minute
	// lookoutStale is when nothing is copied any more before somebody has looked: after a
	// pause, outside of the window, while the store was gone.
	lookoutStale = 2 * lookoutEvery
	// lookoutWait bounds one look at them.
	lookoutWait = 10 * time.Second
	// lookoutAgain is after what time it is looked again where something has changed:
	// settings reach all servers of a store at their own time.
	lookoutAgain = 5 * time.Second
)

// lookout looks at the settings of the buckets while a run goes on. What it stands on is
// what made rows of a listing enough to decide by: where nobody could have grants, locks or
// redirects, nobody looks for them. No answer to a copy shows that they came.
//
//	what has changed since                | then
//	--------------------------------------+------------------------------------------
//	ACLs, locks, a website are there now  | the run stops, and the next one looks at
//	                                      | each object that remains
//	versions are not kept any more        | the run stops
//	a rule locks every new object         | log and report say so: copies are locked
//	anything else                         | is none of its business
//
// A setting that the store does not tell says nothing.
type lookout struct {
	w *work
	// began is when the settings were read that the run goes by.
	began time.Time

	turn chan struct{} // held by who looks, and has what follows
	// read are the settings of the bucket that is read, written of the one that is written,
	// as the run goes by them.
	read, written object.BucketFacts
	kept          object.Versioning // as it was seen last
	since         time.Time         // when all was as it was
	ruleSeen      time.Time         // when the rule that locks new objects was told last
	copies        uint64            // objects that were copied by then

	mu struct {
		sync.Mutex
		tried time.Time // the last look
		found error
	}
}

// lookOut begins to look. end ends that, looks once more where the run went well and was
// long enough, and says why the run has to be looked at.
func (w *work) lookOut(ctx context.Context) (end func(wentWell bool) error) {
	if w.written != nil || w.job.Policy.Operation == UpdateOnly { // nothing is lost on the way
		return func(bool) error { return nil }
	}
	_, there := w.writes()
	l := &lookout{w: w, began: w.asked, since: w.asked, ruleSeen: w.asked, copies: w.writtenObjects(), turn: make(chan struct{}, 1),
		read: w.learnt.Facts, written: *there, kept: there.Versioning}
	l.mu.tried = w.asked
	w.lookout = l
	looking, stop := context.WithCancel(ctx)
	var goes sync.WaitGroup
	goes.Go(func() {
		defer w.tellPanic()
		l.loop(looking)
	})
	return func(wentWell bool) error {
		stop()
		goes.Wait()
		if wentWell && retry.LongAgo(l.began, lookoutEvery) && ctx.Err() == nil {
			l.look(ctx, l.copied)
		}
		_, found := l.state()
		return found
	}
}

// writtenObjects counts those that were copied or written again: an update loses nothing.
func (w *work) writtenObjects() (n uint64) {
	t := w.points.Totals()
	for op, tally := range t.Operations {
		if object.Operation(op) != object.OpUpdate {
			n += tally.Objects
		}
	}
	return n
}

func (l *lookout) loop(ctx context.Context) {
	tick := time.NewTicker(lookoutEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.look(ctx, l.copied)
		case <-ctx.Done():
			return
		}
	}
}

// current is the engine's question before each object that it copies or writes again.
func (w *work) current(ctx context.Context) error {
	l := w.lookout
	if l == nil {
		return nil
	}
	_, found := l.state()
	if found == nil && l.stale() {
		looking, end := context.WithCancel(ctx)
		defer end()
		go w.stop.relay(looking, end) // whoever stops the run waits for no look
		l.look(looking, l.stale)
		found = w.stop.cause()
	}
	if found != nil {
		return retry.ErrStopping
	}
	return nil
}

// state is when somebody has looked last, and what was found.
func (l *lookout) state() (tried time.Time, found error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.tried, l.mu.found
}

// stale says whether nobody has looked for too long, also where the machine was asleep.
func (l *lookout) stale() bool {
	tried, _ := l.state()
	return retry.LongAgo(tried, lookoutStale)
}

// copied says whether objects were copied since all was as it was.
// REQUIRES: l.turn is held.
func (l *lookout) copied() bool { return l.w.writtenObjects() != l.copies }

// look looks, where it is due when its turn has come, and a second time where something has
// changed.
func (l *lookout) look(ctx context.Context, due func() bool) {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return
	}
	if _, found := l.state(); found != nil || !due() {
		return
	}
	n, now := l.w.writtenObjects(), time.Now()
	told, err := l.changed(ctx)
	if err != nil {
		select {
		case <-time.After(lookoutAgain):
			told, err = l.changed(ctx)
		case <-ctx.Done():
			told, err = false, nil
		}
	}
	if told && err == nil {
		l.since, l.copies = now, n
	}
	l.mu.Lock()
	l.mu.tried, l.mu.found = now, err
	l.mu.Unlock()
	if err != nil {
		l.w.stop.stop(err)
	}
}

// changed reads the settings, and says what has changed that a run cannot go on with. What
// the run can go on with it takes over. told says that nothing is untold that was told when
// the run began.
func (l *lookout) changed(ctx context.Context) (told bool, err error) {
	w, read := l.w, l.read
	ctx, end := context.WithTimeout(ctx, lookoutWait)
	defer end()
	if w.files == nil {
		if read, err = w.store.BucketFacts(ctx, w.learnt.Bucket); err != nil {
			return false, nil // the objects' own requests meet it too
		}
	}
	bucket, there := w.learnt.Bucket, read
	if w.learnt.Dest != nil {
		bucket = w.job.Spec.Target.DestBucket
		if there, err = w.to.BucketFacts(ctx, bucket); err != nil {
			return false, nil
		}
	}
	l.tellRule(bucket, &there)
	came, earlier, told := l.comes(&read)
	if len(came) > 0 {
		lost := fmt.Sprintf("objects that were copied between %s and %s may have lost what others set in that time", clock(l.since), clock(time.Now()))
		if len(earlier) > 0 {
			lost += ", and all that this job has copied what had no effect until now: " + strings.Join(earlier, " and ")
		}
		return told, fmt.Errorf("s3://%s has changed since the run began: %s. Nobody has looked for that, so that %s. "+
			"`reseal report %s` tells when each was copied (finished_at). Run again: what remains is decided on anew",
			w.learnt.Bucket, strings.Join(came, "; "), lost, w.opt.again(w.job.Dir))
	}
	return told, l.keeps(bucket, there.Versioning)
}

func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// keeps refuses a bucket that does not keep versions any more. One that does by now is taken
// for that once it is seen twice.
func (l *lookout) keeps(bucket string, is object.Versioning) error {
	switch {
	case is == object.VersioningUnknown:
		return nil
	case l.written.Versioning == object.VersioningEnabled && is != object.VersioningEnabled:
		return fmt.Errorf("versioning of s3://%s was enabled and is %s now. Copies since then, %s at the earliest, have taken the place of the null versions of their keys, where there were any. "+
			"Set it back and run again", bucket, is, clock(l.since))
	case is == l.kept:
		l.written.Versioning = is
	}
	l.kept = is
	return nil
}

// comes names what objects of the bucket that is read can have now, and could not, and what
// of that they may have had without effect. told says whether all of that was told.
func (l *lookout) comes(is *object.BucketFacts) (came, earlier []string, told bool) {
	told = true
	was := &l.read
	for _, f := range []struct {
		what, earlier string
		was, is       object.Finding
		comes         object.Finding
		loss          object.Reason
	}{
		{"objects can have ACLs now", "ACLs from before these were disabled", was.ACLsDisabled, is.ACLsDisabled, object.No, object.ReasonACL},
		{"objects can be locked now", "", was.ObjectLock, is.ObjectLock, object.Yes, object.ReasonLock},
		{"redirects have an effect now", "redirects from before", was.Website, is.Website, object.Yes, object.ReasonRedirect},
	} {
		if f.was != object.Unknown && f.was != f.comes && f.is == f.comes && !l.w.job.Policy.Accepts(Acceptance(f.loss)) {
			came = append(came, f.what)
			if f.earlier != "" {
				earlier = append(earlier, f.earlier)
			}
		}
		told = told && (f.is != object.Unknown || f.was == object.Unknown)
	}
	return came, earlier, told
}

// tellRule tells of a rule that locks every new object, once, and lets the report tell of it.
func (l *lookout) tellRule(bucket string, there *object.BucketFacts) {
	was, is, after := l.written.LockRule, there.LockRule, l.ruleSeen
	if is == "" {
		return
	}
	l.ruleSeen = time.Now()
	if is == was {
		return
	}
	l.written.LockRule = is
	if was == "" || is == object.NoLockRule {
		return
	}
	l.w.log.Warn("a rule of the bucket locks every new object since the run began, each copy among them", "bucket", bucket, "rule", is, "before", was)
	if err := keepLockRule(l.w.points, report.LockRule{Bucket: bucket, Rule: is, Before: was, After: after, Seen: l.ruleSeen}); err != nil {
		l.w.stop.stop(err)
	}
}

// whyStopped is why a run stopped, where the settings of a bucket may have changed too. That
// it was told to stop is no news to who told it.
func whyStopped(cause, changed error) error {
	switch {
	case changed == nil:
		return cause
	case cause == nil, errors.Is(cause, changed), errors.Is(cause, ErrInterrupted), errors.Is(cause, ErrStopAfter):
		return changed
	}
	return errors.Join(cause, changed)
}
