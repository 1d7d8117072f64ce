package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/pace"
)

// Inspect says when an object is asked about before it is decided on.
type Inspect uint8

// InspectAuto asks where the plan's row cannot settle it; InspectNever relies on
// the row wherever that cannot lose anything.
const (
	InspectAuto Inspect = iota
	InspectAlways
	InspectNever
)

// Verify says which proof is asked of the store for every object.
type Verify uint8

// VerifyAuto takes the cheapest proof there is; VerifyResponse is the reply, also
// of a store whose replies show no encryption if the canary found them true;
// VerifyHead always asks; VerifyRead compares bytes too.
const (
	VerifyAuto Verify = iota
	VerifyResponse
	VerifyHead
	VerifyRead
)

// Guard says how far concurrent writers are guarded against.
type Guard uint8

// GuardStrict never overwrites a concurrent write, also where that takes a
// dearer route.
const (
	GuardAuto Guard = iota
	GuardStrict
)

// Dest maps a source to where its copy goes. The zero value means in place.
type Dest struct {
	// Bucket is empty for in place.
	Bucket string
	// Prefix replaces StripPrefix at the start of the key.
	Prefix      string
	StripPrefix string
}

// InPlace is whether objects are rewritten where they are.
func (d Dest) InPlace() bool { return d.Bucket == "" }

// Ref is where the copy of src goes. In place it is the current version of src.
func (d Dest) Ref(src object.Ref) object.Ref {
	if d.InPlace() {
		return object.Ref{Bucket: src.Bucket, Key: src.Key}
	}
	return object.Ref{Bucket: d.Bucket, Key: d.Prefix + strings.TrimPrefix(src.Key, d.StripPrefix)}
}

// Store is everything that the engine asks of one endpoint.
type Store struct {
	Hot
	Uploads
	Details
	Reader
}

// Config is one run. Validate fills defaults in.
type Config struct {
	Journal interface {
		Journal
		UploadJournal
	}
	// Store takes the writes; Source, where it differs (--dest in another region),
	// the reads of the sources.
	Store  Store
	Source Store
	// Bulk proves many objects at once; nil where the store was not seen to.
	Bulk     BulkLister
	Chooser  Chooser
	Pace     Pacer
	Observer Observer

	Target object.Target
	Caps   object.Capabilities
	// Facts of the bucket that is read; DestFacts of the one that Dest names, nil in
	// place.
	Facts     object.BucketFacts
	Dest      Dest
	DestFacts *object.BucketFacts

	Inspect Inspect
	Verify  Verify
	Guard   Guard

	// Workers bounds the objects in flight; Pace bounds the requests.
	Workers int
	// PartSize in bytes, and how many parts of one object fly at once.
	PartSize      int64
	PartsInFlight int

	// MaxAttempts of one request that fails for a moment. Throttling, an
	// unreachable store and credentials that have to be renewed do not count: they
	// are waited for as long as the durations say.
	MaxAttempts    int
	ThrottleWait   time.Duration
	OutageWait     time.Duration
	CredentialWait time.Duration
	// RequestTimeout of a request that moves no data; a copy gets more by its size.
	RequestTimeout time.Duration
	// Backoff before attempt n (from 1) of a request, given what the store asked
	// for.
	Backoff func(attempt int, retryAfter time.Duration) time.Duration
	// Renew fetches fresh credentials; nil where there is nothing to renew.
	Renew func(context.Context) error

	// Gate blocks while no new work may begin (outside the window); nil is always
	// open.
	Gate func(context.Context) error
	// Drain, when closed, lets what is in flight finish and begins nothing new.
	Drain <-chan struct{}
	// MaxFailures stops the run when more objects than this have failed; 0 never.
	// MaxFailuresPercent is the same of the objects settled (at least 100).
	MaxFailures        int64
	MaxFailuresPercent float64

	Log *slog.Logger
}

// Part sizes that S3 takes.
const (
	MinPartSize = 5 << 20
	MaxPartSize = 5 << 30
	MaxParts    = 10000
	// DefaultPartSize lies in the range in which published and own measurements
	// were fastest, and is all that a crash can cost.
	DefaultPartSize = 64 << 20
)

// Validate checks what the caller set and fills in the rest.
func (c *Config) Validate() error {
	if c.Journal == nil || c.Store.Hot == nil || c.Chooser == nil {
		return errors.New("engine: Journal, Store and Chooser are required")
	}
	if c.PartSize != 0 && (c.PartSize < MinPartSize || c.PartSize > MaxPartSize) {
		return fmt.Errorf("part size %d is outside what S3 takes (5 MiB to 5 GiB)", c.PartSize)
	}
	c.setDefaults()
	return nil
}

func (c *Config) setDefaults() {
	if c.Source.Hot == nil {
		c.Source = c.Store
	}
	def(&c.PartSize, DefaultPartSize)
	def(&c.PartsInFlight, 8)
	def(&c.Workers, 64)
	def(&c.MaxAttempts, 8)
	def(&c.ThrottleWait, 30*time.Minute)
	def(&c.OutageWait, 4*time.Hour)
	def(&c.CredentialWait, time.Hour)
	def(&c.RequestTimeout, time.Minute)
	if c.Backoff == nil {
		c.Backoff = func(attempt int, retryAfter time.Duration) time.Duration {
			return pace.Backoff(attempt, retryAfter, nil)
		}
	}
	if c.Pace == nil {
		c.Pace = unpaced{}
	}
	if c.Observer == nil {
		c.Observer = blind{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Drain == nil {
		c.Drain = make(chan struct{})
	}
}

// destFacts are those of the bucket that is written to.
func (c *Config) destFacts() *object.BucketFacts {
	if c.DestFacts != nil {
		return c.DestFacts
	}
	return &c.Facts
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

type unpaced struct{}

func (unpaced) Enter(ctx context.Context, _ *object.Call) error { return ctx.Err() }
func (unpaced) Leave(*object.Call, object.Result)               {}

type blind struct{}

func (blind) Requested(*object.Call, object.Result) {}
func (blind) Settled(*object.Outcome)               {}
