package main

import (
	"errors"
	"os/exec"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// exits is a transcript's command: `exits CODE COMMAND ARGS…` runs COMMAND and
// fails unless it ends with CODE and without a stack trace or a wall of usage.
// The commands stdout and stderr look at what it printed.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARGS…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
	if stderr := ts.ReadFile("stderr"); got != 0 && (strings.Contains(stderr, "goroutine ") || len(args) > 2 && strings.Contains(stderr, "Usage:")) {
		ts.Fatalf("a stack trace or a wall of usage on standard error")
	}
}
