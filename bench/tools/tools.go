// Package tools builds the real servers and the peers that tests and benchmarks
// run as processes. Each lives in a Go module of its own below this folder, so
// that its licence and its dependencies stay out of reseal's: NAME/go.mod names
// one tool, NAME/go.sum pins every byte of it. One, s3ec, is a program of our own
// around clients that are libraries.
//
// A build happens once: the binary is kept under the user's cache folder, named
// by the hash of everything that decides what it is (go.mod, go.sum, the version
// of Go, the platform, the flags), and processes that want the same one at the
// same time wait for the first.
package tools

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/lockedfile"
)

// patience tells a waiting person what a first build costs on two idle cores.
var patience = map[string]string{
	"minio":      "once, about five minutes",
	"kes":        "once, about a minute",
	"rclone":     "once, about five minutes",
	"mc":         "once, about two minutes",
	"s5cmd":      "once, about half a minute",
	"s3ec":       "once, about a minute",
	"seaweedfs":  "once, about six minutes",
	"iceberg":    "once, about two minutes",
	"kubernetes": "once, about seven minutes",
}

// buildFlags decide, with the module, what the binary is. -mod=readonly: go.sum
// has to hold all that the build wants.
var buildFlags = []string{"-mod=readonly", "-buildvcs=false", "-ldflags=-s -w"}

// Build gives the path of the tool that bench/tools/NAME/go.mod pins, building it
// first where this machine has not done so yet. Progress goes to standard error.
// It needs the go command, and the module proxy for what the module cache lacks.
func Build(ctx context.Context, name string) (string, error) {
	dir, err := moduleDir(ctx, name)
	if err != nil {
		return "", fmt.Errorf("building %s: %w", name, err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("building %s: %w", name, err)
	}
	b := builder{name: name, dir: dir, cache: filepath.Join(cache, "reseal", "tools"), progress: os.Stderr}
	path, err := b.build(ctx)
	if err != nil {
		return "", fmt.Errorf("building %s: %w", name, err)
	}
	return path, nil
}

type builder struct {
	name     string
	dir      string // of its module
	cache    string
	progress io.Writer
}

func (b *builder) build(ctx context.Context) (string, error) {
	out, err := b.cachePath(ctx)
	if err != nil || isBuilt(out) {
		return out, err
	}
	if err := os.MkdirAll(b.cache, 0o755); err != nil {
		return "", err
	}
	unlock, err := b.lock(ctx, out+".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if isBuilt(out) { // by the process that held the lock before us
		return out, nil
	}
	return out, b.compile(ctx, out)
}

func isBuilt(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Mode().IsRegular()
}

// compile writes beside the target and renames, so that a killed build leaves
// nothing that could be taken for the tool.
func (b *builder) compile(ctx context.Context, out string) error {
	pkg, err := toolPackage(ctx, b.dir)
	if err != nil {
		return err
	}
	wait := patience[b.name]
	if wait == "" {
		wait = "once"
	}
	fmt.Fprintf(b.progress, "building %s, %s\n", b.name, wait)
	start := time.Now()
	part := fmt.Sprintf("%s.%d.part", out, os.Getpid())
	defer os.Remove(part)
	args := append([]string{"build"}, buildFlags...)
	if _, err := goCommand(ctx, b.dir, append(args, "-o", part, pkg)...); err != nil {
		return err
	}
	if err := os.Rename(part, out); err != nil {
		return err
	}
	fmt.Fprintf(b.progress, "built %s in %s: %s\n", b.name, time.Since(start).Round(time.Second), out)
	return nil
}

// lock waits for the file lock; a context that ends while it waits leaves the
// waiting goroutine behind, which gives the lock back as soon as it has it.
func (b *builder) lock(ctx context.Context, path string) (unlock func(), err error) {
	type result struct {
		unlock func()
		err    error
	}
	got := make(chan result, 1)
	go func() {
		unlock, err := lockedfile.MutexAt(path).Lock()
		got <- result{unlock, err}
	}()
	notice := time.NewTimer(time.Second)
	defer notice.Stop()
	for {
		select {
		case r := <-got:
			return r.unlock, r.err
		case <-notice.C:
			fmt.Fprintf(b.progress, "waiting for another process that builds %s\n", b.name)
		case <-ctx.Done():
			go func() {
				if r := <-got; r.err == nil {
					r.unlock()
				}
			}()
			return nil, ctx.Err()
		}
	}
}

// cachePath names the binary by all that decides what it is.
func (b *builder) cachePath(ctx context.Context) (string, error) {
	version, err := goCommand(ctx, b.dir, "env", "GOVERSION")
	if err != nil {
		return "", err
	}
	// A module with a program of our own is what its sources are, too.
	files, err := filepath.Glob(filepath.Join(b.dir, "*.go"))
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, file := range append([]string{filepath.Join(b.dir, "go.mod"), filepath.Join(b.dir, "go.sum")}, files...) {
		data, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %d\n%s\n", filepath.Base(file), len(data), data)
	}
	fmt.Fprintf(h, "%s %s/%s %q\n", bytes.TrimSpace(version), runtime.GOOS, runtime.GOARCH, buildFlags)
	file := b.name + "-" + hex.EncodeToString(h.Sum(nil)[:8])
	if runtime.GOOS == "windows" {
		file += ".exe"
	}
	return filepath.Join(b.cache, file), nil
}

// toolPackage reads the one tool directive of the module.
func toolPackage(ctx context.Context, dir string) (string, error) {
	out, err := goCommand(ctx, dir, "mod", "edit", "-json")
	if err != nil {
		return "", err
	}
	var mod struct{ Tool []struct{ Path string } }
	if err := json.Unmarshal(out, &mod); err != nil {
		return "", fmt.Errorf("reading go.mod: %w", err)
	}
	if len(mod.Tool) != 1 {
		return "", fmt.Errorf("%s/go.mod has %d tool directives, want 1", dir, len(mod.Tool))
	}
	return mod.Tool[0].Path, nil
}

// moduleDir finds bench/tools/NAME from wherever the process runs within the
// repository, or from where this file was compiled. Modules cannot be embedded
// in the binary: go:embed stops at a go.mod.
func moduleDir(ctx context.Context, name string) (string, error) {
	if name != filepath.Base(name) || name == "." || name == ".." {
		return "", fmt.Errorf("%q is not the name of a tool", name)
	}
	var tried []string
	for _, root := range roots(ctx) {
		dir := filepath.Join(root, "bench", "tools", name)
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		tried = append(tried, dir)
	}
	return "", fmt.Errorf("no go.mod in %s; run it within a clone of the repository", strings.Join(tried, " or "))
}

func roots(ctx context.Context) []string {
	var found []string
	if out, err := goCommand(ctx, "", "env", "GOMOD"); err == nil {
		if mod := string(bytes.TrimSpace(out)); filepath.Base(mod) == "go.mod" {
			found = append(found, filepath.Dir(mod))
		}
	}
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		found = append(found, filepath.Dir(filepath.Dir(filepath.Dir(file))))
	}
	return found
}

// goCommand runs the go command in dir and gives its standard output.
func goCommand(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = goEnv(os.Environ())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil, fmt.Errorf("go %s: %w\n%s", args[0], err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, err
}

// goEnv drops what would change the build behind the hash's back: somebody's
// GOFLAGS (set, not emptied: an empty one falls back to `go env -w`), a workspace,
// and a cross-compilation in progress.
func goEnv(environ []string) []string {
	env := make([]string, 0, len(environ)+2)
	for _, kv := range environ {
		switch name, _, _ := strings.Cut(kv, "="); name {
		case "GOFLAGS", "GOWORK", "GOOS", "GOARCH", "GO111MODULE", "PWD":
		default:
			env = append(env, kv)
		}
	}
	return append(env, "GOFLAGS=-mod=readonly", "GOWORK=off")
}
