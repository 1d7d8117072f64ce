package fault

import (
	"hash/fnv"
	"net/http"
	"path"
	"strings"
)

// condition decides on one request. Those that count are called under the lock
// of the rules and own their counters.
type condition func(q Request) bool

func onOp(op string) condition { return func(q Request) bool { return q.Op == op } }

var mutations = map[string]bool{"PutObject": true, "CopyObject": true, "UploadPart": true, "UploadPartCopy": true,
	"CreateMultipartUpload": true, "CompleteMultipartUpload": true, "AbortMultipartUpload": true, "DeleteObject": true,
	"DeleteObjects": true, "PutObjectTagging": true, "PutObjectAcl": true, "PutObjectRetention": true,
	"PutObjectLegalHold": true, "UpdateObjectEncryption": true}

func onMutation(q Request) bool { return mutations[q.Op] }

func onRead(q Request) bool {
	return !mutations[q.Op] && (q.Method == http.MethodGet || q.Method == http.MethodHead)
}

func onAny(Request) bool { return true }

func allOf(cs []condition) condition {
	return func(q Request) bool {
		for _, c := range cs {
			if !c(q) {
				return false
			}
		}
		return true
	}
}

func anyOf(cs []condition) condition {
	return func(q Request) bool {
		for _, c := range cs {
			if c(q) {
				return true
			}
		}
		return false
	}
}

func not(c condition) condition { return func(q Request) bool { return !c(q) } }

func glob(get func(Request) string, pattern string) condition {
	return func(q Request) bool { return MatchGlob(pattern, get(q)) }
}

// MatchGlob is path.Match in which * also crosses slashes.
func MatchGlob(pattern, s string) bool {
	const slash = "\x00"
	ok, err := path.Match(strings.ReplaceAll(pattern, "/", slash), strings.ReplaceAll(s, "/", slash))
	return err == nil && ok
}

// counting gives a condition on the ordinal (from 0) of the request among those
// that reached it.
func counting(f func(n int) bool) condition {
	n := -1
	return func(Request) bool {
		n++
		return f(n)
	}
}

// perKey gives every key its own copy of a counting condition.
func perKey(make func() condition) condition {
	by := map[string]condition{}
	return func(q Request) bool {
		k := q.Bucket + "/" + q.Key
		c, ok := by[k]
		if !ok {
			c = make()
			by[k] = c
		}
		return c(q)
	}
}

// random holds with probability p, by a hash of seed, operation, key and how
// often that pair came, so that a seed gives the same faults whatever the
// goroutines do.
func random(p float64, seed uint64) condition {
	seen := map[string]uint64{}
	return func(q Request) bool {
		id := q.Op + "\x00" + q.Bucket + "/" + q.Key
		h := fnv.New64a()
		h.Write([]byte(id))
		n := seen[id]
		seen[id]++
		return float64(mix(h.Sum64()^mix(seed)^mix(n+1))>>11)/(1<<53) < p
	}
}

// mix spreads the bits of z.
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
