package object

import (
	"strings"
	"unicode/utf8"
)

// ListRequest asks for one page of a listing, of current objects or of versions.
// Keys and prefixes are raw; the encoding on the wire is the store's business.
type ListRequest struct {
	Bucket    string
	Prefix    string
	Delimiter string
	// MaxKeys is how many rows at most; 0 leaves it to the store (1,000).
	MaxKeys int
	// StartAfter is the key after which a listing of current objects begins;
	// ContinuationToken, where set, goes on from an earlier page instead.
	StartAfter        string
	ContinuationToken string
	// KeyMarker and VersionIDMarker are the position in a listing of versions.
	KeyMarker       string
	VersionIDMarker string
	// Metadata asks for the rows' encryption, tags and metadata (metadata=true).
	// Only where the capability was seen.
	Metadata bool
}

// ListReply is one page. Rows stand as the store sent them: order and repeats
// are for the reader to judge.
type ListReply struct {
	// Objects; of a listing of versions, delete markers too.
	Objects []Object
	// Prefixes that a delimiter rolled up.
	Prefixes []string
	// Truncated is the store's word that there is more; then the Next… fields
	// lead there (NextToken for current objects, the markers for versions).
	// A store may truncate without telling where to go on.
	Truncated           bool
	NextToken           string
	NextKeyMarker       string
	NextVersionIDMarker string
	// EncodingHonoured is whether the page came URL-encoded, as asked. Without it
	// keys that XML cannot carry may be lost or changed.
	EncodingHonoured bool
	// OneWalk: the store reads the pages of a listing from one walk through
	// everything below the prefix, which goes on to the end by itself. A second
	// listing that begins in the middle costs it a second walk.
	OneWalk   bool
	RequestID string
}

// CommonPath is the length in bytes of the longest path, with its slash, that two keys
// have in common.
func CommonPath(a, b string) int {
	return strings.LastIndexByte(a[:CommonPrefix(a, b)], '/') + 1
}

// PathSegment is the next segment of a key's path after depth bytes, with its slash; empty
// if there is none.
func PathSegment(key string, depth int) string {
	if len(key) < depth {
		return ""
	}
	return key[depth : depth+strings.IndexByte(key[depth:], '/')+1]
}

// CommonPrefix is the length in bytes of the longest common prefix of two keys that
// does not cut a character.
func CommonPrefix(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	for n > 0 && (n < len(a) && !utf8.RuneStart(a[n]) || n < len(b) && !utf8.RuneStart(b[n])) {
		n--
	}
	return n
}
