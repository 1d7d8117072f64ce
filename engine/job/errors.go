package job

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/resealhq/reseal/checkpoint"
	"github.com/resealhq/reseal/engine"
	"github.com/resealhq/reseal/engine/ledger"
	"github.com/resealhq/reseal/planner"
)

// UnusableError is a specification, a manifest, a store or a job directory that
// cannot be used as it is. Nothing was touched. Its words name fields of this
// package, such as Target.KMSKeyID.
type UnusableError struct {
	// What is wrong, and with what; and what the caller can do about it.
	What, Fix string
	// Err is the cause, where there is one.
	Err error

	told error // a cause that What tells already
}

// Error has the three parts of every message: what failed, on what, what to do.
func (e *UnusableError) Error() string {
	s := e.What
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Fix != "" {
		s += "; " + e.Fix
	}
	return s
}

// Unwrap gives the cause.
func (e *UnusableError) Unwrap() error {
	if e.Err == nil {
		return e.told
	}
	return e.Err
}

func unusable(what, fix string) error { return &UnusableError{What: what, Fix: fix} }

// unusablef is unusable with a formatted first part.
func unusablef(fix, format string, args ...any) error {
	return &UnusableError{What: fmt.Sprintf(format, args...), Fix: fix}
}

// unusableBecause carries the cause along.
func unusableBecause(err error, what, fix string) error {
	return &UnusableError{What: what, Fix: fix, Err: err}
}

// afterBeginning is an error that comes when something was touched already. It is no refusal to
// begin any more, which would say that nothing was.
func afterBeginning(err error) error {
	var refused *UnusableError
	var source *planner.UnusableError
	if errors.As(err, &refused) || errors.As(err, &source) {
		return errors.New(err.Error())
	}
	return err
}

// ErrNone is wrapped by the error of Open where there is no job.
var ErrNone = errors.New("there is no job")

// DifferentError is a job directory that holds another job than the one that was
// asked for.
type DifferentError struct {
	Dir         string
	Differences []Difference
}

// Difference is one field in which the recorded specification and the one that
// was asked for differ, spelled for people; empty for nothing.
type Difference struct{ Field, Have, Want string }

// String is the difference in words.
func (d Difference) String() string {
	return fmt.Sprintf("%s: the job has %s, and asked for is %s", d.Field, quoted(d.Have), quoted(d.Want))
}

// Error names every difference.
func (e *DifferentError) Error() string {
	words := make([]string, 0, len(e.Differences))
	for _, d := range e.Differences {
		words = append(words, d.String())
	}
	return fmt.Sprintf("the job in %s is another one than was asked for; open it as it is, or name another directory for a new job. They differ in\n  %s",
		e.Dir, strings.Join(words, "\n  "))
}

func quoted(s string) string {
	if s == "" {
		return "nothing"
	}
	return fmt.Sprintf("%q", s)
}

const goesOn = "run the same command again to go on"

// doubtError is why a run ended, ErrInterrupted or another cause, that could not finish everything in
// flight.
type doubtError struct {
	cause error
	doubt string
}

func (e *doubtError) Error() string {
	if errors.Is(e.cause, ErrInterrupted) {
		return "interrupted; " + e.doubt + "; " + goesOn
	}
	return e.cause.Error() + "; " + e.doubt
}

func (e *doubtError) Unwrap() error { return e.cause }

// inDoubt is why a drained run was asked to stop, with what the engine says of objects that were
// on their way.
func inDoubt(cause, drained error) error {
	if d, ok := errors.AsType[*engine.DoubtError](drained); ok {
		return &doubtError{cause, d.Doubt()}
	}
	return cause
}

const notRecorded = "the place of the job's state does not answer, so that what was done last is not recorded there, and the next run asks about it first"

// errForsaken: a Job whose place was not waited for any more holds nothing there.
var errForsaken = unusablef("close it, and open it again", "the place of the job's state did not answer when this process was told to stop, and is not asked any more")

// ended is why the work ended, with what went wrong when it was closed. Where the bucket of the state was not
// waited for any more, that is why, and not what its last request met.
func (w *work) ended(err, closing error) error {
	var (
		told *doubtError
		away *checkpoint.AwayError
	)
	cause := w.stop.cause()
	switch {
	case !w.job.home.isGivenUp() || cause == nil:
	case errors.As(err, &told):
		return err
	case errors.Is(err, cause), errors.As(err, &away), err == nil && errors.As(closing, &away):
		return &doubtError{cause, notRecorded}
	}
	return withClose(err, closing)
}

// silent says whether the engine was told to stop while nobody was answered.
func silent(err error) bool {
	d, ok := errors.AsType[*engine.DoubtError](err)
	return ok && d.Silent
}

// Why a run ended before its end, though nothing failed.
var (
	// ErrInterrupted: Options.Stop was closed, and everything in flight was finished. What wraps it
	// says what was not.
	ErrInterrupted = errors.New("interrupted, and everything in flight was finished; " + goesOn)
	// ErrGivenUp: the context ended in the middle.
	ErrGivenUp error = givenUpError{}
	// ErrStopAfter: Limits.StopAfter has passed.
	ErrStopAfter = errors.New("Limits.StopAfter has passed")
)

// givenUpError is ErrGivenUp. It wraps the end of the context, and does not name it.
type givenUpError struct{}

func (givenUpError) Error() string {
	return "interrupted at once: what was in flight is in doubt, and the next run asks about it first; " + goesOn
}

func (givenUpError) Unwrap() error { return context.Canceled }

// jobUnusable makes the checkpoint's refusals wrong usage: nothing was touched.
func jobUnusable(err error) error {
	var (
		locked   *checkpoint.LockedError
		mismatch *checkpoint.JobMismatchError
		format   *checkpoint.FormatError
		disk     *checkpoint.DiskError
		unfit    *checkpoint.DirError
		damaged  *ledger.DamagedError
	)
	if errors.As(err, &damaged) {
		return &UnusableError{What: err.Error(), Fix: damaged.Fix, told: damaged}
	}
	if errors.As(err, &unfit) {
		what := "the job directory " + unfit.Dir + " cannot be used: " + unfit.What
		return &UnusableError{What: what, Fix: unfit.Fix, Err: unfit.Err}
	}
	switch {
	case errors.As(err, &locked):
		return &UnusableError{What: err.Error(), told: locked}
	case errors.Is(err, checkpoint.ErrNoStore):
		return &UnusableError{What: err.Error(), told: checkpoint.ErrNoStore}
	case errors.As(err, &mismatch), errors.As(err, &format), errors.As(err, &disk):
		return &UnusableError{What: err.Error(), Err: nil}
	}
	return err
}
