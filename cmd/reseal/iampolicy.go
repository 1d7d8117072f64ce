package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/planner"
	"github.com/resealhq/reseal/planner/doctor"
)

func newIAMPolicy(a *app) *cobra.Command {
	var f doctorFlags
	cmd := &cobra.Command{
		Use:   "iam-policy SOURCE --sse TYPE",
		Short: "The least IAM policy that this job needs",
		Long: `iam-policy prints the least IAM policy under which this job can run, as JSON, the
statements for KMS included. It asks nobody anything. Keys of the sources that it is not
told of (--only-encryption sse-kms=ARN) are allowed through S3 only. --accept acl and
--accept lock leave out what carrying them over would need.`,
		Example: `  reseal iam-policy s3://bucket/prefix --sse aws:kms --sse-kms-key-id ARN --region eu-west-1`,
		Args:    atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := f.understand(cmd, args)
			if err != nil {
				return err
			}
			text, err := doctor.Policy(needsOf(o)).JSON()
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
	f.how.AddPlanFlags(set)
	f.out.AddFlags(set)
	return cmd
}

// needsOf is what an order will use.
func needsOf(o *order) doctor.Needs {
	s := &o.spec
	n := doctor.Needs{Bucket: s.Source.Bucket, Prefix: s.Source.Prefix, DestBucket: s.Target.DestBucket, DestPrefix: s.Target.DestPrefix,
		Target: *s.Target.Target(true), Region: s.Connection.Region, Update: o.consent.Operation != "copy"}
	n.NameVersions = s.Selection.Versions == "all" || s.Source.Manifest != ""
	if strings.HasPrefix(s.Source.Manifest, "s3://") {
		n.Manifest = s.Source.Manifest
	}
	n.SourceKeys, n.NoSourceKeys = sourceKeys(s.Selection.OnlyEncryption)
	if o.consent.accepted("acl") {
		n.ACLs = object.No
	}
	if o.consent.accepted("lock") {
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
