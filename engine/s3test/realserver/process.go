package realserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// startTimeout bounds a start where the caller's context does not: a server takes
// well under a second on an idle machine, and tests share theirs.
const startTimeout = 2 * time.Minute

// process is a child that can be started again after it ended. Its methods are
// for one goroutine at a time, except pid and output.
type process struct {
	name string
	path string
	args []string
	env  []string
	log  string // file that its output goes to

	mu struct {
		sync.Mutex
		cmd   *exec.Cmd
		ended chan struct{} // closed when cmd was waited for
	}
}

// start runs the process and returns when answers says nil. A process that ends
// or does not answer in time is an error, which carries what it printed.
func (p *process) start(ctx context.Context, answers func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	ended, err := p.spawn()
	if err != nil {
		return fmt.Errorf("starting %s: %w", p.name, err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := answers(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ended:
			return fmt.Errorf("%s ended at once and printed:\n%s", p.name, tail(p.output()))
		case <-ctx.Done():
			p.kill()
			return fmt.Errorf("%s does not answer: %w (the last answer: %v); it printed:\n%s", p.name, ctx.Err(), err, tail(p.output()))
		}
	}
}

// spawn starts the child from a goroutine of its own that keeps its thread until
// the child has ended: the kernel's parent-death signal goes by thread, and the
// runtime may end a thread that others used.
func (p *process) spawn() (ended chan struct{}, err error) {
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(p.path, p.args...)
	cmd.Env = p.env
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = dieWithParent()
	ended = make(chan struct{})
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer out.Close()
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait() // how it ended is of no interest: tests kill it
		}
		close(ended)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.cmd, p.mu.ended = cmd, ended
	return ended, nil
}

func (p *process) running() (*exec.Cmd, chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.cmd, p.mu.ended
}

// kill ends the process, if it runs, and waits until it is gone.
func (p *process) kill() {
	if cmd, ended := p.running(); cmd != nil {
		cmd.Process.Kill() // an error means that it has ended already
		<-ended
	}
}

// stop asks the process to end and waits until it has.
func (p *process) stop(ctx context.Context) error {
	cmd, ended := p.running()
	if cmd == nil {
		return nil
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping %s: %w", p.name, err)
	}
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stopping %s: %w", p.name, ctx.Err())
	}
}

func (p *process) pid() int {
	cmd, _ := p.running()
	return cmd.Process.Pid
}

func (p *process) output() string {
	data, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// tail keeps the last lines of a log for an error message.
func tail(log string) string {
	lines := strings.Split(strings.TrimSpace(log), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}
