// Package engine does what a plan says. It promises: a task counts as done only
// if the store was seen to show the target; an object's failure never stops its
// siblings; a request whose answer was lost is asked about before anything is
// sent again; and whatever was not finished is found again by the next run.
//
// The interfaces below and those of package store are all that the engine wants of
// the world. The journal is the checkpoint; store.Hot is wire or s3store; the rest
// of a store is s3store. README.md draws the storeys that the engine stands on.
package engine

import (
	"context"

	"github.com/resealhq/reseal/engine/carry"
	"github.com/resealhq/reseal/engine/look"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/retry"
	"github.com/resealhq/reseal/engine/store"
)

// What Config is made of, by the names of the storeys that say what it means.
type (
	// Store is everything that the engine asks of one endpoint.
	Store = store.Store
	// Dest maps a source to where its copy goes. The zero value means in place.
	Dest = carry.Dest
	// Pacer lets requests through. Every attempt of every request passes it.
	Pacer = retry.Pacer
)

// What Config.PartSize may be, since S3 takes no other parts.
const (
	MinPartSize = carry.MinPartSize
	MaxPartSize = carry.MaxPartSize
)

// ErrMissingKey: the object is under SSE-C, and none of the job's keys opens it.
var ErrMissingKey = look.ErrMissingKey

// Journal gives out tasks and keeps outcomes. The checkpoint implements it.
type Journal interface {
	// Next gives up to len(buf) tasks without outcome, in order of Seq, and how
	// many; it blocks while planning goes on and nothing is there, and ends with
	// io.EOF. No task is given before the watermark that covers it is durable.
	// One goroutine calls it.
	Next(ctx context.Context, buf []object.Task) (int, error)
	// Record takes an outcome and makes it durable soon, together with others. It
	// blocks only when the disk is far behind; its error is final. It keeps no
	// pointer to o. Safe for concurrent use.
	Record(o *object.Outcome) error
	// Flush returns when everything recorded is durable.
	Flush() error
}

// Observer sees what happens, for progress and metrics. Called by many
// goroutines; must not block, and keeps no pointer.
type Observer interface {
	retry.Observer
	// Settled is told every outcome that was recorded.
	Settled(o *object.Outcome)
}

// Chooser decides what is to be done with an inspected object. planner.Chooser
// implements it as a pure function.
type Chooser interface {
	Choose(o *object.Object, a *object.Attributes) object.Choice
}
