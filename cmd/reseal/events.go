package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dustin/go-humanize/english"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/report"
)

// eventLog is written for programs, one JSON object a line: plan once the plan is
// complete, progress every ten seconds, object for every object, pace when that
// changed, waiting when the run begins to wait and when it goes on, error for what
// stopped it, end with the summary. They never hold up the work: what cannot be
// written in time is counted, and the end says how many were lost.
type eventLog struct {
	w    io.Writer
	file *os.File // nil for standard output
	job  string

	queue   chan any
	lost    atomic.Uint64
	written atomic.Uint64 // events that were
	ended   chan struct{} // closed when all that was in the queue is written
	rows    atomic.Pointer[rows]

	// What could not be written, and the first error; for write, and for end once that has
	// ended. torn is set where a line is begun and not ended.
	unwritten int
	trouble   error
	torn      bool

	// What was written when it was looked last, and how many looks in a row showed the
	// same; whoever waits alone uses them.
	seen uint64
	idle int

	// What was told last; look alone uses it.
	planned bool
	pace    job.Setting
	waiting string
}

// event is what all of them have.
type event struct {
	Event string    `json:"event"`
	At    time.Time `json:"at"`
	Job   string    `json:"job"`
}

// settled is an object on its way to the file, and the checkpoint that has its row.
type settled struct {
	event
	outcome object.Outcome
	rows    *rows
}

// rows are those of one checkpoint, a shard's or the job's, until it is closed.
type rows struct {
	mu sync.Mutex
	of func(uint64) (object.Task, *object.Outcome, error) // nil once it is closed
}

func (r *rows) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.of = nil
}

// eventQueue is how many events may wait to be written.
const eventQueue = 8192

// openEvents begins to write to a file, to which they are appended, or to standard
// output for "-"; nil for no name.
func (a *app) openEvents(name, dir string) (*eventLog, error) {
	if name == "" {
		return nil, nil
	}
	e := &eventLog{w: a.stdout, job: dir, queue: make(chan any, eventQueue), ended: make(chan struct{})}
	if name != "-" {
		if err := refuseOwnFile("--events", name); err != nil {
			return nil, err
		}
		if job.Keeps(dir, name) { // what is appended would stand in it
			return nil, unusablef("name another file", "--events %s is a file of the job in %s by another name", name, dir)
		}
		f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, unusableBecause(err, "--events "+name, "name a file that you can write to, or - for standard output")
		}
		e.w, e.file, e.torn = f, f, isTorn(name)
	}
	go e.write()
	return e, nil
}

// isTorn says whether a file ends within a line, as one of a process that was killed may.
func isTorn(name string) bool {
	st, err := os.Stat(name)
	if err != nil || !st.Mode().IsRegular() || st.Size() == 0 {
		return false
	}
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	var last [1]byte
	_, err = f.ReadAt(last[:], st.Size()-1)
	return err == nil && last[0] != '\n'
}

// line writes one event. What was begun before and not ended gets a line of its own.
func (e *eventLog) line(data []byte) error {
	if e.torn {
		data = append([]byte{'\n'}, data...)
	}
	n, err := e.w.Write(append(data, '\n'))
	e.torn = err != nil && (e.torn || n > 0)
	if err != nil {
		if e.unwritten++; e.trouble == nil {
			e.trouble = err
		}
	}
	return err
}

func (e *eventLog) write() {
	defer close(e.ended)
	for v := range e.queue {
		if caughtUp, ok := v.(chan struct{}); ok {
			close(caughtUp)
			continue
		}
		if s, ok := v.(*settled); ok {
			row, err := s.row()
			if err != nil {
				e.lost.Add(1)
				continue
			}
			v = row
		}
		data, err := json.Marshal(v)
		if err == nil {
			err = e.line(data)
		}
		if err != nil {
			e.lost.Add(1)
		}
		e.written.Add(1)
	}
}

// row makes the event of an object.
func (s *settled) row() (any, error) {
	if s.rows == nil {
		return nil, errors.New("nobody has told of its checkpoint")
	}
	s.rows.mu.Lock()
	defer s.rows.mu.Unlock()
	if s.rows.of == nil {
		return nil, errors.New("its checkpoint is closed")
	}
	task, _, err := s.rows.of(s.outcome.Seq)
	return struct {
		event
		report.Row
	}{s.event, report.RowOf(&task, &s.outcome)}, err
}

// Where events wait to be written at the end, it is looked every so often whether any was,
// and they are given up once so many looks in a row saw none. A process that was stopped, or
// whose machine slept, finds one look late, and not all of them.
const (
	eventLook  = time.Second
	eventLooks = 10
)

// patient says whether somebody seems to read the events: the job is done, and others want
// it. Whoever reads on is waited for again.
func (e *eventLog) patient() bool {
	if n := e.written.Load(); n != e.seen {
		e.seen, e.idle = n, 0
	}
	return e.idle < eventLooks
}

// put waits for room in the queue, and says whether there was any.
func (e *eventLog) put(v any) bool {
	for e.patient() {
		select {
		case e.queue <- v:
			return true
		case <-time.After(eventLook):
			e.idle++
		}
	}
	return e.offer(v)
}

// await waits until something is closed that is once enough was written, and says whether
// it was.
func (e *eventLog) await(closed <-chan struct{}) bool {
	for e.patient() {
		select {
		case <-closed:
			return true
		case <-time.After(eventLook):
			e.idle++
		}
	}
	return false
}

func (e *eventLog) of(kind string) event { return event{kind, time.Now().UTC(), e.job} }

// tell takes what there is room for, and counts what there is none for.
func (e *eventLog) tell(v any) {
	if !e.offer(v) {
		e.lost.Add(1)
	}
}

// offer takes what there is room for, and says whether there was any.
func (e *eventLog) offer(v any) bool {
	select {
	case e.queue <- v:
		return true
	default:
		return false
	}
}

// Requested is the observer's; requests are for the metrics.
func (e *eventLog) Requested(*object.Call, object.Result) {}

// Settled tells of an object.
func (e *eventLog) Settled(o *object.Outcome) { e.tell(&settled{e.of("object"), *o, e.rows.Load()}) }

// lookEvery and progressEvery are how often changes are looked for, and how often
// progress is told.
const (
	lookEvery     = time.Second
	progressEvery = 10
)

// follow makes a job tell it what happens. A nil *eventLog follows nothing.
func (e *eventLog) follow(o *job.Options) {
	if e == nil {
		return
	}
	o.Observers = append(o.Observers, e)
	others := o.Watch
	o.Watch = func(r *job.Running) (func(), error) {
		end, err := others(r)
		if err != nil {
			return nil, err
		}
		endOurs := e.watch(r)
		return func() { endOurs(); end() }, nil
	}
}

// watch tells of the work while it lasts.
func (e *eventLog) watch(r *job.Running) (end func()) {
	read := &rows{of: r.Row}
	e.rows.Store(read)
	stop := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		ticks := time.NewTicker(lookEvery)
		defer ticks.Stop()
		for n := 0; ; n++ {
			e.look(r, n%progressEvery == 0)
			select {
			case <-ticks.C:
			case <-stop:
				e.look(r, true)
				return
			}
		}
	})
	return sync.OnceFunc(func() {
		close(stop)
		watching.Wait()
		caughtUp := make(chan struct{}) // rows are read while the checkpoint is open
		e.put(caughtUp)
		e.await(caughtUp)
		read.close()
	})
}

func (e *eventLog) look(r *job.Running, progress bool) {
	s := r.Progress.Snapshot(time.Now())
	if s.PlanComplete && !e.planned {
		e.planned = true
		e.tell(struct {
			event
			Planned uint64 `json:"planned"`
			Bytes   int64  `json:"planned_bytes"`
		}{e.of("plan"), s.Planned, s.PlannedBytes})
	}
	if now := *r.Setting(); now != e.pace {
		e.pace = now
		e.tell(struct {
			event
			Pace job.Setting `json:"pace"`
		}{e.of("pace"), now})
	}
	if waits := waitsFor(s); waits != e.waiting {
		e.waiting = waits
		e.tell(struct {
			event
			For string `json:"for"` // empty: it goes on
			Why string `json:"why,omitempty"`
		}{e.of("waiting"), waits, s.Why})
	}
	if progress {
		e.tell(struct {
			Event string `json:"event"`
			*report.Snapshot
		}{"progress", s})
	}
}

func waitsFor(s *report.Snapshot) string {
	switch {
	case s.Paused:
		return job.CausePaused
	case !s.PausedUntil.IsZero():
		return job.CauseWindow
	}
	return s.WaitingFor
}

// end tells how the run ended, and closes the file. Where nobody reads that, or not all could be
// written, it says so to others. A nil *eventLog is none.
func (e *eventLog) end(sum *report.Summary, err error, code int, others io.Writer) {
	if e == nil {
		return
	}
	if err != nil && !e.put(struct {
		event
		jsonError
	}{e.of("error"), asJSON(err, code)}) {
		e.lost.Add(1)
	}
	told := e.put(struct {
		event
		ExitCode int             `json:"exit_code"`
		Lost     uint64          `json:"events_lost"`
		Summary  *report.Summary `json:"summary"`
	}{e.of("end"), code, e.lost.Load(), sum})
	close(e.queue)
	switch {
	case !e.await(e.ended) || !told:
		e.warn(others, "nobody reads the events (--events); the last ones, and how the run ended, were not written")
	case e.trouble != nil:
		e.warn(others, fmt.Sprintf("%s of --events could not be written: %v", english.Plural(e.unwritten, "event", ""), e.trouble))
	}
	if e.file != nil {
		_ = e.file.Close()
	}
}

// warn says so to others, who may not read either.
func (e *eventLog) warn(others io.Writer, what string) {
	warned := make(chan struct{})
	go func() {
		defer close(warned)
		fmt.Fprintln(others, "reseal: warning: "+what)
	}()
	select {
	case <-warned:
	case <-time.After(eventLook):
	}
}
