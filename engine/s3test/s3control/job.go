package s3control

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// State of a job.
type State string

// The thirteen states.
const (
	Active     State = "Active"
	Cancelled  State = "Cancelled"
	Cancelling State = "Cancelling"
	Complete   State = "Complete"
	Completing State = "Completing"
	Failed     State = "Failed"
	Failing    State = "Failing"
	NewState   State = "New"
	Paused     State = "Paused"
	Pausing    State = "Pausing"
	Preparing  State = "Preparing"
	Ready      State = "Ready"
	Suspended  State = "Suspended"
)

// transitions are those that a job can make.
//
//	New ─► Preparing ─► Suspended ─► Ready ─► Active ─► Completing ─► Complete
//	            │  └──────────────────▲         │ ▲ └──► Failing ───► Failed
//	            └──► Failing                    ▼ │
//	                                   Pausing ─► Paused
//
// and from each that has not ended to Cancelling and Cancelled.
var transitions = map[State][]State{
	NewState:   {Preparing, Cancelling},
	Preparing:  {Suspended, Ready, Failing, Cancelling},
	Suspended:  {Ready, Cancelling},
	Ready:      {Active, Cancelling},
	Active:     {Pausing, Completing, Failing, Cancelling},
	Pausing:    {Paused, Cancelling},
	Paused:     {Active, Cancelling},
	Completing: {Complete},
	Failing:    {Failed},
	Cancelling: {Cancelled},
}

// Ended says whether nothing more will come of a job.
func (s State) Ended() bool { return s == Complete || s == Failed || s == Cancelled }

// job is one job. All of it is guarded by the server's mutex but what only the goroutine
// that works on it uses.
type job struct {
	id       string
	body     []byte // of CreateJob, for a token that comes again
	req      *createRequest
	state    State
	states   []State // that it was in
	created  time.Time
	ended    time.Time
	suspend  time.Time
	priority int
	reason   string
	failures []failure
	progress *progress
	cancel   bool
	ready    bool // confirmed
	results  []result
	last     *descriptor // before the last change of state
	stale    int
}

// Info is a job as a test looks at it.
type Info struct {
	ID          string
	State       State
	States      []State
	Description string
	Operation   string
	Versions    bool
	Class       string
	Priority    int
	Succeeded   int
	Failed      int
}

// Jobs are all that were ever created, the oldest first.
func (s *Server) Jobs() (all []Info) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range s.mu.jobs {
		i := Info{ID: j.id, State: j.state, States: slices.Clone(j.states), Description: j.req.Description, Operation: j.operation(), Priority: j.priority,
			Versions: len(j.req.Manifest.Fields) == 3}
		if c := j.req.Operation.Copy; c != nil {
			i.Class = c.Class
		}
		if j.progress != nil {
			i.Succeeded, i.Failed = j.progress.Succeeded, j.progress.Failed
		}
		all = append(all, i)
	}
	return all
}

// Wait returns when some job is in the state, or false after that long.
func (s *Server) Wait(state State, within time.Duration) bool {
	deadline := time.Now().Add(within)
	timer := time.AfterFunc(within, func() { s.mu.changed.Broadcast() })
	defer timer.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for _, j := range s.mu.jobs {
			if j.state == state {
				return true
			}
		}
		if !time.Now().Before(deadline) {
			return false
		}
		s.mu.changed.Wait()
	}
}

// Cancel cancels every job that can be, as somebody at the console would.
func (s *Server) Cancel() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range s.mu.jobs {
		if slices.Contains(transitions[j.state], Cancelling) {
			j.cancel = true
		}
	}
	s.mu.changed.Broadcast()
}

// create makes a job, once for each token.
func (s *Server) create(body []byte) (any, *apiError) {
	q, err := understand(body)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.mu.tokens[q.ClientRequestToken]; known != nil {
		if !bytes.Equal(known.body, body) {
			return nil, &apiError{http.StatusBadRequest, "IdempotencyException", "the token was used for another request"}
		}
		return createReply{JobID: known.id}, nil
	}
	n := len(s.mu.jobs) + 1
	j := &job{id: fmt.Sprintf("%08x-0000-4000-8000-%012x", 0xf8fb9d89+n, n), body: body, req: q, state: NewState, states: []State{NewState},
		created: time.Now().UTC(), priority: *q.Priority, ready: !q.ConfirmationRequired}
	s.mu.jobs = append(s.mu.jobs, j)
	s.mu.tokens[q.ClientRequestToken] = j
	s.work.Go(func() { s.run(j) })
	return createReply{JobID: j.id}, nil
}

// enter brings a job into a state. REQUIRES: s.mu.
func (s *Server) enter(j *job, state State) {
	if !slices.Contains(transitions[j.state], state) {
		panic(fmt.Sprintf("s3control: no way leads from %s to %s", j.state, state))
	}
	before := j.descriptor()
	j.last, j.stale = &before, s.cfg.Stale
	j.state = state
	j.states = append(j.states, state)
	switch {
	case state.Ended():
		j.ended = time.Now().UTC()
	case state == Suspended:
		j.suspend = time.Now().UTC()
	}
	s.mu.changed.Broadcast()
}

// advance brings a job into the next state, and waits while jobs are held there. It says
// whether the server goes on.
func (s *Server) advance(j *job, state State) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.enter(j, state)
	for s.mu.hold == state && !j.cancel && !s.stopped() {
		s.mu.changed.Wait()
	}
	return !s.stopped()
}

func (s *Server) stopped() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}

func (s *Server) updateStatus(id string, q url.Values) (any, *apiError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j, err := s.find(id)
	if err != nil {
		return nil, err
	}
	want := State(q.Get("requestedJobStatus"))
	switch {
	case want == Ready && j.state == Suspended:
		j.ready = true
	case want == Cancelled && slices.Contains(transitions[j.state], Cancelling):
		j.cancel = true
	case want != Ready && want != Cancelled:
		return nil, bad("a job can be asked to be Ready or Cancelled")
	default:
		return nil, &apiError{http.StatusBadRequest, "JobStatusException", fmt.Sprintf("the job is %s and cannot be %s", j.state, want)}
	}
	j.reason = q.Get("statusUpdateReason")
	s.mu.changed.Broadcast()
	return statusReply{JobID: id, Status: want, Reason: j.reason}, nil
}

func (s *Server) updatePriority(id string, q url.Values) (any, *apiError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j, err := s.find(id)
	if err != nil {
		return nil, err
	}
	n, wrong := strconv.Atoi(q.Get("priority"))
	switch {
	case wrong != nil || n < 0:
		return nil, bad("priority is not a number from 0 on")
	case j.state.Ended():
		return nil, &apiError{http.StatusBadRequest, "JobStatusException", "the job has ended"}
	}
	j.priority = n
	s.mu.changed.Broadcast()
	return priorityReply{JobID: id, Priority: n}, nil
}

func (j *job) operation() string {
	if j.req.Operation.Update != nil {
		return "S3UpdateObjectEncryption"
	}
	return "S3PutObjectCopy"
}

// descriptor is what DescribeJob tells. REQUIRES: the server's mutex.
func (j *job) descriptor() descriptor {
	d := descriptor{JobID: j.id, ConfirmationRequired: j.req.ConfirmationRequired, Description: j.req.Description, JobARN: "arn:aws:s3:us-east-1:111122223333:job/" + j.id,
		Status: j.state, Priority: j.priority, StatusUpdateReason: j.reason, FailureReasons: slices.Clone(j.failures), RoleARN: j.req.RoleArn, CreationTime: j.created}
	if j.progress != nil {
		p := *j.progress
		d.Progress = &p
	}
	if !j.ended.IsZero() {
		d.TerminationDate = j.ended.Format(time.RFC3339)
	}
	if j.state == Suspended {
		d.SuspendedDate, d.SuspendedCause = j.suspend.Format(time.RFC3339), "Job is awaiting confirmation"
	}
	return d
}

func (j *job) listed() listed {
	d := j.descriptor()
	return listed{JobID: d.JobID, Description: d.Description, Operation: j.operation(), Priority: d.Priority, Progress: d.Progress, Status: d.Status, CreationTime: d.CreationTime}
}
