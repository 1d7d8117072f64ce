package job

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/resealhq/reseal/engine"
	"github.com/resealhq/reseal/engine/object"
)

// Spec is everything of a job that never changes. Its JSON is what the digest is
// taken of, so names and order of its fields stay as they are.
type Spec struct {
	Source     Source     `json:"source"`
	Target     Target     `json:"target"`
	Selection  Selection  `json:"selection"`
	Connection Connection `json:"connection"`
	// DestConnection leads to the store of Target.Dest; nil where it is the source's.
	DestConnection *DestConnection `json:"dest_connection,omitempty"`
}

// oneOf refuses a word that is none of those known.
func oneOf(field, word string, known ...string) error {
	for _, k := range known {
		if word == k {
			return nil
		}
	}
	return unusablef("use "+orList(known), "%s: unknown word %q", field, word)
}

func orList(words []string) string {
	var said []string
	for _, w := range words {
		if w != "" {
			said = append(said, w)
		}
	}
	if len(said) < 2 {
		return strings.Join(said, "")
	}
	return strings.Join(said[:len(said)-1], ", ") + " or " + said[len(said)-1]
}

// Validate settles every question that can be settled without the store: it reads
// the files of customer keys, takes the endpoint of the environment where none is
// named, and writes what is left out as it will be recorded.
func (s *Spec) Validate() error {
	for _, part := range []func() error{s.validateFolders, s.Source.validate, s.Connection.Validate, func() error { return s.Target.Validate(&s.Connection) },
		s.validateDest, s.refuseLoop, s.refuseTogether, s.Selection.Validate, s.validateText} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

// oneLine refuses what no header can carry.
func oneLine(field, value string) error {
	if !strings.ContainsFunc(value, unicode.IsControl) {
		return nil
	}
	return unusablef("leave it out; a line that was read from a file or a secret ends with one", "%s %q has a line break or another control character, which no header can carry", field, object.Cut(value, 80))
}

// maxKMSKey is how long a name of a KMS key may be, in bytes, where KMS is asked.
const maxKMSKey = 2048

// textsOf reads a JSON object of strings. What has a name twice is refused, since who reads it
// later need not take the same one.
func textsOf(field, text string) (map[string]string, error) {
	bad := unusablef(`write it as '{"name":"value"}'`, "%s is no JSON object of strings", field)
	dec := json.NewDecoder(strings.NewReader(text))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, bad
	}
	texts := map[string]string{}
	for dec.More() {
		name, err := dec.Token()
		value, err2 := dec.Token()
		n, isName := name.(string)
		v, isText := value.(string)
		if err != nil || err2 != nil || !isName || !isText {
			return nil, bad
		}
		if _, twice := texts[n]; twice {
			return nil, unusablef("leave one of them out", "%s has %q twice", field, n)
		}
		texts[n] = v
	}
	if _, err := dec.Token(); err != nil {
		return nil, bad
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, bad
	}
	return texts, nil
}

// validateText refuses what no key of S3 can begin with, and what job.json cannot hold: JSON
// is UTF-8, and what is none would be read again as another text.
func (s *Spec) validateText() error {
	for _, p := range append([]Place{{s.Source.Bucket, s.Source.Prefix}, {s.Target.DestBucket, s.Target.DestPrefix}}, s.Source.Several...) {
		if len(p.Prefix) > object.MaxKey {
			return unusablef("name a shorter prefix", "s3://%s/%s: no key is longer than %d bytes, and the prefix has %d", p.Bucket, object.Cut(p.Prefix, 80), object.MaxKey, len(p.Prefix))
		}
	}
	for _, key := range []string{s.Target.KMSKeyID, s.Target.ClientSide.KMSKeyID, s.Target.ClientSide.SourceKMSKeyID} {
		if len(key) > maxKMSKey {
			return unusablef("name the key by its ID, its ARN or an alias", "no KMS key has a name of %d bytes: %s", len(key), object.Cut(key, 80))
		}
	}
	for _, f := range []Field{{"Target.KMSKeyID", s.Target.KMSKeyID}, {"ClientSide.KMSKeyID", s.Target.ClientSide.KMSKeyID}, {"ClientSide.SourceKMSKeyID", s.Target.ClientSide.SourceKMSKeyID},
		{"Target.StorageClass", s.Target.StorageClass}} {
		if err := oneLine(f.Name, f.Value); err != nil {
			return err
		}
	}
	for _, f := range s.Fields() {
		if !utf8.ValidString(f.Value) {
			return unusablef("write it in UTF-8, as the keys of S3 are", "%s %q is no UTF-8", f.Name, object.Cut(f.Value, 80))
		}
	}
	data, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("the job's specification: %w", err)
	}
	var again Spec
	if err = json.Unmarshal(data, &again); err != nil {
		return fmt.Errorf("the job's specification: %w", err)
	}
	if same, err := json.Marshal(&again); err != nil || !bytes.Equal(data, same) {
		return unusable("a file that Spec names has a name that is no UTF-8", "call the file otherwise, or name it by a link")
	}
	return nil
}

// Dest is where copies go. A key keeps what follows the last slash of the
// source's prefix, so that no two keys of the source can meet in one place.
func (s *Spec) Dest() engine.Dest {
	return engine.Dest{Bucket: firstNonEmpty(s.Target.DestFolder, s.Target.DestBucket), Prefix: s.Target.DestPrefix,
		StripPrefix: s.Source.Prefix[:strings.LastIndexByte(s.Source.Prefix, '/')+1]}
}

// refuseLoop refuses a destination within the source, whose copies would be
// found and copied again without end.
func (s *Spec) refuseLoop() error {
	t := &s.Target
	if s.WholeDestConnection().EndpointURL != s.Connection.EndpointURL {
		return nil
	}
	if d := s.Dest(); d.Bucket != "" && d.Bucket == s.Source.Bucket && d.Prefix == d.StripPrefix {
		return unusablef("leave Target.Dest out to work in place, or name another place", "Target.Dest s3://%s/%s is where the objects of Spec.Source are already", t.DestBucket, t.DestPrefix)
	}
	if t.DestBucket == "" || t.DestBucket != s.Source.Bucket || s.Source.Manifest != "" || !strings.HasPrefix(t.DestPrefix, s.Source.Prefix) {
		return nil
	}
	return unusablef("name another place, or leave Target.Dest out to work in place", "Target.Dest s3://%s/%s lies within Spec.Source %s, so the copies would be copied too",
		t.DestBucket, t.DestPrefix, &s.Source)
}

// refuseTogether refuses what several places cannot have in common.
func (s *Spec) refuseTogether() error {
	switch {
	case !s.Source.many():
		return nil
	case s.Target.DestBucket != "", s.Target.DestFolder != "":
		return unusable("Target.Dest was given with several sources", "keys of two of them could meet there; begin a job for each source")
	case s.Selection.Limit > 0:
		return unusable("Selection.Limit was given with several sources", "which objects come first is not known; leave it out, or begin a job for each source")
	}
	return nil
}

// Digest names the specification; the checkpoint is bound to it.
func (s *Spec) Digest() ([sha256.Size]byte, error) {
	data, err := json.Marshal(s)
	if err != nil {
		return [sha256.Size]byte{}, fmt.Errorf("the job's specification: %w", err)
	}
	return sha256.Sum256(data), nil
}

// Field is one setting of a specification, spelled for people.
type Field struct{ Name, Value string }

// Fields spells the specification out, for comparison and for people. Customer
// keys appear as fingerprints.
func (s *Spec) Fields() []Field {
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
	dest := s.Target.DestFolder
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
	source, bucket := s.Source.whole(), ""
	if s.Source.Manifest != "" {
		source, bucket = "", s.Source.Bucket
	}
	fields := []Field{
		{"Spec.Source", source}, {"Source.Manifest", s.Source.Manifest}, {"Source.ManifestFormat", s.Source.ManifestFormat}, {"Source.Bucket", bucket}, {"Source.Pair", yes(s.Source.Pair)},
		{"Target.SSE", s.Target.SSE.String()}, {"Target.KMSKeyID", s.Target.KMSKeyID}, {"Target.KMSDefaultKey", yes(s.Target.KMSDefaultKey)},
		{"Target.KMSContext", s.Target.KMSContext}, {"Target.BucketKey", s.Target.BucketKey}, {"Target.CustomerKeyFile", s.Target.CustomerKey},
		{"Target.SourceKeyFile", strings.Join(s.Target.sourceKeys(), ", ")}, {"Target.Dest", dest}, {"Target.StorageClass", s.Target.StorageClass},
		{"Target.StampMtime", yes(s.Target.StampMtime)},
		{"Selection.Patterns", strings.Join(patterns, ", ")}, {"Selection.MinSize", optional(s.Selection.MinSize)}, {"Selection.MaxSize", optional(s.Selection.MaxSize)},
		{"Selection.ModifiedBefore", written(s.Selection.ModifiedBefore, s.Selection.Before)}, {"Selection.ModifiedAfter", written(s.Selection.ModifiedAfter, s.Selection.After)},
		{"Selection.OnlyEncryption", strings.Join(s.Selection.OnlyEncryption, ",")}, {"Selection.OnlyStorageClass", strings.Join(s.Selection.OnlyStorageClass, ",")},
		{"Selection.OnlyClientSide", strings.Join(s.Selection.OnlyClientSide, ",")},
		{"Selection.Versions", s.Selection.Versions}, {"Selection.Limit", limit},
		{"Connection.EndpointURL", s.Connection.EndpointURL}, {"Connection.Region", s.Connection.Region}, {"Connection.Profile", s.Connection.Profile},
		{"Connection.PathStyle", s.Connection.PathStyle}, {"Connection.CABundle", s.Connection.CABundle},
		{"Connection.RequestPayer", s.Connection.RequestPayer}, {"Connection.ExpectedBucketOwner", s.Connection.ExpectedBucketOwner},
	}
	d := s.DestConnection
	if d == nil {
		d = &DestConnection{}
	}
	fields = append(fields, Field{"DestConnection.EndpointURL", d.EndpointURL}, Field{"DestConnection.Region", d.Region}, Field{"DestConnection.Profile", d.Profile})
	return append(fields, s.Target.ClientSide.fields()...)
}

// written is a time as a person wrote it, or as it is where none has.
func written(text string, at time.Time) string {
	if text != "" || at.IsZero() {
		return text
	}
	return at.UTC().Format(time.RFC3339Nano)
}

// Differences lists where want means another job than s.
func (s *Spec) Differences(want *Spec) []Difference {
	var out []Difference
	have, asked := s.Fields(), want.Fields()
	for i, f := range have {
		if f.Value != asked[i].Value {
			out = append(out, Difference{f.Name, f.Value, asked[i].Value})
		}
	}
	return out
}
