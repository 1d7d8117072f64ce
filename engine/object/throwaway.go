package object

import "strings"

// ThrowawayMark stands in the keys of the objects that reseal makes to try a store, and
// deletes again: before it what the job writes below, behind it 24 hexadecimal digits
// and what the object is for.
const ThrowawayMark = ".reseal-canary-"

// IsThrowaway says whether a key is that of such an object. Another process of the same
// job may have it there for a moment, and it is no work of anybody.
func IsThrowaway(key string) bool {
	i := strings.LastIndex(key, ThrowawayMark)
	if i < 0 {
		return false
	}
	rest := key[i+len(ThrowawayMark):]
	if len(rest) < 28 || rest[24] != '-' || rest[25] < '0' || rest[25] > '9' || rest[26] < '0' || rest[26] > '9' {
		return false
	}
	for _, c := range []byte(rest[:24]) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
