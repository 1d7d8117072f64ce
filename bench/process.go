package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Cost is what one process has spent.
type Cost struct {
	Seconds float64 `json:"seconds"`
	// CPUSeconds of the process and its children, in user and kernel mode.
	CPUSeconds float64 `json:"cpu_seconds"`
	PeakRSS    int64   `json:"peak_rss_bytes"`
}

// run runs a command to its end and measures it. What it printed is in the error
// where it failed, and in out where the caller wants it.
func run(cmd *exec.Cmd, out io.Writer) (Cost, error) {
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if out != nil {
		cmd.Stdout = out
	}
	began := time.Now()
	err := cmd.Start()
	var peak int64
	if err == nil {
		watched := watchRSS(cmd.Process.Pid)
		err = cmd.Wait()
		peak = watched()
	}
	took := time.Since(began)
	if err != nil {
		return Cost{}, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, lastLines(said.String()))
	}
	p := cmd.ProcessState
	return Cost{Seconds: took.Seconds(), CPUSeconds: (p.UserTime() + p.SystemTime()).Seconds(), PeakRSS: peak}, nil
}

// watchRSS looks at a process's own high-water mark while it runs. The kernel's
// ru_maxrss cannot be used: a child starts with its parent's.
func watchRSS(pid int) (stop func() int64) {
	done, result := make(chan struct{}), make(chan int64)
	go func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		var peak int64
		for {
			peak = max(peak, highWater(pid))
			select {
			case <-done:
				result <- peak
				return
			case <-tick.C:
			}
		}
	}()
	return func() int64 { close(done); return <-result }
}

// highWater is VmHWM; 0 where there is no /proc.
func highWater(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(data), "VmHWM:")
	var kib int64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		return 0
	}
	return kib << 10
}

func lastLines(s string) string {
	const most = 2000
	if len(s) > most {
		s = "…" + s[len(s)-most:]
	}
	return s
}

// ownCPU is what this process has spent so far.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// self is this program as a child, in another role.
func self(ctx context.Context, args ...string) (*exec.Cmd, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stderr = os.Stderr
	return cmd, nil
}

// get reads a small document.
func get(url string) ([]byte, error) {
	resp, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return body, err
}

// trust makes a TLS configuration of a PEM bundle.
func trust(bundle string) (*tls.Config, error) {
	pem, err := os.ReadFile(bundle)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", bundle)
	}
	return &tls.Config{RootCAs: roots}, nil
}
