package job

import (
	"context"
	"math/rand/v2"
	"net"
	"time"

	"github.com/resealhq/reseal/checkpoint"
	"github.com/resealhq/reseal/engine/pace"
)

// Ground is what a job stands on where that is not this machine: the network and
// the disk of a simulation. What is nil is this machine's.
type Ground struct {
	// Dial opens every connection to the store.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Disk holds the checkpoint; job.json and the log stay in the job directory.
	Disk *checkpoint.Disk
	// Random spreads the waits before requests are repeated. It is asked by many
	// goroutines at once.
	Random rand.Source
}

// StandOn puts the job on another ground before it is planned, run, verified or
// reported on.
func (j *Job) StandOn(g Ground) { j.ground = g }

// backoff is how long to wait before a request is tried again.
func (g Ground) backoff(attempt int, retryAfter time.Duration) time.Duration {
	if g.Random == nil {
		return pace.Backoff(attempt, retryAfter, nil)
	}
	return pace.Backoff(attempt, retryAfter, rand.New(g.Random))
}
