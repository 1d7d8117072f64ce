// Package fault decides which requests a store spoils and how, by rules that are
// data: one a line, the first that matches is used. What a request does and what its
// client is told are apart, so that a rule can lose the answer to what was done, or
// confirm what was not.
package fault

import (
	"maps"
	"sync"
	"time"
)

// Request is what rules ask of a request.
type Request struct {
	// Op is S3's name of the operation; Sub the sub-resource, empty for none.
	Op, Sub, Method string
	Bucket, Key     string
}

// Reply is what the client gets to see.
type Reply uint8

// The replies.
const (
	Normal     Reply = iota
	Lost             // the connection is reset
	Stalled          // nothing, until the client gives up
	Truncated        // half of the body, then a reset
	Empty            // a status and no body
	Error            // the answer, with its own status
	ErrorIn200       // the answer in the body of a 200
	Page             // the status and a page of something in front of the store
)

// Answer is an error document with its status.
type Answer struct {
	Status        int
	Code, Message string
}

// Fault is what a rule does to one request; the zero value does nothing.
type Fault struct {
	// Rule is the text of the rule, empty for none.
	Rule string
	// Apply is whether the request has its effect all the same.
	Apply bool
	Reply Reply
	// Answer of Error, ErrorIn200 and Page, with Retry-After where that is not empty.
	Answer     Answer
	RetryAfter string
	Delay      time.Duration
}

// Applies says whether the request has its effect.
func (f Fault) Applies() bool { return f.Rule == "" || f.Apply }

// Rules are those in force at one server. The zero value is none; safe for
// concurrent use.
type Rules struct {
	mu struct {
		sync.Mutex
		rules []*Rule
		hits  map[string]int
	}
}

// Set replaces the rules. The counters of the new ones start anew.
func (rs *Rules) Set(rules []*Rule) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.mu.rules, rs.mu.hits = rules, map[string]int{}
}

// Hits is how often each rule interfered, by its text.
func (rs *Rules) Hits() map[string]int {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return maps.Clone(rs.mu.hits)
}

// Match is what the first rule that matches does to the request.
func (rs *Rules) Match(q Request) Fault {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for _, r := range rs.mu.rules {
		if r.cond(q) {
			rs.mu.hits[r.text]++
			f := r.effect
			f.Rule = r.text
			return f
		}
	}
	return Fault{}
}
