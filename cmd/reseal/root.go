package main

import (
	"cmp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const whatItDoes = `reseal brings every object of a bucket under the encryption that you want
(SSE-S3, SSE-KMS, DSSE-KMS, SSE-C), in place, once, and can prove it.

  reseal demo                                             see the whole job, without account or server
  reseal run s3://BUCKET --sse aws:kms --sse-kms-key-id KEY --job DIR
  reseal run --job DIR                                    go on after an interruption of any kind
  reseal report --job DIR                                 what happened to every object

Exit codes: 0 every object is as wanted; 1 the run stopped on an error; 2 the command
line, the manifest or the job directory is not usable and nothing was touched; 3 some
objects were left or failed; 4 stopped on purpose before the end; 130 interrupted.`

// verbs in the order in which help lists them.
func verbs(a *app) []*cobra.Command {
	return []*cobra.Command{
		newAudit(a),
		newWhoNeeds(a),
		newPlan(a),
		newRun(a),
		newStatus(a),
		newSet(a),
		newUI(a),
		newReport(a),
		newExplain(a),
		newVerify(a),
		newPrune(a),
		newEvidence(a),
		newJobs(a),
		newSubmit(a),
		newKubernetes(a),
		newDoctor(a),
		newBucketEncryption(a),
		newIAMPolicy(a),
		newDemo(a),
		newVersion(a),
		newMan(a),
		newCompletion(a),
	}
}

// newRoot builds the command tree anew for every command line, so that nothing
// is shared between two of them.
func newRoot(a *app) *cobra.Command {
	var version bool
	root := &cobra.Command{
		Use:           "reseal",
		Short:         "Bring every object of a bucket under the encryption that you want",
		Long:          whatItDoes,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return unknownVerb(cmd, args[0])
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if version {
				return a.printVersion(readVersion())
			}
			cmd.SetOut(a.stderr)
			_ = cmd.Help()
			return unusable("a verb is missing", "say what to do, for example `reseal demo`")
		},
	}
	root.Flags().BoolVar(&version, "version", false, "print the version of this binary")
	root.SuggestionsMinimumDistance = 2
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(wrongFlag)
	root.AddCommand(verbs(a)...)
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		return cmp.Or(fromEnvironment(cmd), refuseEmpty(cmd))
	}
	root.SetUsageFunc(printUsage)
	// Flags stand in the order of their groups.
	for _, verb := range root.Commands() {
		verb.Flags().SortFlags = false
	}
	return root
}

func unknownVerb(cmd *cobra.Command, name string) error {
	fix := "`reseal --help` lists the verbs"
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		fix = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return unusablef(fix, "there is no verb %q", name)
}

// refuseEmpty refuses a flag with nothing in it, as an unset variable of a script
// leaves it: an empty --dest would work in place, an empty --only-encryption on
// everything.
func refuseEmpty(cmd *cobra.Command) (err error) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		kind := f.Value.Type()
		if empty := f.Value.String(); empty == "" && kind == "string" || empty == "[]" && kind == "stringSlice" {
			err = unusable(cmd.Name()+": --"+f.Name+" is empty", "give it a value, or leave it out")
		}
	})
	return err
}

// atMost refuses more than n arguments, by name.
func atMost(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return unusablef("`reseal "+cmd.Name()+" --help` shows how it is called", "%s: unexpected argument %q", cmd.Name(), args[n])
		}
		return nil
	}
}
