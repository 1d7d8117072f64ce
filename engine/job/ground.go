package job

import (
	"context"
	"net"

	"github.com/resealhq/reseal/checkpoint"
)

// Ground is what a job stands on where that is not this machine: the network and
// the disk of a simulation. What is nil is this machine's.
type Ground struct {
	// Dial opens every connection to the store.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Disk holds the checkpoint; job.json and the log stay in the job directory.
	Disk *checkpoint.Disk
}

// StandOn puts the job on another ground before it is planned, run, verified or
// reported on.
func (j *Job) StandOn(g Ground) { j.ground = g }
