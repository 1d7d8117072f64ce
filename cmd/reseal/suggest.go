package main

import (
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// dryRuns are what people type where they want to see before they do.
var dryRuns = map[string]bool{"dry-run": true, "dryrun": true, "n": true}

// wrongFlag makes pflag's refusal one that helps.
func wrongFlag(cmd *cobra.Command, err error) error {
	fix := "`" + cmd.CommandPath() + " --help` lists what it takes"
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		name := unknown.GetSpecifiedName()
		switch near := nearestFlag(cmd.Flags(), name); {
		case dryRuns[name]:
			fix = "`reseal plan` finds the work and changes nothing; `reseal run --job DIR` then does exactly that"
		case near != "":
			fix = "did you mean --" + near + "?"
		}
	}
	return unusableBecause(err, cmd.Name(), fix)
}

// nearestFlag is the flag that was probably meant, empty where none is near.
func nearestFlag(set *pflag.FlagSet, name string) (nearest string) {
	best := 1 + len(name)/3
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		if d := distance(f.Name, name); d < best || d == best && nearest == "" {
			best, nearest = d, f.Name
		}
	})
	return nearest
}

// distance is how many letters have to be changed, added or taken away.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
