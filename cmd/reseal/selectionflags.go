package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/resealhq/reseal/planner"
)

// selectionSpec is which objects of the source are meant, as a job freezes it.
type selectionSpec struct {
	Patterns         []patternRule `json:"patterns,omitempty"`
	MinSize          *int64        `json:"min_size,omitempty"`
	MaxSize          *int64        `json:"max_size,omitempty"`
	ModifiedBefore   string        `json:"modified_before,omitempty"`
	ModifiedAfter    string        `json:"modified_after,omitempty"`
	Before           time.Time     `json:"modified_before_resolved,omitzero"`
	After            time.Time     `json:"modified_after_resolved,omitzero"`
	OnlyEncryption   []string      `json:"only_encryption,omitempty"`
	OnlyStorageClass []string      `json:"only_storage_class,omitempty"`
	Versions         string        `json:"versions"`
	Limit            int64         `json:"limit,omitempty"`
}

type selectionFlags struct {
	patterns         []patternRule
	minSize, maxSize byteSize
	before, after    moment
	onlyEncryption   []string
	onlyClass        []string
	versions         oneOf
	limit            int64
}

func (s *selectionFlags) AddFlags(f *pflag.FlagSet) {
	s.versions = oneOf{value: "current", allowed: []string{"current", "all"}}
	f.Var(&patternFlag{include: true, rules: &s.patterns}, "include", "take keys that match; of several --include and --exclude the last that matches decides")
	f.Var(&patternFlag{rules: &s.patterns}, "exclude", "pass over keys that match")
	f.Var(&s.minSize, "min-size", "pass over smaller objects, for example 64MiB")
	f.Var(&s.maxSize, "max-size", "pass over larger objects")
	f.Var(&s.before, "modified-before", "only objects last modified before: RFC 3339, or an age such as 30d")
	f.Var(&s.after, "modified-after", "only objects last modified after: RFC 3339, or an age such as 30d")
	f.StringSliceVar(&s.onlyEncryption, "only-encryption", nil, "only objects under these: none, sse-s3, sse-kms, sse-kms=KEY, dsse-kms, sse-c")
	f.StringSliceVar(&s.onlyClass, "only-storage-class", nil, "only objects of these storage classes")
	f.Var(&s.versions, "versions", "which versions of an object")
	f.Int64Var(&s.limit, "limit", 0, "stop after this many objects; 0 for no limit")
}

func (s *selectionFlags) Validate() (selectionSpec, error) {
	spec := selectionSpec{Patterns: s.patterns, ModifiedBefore: s.before.text, ModifiedAfter: s.after.text,
		Before: s.before.at, After: s.after.at, Versions: s.versions.value, Limit: s.limit}
	if s.minSize.given {
		spec.MinSize = &s.minSize.bytes
	}
	if s.maxSize.given {
		spec.MaxSize = &s.maxSize.bytes
		if s.minSize.given && s.maxSize.bytes < s.minSize.bytes {
			return spec, unusablef("swap them", "--max-size %s is below --min-size %s", s.maxSize.text, s.minSize.text)
		}
	}
	if !spec.Before.IsZero() && !spec.After.IsZero() && !spec.After.Before(spec.Before) {
		return spec, unusablef("nothing lies between them; swap them, or leave one out",
			"--modified-after %s is not before --modified-before %s", s.after.text, s.before.text)
	}
	if s.limit < 0 {
		return spec, unusablef("give a number of objects, or 0 for no limit", "--limit %d is negative", s.limit)
	}
	for _, word := range s.onlyEncryption {
		if _, err := planner.ParseEncryptionFilter(word); err != nil {
			return spec, unusablef("use none, sse-s3, sse-kms, sse-kms=KEY, dsse-kms or sse-c", "--only-encryption: unknown name %q", word)
		}
		spec.OnlyEncryption = append(spec.OnlyEncryption, strings.TrimSpace(word))
	}
	for _, class := range s.onlyClass {
		class = strings.ToUpper(strings.TrimSpace(class))
		if class == "" {
			return spec, unusable("--only-storage-class holds an empty name", "list classes such as STANDARD,STANDARD_IA")
		}
		spec.OnlyStorageClass = append(spec.OnlyStorageClass, class)
	}
	return spec, nil
}

// fill takes from a frozen selection what the command line did not say.
func (s *selectionFlags) fill(spec *selectionSpec, given func(string) bool) {
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

// Selection is what the planner is told.
func (s *selectionSpec) Selection(prefix string) (planner.Selection, error) {
	out := planner.Selection{Prefix: prefix, MinSize: s.MinSize, MaxSize: s.MaxSize, ModifiedBefore: s.Before, ModifiedAfter: s.After,
		OnlyStorageClass: s.OnlyStorageClass, AllVersions: s.Versions == "all", Limit: uint64(s.Limit)}
	for _, p := range s.Patterns {
		out.Filters = append(out.Filters, planner.Filter{Include: p.Include, Pattern: p.Glob})
	}
	for _, word := range s.OnlyEncryption {
		f, err := planner.ParseEncryptionFilter(word)
		if err != nil {
			return out, unusableBecause(err, "--only-encryption", "use none, sse-s3, sse-kms, sse-kms=KEY, dsse-kms or sse-c")
		}
		out.OnlyEncryption = append(out.OnlyEncryption, f)
	}
	return out, nil
}
