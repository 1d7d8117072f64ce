package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
)

// list is a repeatable flag.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

// Set adds one value.
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

// found is a participant that is on this machine.
type found struct {
	*participant
	path, version string
}

// present finds the participants whose names hold one of l, or are one behind its "=". One that is not
// installed is a note; one that cannot be built is an error.
func (l list) present(ctx context.Context, all []*participant, t *Table, log io.Writer) ([]found, error) {
	var ready []found
	for _, p := range all {
		if !l.holds(p.name) {
			continue
		}
		path, version, err := p.find(ctx)
		if errors.Is(err, exec.ErrNotFound) {
			t.Notes = append(t.Notes, p.name+" is not installed here.")
			continue
		}
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(log, "%s %s\n", p.name, version)
		ready = append(ready, found{p, path, version})
	}
	return ready, nil
}

func (l list) holds(name string) bool {
	for _, part := range l {
		if whole, exact := strings.CutPrefix(part, "="); exact && name == whole || strings.Contains(name, part) {
			return true
		}
	}
	return len(l) == 0
}
