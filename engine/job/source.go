package job

import (
	"fmt"
	"strings"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/planner"
)

// Source is where the objects of a job come from: a bucket and a prefix, a manifest, or
// several places at once.
type Source struct {
	// Bucket and Prefix of what is listed. With a Manifest that is a list of keys,
	// Bucket is theirs.
	Bucket string `json:"bucket,omitempty"`
	Prefix string `json:"prefix,omitempty"`
	// Manifest is a URI, a path or "-" for Options.Stdin.
	Manifest string `json:"manifest,omitempty"`
	// ManifestFormat is auto, inventory, csv or keys; auto where it is empty.
	ManifestFormat string `json:"manifest_format,omitempty"`
	// Opened is the file that Manifest led to when the job began.
	Opened string `json:"opened,omitempty"`
	// Several are places that the job takes together, each with a shard or more of its
	// own. With AllBuckets they are every bucket of the account, as it is when the job
	// begins, that Buckets take in: the AWS CLI's order rule decides.
	Several    []Place   `json:"several,omitempty"`
	AllBuckets bool      `json:"all_buckets,omitempty"`
	Buckets    []Pattern `json:"buckets,omitempty"`
	// Pair takes the buckets along that the places are replicated to, as their replication
	// rules are when the job begins. Only with several places or AllBuckets.
	Pair bool `json:"pair,omitempty"`
	// Folder is a local folder whose files are uploaded to Target.Dest, by its full path.
	Folder string `json:"folder,omitempty"`
}

// Place is a bucket, or what lies below a prefix of it.
type Place struct {
	Bucket string `json:"bucket"`
	Prefix string `json:"prefix,omitempty"`
}

// String is the place as a person writes it.
func (p Place) String() string {
	if p.Prefix == "" {
		return "s3://" + p.Bucket
	}
	return "s3://" + p.Bucket + "/" + p.Prefix
}

// source is a job's that has this place alone.
func (p Place) source() Source { return Source{Bucket: p.Bucket, Prefix: p.Prefix} }

// overlaps says whether an object can lie in both.
func (p Place) overlaps(o Place) bool {
	return p.Bucket == o.Bucket && (strings.HasPrefix(p.Prefix, o.Prefix) || strings.HasPrefix(o.Prefix, p.Prefix))
}

// Given says whether any source is named.
func (s *Source) Given() bool {
	return s.Bucket != "" || s.Manifest != "" || s.Folder != "" || s.many()
}

// many says whether the job has places, and not one source.
func (s *Source) many() bool { return len(s.Several) > 0 || s.AllBuckets }

// String is the source as a person writes it, the first few of many.
func (s *Source) String() string {
	const named = 3
	if n := len(s.Several); n > named {
		first := Source{Several: s.Several[:named]}
		return fmt.Sprintf("%s and %d more", first.whole(), n-named)
	}
	return s.whole()
}

// whole is all of the source.
func (s *Source) whole() string {
	switch {
	case s.Folder != "":
		return s.Folder
	case s.Manifest != "":
		return s.Manifest
	case s.AllBuckets:
		words := []string{"all buckets"}
		for _, p := range s.Buckets {
			words = append(words, p.String())
		}
		return strings.Join(words, ", ")
	case len(s.Several) > 0:
		var words []string
		for _, p := range s.Several {
			words = append(words, p.String())
		}
		return strings.Join(words, ", ")
	}
	return Place{s.Bucket, s.Prefix}.String()
}

func (s *Source) validate() error {
	switch {
	case !s.Given():
		return unusable("Spec.Source is missing", "name a bucket or a manifest")
	case s.many():
		return s.validatePlaces()
	case s.Pair:
		return unusable("Source.Pair was given without places", "name buckets or prefixes in Source.Several")
	case len(s.Buckets) > 0:
		return unusable("Source.Buckets were given without Source.AllBuckets", "they choose among all buckets; leave them out")
	case s.Manifest != "" && s.Prefix != "":
		return unusable("Source.Prefix and Source.Manifest were both given", "name one of them")
	case s.Manifest == "" && s.ManifestFormat != "":
		return unusable("Source.ManifestFormat was given without Source.Manifest", "leave it out")
	case s.Bucket != "" && !object.MayBeBucket(s.Bucket) && !object.IsFolder(s.Bucket):
		return unusablef("name the bucket alone, without s3:// and without a key", "Source.Bucket: no bucket can have the name %q", s.Bucket)
	case s.ManifestFormat == "keys" && s.Bucket == "":
		return unusable("Source.Bucket is missing", "a key list names no bucket; add Source.Bucket")
	}
	if s.Manifest != "" && s.ManifestFormat == "" {
		s.ManifestFormat = "auto"
	}
	return oneOf("Source.ManifestFormat", s.ManifestFormat, "", "auto", "inventory", "csv", "keys")
}

// validatePlaces refuses places that an object could lie in twice: it would be done twice.
func (s *Source) validatePlaces() error {
	switch {
	case s.Bucket+s.Prefix+s.Manifest+s.ManifestFormat != "":
		return unusable("Source.Several or AllBuckets was given with another source", "name one of them")
	case s.AllBuckets && len(s.Several) > 0:
		return unusable("Source.Several and Source.AllBuckets were both given", "name one of them")
	case !s.AllBuckets && len(s.Buckets) > 0:
		return unusable("Source.Buckets were given without Source.AllBuckets", "they choose among all buckets; leave them out")
	}
	byBucket := map[string][]Place{}
	for _, p := range s.Several {
		switch {
		case p.Bucket == "":
			return unusable("a place of Source.Several names no bucket", "name it")
		case !object.MayBeBucket(p.Bucket):
			return unusablef("name the bucket alone, without s3:// and without a key", "Source.Several: no bucket can have the name %q", p.Bucket)
		}
		for _, other := range byBucket[p.Bucket] {
			if p.overlaps(other) {
				return unusablef("name what lies in both once", "%s and %s overlap", other, p)
			}
		}
		byBucket[p.Bucket] = append(byBucket[p.Bucket], p)
	}
	return nil
}

// meant are those of the account's buckets that the patterns take in; the first one says
// what the rest are exceptions of, and the last that matches decides.
func meant(buckets []string, patterns []Pattern) (places []Place) {
	for _, name := range buckets {
		in := true
		for i, p := range patterns {
			if i == 0 {
				in = !p.Include
			}
			if planner.MatchGlob(p.Glob, name) {
				in = p.Include
			}
		}
		if in {
			places = append(places, Place{Bucket: name})
		}
	}
	return places
}
