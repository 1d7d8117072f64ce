// Package dispatch decides which task of a plan a free worker is given, where a store limits
// requests by prefix: it takes from several places of the plan at once, so that what lies
// under a prefix that is full does not hold up what lies under others.
//
// A plan begins as one lane, given out in order. Where requests pile up at the limit of the
// prefix that the lane has reached, the rest of the plan is glanced at, some hundred keys
// spread evenly, and a lane begins at one of each prefix that has none yet. A free worker is
// given the next task of the lane that has the fewest in workers' hands, of those whose
// prefix has room. Lanes end where the next begins; with the last but one all is as before.
//
//	promise                  because
//	each task once           the journal remembers what lanes are given out to where
//	a key's versions in order  they are in one lane, and a lane is given out in order
//	nothing starves          a lane without room is one whose prefix has requests waiting, and
//	                         any lane may have a few tasks in hand
//	bounded                  as many lanes, and as many tasks of each in memory, as below
//	nothing where it is idle without requests that wait it costs one look at a counter for
//	                         each batch of tasks
package dispatch

import (
	"context"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// Journal is a plan that can be given out in several places at once.
type Journal interface {
	// Lanes are the stretches that can be given out side by side, in order.
	Lanes() []uint64
	// NextIn gives the next tasks of a lane without waiting for more to be planned: none
	// means that there may be some later, io.EOF that there will not.
	NextIn(ctx context.Context, lane uint64, buf []object.Task) (int, error)
	// Glance is where up to n tasks lie, evenly spread over what is left.
	Glance(n int) ([]object.Place, error)
	// Fork begins a lane at each of these tasks, or a little behind it.
	Fork(at []uint64) error
}

// Pace knows where requests wait.
type Pace interface {
	// Full says whether requests for a key wait for the limit on its prefix, as many as it
	// lets through within a moment, or most.
	Full(key string, most int) (prefix string, full bool)
	// Spread is told that work below a prefix lies in n times as many places as before, and
	// which prefixes below it have much of it.
	Spread(prefix string, n int, below []string)
}

const (
	// maxLanes bounds the lanes, and perPrefix those below one limit.
	maxLanes  = 64
	perPrefix = 16
	// much is how many of the keys of a glance lie below a prefix that has much of the work.
	much = 2
	// glanced is how many keys a glance looks at.
	glanced = 256
	// chunk is how many tasks of a lane are taken from the journal at a time: after a crash
	// each is asked about.
	chunk = 16
	// few is how many tasks of a lane may be in hand although its prefix has no room.
	few = 2
	// share is the part of all workers that may wait for one limit while others have room.
	share = 8
	// A glance that found nothing is made again after shortWait, then ever later.
	shortWait = 250 * time.Millisecond
	longWait  = 5 * time.Second
	// tick is how often it is looked whether there is room, or more of the plan, although
	// no worker came back.
	tick = 20 * time.Millisecond
)
