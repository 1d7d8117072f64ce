// Command reseal brings every object of a bucket under the encryption that you
// want, in place, and can prove it.
//
// One file holds one verb. Flags become Options of the packages here and go no
// further; exit codes come from the one switch below.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/planner"
)

func main() {
	// A job keeps little and allocates quickly. Collecting a little earlier than the
	// default costs it a microsecond an object and keeps it small.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(75)
	}
	crashAsCrash()
	quit := make(chan os.Signal, 1)
	signal.Notify(quit, quitSignals...)
	go func() {
		<-quit
		fmt.Fprintf(os.Stderr, "%s\nreseal: told to quit; what was in flight is in doubt, and the next run asks about it first\n", stacks())
		os.Exit(exitStopped)
	}()
	stop := followLoad()
	a := &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, end: os.Exit}
	code := a.main(os.Args[1:])
	stop()
	os.Exit(code)
}

// Main runs one command line and returns its exit code. Results go to stdout,
// everything else to stderr.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) (code int) {
	return (&app{stdin: stdin, stdout: stdout, stderr: stderr}).main(args)
}

func (a *app) main(args []string) (code int) {
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(a.stderr, "panic: %v\n%s\nreseal: this is a fault of reseal; please report it. Run the same command again to go on\n", p, debug.Stack())
			code = exitStopped
		}
	}()
	signals := a.watchSignals()
	defer signals.stop()
	root := newRoot(a)
	root.SetArgs(args)
	err := root.ExecuteContext(signals.now)
	for _, j := range a.opened {
		err = errors.Join(err, j.Close())
	}
	code = exitCode(err)
	if err != nil && !a.printed && wantsJSON(args) {
		_ = a.printJSON(map[string]jsonError{"error": asJSON(err, code)})
	}
	if text := explain(err, code); text != "" {
		fmt.Fprintln(a.stderr, text)
	}
	return code
}

// The exit codes of the contract.
const (
	exitAsWanted    = 0   // every object is as wanted
	exitStopped     = 1   // the run stopped on an error; fix it and run again
	exitUnusable    = 2   // command line, manifest or job directory not usable; nothing was touched
	exitSome        = 3   // the run finished, and some objects were left or failed
	exitOnPurpose   = 4   // stopped on purpose before the end; run again to go on
	exitInterrupted = 130 // interrupted; run again to go on
)

// exitCode is the one place where an error becomes an exit code.
func exitCode(err error) int {
	var (
		unusable  *job.UnusableError
		some      *someError
		differs   *notVerifiedError
		untrusted *untrustedError
		needed    *neededError
		kept      *keptError
		places    *placesError
		rest      *restError
		onPurpose *onPurposeError
		source    *planner.UnusableError
	)
	switch {
	case err == nil:
		return exitAsWanted
	case errors.As(err, &unusable), errors.As(err, &source), errors.Is(err, s3store.ErrNoAddress):
		return exitUnusable
	case errors.As(err, &some), errors.As(err, &differs), errors.As(err, &untrusted), errors.As(err, &needed), errors.As(err, &kept),
		errors.As(err, &places), errors.As(err, &rest):
		return exitSome
	case errors.As(err, &onPurpose):
		return exitOnPurpose
	case errors.Is(err, job.ErrInterrupted), errors.Is(err, context.Canceled), object.ClassOf(err) == object.ClassCanceled:
		return exitInterrupted
	}
	return exitStopped
}

// explain is what the person at the terminal reads; never a stack trace, never
// a wall of usage.
func explain(err error, code int) string {
	switch {
	case err == nil:
		return ""
	case code == exitInterrupted && !errors.Is(err, job.ErrInterrupted) && !errors.Is(err, job.ErrGivenUp):
		return "reseal: interrupted"
	}
	return printableLines("reseal: " + strings.TrimSpace(inFlags(err.Error())))
}

// printableLines makes a message of several errors fit for a terminal. All but the first
// of its lines are indented, so that no text from outside begins one.
func printableLines(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = object.Printable(lines[i])
	}
	return strings.Join(lines, "\n  ")
}
