package main

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"
)

// TestExitCodesAreExplained: the pages for people have a row for each exit code, and for
// no other.
func TestExitCodesAreExplained(t *testing.T) {
	t.Parallel()
	var codes []string
	for _, code := range []int{exitAsWanted, exitStopped, exitUnusable, exitSome, exitOnPurpose, exitInterrupted} {
		codes = append(codes, strconv.Itoa(code))
	}
	row := regexp.MustCompile(`(?m)^\| (\d+) \| `)
	for _, page := range []string{"../../README.md", "../../docs/exit-codes.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		var found []string
		for _, m := range row.FindAllSubmatch(text, -1) {
			found = append(found, string(m[1]))
		}
		if !slices.Equal(found, codes) {
			t.Errorf("%s explains the exit codes %v, and there are %v", page, found, codes)
		}
	}
}
