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

type groundKey struct{}

// On is the context with which CreateContext and OpenContext put a job, and the store
// that its state may lie in, on another ground.
func On(ctx context.Context, g Ground) context.Context { return context.WithValue(ctx, groundKey{}, g) }

func groundOf(ctx context.Context) Ground {
	g, _ := ctx.Value(groundKey{}).(Ground)
	return g
}

// backoff is how long to wait before a request is tried again.
func (g Ground) backoff(attempt int, retryAfter time.Duration) time.Duration {
	if g.Random == nil {
		return pace.Backoff(attempt, retryAfter, nil)
	}
	return pace.Backoff(attempt, retryAfter, rand.New(g.Random))
}
