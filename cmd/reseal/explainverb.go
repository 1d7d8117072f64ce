package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
)

func newExplain(a *app) *cobra.Command {
	var place placeFlags
	var proof string
	var shard shardFlag
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "explain --job DIR s3://BUCKET/KEY",
		Short:   "One object: what was planned, what happened, why, what to do",
		Example: "  reseal explain --job ~/jobs/bucket s3://bucket/path/to/object",
		Args:    atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if proof != "" {
				return a.proveOne(proof, args)
			}
			bucket, key, err := oneObject(args, place.dir)
			if err != nil {
				return err
			}
			j, err := a.shardOfJob(cmd.Context(), &place, &shard)
			if err != nil {
				return err
			}
			rows, err := j.Explain(cmd.Context(), bucket, key)
			if err != nil {
				return err
			}
			if len(rows) == 0 {
				return unusablef("compare how the key is written with `reseal report "+a.again(j.Dir)+" --key PREFIX`",
					"the job in %s has no object %s", j.Dir, object.Printable(object.Ref{Bucket: bucket, Key: key}.String()))
			}
			if asJSON {
				return a.printJSON(map[string]any{"objects": rows})
			}
			for i := range rows {
				if err := a.printExplained(&rows[i]); err != nil {
					return err
				}
			}
			return nil
		},
	}
	place.AddFlags(cmd.Flags())
	shard.addOne(cmd.Flags())
	cmd.Flags().StringVar(&proof, "proof", "", "make a proof of the object from this folder of evidence instead")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	return cmd
}

// oneObject understands the address of one object, or the path of a file of a job that
// uploads a folder.
func oneObject(args []string, dir string) (bucket, key string, err error) {
	if len(args) == 1 {
		if folder, path := fileOf(args[0], dir); folder != "" {
			return folder, path, nil
		}
		if bucket, key, err = s3store.ParseLocation(args[0]); err == nil && key != "" {
			return bucket, key, nil
		}
	}
	return "", "", unusable("explain: an object is missing", "name it as s3://BUCKET/KEY, or a file of a folder that was uploaded by its path")
}

func (a *app) printExplained(e *job.Explained) error {
	w := table(a.stdout)
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, object.Printable(value))
		}
	}
	line("object", object.Ref{Bucket: e.Bucket, Key: e.Key}.String())
	line("version", e.VersionID)
	line("state", e.State)
	line("planned", e.Planned)
	line("done by", e.Operation)
	line("reason", string(e.Reason))
	line("before", underKey(e.SSEBefore, e.KMSKeyBefore))
	line("after", underKey(e.SSEAfter, e.KMSKeyAfter))
	line("message", e.Message)
	line("error", e.ErrorCode)
	line("request", e.RequestID)
	line("finished", e.FinishedAt)
	line("new version", e.NewVersionID)
	if e.OldVersionKept {
		line("old version", "it is still there, under its old encryption")
	}
	line("what to do", e.Hint)
	if err := w.Flush(); err != nil {
		return fmt.Errorf("writing to standard output: %w", err)
	}
	_, err := fmt.Fprintln(a.stdout)
	return err
}

func underKey(sse, key string) string {
	if key == "" {
		return sse
	}
	return sse + " under " + key
}
