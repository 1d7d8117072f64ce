package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// platforms are those of a release.
var platforms = []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64", "windows/arm64"}

// part is a module, or Go's own library.
type part struct {
	Path, Version string
	// dirs are where its licences lie: the module's folder, and those of its packages
	// that are linked, which may be under another one.
	root string
	dirs []string
}

// linked are the parts of the command's binaries, by their paths. A release has none of
// C's: environment may say otherwise.
func linked(command string, platforms []string, environment ...string) ([]part, error) {
	found := map[string]*part{}
	for _, p := range platforms {
		goos, goarch, _ := strings.Cut(p, "/")
		list := exec.Command("go", "list", "-deps", "-json=Dir,Standard,Module", command)
		list.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0")
		list.Env = append(list.Env, environment...)
		var errs bytes.Buffer
		list.Stderr = &errs
		out, err := list.Output()
		if err != nil {
			return nil, fmt.Errorf("go list for %s: %w\n%s", p, err, errs.String())
		}
		if err := collect(out, found); err != nil {
			return nil, fmt.Errorf("go list for %s: %w", p, err)
		}
	}
	library, err := goItself()
	if err != nil {
		return nil, err
	}
	parts := []part{library}
	for _, p := range found {
		slices.Sort(p.dirs)
		p.dirs = slices.Compact(p.dirs)
		parts = append(parts, *p)
	}
	slices.SortFunc(parts, func(a, b part) int { return strings.Compare(a.Path, b.Path) })
	return parts, nil
}

// collect reads packages as `go list -json` prints them.
func collect(list []byte, found map[string]*part) error {
	for d := json.NewDecoder(bytes.NewReader(list)); ; {
		var p struct {
			Dir      string
			Standard bool
			Module   *struct {
				Path, Version, Dir string
				Main               bool
				Replace            *struct{ Path, Version, Dir string }
			}
		}
		switch err := d.Decode(&p); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case p.Standard || p.Module == nil || p.Module.Main:
			continue
		}
		m := p.Module
		if m.Replace != nil {
			m.Path, m.Version, m.Dir = m.Replace.Path, m.Replace.Version, m.Replace.Dir
		}
		if found[m.Path] == nil {
			found[m.Path] = &part{Path: m.Path, Version: m.Version, root: m.Dir, dirs: []string{m.Dir}}
		}
		for dir := p.Dir; len(dir) > len(m.Dir); dir = filepath.Dir(dir) {
			found[m.Path].dirs = append(found[m.Path].dirs, dir)
		}
	}
}

// goItself is the library and runtime that every Go binary has in it.
func goItself() (part, error) {
	out, err := exec.Command("go", "env", "GOROOT", "GOVERSION").Output()
	lines := strings.Fields(string(out))
	if err != nil || len(lines) != 2 {
		return part{}, fmt.Errorf("go env: %q, %w", out, err)
	}
	return part{Path: "std", Version: strings.TrimPrefix(lines[1], "go"), root: lines[0], dirs: []string{lines[0]}}, nil
}

// licence is a file that has to go along; its name ends in no suffix of a program.
var licence = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents|unlicense)([-._].*)?$`)

// texts are the licences of a part, by their place in it.
func (p *part) texts() (names []string, texts map[string]string, err error) {
	texts = map[string]string{}
	for _, dir := range p.dirs {
		files, err := os.ReadDir(dir)
		if err != nil {
			return nil, nil, err
		}
		for _, f := range files {
			if !licence.MatchString(f.Name()) || strings.HasSuffix(f.Name(), ".go") || f.IsDir() {
				continue
			}
			data, err := os.ReadFile(filepath.Join(dir, f.Name()))
			if err != nil {
				return nil, nil, err
			}
			name, err := filepath.Rel(p.root, filepath.Join(dir, f.Name()))
			if err != nil {
				return nil, nil, err
			}
			name = filepath.ToSlash(name)
			names, texts[name] = append(names, name), strings.TrimSpace(strings.ReplaceAll(string(data), "\r\n", "\n"))
		}
	}
	if len(names) == 0 {
		return nil, nil, fmt.Errorf("%s %s has no licence in %s; find it out, or do without the module", p.Path, p.Version, p.root)
	}
	slices.Sort(names)
	return names, texts, nil
}
