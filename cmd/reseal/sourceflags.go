package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// sourceSpec is where the objects of a job come from.
type sourceSpec struct {
	// Bucket and Prefix of s3://bucket/prefix, or the bucket of --bucket.
	Bucket string `json:"bucket,omitempty"`
	Prefix string `json:"prefix,omitempty"`
	// Manifest is a URI, a path or "-".
	Manifest       string `json:"manifest,omitempty"`
	ManifestFormat string `json:"manifest_format,omitempty"`
	// Opened is the file that Manifest led to when the job began.
	Opened string `json:"opened,omitempty"`
}

// given says whether the command line named any source.
func (s *sourceSpec) given() bool { return s.Bucket != "" || s.Manifest != "" }

// String is how the person named it.
func (s *sourceSpec) String() string {
	if s.Manifest != "" {
		return s.Manifest
	}
	if s.Prefix == "" {
		return "s3://" + s.Bucket
	}
	return "s3://" + s.Bucket + "/" + s.Prefix
}

// sourceFlags reads SOURCE.
type sourceFlags struct {
	manifest string
	format   oneOf
	bucket   string
}

func (s *sourceFlags) AddFlags(f *pflag.FlagSet) {
	s.format = oneOf{value: "auto", allowed: []string{"auto", "inventory", "csv", "keys"}}
	f.StringVar(&s.manifest, "manifest", "", "read the objects from an S3 Inventory manifest.json, a Batch Operations CSV or a key list: s3://…, a path, or -")
	f.Var(&s.format, "manifest-format", "what --manifest is")
	f.StringVar(&s.bucket, "bucket", "", "the bucket of the keys of --manifest-format keys")
}

// Validate turns the arguments and flags into a source; an empty one where none
// was given.
func (s *sourceFlags) Validate(args []string) (sourceSpec, error) {
	switch {
	case len(args) > 0 && s.manifest != "":
		return sourceSpec{}, unusable("SOURCE and --manifest were both given", "name one of them")
	case len(args) > 0:
		if s.bucket != "" {
			return sourceSpec{}, unusable("--bucket was given with SOURCE", "it belongs to --manifest-format keys; leave it out")
		}
		bucket, prefix, err := parseS3URI("SOURCE", args[0])
		return sourceSpec{Bucket: bucket, Prefix: prefix}, err
	case s.manifest != "":
		if s.format.value == "keys" && s.bucket == "" {
			return sourceSpec{}, unusable("--bucket is missing", "a key list names no bucket; add --bucket BUCKET")
		}
		return sourceSpec{Manifest: s.manifest, ManifestFormat: s.format.value, Bucket: s.bucket}, nil
	case s.bucket != "":
		return sourceSpec{}, unusable("--bucket was given without --manifest", "name the bucket as s3://"+s.bucket)
	}
	return sourceSpec{}, nil
}

// fill takes the frozen source where the command line named none.
func (s *sourceFlags) fill(spec *sourceSpec, args []string, given func(string) bool) []string {
	if len(args) > 0 || given("manifest") {
		return args
	}
	if spec.Manifest == "" {
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

// parseS3URI splits s3://bucket/prefix.
func parseS3URI(what, s string) (bucket, prefix string, err error) {
	rest, ok := strings.CutPrefix(s, "s3://")
	if !ok {
		return "", "", unusablef("write it as s3://BUCKET[/PREFIX]", "%s %q is no S3 address", what, s)
	}
	bucket, prefix, _ = strings.Cut(rest, "/")
	if !bucketName(bucket) {
		return "", "", unusablef("write it as s3://BUCKET[/PREFIX]", "%s %q names no valid bucket", what, s)
	}
	return bucket, prefix, nil
}

// bucketName accepts what S3 accepts, and the upper case and underscores of old
// buckets; it is there to catch slips, the store has the last word. Access
// point ARNs hold colons and a slash, which this form of SOURCE cannot carry.
func bucketName(s string) bool {
	if len(s) == 0 || len(s) > 255 {
		return false
	}
	for _, c := range s {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_':
		default:
			return false
		}
	}
	return true
}
