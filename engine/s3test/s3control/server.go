package s3control

import (
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/resealhq/reseal/engine/s3test"
)

// Config says what Batch Operations to play. Store is required.
type Config struct {
	// Store holds the manifests, the objects of the tasks and the reports.
	Store *s3test.Server
	// Account that the jobs are of; 111122223333 where empty.
	Account string
	// Rate is how many tasks are begun a second; 0 is no limit.
	Rate int
	// Keys is how the keys of a report are written.
	Keys KeyForm
	// RowsPerFile of a report; 5,000 where 0.
	RowsPerFile int
	// NumbersLast writes a report's rows in the order that its schema declares, which AWS
	// does not.
	NumbersLast bool
	// ReportLate is how long after its end a job's report appears.
	ReportLate time.Duration
	// Stale replies of DescribeJob after each change of state tell the state before.
	Stale int
	// ThrottleEvery n-th request is refused as too many; 0 is none.
	ThrottleEvery int
	// FailAfter is from how many tasks on a job fails of which more than half failed; 1,000
	// where 0.
	FailAfter int
}

// KeyForm is how the keys of a completion report are written.
type KeyForm uint8

// The forms: as in the manifest, as the keys are, and with + for a space.
const (
	Encoded KeyForm = iota
	Raw
	EncodedPlus
)

// Fault is what becomes of one task. Where it is Applied the object is changed, and the
// report says that it failed.
type Fault struct {
	Status  int
	Code    string
	Message string
	Applied bool
}

// Server is a running S3 Control. Its methods are safe for concurrent use.
type Server struct {
	cfg    Config
	client *s3.Client
	http   *http.Server
	addr   string
	done   chan struct{}
	stop   chan struct{}
	work   sync.WaitGroup

	mu struct {
		sync.Mutex
		changed  *sync.Cond
		jobs     []*job
		tokens   map[string]*job
		requests map[string]int
		fault    func(key string) *Fault
		hold     State
		before   func(op string)
		after    func(op string)
		lose     string
	}
}

// New starts a server on loopback. It panics where it cannot.
func New(cfg Config) *Server {
	cfg.Account = cmp.Or(cfg.Account, "111122223333")
	cfg.RowsPerFile, cfg.FailAfter = cmp.Or(cfg.RowsPerFile, 5000), cmp.Or(cfg.FailAfter, 1000)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	s := &Server{cfg: cfg, client: clientOf(cfg.Store), addr: l.Addr().String(), done: make(chan struct{}), stop: make(chan struct{})}
	s.mu.changed = sync.NewCond(&s.mu)
	s.mu.tokens, s.mu.requests = map[string]*job{}, map[string]int{}
	s.http = &http.Server{Handler: http.HandlerFunc(s.serve)}
	go func() {
		defer close(s.done)
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			panic(err)
		}
	}()
	return s
}

// URL is the endpoint.
func (s *Server) URL() string { return "http://" + s.addr }

// Close stops the server and all tasks, and waits for them.
func (s *Server) Close() {
	close(s.stop)
	s.http.Close()
	<-s.done
	s.mu.Lock()
	s.mu.changed.Broadcast()
	s.mu.Unlock()
	s.work.Wait()
}

// SetFault decides on every task from now on; nil lets all succeed that can.
func (s *Server) SetFault(f func(key string) *Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.fault = f
}

// Hold keeps jobs that enter the state there until it is called with another one.
func (s *Server) Hold(state State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.hold = state
	s.mu.changed.Broadcast()
}

// Before is called with each request's operation, before anything is done.
func (s *Server) Before(f func(op string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.before = f
}

// After is called with each request's operation when it was done, before it is answered.
func (s *Server) After(f func(op string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.after = f
}

// LoseReply does the next request of an operation, and drops its connection.
func (s *Server) LoseReply(op string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.lose = op
}

// Forget drops all jobs, as S3 does 90 days after their end.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.jobs, s.mu.tokens = nil, map[string]*job{}
}

// Requests is how many requests of an operation came.
func (s *Server) Requests(op string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.requests[op]
}

// apiError is an error of S3 Control.
type apiError struct {
	status        int
	code, message string
}

func (e *apiError) Error() string { return e.code + ": " + e.message }

func bad(format string, args ...any) *apiError {
	return &apiError{http.StatusBadRequest, "BadRequestException", fmt.Sprintf(format, args...)}
}

const prefix = "/v20180820/jobs"

// route names the operation of a request, and the job that it is about.
func route(r *http.Request) (op, id string) {
	rest, ok := strings.CutPrefix(r.URL.Path, prefix)
	if !ok {
		return "", ""
	}
	part := strings.Split(strings.TrimPrefix(rest, "/"), "/")
	switch {
	case rest == "" && r.Method == http.MethodPost:
		return "CreateJob", ""
	case rest == "" && r.Method == http.MethodGet:
		return "ListJobs", ""
	case len(part) == 1 && r.Method == http.MethodGet:
		return "DescribeJob", part[0]
	case len(part) == 2 && part[1] == "status" && r.Method == http.MethodPost:
		return "UpdateJobStatus", part[0]
	case len(part) == 2 && part[1] == "priority" && r.Method == http.MethodPost:
		return "UpdateJobPriority", part[0]
	}
	return "", ""
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	op, id := route(r)
	s.mu.Lock()
	s.mu.requests[op]++
	s.mu.requests[""]++
	n, before, after, lost := s.mu.requests[""], s.mu.before, s.mu.after, s.mu.lose == op && op != ""
	if lost {
		s.mu.lose = ""
	}
	s.mu.Unlock()
	if before != nil {
		before(op)
	}
	reply, err := s.answer(op, id, n, r)
	if after != nil {
		after(op)
	}
	if lost {
		panic(http.ErrAbortHandler) // the connection is dropped
	}
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("X-Amz-Request-Id", fmt.Sprintf("%016X", n))
	if err != nil {
		w.WriteHeader(err.status)
		writeXML(w, errorReply{Code: err.code, Message: err.message, RequestID: strconv.Itoa(n)})
		return
	}
	writeXML(w, reply)
}

func writeXML(w io.Writer, v any) {
	data, err := xml.Marshal(v)
	if err != nil {
		panic(err) // strings and numbers: cannot happen
	}
	_, _ = io.WriteString(w, xml.Header+string(data))
}

// answer does what a request asks.
func (s *Server) answer(op, id string, n int, r *http.Request) (any, *apiError) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return nil, bad("the body cannot be read")
	}
	switch credential := "Credential=" + s3test.DefaultCredentials.AccessKeyID + "/"; {
	case op == "":
		return nil, &apiError{http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed against this resource."}
	case !strings.Contains(r.Header.Get("Authorization"), credential) || !strings.Contains(r.Header.Get("Authorization"), "/s3/aws4_request"):
		return nil, &apiError{http.StatusForbidden, "AccessDenied", "Access Denied"}
	case r.Header.Get("X-Amz-Account-Id") != s.cfg.Account:
		return nil, &apiError{http.StatusForbidden, "AccessDenied", "the account of the request is not " + s.cfg.Account}
	case s.cfg.ThrottleEvery > 0 && n%s.cfg.ThrottleEvery == 0:
		return nil, &apiError{http.StatusTooManyRequests, "TooManyRequestsException", "Reduce your request rate."}
	}
	switch op {
	case "CreateJob":
		return s.create(body)
	case "ListJobs":
		return s.list(r.URL.Query())
	case "DescribeJob":
		return s.describe(id)
	case "UpdateJobStatus":
		return s.updateStatus(id, r.URL.Query())
	}
	return s.updatePriority(id, r.URL.Query())
}

// find is a job by its ID. REQUIRES: s.mu.
func (s *Server) find(id string) (*job, *apiError) {
	for _, j := range s.mu.jobs {
		if j.id == id {
			return j, nil
		}
	}
	return nil, &apiError{http.StatusNotFound, "NotFoundException", "The specified job does not exist."}
}

func (s *Server) describe(id string) (any, *apiError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j, err := s.find(id)
	if err != nil {
		return nil, err
	}
	shown := j.descriptor()
	if j.stale > 0 && j.last != nil {
		j.stale--
		shown = *j.last
	}
	return describeReply{Job: shown}, nil
}

// pageSize is the most jobs of a page of ListJobs.
const pageSize = 1000

func (s *Server) list(q url.Values) (any, *apiError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	size, from := pageSize, 0
	if v := q.Get("maxResults"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > pageSize {
			return nil, bad("maxResults is not from 1 to 1000")
		}
		size = n
	}
	if v := q.Get("nextToken"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 || n > len(s.mu.jobs) {
			return nil, &apiError{http.StatusBadRequest, "InvalidNextTokenException", "the token is not known"}
		}
		from = n
	}
	out := listReply{}
	i := from
	for ; i < len(s.mu.jobs) && len(out.Jobs) < size; i++ {
		j := s.mu.jobs[len(s.mu.jobs)-1-i] // the newest first
		if want := q["jobStatuses"]; len(want) == 0 || contains(want, string(j.state)) {
			out.Jobs = append(out.Jobs, j.listed())
		}
	}
	if i < len(s.mu.jobs) {
		out.NextToken = strconv.Itoa(i)
	}
	return out, nil
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}
