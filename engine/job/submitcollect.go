package job

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/resealhq/reseal/engine"
	"github.com/resealhq/reseal/engine/object"
)

// collect makes outcomes of what a job that has ended did. It may be killed at any
// instant: outcomes that are on record are not asked for again, and the submission stays
// open until all are.
func (s *submitter) collect(ctx context.Context, sub *Submission) error {
	seqs, err := s.job.membersOf(sub, s.points.Totals().Planned.Objects)
	if err != nil {
		return err
	}
	c, err := s.readReport(ctx, sub, seqs)
	if err != nil {
		return err
	}
	p := &collector{completion: c, byWord: s.job.Policy.Verify == VerifyResponse}
	if p.byWord {
		err = p.each(ctx, func(i int) bool { return sampled(seqs[i], sub.Objects) })
		if p.read.Unproved > 0 {
			p.byWord = false // the report is not to be believed
		}
	}
	p.sampling = false
	if err == nil {
		err = p.each(ctx, func(int) bool { return true })
	}
	if err == nil {
		err = s.points.Flush()
	}
	if err != nil {
		return fmt.Errorf("proving what job %s of S3 Batch Operations did: %w", sub.ID, err)
	}
	s.log.Info("the report of a job of S3 Batch Operations was read", "id", sub.ID, "status", sub.Status, "succeeded", c.read.Succeeded, "failed", c.read.Failed,
		"done", c.read.Done, "already", c.read.Already, "remaining", c.read.Remaining)
	if err := s.record.write(submitLine{Kind: lineRead, N: sub.N, Read: &c.read}); err != nil {
		return err
	}
	s.removeFiles(sub)
	return nil
}

// collector proves the tasks of one submission.
type collector struct {
	*completion
	// byWord: a row that says succeeded is enough; sampling: but for the sample.
	byWord   bool
	sampling bool
	mu       sync.Mutex
	asked    []bool // of the sample
}

// each settles the tasks that are picked and have no outcome yet.
func (p *collector) each(ctx context.Context, pick func(i int) bool) error {
	if p.asked == nil {
		p.asked, p.sampling = make([]bool, len(p.seqs)), p.byWord
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(p.lookers)
	said := time.Now()
	for i, seq := range p.seqs {
		if gctx.Err() != nil {
			break
		}
		if !pick(i) || p.asked[i] {
			continue
		}
		p.asked[i] = p.sampling
		if time.Since(said) > saidEvery {
			said = time.Now()
			p.log.Info("asking what a job of S3 Batch Operations did", "id", p.sub.ID, "asked", i, "of", len(p.seqs))
		}
		t, o, err := p.points.Row(seq)
		if err != nil {
			return err
		}
		if o != nil { // by an earlier process
			p.count(p.words[i], o.State, o.Inferred)
			continue
		}
		g.Go(func() error { return p.settle(gctx, i, &t) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

func (p *collector) count(w rowSays, state object.State, inferred bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := &p.read
	switch state {
	case object.Done:
		r.Done++
		if inferred {
			r.Found++
		}
	case object.Remaining:
		r.Remaining++
		if w == saysSucceeded {
			r.Unproved++
		}
	default:
		r.Already++
	}
}

// settle gives one task its outcome, or leaves it to Run. An error is about all of them.
func (p *collector) settle(ctx context.Context, i int, t *object.Task) error {
	said := p.words[i]
	if said == saysSucceeded && p.byWord && !p.sampling {
		return p.keep(said, p.onItsWord(t))
	}
	ref := t.Object.Ref
	if !p.sub.Job.Versions {
		ref.VersionID = ""
	}
	h, err := p.reads.Head(ctx, ref, false)
	switch class := object.ClassOf(err); {
	case err == nil:
	case class.Fatal() || class.Retryable() || class == object.ClassCanceled || ctx.Err() != nil:
		return fmt.Errorf("asking about %s: %w", ref, err)
	default: // gone, denied: Run says so
		p.count(said, object.Remaining, false)
		return nil
	}
	if out := p.judge(said, t, &h); out != nil {
		return p.keep(said, out)
	}
	p.count(said, object.Remaining, false)
	return nil
}

// keep records an outcome.
func (p *collector) keep(said rowSays, out *object.Outcome) error {
	if err := p.points.Record(out); err != nil {
		return err
	}
	p.Settled(out)
	p.count(said, out.State, out.Inferred)
	return nil
}

// outcome is what every done task of the submission has in common.
func (p *collector) outcome(t *object.Task) *object.Outcome {
	o := &t.Object
	out := &object.Outcome{Seq: t.Seq, State: object.Done, Operation: object.OpCopy, Size: max(0, o.Size), ETagBefore: o.ETag, Before: o.Encryption, Attempts: 1,
		FinishedAt: time.Now().UTC(), Message: "done by job " + p.sub.ID + " of S3 Batch Operations"}
	if p.sub.Job.Update {
		out.Operation = object.OpUpdate
	} else {
		out.OldVersionKept = p.learnt.Facts.Versioning == object.VersioningEnabled
	}
	return out
}

// onItsWord is the outcome of a task that nobody has asked about.
func (p *collector) onItsWord(t *object.Task) *object.Outcome {
	out, target := p.outcome(t), p.target()
	out.Reason = object.ReasonReply
	out.ETagAfter, out.After = promisedBy(&target, p.sub.Job.Update, &t.Object)
	return out
}

// judge compares what the store shows with the plan's row; nil is that the object is not
// as wanted.
//
//	the object is                          | a row says succeeded | it failed, or no row
//	---------------------------------------+----------------------+---------------------
//	not as wanted                          | for Run              | for Run
//	as wanted, of other bytes              | already, in doubt    | already, in doubt
//	as wanted, and changed since the plan  | done                 | done, found
//	as wanted, and perhaps it always was   | done                 | already, in doubt
func (p *collector) judge(said rowSays, t *object.Task, h *object.Head) *object.Outcome {
	target, row, update := p.target(), &t.Object, p.sub.Job.Update
	if !target.Satisfied(&h.Object) {
		return nil
	}
	out := p.outcome(t)
	out.ETagAfter, out.After, out.ClientSideAfter = h.ETag, h.Encryption, h.ClientSide
	if !update {
		out.NewVersionID = h.ShownVersionID
		if id := h.ShownVersionID; id != "" { // as the bucket was when it was copied, and not when it was submitted
			out.OldVersionKept = id != object.NullVersion
			if id == object.NullVersion && p.learnt.Facts.Versioning == object.VersioningEnabled {
				out.Message += "; " + engine.TookNullVersion
			}
		}
	}
	others := row.Size >= 0 && h.Size != row.Size || update && row.ETag != "" && h.ETag != row.ETag
	changed := row.Settled && !target.Satisfied(row) || row.WrittenSince(&h.Object)
	switch {
	case others, said != saysSucceeded && !changed:
		*out = object.Outcome{Seq: t.Seq, State: object.Already, Size: h.Size, ETagBefore: h.ETag, Before: h.Encryption, ETagAfter: h.ETag, After: h.Encryption, FinishedAt: out.FinishedAt,
			Reason: object.ReasonInDoubt, Message: "found as wanted; job " + p.sub.ID + " of S3 Batch Operations or another client made it so"}
	case said != saysSucceeded:
		out.Inferred = true
		out.Message = "found as wanted and changed since it was planned, though no row of the report of job " + p.sub.ID + " of S3 Batch Operations says so"
	}
	return out
}
