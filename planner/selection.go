package planner

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// Verdict says whether an object is selected.
type Verdict uint8

// Inspect means that the row cannot settle it.
const (
	No Verdict = iota
	Yes
	Inspect
)

// String is for tests and logs.
func (v Verdict) String() string { return [...]string{"no", "yes", "inspect"}[v] }

// Filter is one --include or --exclude.
type Filter struct {
	Include bool   `json:"include"`
	Pattern string `json:"pattern"`
}

// EncryptionFilter is one entry of --only-encryption: a kind, and for sse-kms=KEY
// the key, as the store shows it or as its bare ID.
type EncryptionFilter struct {
	Type     object.SSE `json:"type"`
	KMSKeyID string     `json:"kms_key_id,omitempty"`
}

// Selection says which objects of a source are meant. The zero value selects
// every current object. It is data, so that a job can freeze it.
type Selection struct {
	// Prefix of the source; the filters' patterns are relative to it.
	Prefix string `json:"prefix,omitempty"`
	// Filters apply in order, and the last that matches wins; without a match an
	// object is included.
	Filters []Filter `json:"filters,omitempty"`
	// MinSize and MaxSize in bytes, both inclusive; nil for no bound.
	MinSize *int64 `json:"min_size,omitempty"`
	MaxSize *int64 `json:"max_size,omitempty"`
	// ModifiedBefore and ModifiedAfter are exclusive bounds; zero for none.
	ModifiedBefore time.Time `json:"modified_before,omitzero"`
	ModifiedAfter  time.Time `json:"modified_after,omitzero"`
	// OnlyEncryption and OnlyStorageClass are alternatives; empty for all.
	OnlyEncryption   []EncryptionFilter `json:"only_encryption,omitempty"`
	OnlyStorageClass []string           `json:"only_storage_class,omitempty"`
	// OnlyClientSide are alternatives too: see ParseClientSideFilter.
	OnlyClientSide []ClientSideFilter `json:"only_client_side,omitempty"`
	// AllVersions takes noncurrent versions too.
	AllVersions bool `json:"all_versions,omitempty"`
	// Limit is the number of tasks after which the plan ends; 0 for no limit.
	Limit uint64 `json:"limit,omitempty"`
}

// Match is pure. Delete markers are never selected. The Limit is not its
// business: it is about how many, not about which.
func (s *Selection) Match(o *object.Object) Verdict {
	if o.DeleteMarker || o.Noncurrent && !s.AllVersions || !s.includes(o.Key) {
		return No
	}
	verdict := Yes
	for _, check := range []func(*object.Object) Verdict{s.matchSize, s.matchTime, s.matchClass, s.matchEncryption, s.matchClientSide} {
		switch check(o) {
		case No:
			return No
		case Inspect:
			verdict = Inspect
		}
	}
	return verdict
}

// includes applies the filters to the key relative to the prefix.
func (s *Selection) includes(key string) bool {
	if len(s.Filters) == 0 {
		return true
	}
	name := relative(key, s.Prefix)
	for _, f := range slices.Backward(s.Filters) {
		if MatchGlob(f.Pattern, name) {
			return f.Include
		}
	}
	return true
}

// relative is the key below the prefix. A prefix that names a folder without its
// slash is taken as the folder, as the AWS CLI does.
func relative(key, prefix string) string {
	rest, under := strings.CutPrefix(key, prefix)
	if under && prefix != "" && !strings.HasSuffix(prefix, "/") {
		rest = strings.TrimPrefix(rest, "/")
	}
	return rest
}

func verdict(yes bool) Verdict {
	if yes {
		return Yes
	}
	return No
}

func (s *Selection) matchSize(o *object.Object) Verdict {
	switch {
	case s.MinSize == nil && s.MaxSize == nil:
		return Yes
	case o.Size < 0:
		return Inspect
	}
	return verdict((s.MinSize == nil || o.Size >= *s.MinSize) && (s.MaxSize == nil || o.Size <= *s.MaxSize))
}

func (s *Selection) matchTime(o *object.Object) Verdict {
	switch {
	case s.ModifiedBefore.IsZero() && s.ModifiedAfter.IsZero():
		return Yes
	case o.LastModified.IsZero():
		return Inspect
	}
	return verdict((s.ModifiedBefore.IsZero() || o.LastModified.Before(s.ModifiedBefore)) &&
		(s.ModifiedAfter.IsZero() || o.LastModified.After(s.ModifiedAfter)))
}

// matchClass takes an empty class for STANDARD, unless the row tells nothing at
// all, as a line of a key list.
func (s *Selection) matchClass(o *object.Object) Verdict {
	if len(s.OnlyStorageClass) == 0 {
		return Yes
	}
	if o.StorageClass == "" && o.Size < 0 {
		return Inspect
	}
	return verdict(slices.ContainsFunc(s.OnlyStorageClass, func(c string) bool { return object.SameClass(c, o.StorageClass) }))
}

func (s *Selection) matchEncryption(o *object.Object) Verdict {
	if len(s.OnlyEncryption) == 0 {
		return Yes
	}
	if o.Encryption.Type == object.SSEUnknown {
		return Inspect
	}
	result := No
	for _, f := range s.OnlyEncryption {
		switch {
		case f.Type != o.Encryption.Type:
		case f.KMSKeyID == "" || object.SameKMSKey(f.KMSKeyID, o.Encryption.KMSKeyID):
			return Yes
		case o.Encryption.KMSKeyID == "":
			result = Inspect // no inventory names the key
		}
	}
	return result
}

// ParseEncryptionFilter reads one word of --only-encryption: none, sse-s3,
// sse-kms, sse-kms=KEY, dsse-kms, dsse-kms=KEY or sse-c.
func ParseEncryptionFilter(word string) (EncryptionFilter, error) {
	name, key, hasKey := strings.Cut(strings.TrimSpace(word), "=")
	sse, err := object.ParseSSE(name)
	if err != nil || sse == object.SSEUnknown || hasKey && (key == "" || !sse.KMS()) {
		return EncryptionFilter{}, fmt.Errorf("%q is no encryption to select by: use none, sse-s3, sse-kms, sse-kms=KEY, dsse-kms or sse-c", word)
	}
	return EncryptionFilter{Type: sse, KMSKeyID: key}, nil
}
