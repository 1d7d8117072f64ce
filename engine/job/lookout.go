package job

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// lookoutEvery is how often a run looks at the settings of its buckets again, as long as it
// copies objects: a few requests a minute.
const lookoutEvery = time.Minute

// lookoutWait bounds the last look of a run.
const lookoutWait = 10 * time.Second

// lookout looks at the settings of the buckets while a run goes on. What it stands on is
// what made rows of a listing enough to decide by: where nobody could have grants, locks or
// redirects, nobody looks for them. No answer to a copy shows that they came.
//
//	what has changed since                | then
//	--------------------------------------+------------------------------------------
//	ACLs, locks, a website are there now  | the run stops, and the next one looks at
//	                                      | each object that remains
//	versions are not kept any more        | the run stops
//	a rule locks every new object         | the log says so: each copy is locked
//	anything else                         | is none of its business
//
// A setting that the store does not tell says nothing.
type lookout struct {
	w *work
	// read are the settings of the bucket that is read, written of the one that is written:
	// as they were last, as far as they were told.
	read, written object.BucketFacts
	inPlace       bool
	since         time.Time // when they were
	copies        uint64    // objects that were copied by then
	looked        bool

	mu struct {
		sync.Mutex
		found error
	}
}

// lookOut begins to look. end ends that, looks once more where the run went well and was
// long enough, and says why the run has to be looked at.
func (w *work) lookOut(ctx context.Context) (end func(wentWell bool) error) {
	if w.files != nil || w.written != nil || w.job.Policy.Operation == UpdateOnly { // nothing is lost on the way
		return func(bool) error { return nil }
	}
	l := &lookout{w: w, read: w.learnt.Facts, inPlace: w.learnt.Dest == nil, since: w.began, copies: w.writtenObjects()}
	if l.written = l.read; !l.inPlace {
		l.written = *w.learnt.Dest
	}
	looking, stop := context.WithCancel(ctx)
	var goes sync.WaitGroup
	goes.Go(func() { l.loop(looking) })
	return func(wentWell bool) error {
		stop()
		goes.Wait()
		if wentWell && l.looked && ctx.Err() == nil {
			last, end := context.WithTimeout(ctx, lookoutWait)
			defer end()
			l.look(last, false)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.mu.found
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
	if time.Since(l.since) > lookoutEvery { // a manifest was read
		l.look(ctx, true)
	}
	for !l.stopped() {
		select {
		case <-tick.C:
			l.look(ctx, false)
		case <-ctx.Done():
			return
		}
	}
}

func (l *lookout) stopped() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.found != nil
}

// look looks once, where objects were copied since the last time or it has to, and a second
// time where something has changed: settings reach all servers of a store at their own time.
func (l *lookout) look(ctx context.Context, must bool) {
	n := l.w.writtenObjects()
	if n == l.copies && !must || l.stopped() {
		return
	}
	began := time.Now()
	told, err := l.changed(ctx)
	if err != nil {
		told, err = l.changed(ctx)
	}
	l.looked = true
	if told && err == nil {
		l.since, l.copies = began, n
	}
	if err == nil {
		return
	}
	l.mu.Lock()
	l.mu.found = err
	l.mu.Unlock()
	l.w.stop.stop(err)
}

// changed reads the settings, and says what has changed that a run cannot go on with. What
// the run can go on with it takes over. told says that nothing is untold that was told when
// the run began.
func (l *lookout) changed(ctx context.Context) (told bool, err error) {
	w := l.w
	read, err := w.store.BucketFacts(ctx, w.learnt.Bucket)
	if err != nil {
		return false, nil // the objects' own requests meet it too
	}
	there := read
	if !l.inPlace {
		if there, err = w.to.BucketFacts(ctx, w.job.Spec.Target.DestBucket); err != nil {
			return false, nil
		}
	}
	l.tellRule(&there)
	came, told := l.comes(&read)
	if len(came) > 0 {
		return told, fmt.Errorf("s3://%s has changed since the run began: %s now. Whatever was set of that between %s and %s, on objects that were copied meanwhile, may be missing of them. "+
			"Run again: what remains is decided on anew", w.learnt.Bucket, strings.Join(came, "; "), l.since.UTC().Format(time.RFC3339), time.Now().UTC().Format(time.RFC3339))
	}
	switch was, is := l.written.Versioning, there.Versioning; {
	case is == object.VersioningUnknown:
	case was == object.VersioningEnabled && is != was:
		bucket, _ := w.writes()
		return told, fmt.Errorf("versioning of s3://%s was enabled and is %s now, so that copies take the place of the null versions of their keys. Set it back and run again", bucket, is)
	default:
		l.written.Versioning = is
	}
	return told, nil
}

// comes names what objects of the bucket that is read can have now, and could not, and says
// whether all of that was told.
func (l *lookout) comes(is *object.BucketFacts) (came []string, told bool) {
	told = true
	for _, f := range []struct {
		what    string
		was, is object.Finding
		comes   object.Finding
		loss    object.Reason
	}{
		{"objects can have ACLs", l.read.ACLsDisabled, is.ACLsDisabled, object.No, object.ReasonACL},
		{"objects can be locked", l.read.ObjectLock, is.ObjectLock, object.Yes, object.ReasonLock},
		{"redirects have an effect", l.read.Website, is.Website, object.Yes, object.ReasonRedirect},
	} {
		if f.was != object.Unknown && f.was != f.comes && f.is == f.comes && !l.w.job.Policy.Accepts(Acceptance(f.loss)) {
			came = append(came, f.what)
		}
		told = told && (f.is != object.Unknown || f.was == object.Unknown)
	}
	return came, told
}

// tellRule tells of a rule that locks every new object, once.
func (l *lookout) tellRule(there *object.BucketFacts) {
	was, is := l.written.LockRule, there.LockRule
	if is == "" || is == was {
		return
	}
	l.written.LockRule = is
	if was != "" && is != object.NoLockRule {
		bucket, _ := l.w.writes()
		l.w.log.Warn("a rule of the bucket locks every new object since the run began, each copy among them", "bucket", bucket, "rule", is, "before", was)
	}
}
