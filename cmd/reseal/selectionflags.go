package main

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/resealhq/reseal/engine/job"
)

// selectionFlags reads which objects of the source are meant.
type selectionFlags struct {
	patterns         []job.Pattern
	minSize, maxSize byteSize
	before, after    moment
	onlyEncryption   []string
	onlyClass        []string
	onlyClientSide   []string
	versions         oneOf
	limit            int64
}

func (s *selectionFlags) AddFlags(f *pflag.FlagSet) {
	s.versions = oneOf{value: "current", allowed: []string{"current", "all"}}
	s.addObjectFlags(f)
	f.StringSliceVar(&s.onlyClientSide, "only-client-side", nil, "only objects with these envelopes of client-side encryption: none, v1, v2, v3, instruction, wrap=NAME")
	f.Var(&s.versions, "versions", "which versions of an object")
}

// selectionNames are the flags that choose among objects and versions alike.
var selectionNames = []string{"include", "exclude", "min-size", "max-size", "modified-before", "modified-after", "only-encryption", "only-storage-class", "limit"}

// addObjectFlags adds those.
func (s *selectionFlags) addObjectFlags(f *pflag.FlagSet) {
	f.Var(&patternFlag{include: true, rules: &s.patterns}, "include", "take keys that match, and all that no --exclude matches; of several --include and --exclude the last that matches decides")
	f.Var(&patternFlag{rules: &s.patterns}, "exclude", "pass over keys that match")
	f.Var(&s.minSize, "min-size", "pass over smaller objects, for example 64MiB")
	f.Var(&s.maxSize, "max-size", "pass over larger objects")
	f.Var(&s.before, "modified-before", "only objects last modified before: RFC 3339, or an age such as 30d")
	f.Var(&s.after, "modified-after", "only objects last modified after: RFC 3339, or an age such as 30d")
	f.StringSliceVar(&s.onlyEncryption, "only-encryption", nil, "only objects under these: none, sse-s3, sse-kms, sse-kms=KEY, dsse-kms, sse-c")
	f.StringSliceVar(&s.onlyClass, "only-storage-class", nil, "only objects of these storage classes")
	f.Int64Var(&s.limit, "limit", 0, "stop after this many objects; 0 for no limit")
}

// Selection is what the flags say.
func (s *selectionFlags) Selection() job.Selection {
	sel := job.Selection{Patterns: s.patterns, ModifiedBefore: s.before.text, ModifiedAfter: s.after.text, Before: s.before.at, After: s.after.at,
		OnlyEncryption: s.onlyEncryption, OnlyStorageClass: s.onlyClass, OnlyClientSide: s.onlyClientSide, Versions: s.versions.value, Limit: s.limit}
	if s.minSize.given {
		sel.MinSize = &s.minSize.bytes
	}
	if s.maxSize.given {
		sel.MaxSize = &s.maxSize.bytes
	}
	return sel
}

// idle says of an --include that stands before every --exclude, or alone, that it has no effect:
// what no pattern matches is taken anyway. Whoever means "only these" would have every object of
// the source taken. One that takes all in means just that.
func (s *selectionFlags) idle(cmd *cobra.Command) string {
	if !cmd.Flags().Changed("include") || !s.patterns[0].Include {
		return ""
	}
	for _, p := range s.patterns {
		switch {
		case !p.Include:
			return "an --include before the first --exclude has no effect"
		case strings.Trim(p.Glob, "*") == "":
			return ""
		}
	}
	return "--include alone leaves no key out"
}

// onlyThese is what somebody most likely means by it.
const onlyThese = "put --exclude '*' before it for only those that match"

// warn tells of it.
func (s *selectionFlags) warn(cmd *cobra.Command, out *outputFlags) {
	if what := s.idle(cmd); what != "" {
		out.log(cmd.ErrOrStderr()).Warn(what + "; " + onlyThese)
	}
}

// fill takes from a frozen selection what the command line did not say.
func (s *selectionFlags) fill(spec *job.Selection, given func(string) bool) {
	if !given("include") && !given("exclude") {
		s.patterns = spec.Patterns
	}
	if !given("min-size") && spec.MinSize != nil {
		s.minSize = byteSize{bytes: *spec.MinSize, given: true, text: strconv.FormatInt(*spec.MinSize, 10)}
	}
	if !given("max-size") && spec.MaxSize != nil {
		s.maxSize = byteSize{bytes: *spec.MaxSize, given: true, text: strconv.FormatInt(*spec.MaxSize, 10)}
	}
	if !given("modified-before") {
		s.before = moment{at: spec.Before, text: spec.ModifiedBefore}
	}
	if !given("modified-after") {
		s.after = moment{at: spec.After, text: spec.ModifiedAfter}
	}
	if !given("only-encryption") {
		s.onlyEncryption = spec.OnlyEncryption
	}
	if !given("only-client-side") {
		s.onlyClientSide = spec.OnlyClientSide
	}
	if !given("only-storage-class") {
		s.onlyClass = spec.OnlyStorageClass
	}
	if !given("versions") {
		s.versions.value = spec.Versions
	}
	if !given("limit") {
		s.limit = spec.Limit
	}
}
