package listing

import (
	"context"
	"errors"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// Lister asks the store for one page. Errors are *object.Error and final but for
// what Source.Send repeats. Called by many goroutines.
type Lister interface {
	// ListPage lists current objects, ListVersionsPage all versions and delete
	// markers, each key's newest first.
	ListPage(ctx context.Context, q object.ListRequest) (object.ListReply, error)
	ListVersionsPage(ctx context.Context, q object.ListRequest) (object.ListReply, error)
}

// takesBack is a Lister that uses the memory of rows again.
type takesBack interface {
	TakeBack(rows []object.Object)
}

// Source lists a bucket below a prefix. It implements planner.Source.
type Source struct {
	Lister Lister
	Bucket string
	Prefix string
	// After and Through bound what is read: the keys behind After, up to and with
	// Through. Empty is the beginning and the end of the listing.
	After, Through string
	// Versions lists all versions and delete markers instead of current objects.
	Versions bool
	// Metadata asks for rows with their encryption, where the store was seen to
	// carry it.
	Metadata bool
	// Readers is how many ranges are read at the same time at most; 0 means 48. A store
	// that answers at once is read by fewer.
	Readers int
	// PageSize is the number of rows asked for at a time; 0 means 1,000.
	PageSize int
	// Send, where set, sends one request through f, paced and repeated as its class
	// allows. Without it a request is sent once.
	Send func(ctx context.Context, call object.Call, f func(context.Context) error) error

	since func(time.Time) time.Duration // in tests: how long a page has taken; nil is time.Since
}

const (
	defaultReaders  = 48
	defaultPageSize = 1000
)

func (s *Source) readers() int {
	if s.Readers <= 0 {
		return defaultReaders
	}
	return s.Readers
}

func (s *Source) elapsed(began time.Time) time.Duration {
	if s.since != nil {
		return s.since(began)
	}
	return time.Since(began)
}

func (s *Source) pageSize() int {
	if s.PageSize <= 0 {
		return defaultPageSize
	}
	return s.PageSize
}

// Read lists every key once, in pages of one range each. The cursors of all
// ranges together, finished ones too, are the position to resume from.
func (s *Source) Read(ctx context.Context, resume []object.Cursor, emit func(object.Page) error) error {
	tiles, whole, err := s.restore(resume)
	if err != nil {
		return err
	}
	if whole == nil {
		r := &ranges{src: s, emit: emit}
		err := r.read(ctx, tiles)
		if !errors.Is(err, errDistrust) {
			return err
		}
		tiles, whole = r.tiles(), &span{id: wholeID, place: place{Open: true}}
	}
	return s.readWhole(ctx, whole, tiles, emit)
}

// list sends one request. Versions and current objects differ in the names of
// their positions only.
func (s *Source) list(ctx context.Context, q object.ListRequest) (reply object.ListReply, err error) {
	q.Bucket, q.Prefix, q.Metadata = s.Bucket, s.Prefix, s.Metadata
	if q.MaxKeys == 0 {
		q.MaxKeys = s.pageSize()
	}
	ask := s.Lister.ListPage
	if s.Versions {
		ask = s.Lister.ListVersionsPage
	}
	send := func(ctx context.Context) (err error) {
		reply, err = ask(ctx, q)
		return err
	}
	if s.Send == nil {
		return reply, send(ctx)
	}
	err = s.Send(ctx, object.Call{Kind: object.ReqList, Key: q.StartAfter + q.KeyMarker}, send)
	return reply, err
}

// takeBack gives the memory of rows that nobody looks at any more to whoever uses it
// again.
func (s *Source) takeBack(rows []object.Object) {
	if l, ok := s.Lister.(takesBack); ok {
		l.TakeBack(rows)
	}
}

// after is the request for what follows a key that is passed as a whole.
func (s *Source) after(key string) object.ListRequest {
	if s.Versions {
		return object.ListRequest{KeyMarker: key}
	}
	return object.ListRequest{StartAfter: key}
}

// following is the store's own way to what follows a page; zero where it names
// none, or there is nothing.
func (s *Source) following(reply *object.ListReply) object.ListRequest {
	switch {
	case !reply.Truncated:
		return object.ListRequest{}
	case s.Versions && reply.NextVersionIDMarker == "" && !unversioned(reply.Objects):
		return object.ListRequest{} // it would pass over the other versions of the last key
	case s.Versions:
		return object.ListRequest{KeyMarker: reply.NextKeyMarker, VersionIDMarker: reply.NextVersionIDMarker}
	}
	return object.ListRequest{ContinuationToken: reply.NextToken}
}

// unversioned says whether the last key has one version only, as before versioning
// was turned on.
func unversioned(rows []object.Object) bool {
	if len(rows) == 0 {
		return true
	}
	id := rows[len(rows)-1].VersionID
	return id == "" || id == object.NullVersion
}
