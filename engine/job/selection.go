package job

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/planner"
)

// Selection is which objects of the source are meant. The zero value is the
// current version of every one.
type Selection struct {
	// Patterns decide in their order: the last that matches a key takes it in or
	// leaves it out. A key that none matches is taken in.
	Patterns []Pattern `json:"patterns,omitempty"`
	MinSize  *int64    `json:"min_size,omitempty"`
	MaxSize  *int64    `json:"max_size,omitempty"`
	// Before and After are what is gone by; ModifiedBefore and ModifiedAfter are how a person
	// wrote them.
	ModifiedBefore string    `json:"modified_before,omitempty"`
	ModifiedAfter  string    `json:"modified_after,omitempty"`
	Before         time.Time `json:"modified_before_resolved,omitzero"`
	After          time.Time `json:"modified_after_resolved,omitzero"`
	// OnlyEncryption takes none, sse-s3, sse-kms, sse-kms=KEY, dsse-kms and sse-c.
	OnlyEncryption   []string `json:"only_encryption,omitempty"`
	OnlyStorageClass []string `json:"only_storage_class,omitempty"`
	// OnlyClientSide takes none, v1, v2, v3, instruction and wrap=NAME.
	OnlyClientSide []string `json:"only_client_side,omitempty"`
	// Versions is current, which is the default, or all.
	Versions string `json:"versions"`
	Limit    int64  `json:"limit,omitempty"`
}

// Pattern takes keys in, or leaves them out, by the AWS CLI's globs.
type Pattern struct {
	Include bool   `json:"include"`
	Glob    string `json:"glob"`
}

// String is the pattern in words.
func (p Pattern) String() string {
	if p.Include {
		return "include " + p.Glob
	}
	return "exclude " + p.Glob
}

// Validate refuses what selects nothing, or what nobody understands.
func (s *Selection) Validate() error {
	s.Versions = cmp.Or(s.Versions, "current")
	if s.MinSize != nil && s.MaxSize != nil && *s.MaxSize < *s.MinSize {
		return unusablef("swap them", "Selection.MaxSize %d is below Selection.MinSize %d", *s.MaxSize, *s.MinSize)
	}
	for _, m := range []struct {
		field, text string
		at          time.Time
	}{{"Selection.ModifiedBefore", s.ModifiedBefore, s.Before}, {"Selection.ModifiedAfter", s.ModifiedAfter, s.After}} {
		switch {
		case m.text != "" && m.at.IsZero():
			return unusablef("set Selection.Before and After to the times that are meant", "%s %q was given without its time", m.field, m.text)
		case m.at.Year() > 9999 || m.at.Year() < 0:
			return unusablef("give one with a year of four digits", "%s is in the year %d", m.field, m.at.Year())
		}
	}
	if !s.Before.IsZero() && !s.After.IsZero() && !s.After.Before(s.Before) {
		return unusablef("nothing lies between them; swap them, or leave one out", "Selection.ModifiedAfter %s is not before Selection.ModifiedBefore %s",
			cmp.Or(s.ModifiedAfter, s.After.Format(time.RFC3339)), cmp.Or(s.ModifiedBefore, s.Before.Format(time.RFC3339)))
	}
	if s.Limit < 0 {
		return unusablef("give a number of objects, or 0 for no limit", "Selection.Limit %d is negative", s.Limit)
	}
	// Whoever made the specification may make another job of it meanwhile.
	for _, words := range []*[]string{&s.OnlyEncryption, &s.OnlyClientSide, &s.OnlyStorageClass} {
		*words = slices.Clone(*words)
	}
	for i, word := range s.OnlyEncryption {
		if _, err := planner.ParseEncryptionFilter(word); err != nil {
			return unusablef(encryptionWords, "Selection.OnlyEncryption: unknown name %q", word)
		}
		s.OnlyEncryption[i] = strings.TrimSpace(word)
	}
	for i, word := range s.OnlyClientSide {
		if _, err := planner.ParseClientSideFilter(word); err != nil {
			return unusablef("use none, v1, v2, v3, instruction or wrap=NAME", "Selection.OnlyClientSide: unknown name %q", word)
		}
		s.OnlyClientSide[i] = strings.TrimSpace(word)
	}
	for i, class := range s.OnlyStorageClass {
		if class = strings.ToUpper(strings.TrimSpace(class)); class == "" {
			return unusable("Selection.OnlyStorageClass holds an empty name", "list classes such as STANDARD,STANDARD_IA")
		}
		s.OnlyStorageClass[i] = class
	}
	return oneOf("Selection.Versions", s.Versions, "current", "all")
}

const encryptionWords = "use none, sse-s3, sse-kms, sse-kms=KEY, dsse-kms or sse-c"

// refuseAliases refuses an alias of a KMS key in Selection.OnlyEncryption, which no object of
// AWS shows: it would select nothing. A store without a KMS of its own may show what it was
// given.
func (s *Selection) refuseAliases(ctx context.Context, store *s3store.Store, bucket string) error {
	for _, word := range s.OnlyEncryption {
		f, err := planner.ParseEncryptionFilter(word)
		if err != nil || !object.IsKMSAlias(f.KMSKeyID) {
			continue
		}
		k, err := store.ResolveKeyFor(ctx, bucket, f.KMSKeyID)
		switch {
		case errors.Is(err, s3store.ErrNoKMS):
		case err != nil:
			return unusableBecause(err, "Selection.OnlyEncryption names the alias "+f.KMSKeyID+", which no object shows", "name the key by its ARN")
		default:
			return unusablef("name the key that it leads to now: "+k.ARN, "Selection.OnlyEncryption names the alias %s, which no object shows", f.KMSKeyID)
		}
	}
	return nil
}

// planned is what the planner is told.
func (s *Selection) planned(prefix string) (planner.Selection, error) {
	out := planner.Selection{Prefix: prefix, MinSize: s.MinSize, MaxSize: s.MaxSize, ModifiedBefore: s.Before, ModifiedAfter: s.After,
		OnlyStorageClass: s.OnlyStorageClass, AllVersions: s.Versions == "all", Limit: uint64(s.Limit)}
	for _, p := range s.Patterns {
		out.Filters = append(out.Filters, planner.Filter{Include: p.Include, Pattern: p.Glob})
	}
	for _, word := range s.OnlyEncryption {
		f, err := planner.ParseEncryptionFilter(word)
		if err != nil {
			return out, unusableBecause(err, "Selection.OnlyEncryption", encryptionWords)
		}
		out.OnlyEncryption = append(out.OnlyEncryption, f)
	}
	for _, word := range s.OnlyClientSide {
		f, err := planner.ParseClientSideFilter(word)
		if err != nil {
			return out, unusableBecause(err, "Selection.OnlyClientSide", "use none, v1, v2, v3, instruction or wrap=NAME")
		}
		out.OnlyClientSide = append(out.OnlyClientSide, f)
	}
	return out, nil
}
