package s3test

import (
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Request is one request that the server received.
type Request struct {
	Seq    int
	Time   time.Time
	Op     string // S3's name of the operation; Unknown, KMS.DescribeKey, STS
	Method string
	Host   string // as the client addressed it
	Bucket string
	Key    string
	// Sub is the sub-resource (encryption, tagging …), empty for none.
	Sub   string
	Query map[string][]string
	// Header holds what was sent, without Authorization and customer keys.
	Header http.Header
	// Withheld are the names of the headers that were sent and are not kept.
	Withheld []string
	Body     []byte
	// Status and Code of the answer; Applied is whether the request succeeded,
	// whatever the client was told. Fault is the rule that interfered.
	Status  int
	Code    string
	Applied bool
	Fault   string
}

// VersionID that the request names.
func (r *Request) VersionID() string {
	if v := r.Query["versionId"]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// journal counts requests by operation and keeps them.
type journal struct {
	off bool
	mu  struct {
		sync.Mutex
		counts  map[string]int
		log     []*Request
		seq     int
		before  func(Request)
		applied func(Request)
		after   func(Request)
	}
}

func (j *journal) begin(q *request, at time.Time) *Request {
	r := &Request{Time: at, Op: q.op, Method: q.http.Method, Host: q.http.Host, Bucket: q.bucket, Key: q.key, Sub: q.sub}
	if !j.off {
		r.Query, r.Body = maps.Clone(q.query), q.body
		r.Header = make(http.Header, len(q.http.Header))
		for k, v := range q.http.Header {
			if k != "Authorization" && k != "X-Amz-Security-Token" && !strings.HasSuffix(k, "-Customer-Key") {
				r.Header[k] = v
			} else {
				r.Withheld = append(r.Withheld, k)
			}
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.mu.counts == nil {
		j.mu.counts = map[string]int{}
	}
	j.mu.counts[q.op]++
	r.Seq = j.mu.seq
	j.mu.seq++
	return r
}

func (j *journal) end(r *Request) {
	if j.off {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.mu.log = append(j.mu.log, r)
}

func (j *journal) before(r *Request) { j.call(r, func() func(Request) { return j.mu.before }) }

func (j *journal) applied(r *Request) { j.call(r, func() func(Request) { return j.mu.applied }) }

func (j *journal) after(r *Request) { j.call(r, func() func(Request) { return j.mu.after }) }

func (j *journal) call(r *Request, get func() func(Request)) {
	j.mu.Lock()
	f := get()
	j.mu.Unlock()
	if f != nil {
		f(*r)
	}
}

// OnRequest calls f for every request after it was read and before it has any
// effect. f may use the server, to overwrite an object at the worst moment, and
// may be called by many goroutines at once.
func (s *Server) OnRequest(f func(Request)) {
	s.journal.mu.Lock()
	defer s.journal.mu.Unlock()
	s.journal.mu.before = f
}

// OnEffect calls f for every request after it had its effect (or was refused)
// and before anything of the reply is sent: the moment at which a client that
// dies knows nothing of what it did.
func (s *Server) OnEffect(f func(Request)) {
	s.journal.mu.Lock()
	defer s.journal.mu.Unlock()
	s.journal.mu.applied = f
}

// OnReply calls f for every request after its reply was sent (or withheld).
func (s *Server) OnReply(f func(Request)) {
	s.journal.mu.Lock()
	defer s.journal.mu.Unlock()
	s.journal.mu.after = f
}

// Requests are those received since the start or the last ResetRequests, in
// the order in which they were answered; those of the named operations only
// where some are named.
func (s *Server) Requests(ops ...string) []Request {
	s.journal.mu.Lock()
	defer s.journal.mu.Unlock()
	var out []Request
	for _, r := range s.journal.mu.log {
		if len(ops) == 0 || named(ops, r.Op) {
			out = append(out, *r)
		}
	}
	return out
}

func named(ops []string, op string) bool {
	for _, o := range ops {
		if o == op || aliases[o] == op {
			return true
		}
	}
	return false
}

// Count is how many requests of the operation (CopyObject, or Copy) came in.
func (s *Server) Count(op string) int {
	if a, ok := aliases[op]; ok {
		op = a
	}
	s.journal.mu.Lock()
	defer s.journal.mu.Unlock()
	return s.journal.mu.counts[op]
}

// Counts are the requests by operation.
func (s *Server) Counts() map[string]int {
	s.journal.mu.Lock()
	defer s.journal.mu.Unlock()
	return maps.Clone(s.journal.mu.counts)
}

// ResetRequests forgets the log and the counters.
func (s *Server) ResetRequests() {
	s.journal.mu.Lock()
	defer s.journal.mu.Unlock()
	s.journal.mu.log, s.journal.mu.counts, s.journal.mu.seq = nil, nil, 0
}
