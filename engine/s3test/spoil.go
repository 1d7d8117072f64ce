package s3test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/resealhq/reseal/engine/s3test/fault"
)

// SetRules replaces the fault rules by those of the text; see fault.Parse. Their
// counters start anew.
func (s *Server) SetRules(text string) error {
	rules, err := fault.Parse(text, operationNamed)
	if err != nil {
		return fmt.Errorf("s3test: %w", err)
	}
	s.faults.Set(rules)
	return nil
}

// FaultHits is how often each rule interfered, by its text.
func (s *Server) FaultHits() map[string]int { return s.faults.Hits() }

// operationNamed knows the operations that rules may name.
func operationNamed(w string) (op string, known bool) {
	if a, ok := aliases[w]; ok {
		w = a
	}
	if _, ok := operations()[w]; ok || strings.HasPrefix(w, kmsOperation) {
		return w, true
	}
	for _, names := range []map[string]string{bucketOps, objectOps} {
		for _, op := range names {
			if op == w {
				return w, true
			}
		}
	}
	return "", false
}

// faulty is what the rules do to the request.
func (s *Server) faulty(q *request) fault.Fault {
	return s.faults.Match(fault.Request{Op: q.op, Sub: q.sub, Method: q.http.Method, Bucket: q.bucket, Key: q.key})
}

// spoil turns the true reply into the one that the client gets.
func spoil(f fault.Fault, rep *reply, e *s3Error, q *request) *reply {
	if e != nil {
		rep = e.reply(q)
	}
	if f.Rule == "" {
		return rep
	}
	wait(q.http.Context(), f.Delay)
	switch f.Reply {
	case fault.Error:
		rep = errAnswer(f.Answer).reply(q)
		rep.set("Retry-After", f.RetryAfter)
	case fault.Page:
		rep = &reply{status: f.Answer.Status, body: []byte("<html><body>" + http.StatusText(f.Answer.Status) + "</body></html>")}
	case fault.ErrorIn200:
		rep = &reply{body: errAnswer(f.Answer).document(q), xml: true}
	case fault.Empty:
		empty := &reply{}
		if rep != nil && rep.statusCode() < 300 {
			empty.header = rep.header
		}
		rep = empty
	}
	if rep == nil { // not applied, and no error of its own: truncate an error document
		rep = fail(http.StatusOK, fault.InternalError.Code, fault.InternalError.Message).reply(q)
	}
	return rep
}

func errAnswer(a fault.Answer) *s3Error { return fail(a.Status, a.Code, a.Message) }

func (e *s3Error) reply(q *request) *reply {
	if strings.HasPrefix(q.op, kmsOperation) {
		return kmsError(e)
	}
	rep := &reply{status: e.status, body: e.document(q), xml: true}
	rep.set("Retry-After", e.retry)
	for k, v := range e.extra {
		rep.set(k, v)
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
