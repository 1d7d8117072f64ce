package job

import (
	"context"
	"os"
	"os/user"
	"time"

	"github.com/resealhq/reseal/engine/evidence"
	"github.com/resealhq/reseal/engine/report"
)

// identity is who made the evidence, as far as this machine knows.
type identity struct {
	Host    string    `json:"host,omitempty"`
	User    string    `json:"user,omitempty"`
	Version string    `json:"reseal"`
	Made    time.Time `json:"made"`
}

// asked is what the job was asked for.
type asked struct {
	ID     string    `json:"id"`
	Begun  time.Time `json:"begun"`
	Spec   Spec      `json:"spec"`
	Policy Policy    `json:"how"`
}

// Evidence writes the job's report into a new folder, so that others can check
// that nothing in it was changed since; see package evidence. Version is that of
// the program. It may be called while the job runs: the rows are then those of
// that moment.
func (j *Job) Evidence(ctx context.Context, dir, version string, s evidence.Signer) error {
	points, err := j.openRecords()
	if err != nil {
		return jobUnusable(err)
	}
	defer func() { _ = points.Close() }()
	totals := points.Totals()
	now := time.Now().UTC().Truncate(time.Second)
	who := identity{Version: version, Made: now}
	// What this machine does not know of itself is left out.
	who.Host, _ = os.Hostname()
	if u, err := user.Current(); err == nil {
		who.User = u.Username
	}
	return evidence.Write(ctx, dir, &evidence.Content{Job: j.ID, Version: version, Rows: points.Rows, Now: now, Documents: map[string]any{
		"summary":  report.Summarize(j.Dir, &totals, points.Row),
		"policy":   asked{ID: j.ID, Begun: j.Begun, Spec: j.frozen(), Policy: j.Policy},
		"identity": who,
	}}, s)
}
