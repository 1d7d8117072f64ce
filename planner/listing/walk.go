package listing

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// walker reads one range to its end.
type walker struct {
	src *Source
	r   *ranges
	s   *span
	// careful walkers begin at the beginning and go on by the store's own tokens.
	careful bool
	// at is the last key that is passed as a whole.
	at string
	// token, where set, is the store's own way to go on after the last page; for
	// versions it is a pair of markers, which are as opaque.
	token object.ListRequest
	// pending are the rows of the last key of a listing of versions: others of that
	// key may follow.
	pending []object.Object
	// midKey and midVersion: within the versions of one key, see place.
	midKey, midVersion string
	// before names the rows of the last page, by which repeats are told from disorder.
	before []named
	began  bool // the first page has been seen
	// beyond is set once a key behind the range's end was seen, and did not fit.
	beyond bool
}

// Bounds on how long a store is believed that gives nothing new.
const (
	maxEmptyPages = 1000
	maxDisputes   = 5
	maxHeld       = 10 // pages of one key's versions
)

// batch is what is ready to be passed on after a page.
type batch struct {
	rows []object.Object
	// passed is the last key that is complete with them.
	passed             string
	midKey, midVersion string
	// pending are rows behind them that are held back.
	pending []object.Object
	token   object.ListRequest
	more    bool
}

func (b *batch) ahead() string {
	if len(b.pending) == 0 {
		return ""
	}
	return b.pending[0].Key
}

func (src *Source) walk(ctx context.Context, r *ranges, s *span) error {
	w := &walker{src: src, r: r, s: s, at: s.Pos, midKey: s.MidKey, midVersion: s.MidVersion}
	for disputes := 0; ; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		b, err := w.next(ctx)
		if err != nil {
			return err
		}
		done, agreed, err := w.pass(ctx, b)
		switch {
		case err != nil || done:
			return err
		case agreed:
			disputes = 0
		default:
			if disputes++; disputes == maxDisputes {
				return w.fail(errDistrust, w.at)
			}
			w.restart()
		}
	}
}

// restart forgets everything but what is durable.
func (w *walker) restart() {
	w.at, w.midKey, w.midVersion, w.token, w.before, w.pending = w.s.Pos, w.s.MidKey, w.s.MidVersion, object.ListRequest{}, nil, nil
}

// pass makes a batch durable, as far as it lies within the range. agreed is false
// where the end of the range does not fit the beginning of the next one.
func (w *walker) pass(ctx context.Context, b batch) (done, agreed bool, err error) {
	for {
		end := w.r.endOf(w.s)
		within, crossing := b.upTo(end)
		done = !crossing.none || !b.more
		if done && !end.open {
			if w.beyond && crossing.none && !b.more {
				return false, false, w.fail(errDistrust, end.to) // the key was there a moment ago
			}
			w.r.setClosing(w.s, true)
			agreed, err := w.agrees(ctx, end.to, crossing)
			if !agreed || err != nil {
				w.beyond = w.beyond || !crossing.none
				w.r.setClosing(w.s, false)
				return false, false, err
			}
		}
		again, err := w.settle(b, within, end, crossing)
		if !again {
			return done, true, err
		}
	}
}

// settle emits a batch, unless the range was cut since its end was looked at.
func (w *walker) settle(b batch, within int, end border, crossing head) (again bool, err error) {
	done := !crossing.none || !b.more
	s := w.s
	s.emitting.Lock()
	defer s.emitting.Unlock()
	if w.r.endOf(s) != end {
		w.r.setClosing(s, false)
		return true, nil
	}
	p := s.place
	p.Pos, p.MidKey, p.MidVersion = b.passed, b.midKey, b.midVersion
	if done {
		p.Pos, p.MidKey, p.MidVersion = max(s.Pos, b.passed), "", ""
	}
	if !crossing.none {
		p.Pos = end.to // its end was passed; otherwise the listing ended within it
	}
	rows := b.rows[:within:within]
	p.add(rows...)
	cursor := object.Cursor{Range: s.id, Position: p.encode(), Finished: done}
	if err := w.r.emit(object.Page{Objects: rows, Cursors: []object.Cursor{cursor}}); err != nil {
		return false, err
	}
	w.move(&b)
	w.r.advance(s, p, rows)
	if !w.src.Versions { // of versions some may be pending
		w.src.takeBack(b.rows)
	}
	return false, nil
}

// border is where a range ends.
type border struct {
	to   string
	open bool
}

// upTo is how many rows of the batch lie before the border, and the first key
// behind it, where the batch has one.
func (b *batch) upTo(end border) (within int, crossing head) {
	if end.open {
		return len(b.rows), head{none: true}
	}
	within = sort.Search(len(b.rows), func(i int) bool { return b.rows[i].Key > end.to })
	switch {
	case within < len(b.rows):
		return within, head{key: b.rows[within].Key}
	case b.ahead() > end.to:
		return within, head{key: b.ahead()}
	}
	return within, head{none: true}
}

// agrees says whether the key on which the range was left (none: the listing
// ended) is the first one that the store gives after the range's border. On a
// store in byte order it always is, but for writes in between, for which both
// are read again. See the package comment.
func (w *walker) agrees(ctx context.Context, to string, crossing head) (bool, error) {
	if h, known := w.r.headAt(to); known && h == crossing {
		return true, nil
	}
	h, err := w.src.head(ctx, to)
	return h == crossing, err
}

// head asks for the first key after a border, by a page of the usual size: what a
// store can find from there depends on it (see confirmEnd).
func (s *Source) head(ctx context.Context, border string) (head, error) {
	q := s.after(border)
	for range maxEmptyPages {
		reply, err := s.list(ctx, q)
		if err != nil {
			return head{}, err
		}
		for i := range reply.Objects {
			if key := reply.Objects[i].Key; key != border {
				s.takeBack(reply.Objects)
				return head{key: key}, nil
			}
		}
		if !reply.Truncated || reply.NextToken == "" || reply.NextToken == q.ContinuationToken {
			return head{none: true}, nil
		}
		q.ContinuationToken = reply.NextToken
	}
	return head{}, fmt.Errorf("s3://%s after %q: %w", s.Bucket, border, ErrStalled)
}

func (w *walker) fail(why error, key string) error {
	return fmt.Errorf("listing s3://%s: at key %q: %w", w.src.Bucket, key, why)
}

// named is what tells a row from others.
type named struct{ key, version string }

// move goes on behind a batch that is durable.
func (w *walker) move(b *batch) {
	w.at, w.midKey, w.midVersion, w.token, w.pending = b.passed, b.midKey, b.midVersion, b.token, b.pending
	w.before = w.before[:0]
	for i := range b.rows {
		w.before = append(w.before, named{b.rows[i].Key, b.rows[i].VersionID})
	}
}

// next reads pages until there is a batch to pass on, or the end.
func (w *walker) next(ctx context.Context) (batch, error) {
	for empty, doubts := 0, 0; ; {
		q, cold := w.request()
		began := time.Now()
		reply, err := w.src.list(ctx, q)
		if err != nil {
			if w.token != (object.ListRequest{}) && object.ClassOf(err) == object.ClassInvalid && !w.careful {
				w.token = object.ListRequest{} // some stores forget tokens; the key is as good
				continue
			}
			return batch{}, err
		}
		if !w.careful {
			w.r.took(w.src.elapsed(began))
		}
		rows, err := w.fresh(&reply)
		if err != nil {
			return batch{}, err
		}
		if reply.OneWalk && !w.careful {
			w.r.walksAlone()
		}
		w.note(rows, reply.Truncated)
		if cold && !reply.Truncated {
			confirmed, err := w.confirmEnd(ctx, rows)
			if err != nil {
				return batch{}, err
			}
			if doubts++; !confirmed && doubts == maxDisputes {
				return batch{}, w.fail(errDistrust, w.at)
			}
			if !confirmed {
				continue // somebody may have written there just now
			}
		}
		token := w.src.following(&reply)
		b, ready := w.batch(rows, reply.Truncated, token)
		if ready {
			return b, nil
		}
		w.pending = b.pending
		if len(rows) > 0 {
			w.token = token
			continue
		}
		// A page without anything new, and the store says that there is more.
		if empty++; token == (object.ListRequest{}) || token == q || empty > maxEmptyPages {
			if cold || w.careful || q == w.src.after(w.at) {
				return batch{}, w.fail(ErrStalled, w.at)
			}
			token = object.ListRequest{} // once more from the key itself
			w.pending = nil
		}
		w.token = token
	}
}

// request is for the next page. cold ones begin at a key instead of going on
// where the last page ended: not every store does that well.
func (w *walker) request() (q object.ListRequest, cold bool) {
	switch {
	case w.token != (object.ListRequest{}):
		return w.token, false
	case len(w.pending) > 0:
		last := &w.pending[len(w.pending)-1]
		return object.ListRequest{KeyMarker: last.Key, VersionIDMarker: last.VersionID}, true
	case w.midKey != "":
		return object.ListRequest{KeyMarker: w.midKey, VersionIDMarker: w.midVersion}, true
	}
	return w.src.after(w.at), w.at != ""
}

// confirmEnd doubts an end that a cold request came to. MinIO walks, counts and
// drops what lies beside the folders of the key that it is to begin after; where
// that is many, it ends too early, or gives nothing at all. If so, the last key
// given is followed by another one when it is asked about again. A cold start
// within a range that gives nothing cannot be told from that.
func (w *walker) confirmEnd(ctx context.Context, rows []object.Object) (bool, error) {
	if len(rows) == 0 {
		if w.at != w.s.From || w.midKey != "" || len(w.pending) > 0 {
			return false, w.fail(errDistrust, w.at)
		}
		return true, nil // the range before this one compares its end with that
	}
	h, err := w.src.head(ctx, rows[len(rows)-1].Key)
	return h.none, err
}

// note tells the neighbour what the first key after the range's beginning is.
func (w *walker) note(rows []object.Object, truncated bool) {
	if w.careful || w.began || w.at != w.s.From || w.midKey != "" || len(rows) == 0 && truncated {
		return
	}
	w.began = true
	h := head{none: true}
	if len(rows) > 0 {
		h = head{key: rows[0].Key}
	}
	w.r.saw(w.s.From, h)
}

// batch is what can be passed on after a page. Of a listing of versions the last
// key is held back while there is more: its other versions may follow, and some
// stores repeat it. A key with very many versions is passed on in pieces.
func (w *walker) batch(rows []object.Object, more bool, token object.ListRequest) (b batch, ready bool) {
	if len(w.pending) > 0 {
		rows = append(w.pending, rows...)
	}
	b = batch{rows: rows, passed: w.at, token: token, more: more}
	if w.midKey != "" && (len(rows) > 0 && rows[0].Key != w.midKey || len(rows) == 0 && !more) {
		b.passed = w.midKey // the key in pieces is complete
	}
	switch {
	case len(rows) == 0:
		return b, !more
	case !w.src.Versions || !more:
		b.passed = rows[len(rows)-1].Key
		return b, true
	}
	last := &rows[len(rows)-1]
	start := sort.Search(len(rows), func(i int) bool { return rows[i].Key >= last.Key })
	if start == 0 && len(rows) >= maxHeld*w.src.pageSize() {
		b.midKey, b.midVersion = last.Key, last.VersionID
		return b, true
	}
	b.rows, b.pending = rows[:start:start], slices.Clone(rows[start:])
	if start > 0 {
		b.passed = rows[start-1].Key
	}
	return b, start > 0 || b.passed != w.at
}
