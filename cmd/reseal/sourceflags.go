package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
)

// sourceFlags reads SOURCE.
type sourceFlags struct {
	manifest string
	format   oneOf
	bucket   string
	all      bool
	patterns []job.Pattern
	pair     bool
}

func (s *sourceFlags) AddFlags(f *pflag.FlagSet) {
	s.format = oneOf{value: "auto", allowed: []string{"auto", "inventory", "csv", "keys"}}
	f.StringVar(&s.manifest, "manifest", "", "read the objects from an S3 Inventory manifest.json, S3 Metadata's live inventory (s3tables://ARN/NAMESPACE/TABLE, or as Athena exports it), a Batch Operations CSV or a key list: s3://…, a path, or -")
	f.Var(&s.format, "manifest-format", "what --manifest is")
	f.StringVar(&s.bucket, "bucket", "", "the bucket of the keys of --manifest-format keys")
}

// addAllBuckets is for the verbs that take several sources.
func (s *sourceFlags) addAllBuckets(f *pflag.FlagSet) {
	f.BoolVar(&s.all, "all-buckets", false, "every bucket of the account")
	f.Var(&patternFlag{include: true, rules: &s.patterns}, "include-bucket", "of all buckets take those whose names match; where it stands first, no others")
	f.Var(&patternFlag{rules: &s.patterns}, "exclude-bucket", "of all buckets pass over those whose names match; the last that matches decides")
}

// addPair is for the verbs that work on several sources.
func (s *sourceFlags) addPair(f *pflag.FlagSet) {
	f.BoolVar(&s.pair, "pair", false, "take along the buckets that the sources are replicated to, as their replication rules say now")
}

// Source is what the arguments and flags name; an empty one where none was given.
func (s *sourceFlags) Source(args []string) (job.Source, error) {
	src, err := s.unpaired(args)
	if err != nil || !s.pair {
		return src, err
	}
	if src.Manifest != "" || src.Folder != "" || !src.Given() {
		return src, unusable("--pair goes with buckets that are replicated", "name them as s3://BUCKET[/PREFIX], or leave it out")
	}
	if src.Bucket != "" {
		src = job.Source{Several: []job.Place{{Bucket: src.Bucket, Prefix: src.Prefix}}}
	}
	src.Pair = true
	return src, nil
}

// unpaired is what the arguments and flags name; an empty one where none was given.
func (s *sourceFlags) unpaired(args []string) (job.Source, error) {
	switch {
	case s.all && (len(args) > 0 || s.manifest != ""):
		return job.Source{}, unusable("SOURCE and --all-buckets were both given", "name one of them")
	case !s.all && len(s.patterns) > 0:
		return job.Source{}, unusable("--include-bucket and --exclude-bucket belong to --all-buckets", "leave them out, or add --all-buckets")
	case s.all:
		return job.Source{AllBuckets: true, Buckets: s.patterns}, nil
	case len(args) > 0 && s.manifest != "":
		return job.Source{}, unusable("SOURCE and --manifest were both given", "name one of them")
	case len(args) > 0:
		if s.bucket != "" {
			return job.Source{}, unusable("--bucket was given with SOURCE", "it belongs to --manifest-format keys; leave it out")
		}
		if len(args) == 1 && isFolder(args[0]) {
			return job.Source{Folder: args[0]}, nil
		}
		bucket, prefix, err := parseS3URI("SOURCE", args[0])
		if len(args) == 1 {
			return job.Source{Bucket: bucket, Prefix: prefix}, err
		}
		src := job.Source{Several: []job.Place{{Bucket: bucket, Prefix: prefix}}}
		for _, arg := range args[1:] {
			if err == nil {
				bucket, prefix, err = parseS3URI("SOURCE", arg)
			}
			src.Several = append(src.Several, job.Place{Bucket: bucket, Prefix: prefix})
		}
		return src, err
	case s.manifest != "":
		return job.Source{Manifest: s.manifest, ManifestFormat: s.format.value, Bucket: s.bucket}, nil
	case s.bucket != "":
		return job.Source{}, unusable("--bucket was given without --manifest", "name the bucket as s3://"+s.bucket)
	}
	return job.Source{}, nil
}

// fill takes the frozen source where the command line named none.
func (s *sourceFlags) fill(spec *job.Source, args []string, given func(string) bool) []string {
	if !given("pair") && (len(args) == 0 || s.all) {
		s.pair = spec.Pair
	}
	switch {
	case len(args) > 0 || given("manifest") || given("all-buckets"):
		return args
	case spec.AllBuckets:
		s.all, s.patterns = true, spec.Buckets
		return nil
	case len(spec.Several) > 0:
		for _, p := range spec.Several {
			args = append(args, p.String())
		}
		return args
	case spec.Manifest == "":
		return []string{spec.String()}
	}
	s.manifest = spec.Manifest
	if !given("manifest-format") {
		s.format.value = spec.ManifestFormat
	}
	if !given("bucket") {
		s.bucket = spec.Bucket
	}
	return nil
}

// errNoSource is what a verb answers that needs SOURCE and got none.
func errNoSource(cmd *cobra.Command) error {
	return unusable(cmd.Name()+": SOURCE is missing", "name it as s3://BUCKET[/PREFIX] or with --manifest")
}

// parseS3URI splits s3://bucket/prefix, where the bucket may be the ARN of an access
// point.
func parseS3URI(what, s string) (bucket, prefix string, err error) {
	bucket, prefix, err = s3store.ParseLocation(s)
	switch {
	case err != nil && strings.HasPrefix(s, "s3://arn:"):
		return "", "", unusablef("write it as s3://arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME[/PREFIX]", "%s %q is no access point", what, s)
	case err != nil && !strings.HasPrefix(s, "s3://") && what == "--dest":
		return "", "", unusablef("write it as s3://BUCKET[/PREFIX], or as ./FOLDER for one of this machine", "%s %q is no S3 address", what, s)
	case err != nil && what == "SOURCE" && destFolder(s):
		return "", "", unusablef("name a folder that is there, and of one file its folder and --exclude '*' --include FILE; or write s3://BUCKET[/PREFIX]", "%s %q is no folder of this machine", what, s)
	case err != nil && !strings.HasPrefix(s, "s3://"):
		return "", "", unusablef("write it as s3://BUCKET[/PREFIX]", "%s %q is no S3 address", what, s)
	case err != nil || !object.MayBeBucket(bucket):
		return "", "", unusablef("write it as s3://BUCKET[/PREFIX]", "%s %q names no valid bucket", what, s)
	}
	return bucket, prefix, nil
}
