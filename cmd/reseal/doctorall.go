package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/planner/doctor"
)

// diagnoses are what doctor says of several places: the worst verdict, and each.
type diagnoses struct {
	Verdict doctor.Verdict `json:"verdict"`
	Why     string         `json:"why"`
	Sources []*diagnosis   `json:"sources"`
}

// verdicts from the best to the worst.
var verdicts = []doctor.Verdict{doctor.Ready, doctor.Losses, doctor.NotReady}

// doctorAll examines one place after another. One that cannot be looked at is a finding, and
// not the end.
func (a *app) doctorAll(ctx context.Context, f *doctorFlags, o *order) error {
	opt := job.Options{Log: f.out.log(&console{w: a.stderr}), Version: readVersion().Version}
	places, err := job.Places(ctx, o.spec, opt)
	if err != nil {
		return err
	}
	all := &diagnoses{Verdict: doctor.Ready}
	var refused []string
	for _, p := range places {
		one := *o
		one.spec.Source = job.Source{Bucket: p.Bucket, Prefix: p.Prefix}
		facts, _, err := job.Examine(ctx, one.spec, one.policy, job.ExamineOptions{Options: opt})
		switch {
		case err == nil:
			all.add(diagnose(&one, facts))
			for _, d := range facts.Denied {
				refused = append(refused, d.What)
			}
		case o.spec.Source.EndsPlaces(ctx, err):
			return err
		default:
			refused = append(refused, err.Error())
			all.add(&diagnosis{Verdict: doctor.NotReady, Why: err.Error(), Source: p.String(), Target: o.spec.Target.SSE.String(), Findings: []doctor.Finding{}, Permissions: []permission{}})
		}
	}
	all.Why = all.summary()
	if f.out.json {
		err = a.printJSON(all)
	} else {
		err = a.printDiagnoses(all)
	}
	if err == nil && len(refused) > 0 {
		a.printed = f.out.json
		return &unreadError{"doctor could not ask everything", refused[0]}
	}
	return err
}

// add takes in one, and keeps the worst verdict.
func (d *diagnoses) add(one *diagnosis) {
	d.Sources = append(d.Sources, one)
	if slices.Index(verdicts, one.Verdict) > slices.Index(verdicts, d.Verdict) {
		d.Verdict = one.Verdict
	}
}

func (d *diagnoses) summary() string {
	var words []string
	for _, v := range slices.Backward(verdicts) {
		n := 0
		for _, one := range d.Sources {
			if one.Verdict == v {
				n++
			}
		}
		if n > 0 {
			words = append(words, fmt.Sprintf("%d %s", n, v))
		}
	}
	return fmt.Sprintf("of %s %s", plural(uint64(len(d.Sources)), "source"), strings.Join(words, ", "))
}

// printDiagnoses tells the findings of each place; the abilities and permissions of one tells
// doctor of that one alone.
func (a *app) printDiagnoses(all *diagnoses) error {
	fmt.Fprintf(a.stdout, "%s: %s\n", strings.ToUpper(string(all.Verdict)), all.Why)
	for _, d := range all.Sources {
		fmt.Fprintf(a.stdout, "\n%s: %s: %s\n", object.Printable(d.Source), strings.ToUpper(string(d.Verdict)), object.Printable(d.Why))
		a.printFindings(d)
	}
	_, err := fmt.Fprintln(a.stdout, "\n`reseal doctor` with one SOURCE tells its abilities and permissions as well")
	return err
}
