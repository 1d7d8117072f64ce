package s3test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/resealhq/reseal/engine/s3test/fault"
)

// ids gives out everything random, reproducibly by seed.
type ids struct{ state atomic.Uint64 }

func (i *ids) next() uint64 { return mix(i.state.Add(0x9e3779b97f4a7c15)) }

func (i *ids) requestID() string { return fmt.Sprintf("%016X", i.next()) }

// etag is an ETag that is no digest of anything, as under KMS.
func (i *ids) etag() string { return fmt.Sprintf("%016x%016x", i.next(), i.next()) }

func (i *ids) version() string { return fmt.Sprintf("v%016x%015x", i.next(), i.next()>>4) }

// serve is one request from its first byte to its last: parse, faults, limits,
// signature, effect, reply.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.gate.pass(r.Context())
	began := time.Now()
	if r.URL.Path == credentialsPath {
		s.giveCredentials(w)
		return
	}
	q, e := s.parse(r)
	if e2 := s.readBody(q); e == nil {
		e = e2
	}
	entry := s.journal.begin(q, began)
	s.journal.before(entry)
	f := s.faulty(q)
	s.delay(r.Context(), q.op)
	var rep *reply
	if e == nil && f.Applies() {
		rep, e = s.execute(q)
		entry.Applied = e == nil
	}
	if e == errAborted {
		f.Reply = fault.Lost
	}
	entry.Fault = f.Rule
	rep = spoil(f, rep, e, q)
	entry.Status, entry.Code = rep.statusCode(), codeOf(e, f)
	s.journal.end(entry)
	s.journal.applied(entry)
	s.send(w, q, f, rep)
	s.journal.after(entry)
}

func codeOf(e *s3Error, f fault.Fault) string {
	switch {
	case f.Answer.Code != "":
		return f.Answer.Code
	case e != nil:
		return e.code
	}
	return ""
}

func (r *reply) statusCode() int {
	if r == nil {
		return 0
	}
	if r.status == 0 {
		return http.StatusOK
	}
	return r.status
}

// execute checks limits, signature and body, and does what the request asks.
func (s *Server) execute(q *request) (*reply, *s3Error) {
	if e := s.limits.admit(s, q); e != nil {
		return nil, e
	}
	if e := s.auth.verify(q); e != nil {
		return nil, e
	}
	if e := s.checkHeaders(q.http.Header); e != nil {
		return nil, e
	}
	if e := s.checkBody(q); e != nil {
		return nil, e
	}
	switch {
	case q.op == "STS":
		return s.callerIdentity(q)
	case strings.HasPrefix(q.op, kmsOperation):
		return s.kmsRequest(q)
	}
	if rep, e, foreign := s.foreign(q); foreign {
		return rep, e
	}
	op, ok := s.ops[q.op]
	if !ok {
		return s.other(q)
	}
	if op.writes {
		s.mu.Lock()
		defer s.mu.Unlock()
	} else {
		s.mu.RLock()
		defer s.mu.RUnlock()
	}
	if e := s.guard(q, op.action); e != nil {
		return nil, e
	}
	return op.do(s, q)
}

// other serves the sub-resources that are only kept, and refuses the rest.
func (s *Server) other(q *request) (*reply, *s3Error) {
	d, ok := documents[q.sub]
	if !ok || q.key != "" || q.op == "Unknown" {
		return nil, fail(http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed against this resource.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	verb := "Put"
	if q.http.Method == http.MethodGet {
		verb = "Get"
	}
	if e := s.guard(q, "s3:"+verb+d.action); e != nil {
		return nil, e
	}
	return s.document(q)
}

// send writes the reply, or breaks the connection as the fault wants it.
func (s *Server) send(w http.ResponseWriter, q *request, f fault.Fault, rep *reply) {
	switch f.Reply {
	case fault.Stalled:
		<-q.http.Context().Done()
		return
	case fault.Lost:
		reset(w)
		return
	}
	h := w.Header()
	for k, v := range rep.header {
		h[k] = v
	}
	if f.Reply == fault.Page {
		h.Set("Content-Type", "text/html")
	} else {
		h.Set("X-Amz-Request-Id", q.id)
		h.Set("X-Amz-Id-2", hostID)
		h.Set("Server", s.profile.server())
	}
	h.Set("Date", s.now().Format(http.TimeFormat)) // the store's clock, which may be another than this machine's
	if rep.xml {
		h.Set("Content-Type", "application/xml")
	}
	status := rep.statusCode()
	if q.http.Method == http.MethodHead {
		w.WriteHeader(status)
		return
	}
	n := int64(len(rep.body))
	if rep.content != nil {
		n = rep.content.size
	}
	if status != http.StatusNoContent && status != http.StatusNotModified {
		h.Set("Content-Length", itoa(n))
	}
	w.WriteHeader(status)
	if f.Reply == fault.Truncated {
		s.truncate(w, rep, n)
		return
	}
	if rep.content != nil {
		io.Copy(w, rep.content.Reader())
		return
	}
	w.Write(rep.body)
}

// truncate sends half of the announced body and breaks the connection.
func (s *Server) truncate(w http.ResponseWriter, rep *reply, n int64) {
	if rep.content != nil {
		io.CopyN(w, rep.content.Reader(), n/2)
	} else {
		w.Write(rep.body[:n/2])
	}
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
	reset(w)
}

// reset closes the connection with RST where TCP allows it.
func reset(w http.ResponseWriter) {
	hj, ok := w.(http.Hijacker)
	if !ok {
		panic(http.ErrAbortHandler)
	}
	c, _, err := hj.Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	raw := c
	if t, ok := c.(interface{ NetConn() net.Conn }); ok {
		raw = t.NetConn()
	}
	if t, ok := raw.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
	raw.Close()
}
