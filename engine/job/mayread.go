package job

import (
	"cmp"
	"context"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/planner"
)

// mayRead stands before the checkpoint while a job is planned, and lets nothing
// into it until what is serious was told, and one of the job's own objects has shown
// that whatever a copy has to carry over can be read. Without the permissions S3 shows
// a locked object as an unlocked one, and one with tags as one without.
type mayRead struct {
	planner.Sink
	// ask tries to find out on one of the tasks; settled says whether it could.
	ask func([]object.Task) (settled bool, err error)
	// begun waits until what is serious was told, and the throwaway objects are gone.
	begun func() error

	mu struct {
		sync.Mutex
		settled bool
		err     error
	}
}

// mayRead is the sink of a plan. An earlier process that planned something has
// asked.
func (w *work) mayRead(ctx context.Context) planner.Sink {
	if w.points.Totals().Planned.Objects > 0 {
		return w.points
	}
	m := &mayRead{Sink: w.points, begun: func() error { return w.begunWell(ctx) }}
	m.ask = func(tasks []object.Task) (bool, error) { return w.details(ctx, tasks) }
	if w.job.Spec.hasFolder() { // a file has nothing of these, and takes nothing of them
		m.ask = func([]object.Task) (bool, error) { return true, nil }
	}
	return m
}

// Append passes tasks on once it is known that they may be.
func (m *mayRead) Append(tasks []object.Task, cursors []object.Cursor) error {
	if err := m.settle(tasks); err != nil {
		return err
	}
	return m.Sink.Append(tasks, cursors)
}

func (m *mayRead) settle(tasks []object.Task) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.mu.settled && len(tasks) > 0 {
		m.mu.settled, m.mu.err = m.ask(tasks)
		m.mu.err = cmp.Or(m.mu.err, m.begun())
	}
	return m.mu.err
}

// samples bounds the tasks of a page that are tried for one that still exists.
const samples = 10

// details asks for the permissions on the first of the tasks whose object is
// there and can be looked at, and for both at once.
func (w *work) details(ctx context.Context, tasks []object.Task) (settled bool, err error) {
	for i := range tasks[:min(samples, len(tasks))] {
		ref := tasks[i].Object.Ref
		var granted errgroup.Group
		granted.Go(func() error { return w.requireDetails(ctx, ref) })
		_, unseen := w.reads.Head(ctx, ref, false)
		if err := granted.Wait(); unseen == nil { // else it is about an object that is not there
			return true, err
		}
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
	}
	return false, nil // the next page may have one
}

// requireDetails turns the job down where something that it would have to carry
// over cannot be read, unless its loss was accepted by name.
func (w *work) requireDetails(ctx context.Context, sample object.Ref) error {
	found, err := w.store.CheckDetails(ctx, sample)
	if err != nil {
		return err
	}
	var missing, words []string
	for _, p := range found {
		word := w.wordFor(p.Action)
		if p.Granted != object.No || word == "" || w.job.Policy.Accepts(Acceptance(word)) {
			continue
		}
		missing = append(missing, p.Action)
		if len(words) == 0 || words[len(words)-1] != word {
			words = append(words, word)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return &planner.UnusableError{Where: sample.String(), What: strings.Join(missing, ", ") + " is not granted, and without it an object that has " +
		strings.Join(words, " or ") + " looks as if it had none, so that a copy would lose it",
		Fix: "grant it (planner/doctor.Policy prints the whole policy), or Policy.Accept " + strings.Join(words, ",") + ". Nothing of yours was touched"}
}

// wordFor is the word of Policy.Accept for what the permission reads; empty where this
// job needs no such permission.
func (w *work) wordFor(action string) string {
	updates := w.job.Policy.Operation == UpdateOnly // which leaves everything as it is
	switch {
	case strings.HasSuffix(action, "Retention"), strings.HasSuffix(action, "LegalHold"):
		if w.learnt.Facts.ObjectLock != object.No {
			return string(object.ReasonLock)
		}
	case strings.HasSuffix(action, "Tagging"):
		if !updates {
			return string(object.ReasonTags)
		}
	case strings.HasSuffix(action, "Acl"):
		if facts, _ := w.learnt.facts(); !updates && facts.ACLsDisabled != object.Yes {
			return string(object.ReasonACL)
		}
	}
	return ""
}
