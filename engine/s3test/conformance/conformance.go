// Package conformance is the one suite that every implementation of a store must
// pass, against every server that reseal is tested with. An implementation is
// what speaks to S3 for the engine: s3store, or wire with s3store behind it. A
// server is the embedded s3test, MinIO over HTTP, or MinIO with KES over TLS.
//
// A check states what AWS does. What a server does otherwise stands by name in
// differences.go, with its reason: a fact that is not as AWS has it and is not
// named there fails the suite, and so does a named difference that no longer
// shows. What must hold on every server (bytes, keys, the form of an error) is
// asserted without a way out.
//
// Objects are seeded and looked at through a client of their own, so that no
// implementation is asked about its own work.
package conformance

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/store"
)

// Store is all that the engine and the planner ask of a store.
type Store interface {
	store.Hot
	store.Uploads
	store.Details
	store.Reader
	PutGrants(ctx context.Context, ref object.Ref, grants []object.Grant) error
	ListPage(ctx context.Context, q object.ListRequest) (object.ListReply, error)
	ListVersionsPage(ctx context.Context, q object.ListRequest) (object.ListReply, error)
}

// WithHot puts another sender of the hot requests before a store.
func WithHot(hot store.Hot, rest Store) Store { return together{rest, hot} }

// together prefers the hot one: its methods are declared here, and only embedded
// there.
type together struct {
	Store
	hot store.Hot
}

func (s together) Get(ctx context.Context, r *object.GetRequest) (object.GetReply, error) {
	return s.hot.Get(ctx, r)
}

func (s together) Put(ctx context.Context, r *object.PutRequest) (object.CopyReply, error) {
	return s.hot.Put(ctx, r)
}

func (s together) Head(ctx context.Context, ref object.Ref, key object.CustomerKey) (object.Head, error) {
	return s.hot.Head(ctx, ref, key)
}

func (s together) Copy(ctx context.Context, r *object.CopyRequest) (object.CopyReply, error) {
	return s.hot.Copy(ctx, r)
}

func (s together) Update(ctx context.Context, ref object.Ref, t *object.Target) (string, error) {
	return s.hot.Update(ctx, ref, t)
}

func (s together) CopyPart(ctx context.Context, r *object.PartRequest) (object.CopyReply, error) {
	return s.hot.CopyPart(ctx, r)
}

// Opener opens the implementation under test. It is called several times, with
// the server's own Login and with others that must fail; what it opens ends with
// the test.
type Opener func(t *testing.T, at Login) Store

// check is one part of the suite. Each has a bucket of its own.
type check struct {
	name string
	// needs is what the server must have for the check to mean anything; nil: nothing.
	needs func(s *Server) bool
	// bucket is how its bucket is made.
	bucket bucketOptions
	run    func(e *env)
}

type bucketOptions struct {
	versioned, locks, acls bool
}

func checks() []check {
	var all []check
	for _, part := range [][]check{keyChecks, headChecks, encryptionChecks, customerKeyChecks, conditionChecks,
		keptChecks, rewriteChecks, versionChecks, multipartChecks, detailChecks, listingChecks, errorChecks, faultChecks} {
		all = append(all, part...)
	}
	return all
}

// Run is the suite: open over the server.
func Run(t *testing.T, srv *Server, open Opener) {
	t.Helper()
	s := &suite{srv: srv, classes: map[string]bool{}, opener: open, facts: newLedger(srv.Name, differences)}
	s.store = open(t, srv.Login)
	s.client = srv.Client()
	for _, c := range checks() {
		if c.needs != nil && !c.needs(srv) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			e := s.env(t, c)
			c.run(e)
			s.facts.ran[c.name] = true
		})
	}
	s.everyClass(t)
	for _, fact := range s.facts.unstated() {
		t.Errorf("differences.go names %q, which no check states", fact)
	}
}

// everyClass: where faults can be asked for, each class that a reply can lead to
// has been seen.
func (s *suite) everyClass(t *testing.T) {
	if s.srv.Embedded == nil || !s.facts.ran["faults"] || !s.facts.ran["errors"] {
		return
	}
	for c := range object.Class(object.NumClasses) {
		switch c {
		case object.ClassOther, object.ClassUnproved, object.ClassTooLarge:
			continue // nobody's answer: unclassified, and what the engine finds itself
		}
		if !s.classes[c.String()] {
			t.Errorf("no check has led to %s", c)
		}
	}
}

type suite struct {
	srv     *Server
	classes map[string]bool // of the errors seen
	opener  Opener
	store   Store
	client  *s3.Client
	facts   ledger
}

// ledger compares facts with what AWS does and what is named as different.
type ledger struct {
	server      string
	differences differenceList
	seen        map[string]bool // facts
	shown       map[string]bool // differences, by their fact
	ran         map[string]bool // checks that ran to their end
}

func newLedger(server string, list differenceList) ledger {
	return ledger{server: server, differences: list, seen: map[string]bool{}, shown: map[string]bool{}, ran: map[string]bool{}}
}

// judge is what is wrong with a fact; empty for nothing.
func (l *ledger) judge(name, aws, got string) string {
	if l.seen[name] {
		return fmt.Sprintf("the fact %q is stated twice", name)
	}
	l.seen[name] = true
	d := l.differences.of(l.server, name)
	switch {
	case d == nil && got == aws:
		return ""
	case d == nil:
		return fmt.Sprintf("%s: %s, on AWS %s", name, got, aws)
	}
	l.shown[d.fact] = true
	switch got {
	case d.got:
		return ""
	case aws:
		return fmt.Sprintf("%s: as on AWS now (%s); differences.go still says %q", name, got, d.got)
	}
	return fmt.Sprintf("%s: %s; differences.go says %q, AWS does %q", name, got, d.got, aws)
}

// unstated are the named differences that no check has come upon.
func (l *ledger) unstated() (facts []string) {
	for _, d := range l.differences {
		check, _, _ := strings.Cut(d.fact, ": ")
		if d.on(l.server) && l.ran[check] && !l.shown[d.fact] {
			facts = append(facts, d.fact)
		}
	}
	return facts
}
