package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/planner"
)

// jsonError is an error for a program: what failed, where, and what a person can do.
type jsonError struct {
	What  string `json:"what"`
	Where string `json:"where"`
	Fix   string `json:"fix"`
	// Class is that of the store's answer, or what the exit code says in a word.
	Class    string `json:"class"`
	ExitCode int    `json:"exit_code"`
}

var exitWords = map[int]string{exitUnusable: "unusable", exitSome: "some", exitOnPurpose: "on-purpose", exitInterrupted: "interrupted", exitStopped: "stopped"}

// asJSON takes an error apart.
func asJSON(err error, code int) jsonError {
	j := jsonError{What: inFlags(err.Error()), Class: exitWords[code], ExitCode: code}
	var (
		store    *object.Error
		unusable *job.UnusableError
		source   *planner.UnusableError
	)
	switch {
	case errors.As(err, &unusable):
		j.What, j.Fix = because(unusable.What, unusable.Err), unusable.Fix
	case errors.As(err, &source):
		j.What, j.Where, j.Fix = because(source.What, source.Err), source.Where, source.Fix
	case errors.As(err, &store):
		j.What, j.Where, j.Fix, j.Class = strings.TrimSuffix(err.Error(), "; "+store.Hint), store.Ref.String(), store.Hint, store.Class.String()
	}
	j.What, j.Fix = inFlags(j.What), inFlags(j.Fix)
	return j
}

func because(what string, err error) string {
	if err == nil {
		return what
	}
	return what + ": " + err.Error()
}

// wantsJSON says whether the command line asks for JSON, also one that could not
// be understood.
func wantsJSON(args []string) bool {
	return slices.ContainsFunc(args, func(arg string) bool {
		value, ok := strings.CutPrefix(arg, "--json")
		return ok && (value == "" || value == "=true")
	})
}
