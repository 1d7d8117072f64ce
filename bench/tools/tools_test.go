package tools

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// tinyTool is a module of its own with nothing to fetch.
func tinyTool(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "go.mod", "module example.com/tiny\n\ngo 1.26\n\ntool example.com/tiny\n")
	write(t, dir, "go.sum", "")
	write(t, dir, "main.go", "package main\n\nfunc main() { println(\"tiny\") }\n")
	return dir
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestBuildOnce: many at once, as test processes are, build one time, whatever
// the caller's own build is set to.
func TestBuildOnce(t *testing.T) {
	t.Setenv("GOFLAGS", "-mod=vendor -race -tags=nonsense")
	t.Setenv("GOOS", "plan9")
	dir, cache := tinyTool(t), t.TempDir()
	var progress [4]bytes.Buffer
	var paths [4]string
	var wg sync.WaitGroup
	for i := range progress {
		wg.Go(func() {
			b := builder{name: "tiny", dir: dir, cache: cache, progress: &progress[i]}
			var err error
			if paths[i], err = b.build(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	built := 0
	for i := range progress {
		built += strings.Count(progress[i].String(), "building tiny, once")
		if paths[i] != paths[0] {
			t.Errorf("paths differ: %s, %s", paths[i], paths[0])
		}
	}
	if built != 1 {
		t.Errorf("built %d times, want once", built)
	}
	out, err := exec.Command(paths[0]).CombinedOutput()
	if err != nil || string(out) != "tiny\n" {
		t.Errorf("it does not run: %q, %v", out, err)
	}
	if left, _ := filepath.Glob(filepath.Join(cache, "*.part")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestChangedPinsBuildAnew: the name of the binary follows go.mod and go.sum.
func TestChangedPinsBuildAnew(t *testing.T) {
	dir := tinyTool(t)
	b := builder{name: "tiny", dir: dir, cache: t.TempDir(), progress: &bytes.Buffer{}}
	seen := map[string]string{}
	for _, change := range []struct{ what, file, text string }{
		{"as it is", "", ""},
		{"another go.mod", "go.mod", "module example.com/tiny\n\ngo 1.26\n\ntool example.com/tiny\n// changed\n"},
		{"another go.sum", "go.sum", "\n"},
	} {
		if change.file != "" {
			write(t, dir, change.file, change.text)
		}
		path, err := b.cachePath(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if before := seen[path]; before != "" {
			t.Errorf("%s: the same path as %s", change.what, before)
		}
		seen[path] = change.what
	}
}

// TestFailures: what cannot be built leaves nothing behind and says why.
func TestFailures(t *testing.T) {
	dir, cache := tinyTool(t), t.TempDir()
	b := builder{name: "tiny", dir: dir, cache: cache, progress: &bytes.Buffer{}}
	write(t, dir, "main.go", "package main\n\nfunc main() { undefinedName() }\n")
	if _, err := b.build(t.Context()); err == nil || !strings.Contains(err.Error(), "undefinedName") {
		t.Errorf("the compiler's words are missing: %v", err)
	}
	write(t, dir, "go.mod", "module example.com/tiny\n\ngo 1.26\n")
	if _, err := b.build(t.Context()); err == nil || !strings.Contains(err.Error(), "tool directives") {
		t.Errorf("a module without a tool: %v", err)
	}
	for _, name := range []string{"nothing-of-the-kind", "../tools", ""} {
		if path, err := Build(t.Context(), name); err == nil {
			t.Errorf("Build(%q) gave %s", name, path)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(cache, "tiny-*")); len(left) != 0 {
		for _, path := range left {
			if filepath.Ext(path) != ".lock" {
				t.Errorf("left behind: %s", path)
			}
		}
	}
}

// TestWaitingEndsWithTheContext: a person can interrupt the wait for another
// process's build, and the lock is free for the next.
func TestWaitingEndsWithTheContext(t *testing.T) {
	b := builder{name: "tiny", dir: tinyTool(t), cache: t.TempDir(), progress: &bytes.Buffer{}}
	out, err := b.cachePath(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	unlock, err := b.lock(t.Context(), out+".lock")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := b.lock(ctx, out+".lock")
		ended <- err
	}()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the wait ended with %v", err)
	}
	unlock()
	if _, err := b.build(t.Context()); err != nil {
		t.Errorf("after the lock was given back: %v", err)
	}
}

// TestEveryToolIsPinned: each module below this folder names one tool, and can
// be found by name from within the repository.
func TestEveryToolIsPinned(t *testing.T) {
	mods, err := filepath.Glob("*/go.mod")
	if err != nil || len(mods) < 5 {
		t.Fatalf("found %v, %v", mods, err)
	}
	for _, mod := range mods {
		name := filepath.Dir(mod)
		dir, err := moduleDir(t.Context(), name)
		if err != nil {
			t.Error(err)
			continue
		}
		if pkg, err := toolPackage(t.Context(), dir); err != nil || !strings.Contains(pkg, name) {
			t.Errorf("%s is the tool %q, %v", name, pkg, err)
		}
		if patience[name] == "" {
			t.Errorf("nothing tells how long %s takes", name)
		}
	}
}
