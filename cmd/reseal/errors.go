package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/resealhq/reseal/engine/report"
)

// unusableError is a command line, manifest or job directory that cannot be
// used. Nothing was touched.
type unusableError struct {
	what string // what is wrong, and with what
	fix  string // what the person can do about it
	err  error
}

func (e *unusableError) Error() string {
	s := e.what
	if e.err != nil {
		s += ": " + e.err.Error()
	}
	if e.fix != "" {
		s += "; " + e.fix
	}
	return s
}

func (e *unusableError) Unwrap() error { return e.err }

// unusable says what is wrong and what to do about it.
func unusable(what, fix string) error { return &unusableError{what: what, fix: fix} }

// unusablef is unusable with a formatted first part.
func unusablef(fix, format string, args ...any) error {
	return &unusableError{what: fmt.Sprintf(format, args...), fix: fix}
}

// unusableBecause carries the cause along.
func unusableBecause(err error, what, fix string) error {
	return &unusableError{what: what, fix: fix, err: err}
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

// errInterrupted ends a run that a signal drained.
var errInterrupted = errors.New("interrupted, and everything in flight was finished; run the same command again to go on")

// errGivenUp ends a run that a second signal ended at once.
var errGivenUp = fmt.Errorf("interrupted at once: what was in flight is in doubt, and the next run asks about it first; run the same command again to go on: %w", context.Canceled)

// objects spells a number of objects.
func objects(n uint64) string { return report.Count(n, "object") }
