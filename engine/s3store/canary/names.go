package canary

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// How the keys of throwaway objects are made: what the job writes below, the mark,
// 96 random bits, a number and what the object is for. Some end in a percent sign and
// two digits, as few keys do and as some stores cannot copy them; a store that decodes
// a name once too often makes an A of that.
const (
	mark       = object.ThrowawayMark
	percentEnd = "-%41"
	newEnd     = "-new"
)

var (
	randomPart  = regexp.MustCompile(`^[0-9a-f]{24}-$`)
	purposePart = regexp.MustCompile(`^[0-9]{2,4}-[a-z]+(-[a-z]+)*(-%41|-A)?(-new)?$`)
)

// newName is one that nobody can guess.
func newName(prefix string) string {
	b := make([]byte, 12)
	rand.Read(b) // never fails, by its contract
	return prefix + mark + hex.EncodeToString(b) + "-"
}

// IsCanary says whether name is what Probe may have announced for a bucket whose
// objects begin with prefix. A note on disk that says anything else was not
// written by a probe, and nothing may be deleted because of it.
func IsCanary(prefix, name string) bool {
	rest, ok := strings.CutPrefix(name, prefix+mark)
	return ok && randomPart.MatchString(rest)
}

// Prefix is what the name of a probe begins with before its mark; empty for a name
// that no probe makes.
func Prefix(name string) string {
	i := strings.LastIndex(name, mark)
	return name[:max(i, 0)]
}

// isThrowaway says whether key is one that the canary of that name can have made.
func isThrowaway(name, key string) bool {
	rest, ok := strings.CutPrefix(key, name)
	return ok && purposePart.MatchString(rest)
}

// ref is a new throwaway key. It holds no "/" of its own, since some stores
// leave a folder behind.
func (c *canary) ref(purpose string) object.Ref {
	return object.Ref{Bucket: c.o.Bucket, Key: fmt.Sprintf("%s%02d-%s", c.name, c.litter.number(), purpose)}
}

// beside is a key at which nothing is, for a copy of ref. Whoever sees ref knows it: an
// upload to a key without an object is found by nothing else at MinIO.
func beside(ref object.Ref) object.Ref {
	return object.Ref{Bucket: ref.Bucket, Key: ref.Key + newEnd}
}
