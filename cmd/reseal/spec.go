package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/resealhq/reseal/engine"
)

// jobSpec is everything of a job that never changes. Its JSON is what the
// digest is taken of.
type jobSpec struct {
	Source     sourceSpec    `json:"source"`
	Target     targetSpec    `json:"target"`
	Selection  selectionSpec `json:"selection"`
	Connection connection    `json:"connection"`
}

// Dest is where copies go. A key keeps what follows the last slash of the
// source's prefix, so that no two keys of the source can meet in one place.
func (s *jobSpec) Dest() engine.Dest {
	return engine.Dest{Bucket: s.Target.DestBucket, Prefix: s.Target.DestPrefix,
		StripPrefix: s.Source.Prefix[:strings.LastIndexByte(s.Source.Prefix, '/')+1]}
}

// refuseLoop refuses a destination within the source, whose copies would be
// found and copied again without end.
func (s *jobSpec) refuseLoop() error {
	t := &s.Target
	if d := s.Dest(); d.Bucket != "" && d.Bucket == s.Source.Bucket && d.Prefix == d.StripPrefix {
		return unusablef("leave --dest out to work in place, or name another place", "--dest s3://%s/%s is where the objects of SOURCE are already", t.DestBucket, t.DestPrefix)
	}
	if t.DestBucket == "" || t.DestBucket != s.Source.Bucket || s.Source.Manifest != "" || !strings.HasPrefix(t.DestPrefix, s.Source.Prefix) {
		return nil
	}
	return unusablef("name another place, or leave --dest out to work in place", "--dest s3://%s/%s lies within SOURCE %s, so the copies would be copied too",
		t.DestBucket, t.DestPrefix, &s.Source)
}

// Digest names the specification; the checkpoint is bound to it.
func (s *jobSpec) Digest() ([sha256.Size]byte, error) {
	data, err := json.Marshal(s)
	if err != nil {
		return [sha256.Size]byte{}, fmt.Errorf("the job's specification: %w", err)
	}
	return sha256.Sum256(data), nil
}

// field is one setting as the command line names it.
type field struct{ flag, value string }

// fields spells the specification out, flag by flag, for comparison and for
// people. Customer keys appear as fingerprints.
func (s *jobSpec) fields() []field {
	optional := func(n *int64) string {
		if n == nil {
			return ""
		}
		return strconv.FormatInt(*n, 10)
	}
	yes := func(b bool) string {
		if b {
			return "yes"
		}
		return ""
	}
	dest := ""
	if s.Target.DestBucket != "" {
		dest = "s3://" + s.Target.DestBucket + "/" + s.Target.DestPrefix
	}
	patterns := make([]string, 0, len(s.Selection.Patterns))
	for _, p := range s.Selection.Patterns {
		patterns = append(patterns, p.String())
	}
	limit := ""
	if s.Selection.Limit > 0 {
		limit = strconv.FormatInt(s.Selection.Limit, 10)
	}
	source, bucket := s.Source.String(), ""
	if s.Source.Manifest != "" {
		source, bucket = "", s.Source.Bucket
	}
	return []field{
		{"SOURCE", source}, {"--manifest", s.Source.Manifest}, {"--manifest-format", s.Source.ManifestFormat}, {"--bucket", bucket},
		{"--sse", s.Target.SSE.String()}, {"--sse-kms-key-id", s.Target.KMSKeyID}, {"--sse-kms-default-key", yes(s.Target.KMSDefaultKey)},
		{"--sse-kms-context", s.Target.KMSContext}, {"--bucket-key", s.Target.BucketKey}, {"--sse-c-key-file", s.Target.CustomerKey},
		{"--source-sse-c-key-file", s.Target.SourceKey}, {"--dest", dest}, {"--storage-class", s.Target.StorageClass},
		{"--stamp-mtime", yes(s.Target.StampMtime)},
		{"--include/--exclude", strings.Join(patterns, ", ")}, {"--min-size", optional(s.Selection.MinSize)}, {"--max-size", optional(s.Selection.MaxSize)},
		{"--modified-before", s.Selection.ModifiedBefore}, {"--modified-after", s.Selection.ModifiedAfter},
		{"--only-encryption", strings.Join(s.Selection.OnlyEncryption, ",")}, {"--only-storage-class", strings.Join(s.Selection.OnlyStorageClass, ",")},
		{"--versions", s.Selection.Versions}, {"--limit", limit},
		{"--endpoint-url", s.Connection.EndpointURL}, {"--region", s.Connection.Region}, {"--profile", s.Connection.Profile},
		{"--path-style", s.Connection.PathStyle}, {"--ca-bundle", s.Connection.CABundle}, {"--no-verify-ssl", yes(s.Connection.NoVerifySSL)},
		{"--request-payer", s.Connection.RequestPayer}, {"--expected-bucket-owner", s.Connection.ExpectedBucketOwner},
	}
}

// differences lists, flag by flag, where the command line means another job.
func (s *jobSpec) differences(here *jobSpec) []string {
	var out []string
	frozen, given := s.fields(), here.fields()
	for i, f := range frozen {
		if f.value != given[i].value {
			out = append(out, fmt.Sprintf("%s: the job has %s, the command line %s", f.flag, orNothing(f.value), orNothing(given[i].value)))
		}
	}
	return out
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return strconv.Quote(s)
}
