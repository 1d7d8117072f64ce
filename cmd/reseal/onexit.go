package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"

	"github.com/resealhq/reseal/engine/report"
)

// onExit runs the command that a person wants run when the run has ended. What it
// prints goes to standard error; how it ends changes nothing.
func (a *app) onExit(command, dir string, sum *report.Summary, code int) {
	if command == "" {
		return
	}
	summary := []byte{}
	if sum != nil {
		summary, _ = json.Marshal(sum) // numbers and words only
	}
	cmd := exec.Command("sh", "-c", command)
	if runtime.GOOS == "windows" {
		cmd = exec.Command("cmd", "/C", command)
	}
	cmd.Env = append(os.Environ(), "RESEAL_EXIT_CODE="+strconv.Itoa(code), "RESEAL_JOB="+dir, "RESEAL_SUMMARY="+string(summary))
	cmd.Stdout, cmd.Stderr = a.stderr, a.stderr
	a.drain.ended.Store(true)
	if err := cmd.Run(); err != nil {
		fmt.Fprintf(a.stderr, "reseal: warning: --on-exit %q: %v\n", command, err)
	}
}
