package s3test

import (
	"context"
	"hash/fnv"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

// replyKind is what the client gets to see of a reply.
type replyKind uint8

const (
	replyNormal replyKind = iota
	replyLost
	replyStalled
	replyTruncated
	replyEmpty
	replyError   // err with its own status
	replyErrorOK // err in the body of a 200
)

// fault is what a rule does to one request; the zero value does nothing.
type fault struct {
	rule       string
	active     bool
	apply      bool
	kind       replyKind
	err        *s3Error
	retryAfter string
	delay      time.Duration
}

// applies says whether the request has its effect.
func (f fault) applies() bool { return !f.active || f.apply }

// spoil turns the true reply into the one that the client gets.
func (f fault) spoil(rep *reply, e *s3Error, q *request) *reply {
	if e != nil {
		rep = e.reply(q)
	}
	if !f.active {
		return rep
	}
	wait(q.http.Context(), f.delay)
	switch f.kind {
	case replyError:
		rep = f.err.reply(q)
		rep.set("Retry-After", f.retryAfter)
	case replyErrorOK:
		rep = &reply{body: f.err.document(q), xml: true}
	case replyEmpty:
		empty := &reply{}
		if rep != nil && rep.statusCode() < 300 {
			empty.header = rep.header
		}
		rep = empty
	}
	if rep == nil { // not applied, and no error of its own: truncate an error document
		rep = fail(http.StatusOK, "InternalError", internalError).reply(q)
	}
	return rep
}

func (e *s3Error) reply(q *request) *reply {
	rep := &reply{status: e.status, body: e.document(q), xml: true}
	rep.set("Retry-After", e.retry)
	for k, v := range e.extra {
		rep.set(k, v)
	}
	if strings.HasPrefix(q.op, "KMS.") {
		return kmsError(e)
	}
	return rep
}

func wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// faults are the rules in force; the first that matches a request is used.
type faults struct {
	mu struct {
		sync.Mutex
		rules []*Rule
		hits  map[string]int
	}
}

// SetRules replaces the fault rules by those of the text; see ParseRules. Their
// counters start anew.
func (s *Server) SetRules(text string) error {
	rules, err := ParseRules(text)
	if err != nil {
		return err
	}
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.mu.rules, s.faults.mu.hits = rules, map[string]int{}
	return nil
}

// FaultHits is how often each rule interfered, by its text.
func (s *Server) FaultHits() map[string]int {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	out := make(map[string]int, len(s.faults.mu.hits))
	for k, v := range s.faults.mu.hits {
		out[k] = v
	}
	return out
}

func (fs *faults) match(q *request) fault {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, r := range fs.mu.rules {
		if r.cond(q) {
			fs.mu.hits[r.text]++
			f := r.effect
			f.rule, f.active = r.text, true
			return f
		}
	}
	return fault{}
}

// condition decides on one request. Those that count are called under the lock
// of faults and own their counters.
type condition func(q *request) bool

func onOp(op string) condition { return func(q *request) bool { return q.op == op } }

var mutations = map[string]bool{"PutObject": true, "CopyObject": true, "UploadPart": true, "UploadPartCopy": true,
	"CreateMultipartUpload": true, "CompleteMultipartUpload": true, "AbortMultipartUpload": true, "DeleteObject": true,
	"DeleteObjects": true, "PutObjectTagging": true, "PutObjectAcl": true, "PutObjectRetention": true,
	"PutObjectLegalHold": true, "UpdateObjectEncryption": true}

func onMutation(q *request) bool { return mutations[q.op] }

func onRead(q *request) bool {
	return !mutations[q.op] && (q.http.Method == http.MethodGet || q.http.Method == http.MethodHead)
}

func onAny(*request) bool { return true }

func allOf(cs []condition) condition {
	return func(q *request) bool {
		for _, c := range cs {
			if !c(q) {
				return false
			}
		}
		return true
	}
}

func anyOf(cs []condition) condition {
	return func(q *request) bool {
		for _, c := range cs {
			if c(q) {
				return true
			}
		}
		return false
	}
}

func not(c condition) condition { return func(q *request) bool { return !c(q) } }

func glob(get func(*request) string, pattern string) condition {
	return func(q *request) bool { return matchGlob(pattern, get(q)) }
}

// matchGlob is path.Match in which * also crosses slashes.
func matchGlob(pattern, s string) bool {
	const slash = "\x00"
	ok, err := path.Match(strings.ReplaceAll(pattern, "/", slash), strings.ReplaceAll(s, "/", slash))
	return err == nil && ok
}

// counting gives a condition on the ordinal (from 0) of the request among those
// that reached it.
func counting(f func(n int) bool) condition {
	n := -1
	return func(*request) bool {
		n++
		return f(n)
	}
}

// perKey gives every key its own copy of a counting condition.
func perKey(make func() condition) condition {
	by := map[string]condition{}
	return func(q *request) bool {
		k := q.bucket + "/" + q.key
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
	return func(q *request) bool {
		id := q.op + "\x00" + q.bucket + "/" + q.key
		h := fnv.New64a()
		h.Write([]byte(id))
		n := seen[id]
		seen[id]++
		return float64(mix(h.Sum64()^mix(seed)^mix(n+1))>>11)/(1<<53) < p
	}
}
