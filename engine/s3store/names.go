package s3store

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// How the keys of throwaway objects are made: what the job writes below, the mark,
// 96 random bits, a number and what the object is for.
const canaryMark = ".reseal-canary-"

var (
	canaryRandom  = regexp.MustCompile(`^[0-9a-f]{24}-$`)
	canaryPurpose = regexp.MustCompile(`^[0-9]{2,4}-[a-z0-9]+(-[a-z0-9]+)*$`)
)

// newCanaryName is one that nobody can guess.
func newCanaryName(prefix string) string {
	b := make([]byte, 12)
	rand.Read(b) // never fails, by its contract
	return prefix + canaryMark + hex.EncodeToString(b) + "-"
}

// IsCanary says whether name is what Probe may have announced for a bucket whose
// objects begin with prefix. A note on disk that says anything else was not
// written by a probe, and nothing may be deleted because of it.
func IsCanary(prefix, name string) bool {
	rest, ok := strings.CutPrefix(name, prefix+canaryMark)
	return ok && canaryRandom.MatchString(rest)
}

// CanaryPrefix is what the name of a probe begins with before its mark; empty for
// a name that no probe makes.
func CanaryPrefix(name string) string {
	i := strings.LastIndex(name, canaryMark)
	return name[:max(i, 0)]
}

// isThrowaway says whether key is one that the canary of that name can have made.
func isThrowaway(name, key string) bool {
	rest, ok := strings.CutPrefix(key, name)
	return ok && canaryPurpose.MatchString(rest)
}

// ref is a new throwaway key. It holds no "/" of its own, since some stores
// leave a folder behind.
func (c *canary) ref(purpose string) object.Ref {
	return object.Ref{Bucket: c.o.Bucket, Key: fmt.Sprintf("%s%02d-%s", c.name, c.litter.number(), purpose)}
}
