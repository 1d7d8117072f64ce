package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/resealhq/reseal/engine/carry"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/pace"
	"github.com/resealhq/reseal/engine/store"
	"github.com/resealhq/reseal/engine/upload"
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
// VerifyHead always asks; VerifyRead compares bytes too; VerifyUnwrap opens the data
// keys of envelopes, before they are written.
const (
	VerifyAuto Verify = iota
	VerifyResponse
	VerifyHead
	VerifyRead
	VerifyUnwrap
)

// Config is one run. Validate fills defaults in.
type Config struct {
	Journal interface {
		Journal
		upload.Journal
	}
	// Store takes the writes; Source, where it differs (--dest in another region),
	// the reads of the sources.
	Store  Store
	Source Store
	// Bulk proves many objects at once; nil where the store was not seen to.
	Bulk store.BulkLister
	// Versions shows what lies below what was written, where versions are kept; nil where that needs no
	// look, since a write is dated when it has its turn.
	Versions store.Versions
	Chooser  Chooser
	// Narrow is the Chooser for a store that turned out to do less than Caps says;
	// nil where none can be made, so that what is refused fails its object.
	Narrow   func(object.Capabilities) Chooser
	Pace     Pacer
	Observer Observer

	Target object.Target
	Caps   object.Capabilities
	// Facts of the bucket that is read; DestFacts of the one that Dest names, nil in
	// place.
	Facts     object.BucketFacts
	Dest      Dest
	DestFacts *object.BucketFacts

	// Rewrap is what an operation on envelopes of client-side encryption works with;
	// nil where there is none.
	Rewrap *Rewrap
	// Reupload is what brings objects into, up to or out of client-side encryption; nil
	// where it stays.
	Reupload *Reupload

	// FromFiles: Source is a folder, whose files have no envelope of client-side
	// encryption. ToFiles: Store is one, which keeps neither metadata nor encryption.
	FromFiles, ToFiles bool
	// TwoStores: Source and Store are two, and neither is to know the other's customer keys.
	TwoStores bool
	// DestEmpty: nothing stood where Dest leads when the job began, so that the condition
	// of each write is enough, and nobody has to look first.
	DestEmpty bool

	Inspect Inspect
	Verify  Verify
	// KeepAnnotations writes annotations again after an operation that drops them, and
	// leaves the objects where that cannot be. For AWS only: it makes the engine ask.
	KeepAnnotations bool

	// Workers bounds the objects in flight; Pace bounds the requests.
	Workers int
	// PartSize in bytes, and how many parts of one object fly at once.
	PartSize      int64
	PartsInFlight int

	// MaxAttempts and the waits are retry.Loop's: how often, and for how long, one
	// request is repeated.
	MaxAttempts    int
	ThrottleWait   time.Duration
	OutageWait     time.Duration
	CredentialWait time.Duration
	RequestTimeout time.Duration
	Backoff        func(attempt int, retryAfter time.Duration) time.Duration
	// Still waits until this process may send something, or stop is closed, and fails
	// where another has taken its work; nil where none can.
	Still func(ctx context.Context, stop <-chan struct{}) error
	// Versioning asks whether the bucket that is written to keeps versions now; nil where
	// it is to be taken for what Facts say.
	Versioning func(context.Context) (object.Versioning, error)
	// Ahead is how far the store's clock was found to be ahead of this machine's; nil for
	// a store whose clock is this machine's.
	Ahead func() time.Duration
	// Renew fetches fresh credentials; nil where there is nothing to renew.
	Renew func(context.Context) error
	// Answers asks the stores something that is about no object, and fails where one gives no
	// answer: what fails then is waited for. nil where nobody can be asked.
	Answers func(context.Context) error

	// Gate blocks while no new work may begin (outside the window); nil is always
	// open.
	Gate func(context.Context) error
	// Current is asked before each object that is copied or written again: it blocks while
	// nobody knows whether Facts hold still, and fails where they do not, which stops the
	// run; nil where they always do.
	Current func(ctx context.Context) error
	// Ceilings over the pace, as they are now; nil for none. No more objects are begun
	// than they carry to their end within about ten seconds.
	Ceilings func() Ceilings
	// Drain, when closed, lets what is in flight finish and begins nothing new.
	Drain <-chan struct{}
	// MaxFailures stops the run when more objects than this have failed; 0 never.
	// MaxFailuresPercent is the same of the objects that have an outcome (at least 100).
	// Earlier are those that count for the share beside the ones of this Run.
	MaxFailures        int64
	MaxFailuresPercent float64
	Earlier            struct{ Recorded, Failed int64 }

	// Panicked is told of a panic in a worker before the process dies of it.
	Panicked func(value any)

	Log *slog.Logger
}

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
	def(&c.PartSize, int64(carry.DefaultPartSize))
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
	if c.Panicked == nil {
		c.Panicked = func(any) {}
	}
	if c.Drain == nil {
		c.Drain = make(chan struct{})
	}
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
