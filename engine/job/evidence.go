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

// asked is what the job was asked for.
type asked struct {
	ID     string    `json:"id"`
	Begun  time.Time `json:"begun"`
	Spec   Spec      `json:"spec"`
	Policy Policy    `json:"how"`
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
	totals := points.Totals()
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
	return evidence.Write(ctx, dir, &evidence.Content{Job: j.ID, Version: opt.Version, Rows: points.Rows, Now: now, Documents: map[string]any{
		"summary":      report.Summarize(j.Dir, &totals, points.Row),
		"policy":       asked{ID: j.ID, Begun: j.Begun, Spec: j.frozen(), Policy: j.Policy},
		"identity":     who,
		"verification": found,
	}}, opt.Signer)
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
