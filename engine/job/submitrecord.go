package job

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/resealhq/reseal/engine/s3store"
)

// submitName is the record of what was given to S3 Batch Operations; submitDir holds
// the manifests and which tasks they name.
const (
	submitName = "submit.record"
	submitDir  = "submit"
)

// Submission is one job of S3 Batch Operations that works on a part of a job.
type Submission struct {
	// N counts from 1 within the job.
	N int `json:"n"`
	// Job is what was asked for.
	Job s3store.BatchJob `json:"job"`
	// Account and Region that it is in.
	Account string `json:"account"`
	Region  string `json:"region"`
	// Objects and their bytes.
	Objects uint64 `json:"objects"`
	Bytes   int64  `json:"bytes"`
	// Members is the SHA-256 of the file that names the tasks.
	Members string    `json:"members"`
	At      time.Time `json:"at"`
	// ID that S3 gave it; empty while that is not known.
	ID string `json:"id,omitempty"`
	// Confirmed: it may begin.
	Confirmed bool `json:"confirmed"`
	// Status as S3 told it at Seen, and the numbers of tasks.
	Status    string    `json:"status,omitempty"`
	Total     int64     `json:"total"`
	Succeeded int64     `json:"succeeded"`
	Failed    int64     `json:"failed"`
	Reasons   []string  `json:"reasons,omitempty"`
	Seen      time.Time `json:"seen,omitzero"`
	// Read is what became of its tasks; nil until its report was read.
	Read *SubmissionRead `json:"read,omitempty"`
	// Withdrawn: it was never made.
	Withdrawn bool `json:"withdrawn,omitempty"`
}

// SubmissionRead is what the completion report of a job says, and what the store showed.
type SubmissionRead struct {
	// Reported rows by their word, Unknown rows that fit no task or two, Unreported tasks.
	Succeeded  uint64 `json:"succeeded"`
	Failed     uint64 `json:"failed"`
	Unknown    uint64 `json:"unknown"`
	Unreported uint64 `json:"unreported"`
	// NoReport: none appeared.
	NoReport bool `json:"no_report,omitempty"`
	// Done tasks; of them Found are those that no row says succeeded. Already were as
	// wanted. Remaining are for Run; of them Unproved are those that a row says succeeded.
	Done      uint64 `json:"done"`
	Found     uint64 `json:"found"`
	Already   uint64 `json:"already"`
	Remaining uint64 `json:"remaining"`
	Unproved  uint64 `json:"unproved"`
	// Codes of the failed rows.
	Codes map[string]uint64 `json:"codes,omitempty"`
}

// Open says whether the job may still change objects, or its end was not read.
func (s *Submission) Open() bool { return s.Read == nil && !s.Withdrawn }

// Operation is update or copy.
func (s *Submission) Operation() string {
	if s.Job.Update {
		return "update"
	}
	return "copy"
}

// The kinds of lines in the record, in the order in which they come for one submission.
const (
	lineIntended  = "intended"  // before anything is sent
	lineCreated   = "created"   // S3 has told its ID
	lineConfirmed = "confirmed" // it may begin
	lineSeen      = "seen"      // its status has changed
	lineRead      = "read"      // every task that it did has an outcome
	lineWithdrawn = "withdrawn" // given up before S3 had it
)

// submitLine is a line of the record.
type submitLine struct {
	Kind string `json:"kind"`
	N    int    `json:"n"`
	// Intended is with an intended one, the others with theirs.
	Intended  *Submission     `json:"intended,omitempty"`
	ID        string          `json:"id,omitempty"`
	Status    string          `json:"status,omitempty"`
	Total     int64           `json:"total,omitempty"`
	Succeeded int64           `json:"succeeded,omitempty"`
	Failed    int64           `json:"failed,omitempty"`
	Reasons   []string        `json:"reasons,omitempty"`
	At        time.Time       `json:"at,omitzero"`
	Read      *SubmissionRead `json:"read,omitempty"`
}

// submitRecord is submit.record: JSON lines under a head that names the job. It is
// appended to and synced: a line before CreateJob, one when its ID is known, one at each
// step after. It only ever keeps tasks from being done: what was done the store tells.
type submitRecord struct {
	file *os.File // nil where nothing is to be recorded
	all  []*Submission
}

// openSubmitRecord reads the record; where there is none, it is empty.
func (j *Job) openSubmitRecord(write bool) (_ *submitRecord, err error) {
	r := new(submitRecord)
	head := "reseal submit 1 " + hex.EncodeToString(j.digest[:]) + "\n"
	const (
		what = "the record of what was submitted"
		fix  = "restore it: without it nobody knows which jobs of S3 Batch Operations work on these objects"
	)
	f, err := j.openRecord(submitName, what, fix, write)
	if f == nil || err != nil {
		return r, err
	}
	defer func() {
		if err != nil || !write {
			_ = f.Close()
		}
	}()
	whole, err := r.read(f, head)
	if err != nil {
		return nil, unusableBecause(err, what+", "+f.Name(), fix)
	}
	if !write {
		return r, nil
	}
	r.file = f
	if err := cutRecord(f, what, whole); err != nil {
		return nil, err
	}
	if whole == 0 {
		return r, errors.Join(r.append([]byte(head)), syncDir(j.local))
	}
	return r, nil
}

// read takes in every whole line, and tells how long they are together.
func (r *submitRecord) read(f io.Reader, head string) (whole int64, err error) {
	return readRecord(f, head, func(line string) error { return r.take([]byte(line)) })
}

// take reads one line, and believes it only where it may stand.
func (r *submitRecord) take(line []byte) error {
	var l submitLine
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return errNoLine
	}
	if l.Kind == lineIntended {
		s := l.Intended
		if s == nil || l.N != len(r.all)+1 || s.N != l.N || s.valid() != nil {
			return errNoLine
		}
		r.all = append(r.all, s)
		return nil
	}
	if l.N < 1 || l.N > len(r.all) {
		return errNoLine
	}
	s := r.all[l.N-1]
	if !s.Open() {
		return errNoLine
	}
	return s.step(&l)
}

// step is what a line makes of a submission.
func (s *Submission) step(l *submitLine) error {
	switch {
	case l.Kind == lineCreated && s.ID == "" && s3store.ValidBatchID(l.ID):
		s.ID = l.ID
	case l.Kind == lineWithdrawn && s.ID == "":
		s.Withdrawn = true
	case s.ID == "":
		return errNoLine
	case l.Kind == lineConfirmed:
		s.Confirmed = true
	case l.Kind == lineSeen && batchStates[l.Status]:
		s.Status, s.Total, s.Succeeded, s.Failed, s.Reasons, s.Seen = l.Status, l.Total, l.Succeeded, l.Failed, l.Reasons, l.At
	case l.Kind == lineRead && l.Read != nil:
		s.Read = l.Read
	default:
		return errNoLine
	}
	return nil
}

// valid holds a submission against what this package writes.
func (s *Submission) valid() error {
	sum, err := hex.DecodeString(s.Members)
	j := &s.Job
	if err != nil || len(sum) != 32 || s.ID != "" || s.Read != nil || s.Objects == 0 || s.Bytes < 0 || j.Bucket == "" || j.Token == "" || len(j.Token) > 64 ||
		j.Manifest.Bucket == "" || j.Manifest.Key == "" || j.Report.Bucket == "" || j.ETag == "" || j.RoleARN == "" || j.Update && j.KMSKey == "" {
		return errNoLine
	}
	return nil
}

// batchStates are all that a job of S3 Batch Operations can be in, and whether something
// may come after it.
var batchStates = map[string]bool{"New": true, "Preparing": true, "Suspended": true, "Ready": true, "Active": true, "Pausing": true, "Paused": true,
	"Completing": true, "Complete": true, "Cancelling": true, "Cancelled": true, "Failing": true, "Failed": true}

// batchEnded says whether nothing more comes of a job in the state.
func batchEnded(state string) bool {
	return state == "Complete" || state == "Cancelled" || state == "Failed"
}

// write records a step, durably, and takes it.
func (r *submitRecord) write(l submitLine) error {
	data, err := json.Marshal(&l)
	if err != nil {
		return fmt.Errorf("recording what is submitted: %w", err)
	}
	data = append(data, '\n')
	if err := r.append(data); err != nil {
		return err
	}
	return r.take(data)
}

func (r *submitRecord) append(lines []byte) error {
	_, err := r.file.Write(lines)
	if err == nil {
		err = r.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("recording what is submitted: %w", err)
	}
	return nil
}

// open are those that may still change objects, or whose end was not read.
func (r *submitRecord) open() (open []*Submission) {
	for _, s := range r.all {
		if s.Open() {
			open = append(open, s)
		}
	}
	return open
}

// Close gives the record back.
func (r *submitRecord) Close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

// Submissions are all jobs of S3 Batch Operations that were made for this one, as they
// are on record.
func (j *Job) Submissions() ([]*Submission, error) {
	r, err := j.openSubmitRecord(false)
	if err != nil {
		return nil, err
	}
	return r.all, nil
}

// refuseSubmitted refuses to work on objects that others may be at work on.
func (j *Job) refuseSubmitted() error {
	all, err := j.Submissions()
	if err != nil {
		return err
	}
	for _, s := range all {
		if s.Open() {
			return unusablef("follow it to its end with Job.Submit, or cancel it there",
				"the job in %s was given to S3 Batch Operations, and its job %d (%s) may still change objects", j.Dir, s.N, firstNonEmpty(s.ID, "not yet made"))
		}
	}
	return nil
}
