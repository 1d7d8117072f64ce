package planner

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/resealhq/reseal/engine/object"
)

// Inspector asks the store about one object. Its errors are *object.Error and
// final: whoever gives one retries within. Called by many goroutines.
type Inspector func(ctx context.Context, o *object.Object) (object.Head, error)

// Options of one planning. The zero value plans from the rows alone.
type Options struct {
	// Resume holds the cursors that an earlier process made durable, Planned how
	// many tasks it did; they count against the selection's limit.
	Resume  []object.Cursor
	Planned uint64
	// Inspect is asked where only the object itself tells whether it is selected;
	// with InspectAll also where its row does not settle the operation, so that the
	// plan is final.
	Inspect    Inspector
	InspectAll bool
	// Inspectors bounds the inspections at one time; 0 means 64.
	Inspectors int
	// Passed, where set, is told after every page how many rows were read and how
	// many tasks became of them. Called by many goroutines; must not block.
	Passed func(rows, tasks int)
}

// Counts is what one planning passed.
type Counts struct {
	// Rows of the source, Throwaway objects aside, and how many of them became Tasks of
	// together Bytes.
	Rows, Tasks uint64
	Bytes       int64
	// Tasks by what was chosen.
	Undecided, Update, Copy, Multipart, Rewrite, Rewrap, Already, Left uint64
	// Inspected objects, and those that were Gone by then: they become no task, unless a
	// list names them that has not seen them.
	Inspected, Gone uint64
	// Throwaway objects of reseal, such as another process of the job has there while
	// it tries the store. They become no task.
	Throwaway uint64
	// Limited is set where the selection's limit ended the plan.
	Limited bool
}

// errLimit ends the reading of a source early, and is no error.
var errLimit = errors.New("the limit of the selection is reached")

// Plan reads the source to its end and appends a task for every selected row.
// Tasks and the cursors that passed them go to the sink in one step, so that a
// process that dies loses nothing and repeats nothing: the next one passes the
// durable cursors as Resume. Memory does not grow with the source. An error
// means that the plan is not complete.
func Plan(ctx context.Context, src Source, sel *Selection, ch *Chooser, sink Sink, opt Options) (Counts, error) {
	p := &planning{sel: sel, ch: ch, sink: sink, opt: opt, inspecting: newInspecting(opt.Inspect, opt.Inspectors),
		busy: make(chan struct{}, 2*runtime.GOMAXPROCS(0))}
	p.mu.planned = opt.Planned
	if p.full() {
		return Counts{Limited: true}, nil
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	err := src.Read(ctx, opt.Resume, func(page object.Page) error {
		err := p.page(ctx, page)
		if errors.Is(err, errLimit) {
			stop(errLimit) // pages in flight need not be waited for
		}
		return err
	})
	counts := p.mu.counts
	switch {
	case p.mu.failed != nil:
		return counts, p.mu.failed
	case counts.Limited:
		return counts, nil
	}
	return counts, err
}

type planning struct {
	sel  *Selection
	ch   *Chooser
	sink Sink
	opt  Options
	inspecting
	// memory of pages of tasks, to be used again. busy bounds how many are filled and
	// appended at a time: more readers than CPUs only wait there, with a page each.
	memory sync.Pool
	busy   chan struct{}

	// appending is held for reading around a place that was reserved and the Append
	// that fills it, and for writing by the page that the limit cuts.
	appending sync.RWMutex

	mu struct {
		sync.Mutex
		counts  Counts
		planned uint64 // tasks that were given their place, also by earlier processes
		failed  error  // the first error of a page, which a reached limit must not hide
	}
}

func (p *planning) enter() { p.busy <- struct{}{} }

func (p *planning) leave() { <-p.busy }

// full says whether the limit is reached, and remembers it.
func (p *planning) full() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sel.Limit == 0 || p.mu.planned < p.sel.Limit {
		return false
	}
	p.mu.counts.Limited = true
	return true
}

func (p *planning) page(ctx context.Context, page object.Page) error {
	if p.full() {
		return errLimit
	}
	p.enter()
	defer p.leave()
	memory, _ := p.memory.Get().(*[]object.Task)
	if memory == nil {
		memory = new([]object.Task)
	}
	defer p.memory.Put(memory)
	tasks, c, err := p.tasks(ctx, page.Objects, memory)
	if err != nil {
		if errors.Is(context.Cause(ctx), errLimit) {
			return errLimit // the reached limit cut its inspections short
		}
		return p.fail(err)
	}
	if tasks, err = p.append(tasks, page.Cursors); err != nil {
		return err
	}
	rows := len(page.Objects) - int(c.Throwaway) // which come and go while a store is tried
	p.count(rows, tasks, c)
	if p.opt.Passed != nil {
		p.opt.Passed(rows, len(tasks))
	}
	if p.full() {
		return errLimit
	}
	return nil
}

// append gives the sink as many of the tasks as the limit leaves room for, and
// returns those.
//
// The page that the limit cuts goes last, and without its cursors: they would
// pass rows that are not planned. So until it is durable, a crash leaves only
// whole pages, and afterwards the plan is full and nothing is read again.
func (p *planning) append(tasks []object.Task, cursors []object.Cursor) ([]object.Task, error) {
	p.appending.RLock()
	keep := p.reserve(len(tasks))
	if keep == len(tasks) {
		defer p.appending.RUnlock()
		if keep == 0 && len(cursors) == 0 {
			return tasks, nil
		}
		return tasks, p.fail(p.sink.Append(tasks, cursors))
	}
	p.appending.RUnlock()
	p.appending.Lock()
	defer p.appending.Unlock()
	tasks = tasks[:keep]
	if keep == 0 {
		return tasks, nil
	}
	if err := p.firstFailure(); err != nil {
		return nil, err // the plan is not full after all
	}
	return tasks, p.fail(p.sink.Append(tasks, nil))
}

// reserve takes places for up to n tasks under the limit, so that pages that are
// appended at the same time do not exceed it together.
func (p *planning) reserve(n int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sel.Limit > 0 {
		n = int(min(uint64(n), p.sel.Limit-min(p.mu.planned, p.sel.Limit)))
	}
	p.mu.planned += uint64(n)
	return n
}

func (p *planning) firstFailure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.failed
}

// fail remembers an error and hands it back.
func (p *planning) fail(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.failed == nil {
		p.mu.failed = err
	}
	return err
}

func (p *planning) count(rows int, tasks []object.Task, c Counts) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := &p.mu.counts
	n.Rows += uint64(rows)
	n.Tasks += uint64(len(tasks))
	n.Inspected += c.Inspected
	n.Gone += c.Gone
	n.Throwaway += c.Throwaway
	for i := range tasks {
		t := &tasks[i]
		n.Bytes += max(0, t.Object.Size)
		switch {
		case t.Operation == object.OpUpdate:
			n.Update++
		case t.Operation == object.OpCopy:
			n.Copy++
		case t.Operation == object.OpMultipart:
			n.Multipart++
		case t.Operation == object.OpRewrite:
			n.Rewrite++
		case t.Operation == object.OpRewrap:
			n.Rewrap++
		case t.Operation == object.OpUndecided:
			n.Undecided++
		case t.Already:
			n.Already++
		default:
			n.Left++
		}
	}
}

// tasks are the page's selected rows with what is to be done with each, in the
// page's order, in the memory that is given.
func (p *planning) tasks(ctx context.Context, rows []object.Object, memory *[]object.Task) ([]object.Task, Counts, error) {
	var c Counts
	tasks := slices.Grow((*memory)[:0], len(rows))
	*memory = tasks
	var ask []int // tasks that only an inspection settles
	var objects []*object.Object
	for i := range rows {
		if object.IsThrowaway(rows[i].Key) {
			c.Throwaway++
			continue
		}
		v := p.sel.Match(&rows[i])
		if v == No {
			continue
		}
		choice := p.ch.Choose(&rows[i], nil)
		if v == Inspect || p.opt.InspectAll && choice.Operation == object.OpUndecided {
			ask = append(ask, len(tasks))
		}
		tasks = append(tasks, task(&rows[i], choice))
	}
	if len(ask) == 0 {
		return tasks, c, nil
	}
	if p.opt.Inspect == nil {
		return nil, c, undecidable(&tasks[ask[0]].Object)
	}
	for _, i := range ask {
		objects = append(objects, &tasks[i].Object)
	}
	p.leave() // the store is asked
	results, err := p.all(ctx, objects)
	p.enter()
	if err != nil {
		return nil, c, err
	}
	tasks, asked, err := p.settle(tasks, ask, results)
	asked.Throwaway = c.Throwaway
	return tasks, asked, err
}

func undecidable(o *object.Object) error {
	return fmt.Errorf("%s: its row does not tell whether it is selected, and objects are not to be inspected; use --inspect auto", o.Ref)
}

func task(o *object.Object, ch object.Choice) object.Task {
	return object.Task{Object: *o, Operation: ch.Operation, Reason: ch.Reason, Already: ch.Already}
}

// settle replaces what the rows said by what the store said, and drops what is
// gone or, looked at, not selected. What a list names without having seen it is kept
// where it is not there: the name may be wrong, and nobody would know.
func (p *planning) settle(tasks []object.Task, ask []int, results []inspected) ([]object.Task, Counts, error) {
	c := Counts{Inspected: uint64(len(ask))}
	kept := tasks[:0]
	for i, n := 0, 0; i < len(tasks); i++ {
		t := tasks[i]
		if n < len(ask) && ask[n] == i {
			r := &results[n]
			n++
			if r.gone() && t.Object.Size >= 0 {
				c.Gone++
				continue
			}
			var selected bool
			if t, selected = p.inspectedTask(&t.Object, r); !selected {
				continue
			}
		}
		kept = append(kept, t)
	}
	return kept, c, nil
}

// inspectedTask is the task of an object that was asked about. An object that
// does not answer is not passed over: it is planned for the worker to fail with
// the store's own words, or, where even its selection is unknown, left by name.
func (p *planning) inspectedTask(row *object.Object, r *inspected) (t object.Task, selected bool) {
	if r.err != nil {
		if r.gone() || p.sel.Match(row) == Inspect {
			return object.Task{Object: *row, Operation: object.OpNone, Reason: object.Reason(object.ClassOf(r.err).String())}, true
		}
		return object.Task{Object: *row, Operation: object.OpUndecided}, true
	}
	o := r.head.Object
	o.Ref, o.Noncurrent, o.DeleteMarker = row.Ref, row.Noncurrent, row.DeleteMarker
	o.Settled, o.Plain = true, plain(&o, &r.head.Attributes)
	if p.sel.Match(&o) != Yes {
		return t, false
	}
	choice := p.ch.Choose(&o, &r.head.Attributes)
	if nothing := p.ch.Choose(&o, nil); nothing != choice && choice.Operation != object.OpNone {
		// The attributes had a say, and the task does not carry them: the worker
		// must look again, or it would choose without them.
		o.Settled = false
	}
	return task(&o, choice), true
}

// plain is what Object.Plain says, of an object that was asked about.
func plain(o *object.Object, a *object.Attributes) bool {
	composite := o.ChecksumType == object.Composite || o.ChecksumType == "" && o.ChecksumAlgorithm != "" && o.MultipartUploaded
	return !o.Locked() && !composite && a.Expires == "" && a.WebsiteRedirect == "" && a.MissingMetadata == 0 && a.KMSContext == ""
}
