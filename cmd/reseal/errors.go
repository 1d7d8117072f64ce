package main

import (
	"fmt"
	"strings"

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

// placesError ends a verb of a job of several places some of which could not be taken:
// exit code 3.
type placesError struct{ unread []job.PlaceFound }

func (e *placesError) Error() string {
	var lines []string
	for _, p := range e.unread {
		lines = append(lines, fmt.Sprintf("%s: %s", object.Printable(p.Place.String()), p.Unread))
	}
	return fmt.Sprintf("%s not taken when the job began, and nothing was done there; see to it, and begin another job for what is missing:\n%s",
		plural(uint64(len(e.unread)), "place"), strings.Join(lines, "\n"))
}

// unreadOf is what a job of several places is not about.
func unreadOf(j *job.Job) error {
	if unread := j.Unread(); len(unread) > 0 {
		return &placesError{unread}
	}
	return nil
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
