package job

import (
	"context"
	"os"
	"os/user"
	"slices"
	"time"

	"github.com/resealhq/reseal/engine/evidence"
	"github.com/resealhq/reseal/engine/report"
)

// EvidenceOptions say who makes the evidence of a job, and how.
type EvidenceOptions struct {
	// Version is that of the program.
	Version string
	// Caller asks STS who makes the evidence. Nobody but AWS is asked.
	Caller bool
	Signer evidence.Signer
}

// identity is who made the evidence and who ran the job, as far as this machine and STS
// know.
type identity struct {
	Host    string    `json:"host,omitempty"`
	User    string    `json:"user,omitempty"`
	Version string    `json:"reseal"`
	Made    time.Time `json:"made"`
	// Caller is the ARN that STS gave for whoever made the evidence; RanAs are those that
	// it gave to the last run of the job, or of each of its shards.
	Caller string   `json:"caller,omitempty"`
	RanAs  []string `json:"ran_as"`
}

// asked is what the job was asked for. Objects may have been done under each of its
// policies.
type asked struct {
	ID      string      `json:"id"`
	Begun   time.Time   `json:"begun"`
	Spec    Spec        `json:"spec"`
	Policy  Policy      `json:"how"`
	Since   time.Time   `json:"how_since,omitzero"`
	Earlier []oldPolicy `json:"how_before,omitempty"`
	// NotTaken are places of the source at which nothing was done, and of which no row tells.
	NotTaken []notTaken `json:"not_taken,omitempty"`
}

// notTaken is a place that could not be taken when the job began.
type notTaken struct {
	Place string `json:"place"`
	Why   string `json:"why"`
}

// verification is what the last verify of the job found. Where there was none it says so:
// its absence is part of the evidence.
type verification struct {
	Made bool `json:"made"`
	*verified
}

// Evidence writes the job's report into a new folder, so that others can check
// that nothing in it was changed since; see package evidence. It may be called while the
// job runs: the rows are then those of that moment.
func (j *Job) Evidence(ctx context.Context, dir string, opt EvidenceOptions) error {
	points, err := j.openRecords()
	if err != nil {
		return jobUnusable(err)
	}
	defer func() { _ = points.Close() }()
	policy, err := j.asked()
	if err != nil {
		return err
	}
	now := time.Now().UTC().Truncate(time.Second)
	who := identity{Version: opt.Version, Made: now, RanAs: j.ranAs()}
	// What this machine does not know of itself is left out.
	who.Host, _ = os.Hostname()
	if u, err := user.Current(); err == nil {
		who.User = u.Username
	}
	if opt.Caller {
		if who.Caller, err = j.caller(ctx, opt.Version); err != nil {
			return err
		}
	}
	var found verification
	if v := (&verified{}); j.kept(verifiedName, v) && v.Verdict != nil {
		found = verification{true, v}
	}
	documents := map[string]any{"policy": policy, "identity": who, "verification": found}
	rows := report.Rows(points.Rows).Then(func() error {
		documents["summary"] = points.summary()
		return nil
	})
	return evidence.Write(ctx, dir, &evidence.Content{Job: j.ID, Version: opt.Version, Rows: rows, Now: now, Documents: documents}, opt.Signer)
}

// asked is what job.json says; of a shard, that of the whole job.
func (j *Job) asked() (*asked, error) {
	of := j
	if j.whole != nil {
		of = j.whole
	}
	f, err := readFile(of.path(fileName))
	if err != nil {
		return nil, jobUnusable(err)
	}
	a := &asked{ID: j.ID, Begun: j.Begun, Spec: j.frozen(), Policy: f.Policy, Since: f.Since, Earlier: f.Earlier}
	for _, u := range j.Unread() {
		a.NotTaken = append(a.NotTaken, notTaken{u.Place.String(), u.Unread})
	}
	return a, nil
}

// caller is who asks now. One that was asked for and is not told is an error.
func (j *Job) caller(ctx context.Context, version string) (string, error) {
	store, err := j.Spec.Connection.Open(ctx, Dial{Version: version, Conn: j.ground.Dial})
	if err != nil {
		return "", err
	}
	defer store.Close()
	if !store.IsAWS() {
		return "", unusable("who makes the evidence is told by STS of AWS only", "leave EvidenceOptions.Caller out")
	}
	ctx, cancel := context.WithTimeout(ctx, callerWithin)
	defer cancel()
	arn, err := store.Identity(ctx)
	if err != nil {
		return "", unusableBecause(err, "STS does not tell who makes the evidence", "open a way to STS, or leave EvidenceOptions.Caller out")
	}
	return arn, nil
}

// callerWithin is how long STS may take.
const callerWithin = 30 * time.Second

// ranAs are the identities that STS gave to the runs of the job, each once.
func (j *Job) ranAs() []string {
	all := []string{}
	jobs := []*Job{j}
	if j.Division != nil {
		jobs = j.parts()
	}
	for _, one := range jobs {
		if r := one.readRun(); r != nil && r.Identity != "" && !slices.Contains(all, r.Identity) {
			all = append(all, r.Identity)
		}
	}
	return all
}
