package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// A process that starts costs more than what most tests have it do. So a command that nobody
// kills, signals or measures is run by a process that stays: one command line at a time, each in
// an environment of its own, by the same Main, which has to leave nothing running behind.
// Transcripts, and what listen runs, are processes of their own.

// warmProcess runs one command line after the other.
type warmProcess struct {
	cmd     *exec.Cmd
	asks    *json.Encoder
	answers *json.Decoder
	stderr  bytes.Buffer // of the process itself: why it died
}

type warmCommand struct{ Args, Env []string }

type warmAnswer struct {
	Code           int
	Stdout, Stderr []byte
	Left           string // the goroutines that the command left behind
}

// warmProcesses are those that have nothing to do. They end with the suite, which holds the
// other end of what they read.
var warmProcesses struct {
	sync.Mutex
	idle []*warmProcess
}

// staysSame says whether a process that stays may run the command as well as one of its own.
// What Go's own packages read from the environment they read once a process.
func staysSame(cmd *exec.Cmd) bool {
	if cmd.Env == nil || cmd.Dir != "" || cmd.Stdin != nil || cmd.SysProcAttr != nil || cmd.ExtraFiles != nil || cmd.Cancel != nil {
		return false
	}
	binary, err := build()
	seldomCollects := false
	for _, e := range cmd.Env {
		name, _, _ := strings.Cut(e, "=")
		switch {
		case e == seldom:
			seldomCollects = true
		case strings.HasPrefix(name, "AWS_"), name == "HOME", name == "PATH", name == "TMPDIR", name == "JOB_COMPLETION_INDEX":
		default:
			return false
		}
	}
	return err == nil && cmd.Path == binary && seldomCollects
}

// answered is listen for a command that nobody kills or signals.
func answered(t *testing.T, cmd *exec.Cmd) said {
	t.Helper()
	if !staysSame(cmd) {
		return listen(t, cmd)
	}
	p, err := idleProcess()
	if err != nil {
		t.Fatal(err)
	}
	var a warmAnswer
	if err = p.asks.Encode(warmCommand{Args: cmd.Args[1:], Env: cmd.Env}); err == nil {
		err = p.answers.Decode(&a)
	}
	if err != nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		t.Fatalf("the process that ran %q: %v, %v\n%s", cmd.Args, err, p.cmd.ProcessState, p.stderr.String())
	}
	if a.Left != "" {
		t.Errorf("%q left goroutines behind:\n%s", cmd.Args, a.Left)
	}
	warmProcesses.Lock()
	defer warmProcesses.Unlock()
	warmProcesses.idle = append(warmProcesses.idle, p)
	return said{code: a.Code, stdout: string(a.Stdout), stderr: string(a.Stderr)}
}

// idleProcess is one that has nothing to do, a new one where there is none.
func idleProcess() (*warmProcess, error) {
	warmProcesses.Lock()
	defer warmProcesses.Unlock()
	if n := len(warmProcesses.idle); n > 0 {
		p := warmProcesses.idle[n-1]
		warmProcesses.idle = warmProcesses.idle[:n-1]
		return p, nil
	}
	binary, err := build()
	if err != nil {
		return nil, err
	}
	p := &warmProcess{cmd: exec.Command(binary)}
	p.cmd.Args = []string{"reseal-warm"}
	p.cmd.Env, p.cmd.Stderr = []string{seldom}, &p.stderr
	in, ierr := p.cmd.StdinPipe()
	out, oerr := p.cmd.StdoutPipe()
	if err := errors.Join(ierr, oerr); err != nil {
		return nil, err
	}
	p.asks, p.answers = json.NewEncoder(in), json.NewDecoder(out)
	return p, p.cmd.Start()
}

// stayWarm is the program of such a process. It ends with the suite also where that is
// killed in the middle of a command, which would go on for half an hour against a store
// that is gone, with all files that it has inherited.
func stayWarm() {
	asks, answers := make(chan warmCommand), json.NewEncoder(os.Stdout)
	go func() {
		for in := json.NewDecoder(os.Stdin); ; {
			var c warmCommand
			if err := in.Decode(&c); errors.Is(err, io.EOF) {
				os.Exit(0)
			} else if err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			asks <- c
		}
	}()
	for c := range asks {
		var err error
		os.Clearenv()
		for _, e := range c.Env {
			name, value, _ := strings.Cut(e, "=")
			err = errors.Join(err, os.Setenv(name, value))
		}
		var stdout, stderr bytes.Buffer
		a := warmAnswer{Code: Main(c.Args, strings.NewReader(""), &stdout, &stderr)}
		a.Stdout, a.Stderr, a.Left = stdout.Bytes(), stderr.Bytes(), leftBehind()
		if err = errors.Join(err, answers.Encode(a)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// leftBehind are the goroutines that do not end by themselves, but for this one, the one that
// reads, and that of os/signal, which stays from the first signal that is asked for on.
func leftBehind() string {
	for waited := 0; runtime.NumGoroutine() > 3; waited++ {
		if waited == 10_000 {
			stacks := make([]byte, 1<<20)
			return string(stacks[:runtime.Stack(stacks, true)])
		}
		time.Sleep(time.Millisecond)
	}
	return ""
}
