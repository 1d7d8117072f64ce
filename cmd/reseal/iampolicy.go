package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/planner"
	"github.com/resealhq/reseal/planner/doctor"
)

func newIAMPolicy(a *app) *cobra.Command {
	var f doctorFlags
	var prune bool
	var state string
	end := oneOf{allowed: []string{"source", "dest"}}
	batch := batchPolicyFlags{whom: oneOf{value: "run", allowed: []string{"run", "minio", "submit", "batch-operations", "batch-operations-trust"}}}
	cmd := &cobra.Command{
		Use:   "iam-policy SOURCE… --sse TYPE",
		Short: "The least IAM policy that this job needs",
		Long: `iam-policy prints the least IAM policy under which this job can run, as JSON, the
statements for KMS included. It asks nobody anything. Keys of the sources that it is not
told of (--only-encryption sse-kms=ARN) are allowed through S3 only. --accept acl and
--accept lock leave out what carrying them over would need. Where --dest is reached by
other credentials, --end source and --end dest print what each of them needs.
--for minio prints it in the words that MinIO takes, which knows no others. --for submit adds what reseal submit needs; --for batch-operations prints the policy of the role that
S3 Batch Operations assumes, and --for batch-operations-trust who may assume it.`,
		Example: `  reseal iam-policy s3://bucket/prefix --sse aws:kms --sse-kms-key-id ARN --region eu-west-1`,
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := f.understand(cmd, args)
			if err != nil {
				return err
			}
			if (end.value != "") != (o.spec.DestConnection != nil) {
				return unusable("iam-policy: --end goes with --dest-profile, --dest-endpoint-url or --dest-region, which make two ends with credentials of their own",
					"name --end source for what reads, and --end dest for what writes")
			}
			configured, err := configuredRegion(cmd.Context(), &o.spec.Connection)
			if err != nil {
				return err
			}
			if state != "" {
				if _, _, err := parseS3URI("--job", state); err != nil {
					return err
				}
			}
			tried, err := isTried(cmd.Context(), &o.spec)
			if err != nil {
				return err
			}
			text, err := batch.text(o, needsOfAll(o, o.spec.Source.Several, configured, prune, end.value), state, tried)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(a.stdout, string(text))
			return err
		},
	}
	set := cmd.Flags()
	f.source.AddFlags(set)
	f.target.AddFlags(set)
	f.selection.AddFlags(set)
	f.conn.AddFlags(set)
	f.dest.AddFlags(set)
	set.Var(&end, "end", "with a --dest of its own credentials: whose policy to print")
	f.how.AddPlanFlags(set)
	batch.AddFlags(set)
	set.StringVar(&state, "job", "", "the place of the job's state, where that is a bucket: s3://BUCKET/PREFIX")
	set.BoolVar(&prune, "prune", false, "allow what prune needs too, which deletes old versions")
	f.out.AddFlags(set)
	return cmd
}

// addState adds what the state of a job in a bucket needs: nothing there is ever deleted.
func addState(d *doctor.Document, place string) {
	bucket, prefix, _ := strings.Cut(strings.TrimPrefix(strings.TrimRight(place, "/"), "s3://"), "/")
	d.AddState(bucket, prefix+"/")
}

// policyOf is the least policy of an order, or of the places that it was divided into.
func policyOf(o *order, places []job.Place, configured string, prune bool, end string) doctor.Document {
	return doctor.PolicyOfAll(needsOfAll(o, places, configured, prune, end))
}

// needsOfAll are the needs of an order, or of each place that it was divided into.
func needsOfAll(o *order, places []job.Place, configured string, prune bool, end string) (needs []doctor.Needs) {
	if len(places) == 0 {
		places = []job.Place{{Bucket: o.spec.Source.Bucket, Prefix: o.spec.Source.Prefix}}
	}
	for _, p := range places {
		n := needsOf(o)
		n.Bucket, n.Prefix, n.Configured, n.Prune, n.End = p.Bucket, p.Prefix, configured, prune, cmp.Or(end, n.End)
		if d := o.spec.DestConnection; end == "dest" && d.Region != "" {
			n.Region = d.Region
		}
		needs = append(needs, n)
	}
	return needs
}

// configuredRegion is the region of the flags, the environment or the profile; the
// network is not asked.
func configuredRegion(ctx context.Context, c *job.Connection) (string, error) {
	store, err := c.Open(ctx, job.Dial{Version: readVersion().Version})
	if err != nil {
		return "", err
	}
	defer store.Close()
	return store.Region(), nil
}

// isTried says whether the store that is written to is tried on throwaway objects first: another than AWS.
func isTried(ctx context.Context, s *job.Spec) (bool, error) {
	c := s.WholeDestConnection()
	store, err := c.Open(ctx, job.Dial{Version: readVersion().Version})
	if err != nil {
		return false, err
	}
	defer store.Close()
	return !store.IsAWS(), nil
}

// needsOf is what an order will use.
func needsOf(o *order) doctor.Needs {
	s := &o.spec
	n := doctor.Needs{Bucket: s.Source.Bucket, Prefix: s.Source.Prefix, DestBucket: s.Target.DestBucket, DestPrefix: s.Target.DestPrefix,
		Target: *s.Target.Object(true), Region: s.Connection.Region, Update: o.policy.Operation != job.CopyOnly && o.policy.Operation != job.RewriteOnly}
	switch {
	case s.Source.Folder != "": // what reads it is this machine
		n.End = "dest"
	case s.Target.DestFolder != "":
		n.End, n.Target.SSE = "source", object.SSES3
	}
	n.NameVersions = s.Selection.Versions == "all" || s.Source.Manifest != ""
	if strings.HasPrefix(s.Source.Manifest, "s3://") || strings.HasPrefix(s.Source.Manifest, "s3tables://") {
		n.Manifest = s.Source.Manifest
	}
	n.SourceKeys, n.NoSourceKeys = sourceKeys(s.Selection.OnlyEncryption)
	if c := &s.Target.ClientSide; c.Format != "" {
		n.Reupload = &doctor.ReuploadNeeds{Key: c.KMSKeyID, SourceKey: c.SourceKMSKeyID, RawSource: c.SourceKeyFile != "" || s.Source.Folder != ""}
	} else if c.Given() {
		n.Rewrap = &doctor.RewrapNeeds{Key: c.KMSKeyID, SourceKey: c.SourceKMSKeyID, RawKey: c.KeyFile != "", RawSource: c.SourceKeyFile != "",
			Unwrap: o.policy.Verify == job.VerifyUnwrap}
	}
	if o.policy.Accepts(job.AcceptACL) {
		n.ACLs = object.No
	}
	if o.policy.Accepts(job.AcceptLock) {
		n.Locks = object.No
	}
	return n
}

// sourceKeys are the keys of the objects that --only-encryption takes, where it
// names all of them; none says that it takes no object under a KMS key.
func sourceKeys(only []string) (keys []string, none bool) {
	none = len(only) > 0
	for _, word := range only {
		f, err := planner.ParseEncryptionFilter(word)
		switch {
		case err == nil && !f.Type.KMS():
		case !strings.HasPrefix(f.KMSKeyID, "arn:") || strings.Contains(f.KMSKeyID, ":alias/"):
			return nil, false
		default:
			keys, none = append(keys, f.KMSKeyID), false
		}
	}
	return keys, none
}
