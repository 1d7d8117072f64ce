package job

import (
	"context"
	"errors"
	"sync"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
)

// pastUnreadable lists for those who only count and compare: where some rows of a page
// have keys that no XML can carry, the others are passed on, and the first such error is
// kept to be told. A plan has no use for it: a listing that has lost a key never passes
// for a complete one there.
type pastUnreadable struct {
	*s3store.Store

	mu struct {
		sync.Mutex
		first error
	}
}

func (l *pastUnreadable) ListPage(ctx context.Context, q object.ListRequest) (object.ListReply, error) {
	return l.pass(l.Store.ListPage(ctx, q))
}

func (l *pastUnreadable) ListVersionsPage(ctx context.Context, q object.ListRequest) (object.ListReply, error) {
	return l.pass(l.Store.ListVersionsPage(ctx, q))
}

// pass lets an error through where nothing of the page could be read: what follows it
// could not be found either.
func (l *pastUnreadable) pass(rep object.ListReply, err error) (object.ListReply, error) {
	if !errors.Is(err, s3store.ErrUnreadable) || len(rep.Objects) == 0 {
		return rep, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.first == nil {
		l.mu.first = err
	}
	return rep, nil
}

// lost is the first error that was passed over; nil for none.
func (l *pastUnreadable) lost() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.first
}

// endedEarly says whether err is the store's, so that what was found until then is true
// and worth telling. Somebody who interrupts wants no result, and what is wrong with the
// job's own files is told as that.
func endedEarly(ctx context.Context, err error) bool {
	var e *object.Error
	return errors.As(err, &e) && e.Class != object.ClassCanceled && ctx.Err() == nil
}
