package main

import (
	"fmt"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/report"
)

// unusable says what is wrong with a command line, and what to do about it.
// Nothing was touched.
func unusable(what, fix string) error { return &job.UnusableError{What: what, Fix: fix} }

// unusablef is unusable with a formatted first part.
func unusablef(fix, format string, args ...any) error {
	return &job.UnusableError{What: fmt.Sprintf(format, args...), Fix: fix}
}

// unusableBecause carries the cause along.
func unusableBecause(err error, what, fix string) error {
	return &job.UnusableError{What: what, Fix: fix, Err: err}
}

// someError ends a run that was finished and left or failed some objects.
type someError struct {
	left, failed uint64
	fix          string
}

func (e *someError) Error() string {
	return fmt.Sprintf("%s left and %s failed; %s", objects(e.left), objects(e.failed), e.fix)
}

// onPurposeError ends a run that was told to stop before its end.
type onPurposeError struct{ what, fix string }

func (e *onPurposeError) Error() string { return e.what + "; " + e.fix }

// objects spells a number of objects.
func objects(n uint64) string { return report.Count(n, "object") }

// untrustedError is evidence that was changed since it was signed.
type untrustedError struct{ what, fix string }

func (e *untrustedError) Error() string { return e.what + "; " + e.fix }

// unreadError ends a verb that could not look at everything. What it could look at it
// has told.
type unreadError struct{ what, why string }

func (e *unreadError) Error() string {
	return e.what + ", what was found stands, and there may be more: " + object.Printable(e.why)
}
