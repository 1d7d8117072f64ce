package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// Bucket is what a ledger asks of a store. s3store.Store is one.
type Bucket interface {
	Get(ctx context.Context, r *object.GetRequest) (object.GetReply, error)
	Put(ctx context.Context, r *object.PutRequest) (object.CopyReply, error)
	ListPage(ctx context.Context, q object.ListRequest) (object.ListReply, error)
}

// Place is a part of a bucket: the keys that begin with Prefix, which is empty or ends
// with a slash. Names below are keys without it.
type Place struct {
	Store  Bucket
	Bucket string
	Prefix string
	// Backoff is the wait before attempt n (from 1) of a request that failed for a
	// moment.
	Backoff func(attempt int, retryAfter time.Duration) time.Duration
	// Failed, where set, is told of each failure that is waited for.
	Failed func(error)
	// Patience is how long a request is sent again while it fails for a moment. Default
	// 10 minutes.
	Patience time.Duration
	// Enough, where set, is asked after each failure that would be waited for whether that is not
	// to be, of a request that was begun then and has failed so often.
	Enough func(began time.Time, failures int) bool
	// Untried: no request was answered yet, so that credentials which are refused are an
	// answer. Later on they have run out, and may be renewed.
	Untried bool
}

// Answers of a Place.
var (
	// ErrNone: there is no object of that name.
	ErrNone = errors.New("there is no such object")
	// ErrExists: there is one already, and it is another.
	ErrExists = errors.New("there is another object of that name")
	// ErrChanged: it is not the one any more that was to be replaced.
	ErrChanged = errors.New("another process has replaced the object")
)

// MaxObject bounds in bytes what is read of one object.
const MaxObject = 256 << 20

// attemptTime bounds one attempt; a second more is given for every 4 MiB.
const attemptTime = 20 * time.Second

// String is the address of the place.
func (p *Place) String() string { return "s3://" + p.Bucket + "/" + p.Prefix }

// At is the place below a folder of this one.
func (p *Place) At(folder string) *Place {
	at := *p
	at.Prefix += folder + "/"
	return &at
}

func (p *Place) ref(name string) object.Ref {
	return object.Ref{Bucket: p.Bucket, Key: p.Prefix + name}
}

// Read reads an object. Where there is none the error is ErrNone.
func (p *Place) Read(ctx context.Context, name string) (data []byte, etag string, err error) {
	data, etag, _, err = p.read(ctx, name)
	return data, etag, err
}

func (p *Place) read(ctx context.Context, name string) (data []byte, etag string, at time.Time, err error) {
	err = p.again(ctx, MaxObject, func(ctx context.Context) error {
		r, err := p.Store.Get(ctx, &object.GetRequest{Ref: p.ref(name), Max: MaxObject})
		data, etag, at = r.Body, r.ETag, r.LastModified
		return err
	})
	if object.ClassOf(err) == object.ClassGone {
		return nil, "", at, fmt.Errorf("%s: %w", p.ref(name), ErrNone)
	}
	return data, etag, at, err
}

// Write writes an object, whatever is there.
func (p *Place) Write(ctx context.Context, name string, data []byte) error {
	return p.again(ctx, int64(len(data)), func(ctx context.Context) error {
		_, err := p.put(ctx, name, data, "", false)
		return err
	})
}

// Create writes an object that must not be there, and answers with its ETag. Where one
// with these very bytes is there it is taken for the own one, whose answer was lost:
// callers put something into data that no other process does. Otherwise the error is
// ErrExists.
func (p *Place) Create(ctx context.Context, name string, data []byte) (etag string, err error) {
	return p.conditional(ctx, name, data, "", ErrExists)
}

// Replace writes an object in place of the one with the ETag. Its error is ErrChanged
// where another is there, but for one with these very bytes, as with Create, and ErrNone
// as well where there is none any more.
func (p *Place) Replace(ctx context.Context, name string, data []byte, was string) (etag string, err error) {
	return p.conditional(ctx, name, data, was, ErrChanged)
}

// conditional sends a write with its condition until it is answered. A condition that
// does not hold may be this client's own earlier attempt, or one of another client that
// is under way, so that the store is asked what is there.
func (p *Place) conditional(ctx context.Context, name string, data []byte, was string, other error) (etag string, err error) {
	err = p.again(ctx, int64(len(data)), func(ctx context.Context) (err error) {
		etag, err = p.put(ctx, name, data, was, was == "")
		if c := object.ClassOf(err); c != object.ClassChanged && (was == "" || c != object.ClassGone) {
			return err
		}
		there, now, rerr := p.Read(ctx, name)
		switch {
		case errors.Is(rerr, ErrNone) && was == "", rerr == nil && was != "" && now == was:
			return err // another client's attempt was under way, and came to nothing
		case rerr == nil && bytes.Equal(there, data):
			etag = now
			return nil
		case errors.Is(rerr, ErrNone):
			return fmt.Errorf("%w, and %w", rerr, other)
		case rerr == nil:
			return fmt.Errorf("%s: %w", p.ref(name), other)
		}
		return rerr
	})
	return etag, err
}

func (p *Place) put(ctx context.Context, name string, data []byte, was string, absent bool) (etag string, err error) {
	r := &object.PutRequest{Body: data}
	r.Dest, r.DestETag, r.DestAbsent = p.ref(name), was, absent
	reply, err := p.Store.Put(ctx, r)
	return reply.ETag, err
}

// Entry is one object of a listing.
type Entry struct {
	Name     string
	Size     int64
	Modified time.Time
}

// List lists the objects directly below a folder of the place, or in the place itself
// where it is empty, in the order of their names.
func (p *Place) List(ctx context.Context, folder string) (all []Entry, err error) {
	if folder != "" {
		folder += "/"
	}
	q := object.ListRequest{Bucket: p.Bucket, Prefix: p.Prefix + folder, Delimiter: "/"}
	var been object.Trail
	for {
		var page object.ListReply
		err := p.again(ctx, 0, func(ctx context.Context) (err error) {
			page, err = p.Store.ListPage(ctx, q)
			return err
		})
		if err != nil {
			return nil, err
		}
		for i := range page.Objects {
			o := &page.Objects[i]
			// Names become those of files: one of a store that knows no delimiter would lead elsewhere.
			if name, ok := strings.CutPrefix(o.Key, q.Prefix); ok && name != "" && !strings.Contains(name, "/") {
				all = append(all, Entry{name, o.Size, o.LastModified})
			}
		}
		if !page.Truncated {
			return all, nil
		}
		if been.Back(page.NextToken) {
			return nil, fmt.Errorf("%s: the store says that there is more, and not where", p)
		}
		q.ContinuationToken = page.NextToken
	}
}

// again sends one request until it is answered, fails for good, or patience ends.
func (p *Place) again(ctx context.Context, size int64, send func(context.Context) error) error {
	began, patience := time.Now(), p.Patience
	if patience == 0 {
		patience = 10 * time.Minute
	}
	for attempt := 1; ; attempt++ {
		limited, cancel := context.WithTimeout(ctx, attemptTime+time.Duration(size>>22)*time.Second)
		err := send(limited)
		timedOut := limited.Err() != nil
		cancel()
		switch {
		case err == nil, ctx.Err() != nil:
			return err
		case !timedOut && !momentary(err), time.Since(began) > patience, p.Untried && object.ClassOf(err) == object.ClassCredentials:
			return err
		}
		if p.Failed != nil {
			p.Failed(err)
		}
		if p.Enough != nil && p.Enough(began, attempt) {
			return err
		}
		e, _ := errors.AsType[*object.Error](err)
		wait := time.Duration(0)
		if e != nil {
			wait = e.RetryAfter
		}
		select {
		case <-time.After(p.Backoff(attempt, wait)):
		case <-ctx.Done():
			return err
		}
	}
}

// momentary says whether the same request may be answered a moment later. Credentials
// that have run out may be renewed meanwhile; a condition that met another client's
// attempt is not decided yet.
func momentary(err error) bool {
	if errors.Is(err, ErrExists) || errors.Is(err, ErrChanged) || errors.Is(err, ErrNone) {
		return false
	}
	c := object.ClassOf(err)
	return c.Retryable() || c == object.ClassChanged || c == object.ClassCredentials || c == object.ClassCanceled
}

// conditionsName is the object on which Prove tries whether conditions are honoured, and
// conditionsText all that it ever holds: a store that does not honour them writes the
// same once more.
const (
	conditionsName = "conditions"
	conditionsText = "reseal tries on this object whether the store honours If-None-Match and If-Match\n"
)

// UnconditionalError is a store that writes although a condition does not hold, or, with
// Never, does not write although it does, or, with Unknown, takes no condition at all.
type UnconditionalError struct {
	Place, Condition string
	Never, Unknown   bool
}

func (e *UnconditionalError) Error() string {
	switch {
	case e.Unknown:
		return fmt.Sprintf("the store of %s does not implement a PutObject with %s, so that nothing tells two processes apart which work on one job", e.Place, e.Condition)
	case e.Never:
		return fmt.Sprintf("the store of %s refuses a PutObject whose %s does hold, so that no process could keep its lease there", e.Place, e.Condition)
	}
	return fmt.Sprintf("the store of %s answers success to a PutObject whose %s does not hold, so that nothing tells two processes apart which work on one job", e.Place, e.Condition)
}

// Prove finds out whether the store honours conditions.
func (p *Place) Prove(ctx context.Context) error {
	text := []byte(conditionsText)
	if _, err := p.createPlainly(ctx, text); object.ClassOf(err) == object.ClassUnsupported {
		return &UnconditionalError{Place: p.String(), Condition: "If-None-Match", Unknown: true}
	} else if err != nil {
		return err
	}
	etag, err := p.createPlainly(ctx, text)
	switch {
	case err != nil:
		return err
	case etag != "":
		return &UnconditionalError{Place: p.String(), Condition: "If-None-Match"}
	}
	err = p.again(ctx, 0, func(ctx context.Context) error {
		_, err := p.put(ctx, conditionsName, text, "00000000000000000000000000000000", false)
		if object.ClassOf(err) == object.ClassChanged {
			return errRefused
		}
		return err
	})
	switch {
	case errors.Is(err, errRefused):
		return p.proveHolds(ctx, text)
	case err == nil:
		return &UnconditionalError{Place: p.String(), Condition: "If-Match"}
	case object.ClassOf(err) == object.ClassUnsupported:
		return &UnconditionalError{Place: p.String(), Condition: "If-Match", Unknown: true}
	}
	return err
}

// proveHolds: a condition that holds is honoured too. Ceph takes an ETag in quotes, as S3
// writes it, for another one. Where the object is another one afterwards, a process that
// proves the same has just been believed, or this one, whose answer was lost.
func (p *Place) proveHolds(ctx context.Context, text []byte) error {
	for range 2 {
		_, was, err := p.Read(ctx, conditionsName)
		if err != nil {
			return err
		}
		err = p.again(ctx, 0, func(ctx context.Context) error {
			_, err := p.put(ctx, conditionsName, text, was, false)
			if e, ok := errors.AsType[*object.Error](err); ok && e.HTTPStatus == http.StatusPreconditionFailed {
				return errRefused
			}
			return err
		})
		if !errors.Is(err, errRefused) {
			return err
		}
		if _, now, err := p.Read(ctx, conditionsName); err != nil || now != was {
			return err
		}
	}
	return &UnconditionalError{Place: p.String(), Condition: "If-Match", Never: true}
}

// errRefused is the answer that Prove hopes for.
var errRefused = errors.New("refused, as it should be")

// createPlainly answers with no ETag where the store refused to write over what is
// there.
func (p *Place) createPlainly(ctx context.Context, text []byte) (etag string, err error) {
	err = p.again(ctx, 0, func(ctx context.Context) (err error) {
		etag, err = p.put(ctx, conditionsName, text, "", true)
		if object.ClassOf(err) == object.ClassChanged {
			etag = ""
			return errRefused
		}
		return err
	})
	if errors.Is(err, errRefused) {
		err = nil
	}
	return etag, err
}
