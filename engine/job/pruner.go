package job

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/pace"
	"github.com/resealhq/reseal/engine/retry"
	"github.com/resealhq/reseal/engine/s3store"
)

// pruner looks at the versions that a job left behind, and deletes them. It goes in
// batches: look at each; record which are about to be deleted; look again and delete
// each; record what is deleted. A crash leaves versions that are recorded as about to
// be deleted, of which the next prune says whether they are there.
type pruner struct {
	*verifier
	opt   *PruneOptions
	facts object.BucketFacts
	// mirrored: deletions of versions may be replicated; unmarked: and delete markers need not be.
	mirrored, unmarked bool
	// rule decides what may go, and journal keeps what went; record is the journal of the
	// versions that copies of the job left behind.
	rule    pruneRule
	journal pruneJournal
	record  *pruneRecord
	began   time.Time
	told    time.Time // when the log was last told how far it is
	out     *csv.Writer
	result  Pruned
	keys    keysNow
	proved  bool // a deletion of this process was looked at, and took away nothing else
	refused int  // deletions, before any was done
}

// pruneRule decides which versions may go. Its errors concern everything; what concerns one
// version keeps that.
type pruneRule interface {
	// judge looks for the first time. Where the version is one that was not meant, it
	// leaves no state.
	judge(context.Context, *candidate) error
	// stands says whether the current version is proved now, and keeps the old one else.
	stands(context.Context, *candidate) (bool, error)
	// mayGo looks at the old version itself, and at its locks.
	mayGo(context.Context, *candidate) error
	// harmed says what a deletion has done to the current version; empty for nothing.
	harmed(context.Context, *candidate) (string, error)
	// listed says whether the store still lists the old version. It keeps it as unproved
	// where the listing does not tell.
	listed(context.Context, *candidate) (bool, error)
}

// pruneJournal makes durable what is about to be deleted, and what was.
type pruneJournal interface {
	intend([]*candidate) error
	done([]*candidate) error
	Close() error
}

// candidate is a version that a copy of the job left behind, or that was selected, and what
// becomes of it.
type candidate struct {
	seq     uint64
	outcome object.Outcome
	planned object.Object
	// old is the version, once it is known which it is.
	old object.Ref
	// intended: an earlier prune recorded that it was about to delete old.
	intended string
	recorded bool // this prune has recorded it
	earlier  bool // an earlier prune deleted it
	// now is the current version, as last looked at; compared names it and the old one
	// once their bytes were found to be the same.
	now      *object.Head
	compared string

	state, reason, message string
	requestID              string
	finished               time.Time
}

const (
	pruneBatch = 256
	// maxRefused is how many deletions in a row may be refused before any is done.
	maxRefused = 32
	pruneTries = 8 // of one deletion, each asked about, and with a growing pause between
	// lookingAgain bounds how long one version is looked at again and again.
	lookingAgain = 30 * time.Minute
)

// errLookAgain is a deletion that was not sent, since it would come too long after the look:
// somebody may have made the old version the current one meanwhile.
var errLookAgain = errors.New("requests have to wait for so long that it cannot be deleted soon after it was looked at; run prune again, perhaps at another pace")

// candidateOf is nil for an object that no copy of the job left a version of.
func candidateOf(t *object.Task, o *object.Outcome) *candidate {
	if o == nil || o.State != object.Done || !o.OldVersionKept {
		return nil
	}
	c := &candidate{seq: t.Seq, outcome: *o, planned: t.Object}
	c.old = object.Ref{Bucket: t.Object.Bucket, Key: t.Object.Key}
	return c
}

func (c *candidate) keep(reason, format string, args ...any) {
	c.state, c.reason, c.message = PruneKept, reason, fmt.Sprintf(format, args...)
}

// current is where the job's own copy is.
func (c *candidate) current() object.Ref {
	return object.Ref{Bucket: c.old.Bucket, Key: c.old.Key}
}

func (p *pruner) work(ctx context.Context) error {
	p.begin()
	var batch []*candidate
	flush := func() error {
		err := p.batch(ctx, batch)
		batch = batch[:0]
		return err
	}
	err := p.points.Rows(func(t *object.Task, o *object.Outcome) error {
		c := candidateOf(t, o)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case c == nil:
			return nil
		}
		p.result.Versions++
		if at, ok := p.record.deleted(c.seq); ok {
			c.state, c.message, c.finished = PruneDeleted, "by an earlier prune of this job", at
			c.earlier = true
			p.row(c)
			return nil
		}
		c.intended = p.record.intended[c.seq]
		if batch = append(batch, c); len(batch) < pruneBatch {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	p.out.Flush()
	return errors.Join(err, p.out.Error())
}

// begin begins the rows.
func (p *pruner) begin() {
	w := p.opt.Rows
	if w == nil {
		w = io.Discard
	}
	p.out, p.told = csv.NewWriter(w), time.Now()
	p.header()
}

// batch does some, and writes the rows of all that it came to know.
func (p *pruner) batch(ctx context.Context, all []*candidate) (err error) {
	defer func() {
		for _, c := range all {
			if c.state != "" && (c.state != PruneWould || p.result.Dry) {
				p.row(c)
			}
		}
		p.tell()
	}()
	p.keys.forget()
	if err := p.each(ctx, all, p.rule.judge); err != nil || p.result.Dry {
		return err
	}
	var going []*candidate
	for _, c := range all {
		if c.state == PruneWould {
			going = append(going, c)
		}
	}
	if err := p.journal.intend(going); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.journal.done(all)) }()
	p.keys.forget()
	for !p.proved && len(going) > 0 {
		if err := p.first(ctx, going[0]); err != nil {
			return err
		}
		going = going[1:]
	}
	return p.each(ctx, going, p.remove)
}

func (p *pruner) each(ctx context.Context, all []*candidate, do func(context.Context, *candidate) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(p.workers)
	for _, c := range all {
		g.Go(func() error { return do(ctx, c) })
	}
	return g.Wait()
}

// first deletes one, alone, and looks what that has done.
func (p *pruner) first(ctx context.Context, c *candidate) error {
	if err := p.remove(ctx, c); err != nil || c.state != PruneDeleted {
		return err
	}
	seen := *c
	seen.intended = "" // what lies there now is to be told
	harm, err := p.rule.harmed(ctx, &seen)
	listed := false
	if err == nil && harm == "" {
		listed, err = p.rule.listed(ctx, &seen)
	}
	switch {
	case err != nil:
		return err
	case harm != "":
		return doubt(c, errors.New(harm))
	case seen.state == PruneKept && seen.reason == KeptNewer:
		return doubt(c, errors.New(seen.message))
	}
	h, err := p.head(ctx, c.old, c.outcome.Before.Type)
	switch class := object.ClassOf(err); {
	case err == nil:
		return doubt(c, fmt.Errorf("the store answered success, and still shows it (ETag %s)", h.ETag))
	case class == object.ClassGone:
		p.proved = true
	case class != object.ClassDenied:
		return p.aboutOne(ctx, &seen, "", "", err)
	case listed:
		return doubt(c, errors.New("the store answered success, and still lists it"))
	default: // who may not list objects is not told that one is not there
		p.proved = seen.reason != KeptUnproved
	}
	return nil
}

// remove looks a second time, and deletes.
func (p *pruner) remove(ctx context.Context, c *candidate) error {
	sent, began, pauses := false, time.Now(), 0
	for try := 1; try <= pruneTries; try++ {
		looked := time.Now()
		ok, err := p.rule.stands(ctx, c)
		if !ok && err == nil && sent {
			return p.keptOrGone(ctx, c)
		}
		if !ok {
			return err
		}
		switch err := p.rule.mayGo(ctx, c); {
		case err == nil && c.state == PruneKept && sent:
			return p.keptOrGone(ctx, c)
		case err != nil, c.state == PruneKept:
			return err
		}
		if c.state == PruneGone {
			if sent {
				c.deletedNow(foundDeleted)
			}
			return nil
		}
		if c.old.VersionID == object.NullVersion { // where versioning is suspended, the next write takes its ID
			switch v, err := p.store.Versioning(ctx, c.old.Bucket); {
			case err != nil:
				return err
			case v != object.VersioningEnabled:
				c.keep(KeptVersioning, "versioning of the bucket is %s now", v)
				return nil
			}
		}
		err = p.delete(ctx, c, looked)
		switch _, notHeld := errors.AsType[notHeldError](err); {
		case notHeld: // nothing was sent
			return err
		case errors.Is(err, errLookAgain) && !retry.LongAgo(began, lookingAgain):
			try-- // none was sent
			continue
		case err == nil, object.ClassOf(err) == object.ClassGone:
			p.refusals(-1)
			c.deletedNow("")
			return nil
		case errors.Is(err, s3store.ErrOtherDeletion):
			return doubt(c, err)
		case !object.MaybeApplied(err) || ctx.Err() != nil:
			return p.notDeleted(ctx, c, err)
		}
		if sent = true; object.ClassOf(err) == object.ClassThrottled && !retry.LongAgo(began, lookingAgain) {
			try-- // that nobody may send more is waited for, as a run does
		}
		pauses++
		select {
		case <-time.After(pace.Backoff(pauses, 0, nil)):
		case <-ctx.Done():
			return p.notDeleted(ctx, c, err)
		}
	}
	c.state, c.reason, c.message = PruneFailed, "transient", "no answer came to any of its deletions; run prune again"
	return nil
}

const foundDeleted = "found deleted after a request that got no answer"

// keptOrGone looks whether a version that is to be kept after all is there still: the answer to
// its deletion was lost.
func (p *pruner) keptOrGone(ctx context.Context, c *candidate) error {
	switch _, err := p.head(ctx, c.old, c.outcome.Before.Type); {
	case object.ClassOf(err) == object.ClassGone:
		c.deletedNow(foundDeleted)
	case err != nil && concernsAll(ctx, err):
		return err
	default:
		c.message += "; the answer to its deletion, which was sent before that, was lost"
	}
	return nil
}

func (c *candidate) deletedNow(message string) {
	c.state, c.reason, c.message, c.finished = PruneDeleted, "", message, time.Now().UTC()
}

func (c *candidate) gone(message string) { c.state, c.reason, c.message = PruneGone, "", message }

// notDeleted notes a refusal. Where every one was refused so far, nobody may delete.
func (p *pruner) notDeleted(ctx context.Context, c *candidate, err error) error {
	if concernsAll(ctx, err) {
		return err
	}
	c.state, c.reason, c.message = PruneFailed, object.ClassOf(err).String(), err.Error()
	if object.ClassOf(err) == object.ClassDenied && p.refusals(1) >= maxRefused {
		return fmt.Errorf("the first %d deletions were all refused: %w", maxRefused, err)
	}
	return nil
}

// refusals counts them until a deletion is done, from when on they are about single
// objects.
func (p *pruner) refusals(n int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case n < 0:
		p.refused = -1
	case p.refused >= 0:
		p.refused += n
	}
	return p.refused
}

// aboutOne keeps the version for an error that concerns it alone.
func (p *pruner) aboutOne(ctx context.Context, c *candidate, reason, what string, err error) error {
	if concernsAll(ctx, err) {
		return err
	}
	c.keep(reason, "%s: %v", what, err)
	return nil
}

func concernsAll(ctx context.Context, err error) bool {
	class := object.ClassOf(err)
	_, notHeld := errors.AsType[notHeldError](err)
	return notHeld || class.Fatal() || class.Retryable() || class == object.ClassCanceled || ctx.Err() != nil
}

// tell says now and then in the log how far it is.
func (p *pruner) tell() {
	if time.Since(p.told) < 30*time.Second {
		return
	}
	p.told = time.Now()
	r := &p.result
	p.opt.Log.Info("pruning", "versions", r.Versions, "deleted", r.Deleted,
		"would_delete", r.WouldDelete, "kept", r.Kept, "failed", r.Failed)
}
