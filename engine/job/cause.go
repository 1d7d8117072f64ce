package job

import (
	"context"
	"errors"
	"fmt"

	"github.com/resealhq/reseal/checkpoint"
	"github.com/resealhq/reseal/engine"
	"github.com/resealhq/reseal/engine/ledger"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/report"
	"github.com/resealhq/reseal/planner"
)

// The classes of causes besides those of a store's answers.
const (
	CausePlanned     = "planned"      // nothing was begun
	CauseInterrupted = "interrupted"  // by a signal
	CauseStopAfter   = "stop-after"   // Limits.StopAfter
	CauseMaxFailures = "max-failures" // Limits.MaxFailures
	CauseDisk        = "disk"         // the job directory's
	CauseUnusable    = "unusable"     // specification, manifest, store
	CauseLost        = "lost"         // another process has taken the job
	CausePanic       = "panic"        // a fault of reseal
	CauseKilled      = "killed"       // it began and has no end
	CauseWindow      = "window"       // waits for Limits.Window
	CausePaused      = "paused"       // waits for somebody to resume it
	CauseSubmitted   = "submitted"    // S3 Batch Operations is at work on it
	CauseError       = "error"        // any other
)

// panicError is a panic on its way.
type panicError struct{ value any }

func (e panicError) Error() string {
	return fmt.Sprintf("%v; this is a fault of reseal, please report it with what stood on standard error", e.value)
}

// stopCause puts the end of a run into a word and a sentence; nil where it came to
// its end.
func stopCause(err error) *report.StopCause {
	if err == nil {
		return nil
	}
	return &report.StopCause{Class: causeClass(err), Message: err.Error()}
}

func causeClass(err error) string {
	var (
		disk     *checkpoint.DiskError
		unusable *UnusableError
		source   *planner.UnusableError
		panicked panicError
	)
	switch {
	case errors.As(err, &panicked):
		return CausePanic
	case errors.Is(err, ErrInterrupted), errors.Is(err, ErrGivenUp), errors.Is(err, context.Canceled):
		return CauseInterrupted
	case errors.Is(err, ErrStopAfter):
		return CauseStopAfter
	case errors.Is(err, engine.ErrMaxFailures):
		return CauseMaxFailures
	case errors.Is(err, ledger.ErrLost):
		return CauseLost
	case errors.As(err, &disk):
		return CauseDisk
	case errors.As(err, &unusable), errors.As(err, &source):
		return CauseUnusable
	}
	if class := object.ClassOf(err); class == object.ClassCanceled {
		return CauseInterrupted
	} else if class != object.ClassOther {
		return class.String()
	}
	return CauseError
}
