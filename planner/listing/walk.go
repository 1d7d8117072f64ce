package listing

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/resealhq/reseal/engine/object"
)

// walker reads one range to its end.
type walker struct {
	src *Source
	r   *ranges
	s   *span
	// at is the last key that is passed as a whole; token, where set, goes on from
	// there more cheaply than a new start.
	at    string
	token string
	// midKey and midVersion: within the versions of one key, see place.
	midKey, midVersion string
	// before are the rows of the last page, by which repeats are told from disorder.
	before []object.Object
	began  bool // the first page has been seen
}

// Bounds on how long a store is believed that gives nothing new.
const (
	maxEmptyPages = 1000
	maxDisputes   = 5
)

// batch is what is ready to be passed on after a page.
type batch struct {
	rows []object.Object
	// passed is the last key that is complete with them.
	passed             string
	midKey, midVersion string
	// ahead is a key that was seen behind rows, and held back.
	ahead string
	token string
	more  bool
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
				return w.fail(ErrOrder, w.at)
			}
			w.restart()
		}
	}
}

// restart forgets everything but what is durable.
func (w *walker) restart() {
	w.at, w.midKey, w.midVersion, w.token, w.before = w.s.Pos, w.s.MidKey, w.s.MidVersion, "", nil
}

// pass makes a batch durable, as far as it lies within the range. agreed is false
// where the end of the range does not fit the beginning of the next one.
func (w *walker) pass(ctx context.Context, b batch) (done, agreed bool, err error) {
	for {
		end := w.r.endOf(w.s)
		within, crossing := b.upTo(end)
		done = !crossing.none || !b.more || !end.open && b.passed >= end.to && b.midKey == ""
		if done && !end.open {
			w.r.setClosing(w.s, true)
			agreed, err := w.agrees(ctx, b, end.to, crossing)
			if !agreed || err != nil {
				w.r.setClosing(w.s, false)
				return false, false, err
			}
		}
		again, err := w.settle(b, within, end, done)
		if !again {
			return done, true, err
		}
	}
}

// settle emits a batch, unless the range was cut since its end was looked at.
func (w *walker) settle(b batch, within int, end border, done bool) (again bool, err error) {
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
	if done && !end.open {
		p.Pos = end.to
	}
	cursor := object.Cursor{Range: s.id, Position: p.encode(), Finished: done}
	rows := b.rows[:within:within]
	w.before = b.rows
	if err := w.r.emit(object.Page{Objects: rows, Cursors: []object.Cursor{cursor}}); err != nil {
		return false, err
	}
	w.at, w.midKey, w.midVersion, w.token = b.passed, b.midKey, b.midVersion, b.token
	w.r.advance(s, p, rows)
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
	case b.ahead > end.to:
		return within, head{key: b.ahead}
	}
	return within, head{none: true}
}

// agrees says whether the key on which the range was left (none: the listing
// ended) is the first one that the store gives after the range's border. On a
// store in byte order it always is, but for writes in between, for which both
// are read again. See the package comment.
func (w *walker) agrees(ctx context.Context, b batch, to string, crossing head) (bool, error) {
	if crossing.none && b.more {
		// The batch ends exactly on the border: what follows is not known yet.
		return true, nil
	}
	if h, known := w.r.headAt(to); known && h == crossing {
		return true, nil
	}
	h, err := w.src.head(ctx, to)
	return h == crossing, err
}

// head asks for the first key after a border.
func (s *Source) head(ctx context.Context, border string) (head, error) {
	q := s.after(border)
	q.MaxKeys = 2
	for range maxEmptyPages {
		reply, err := s.list(ctx, q)
		if err != nil {
			return head{}, err
		}
		for i := range reply.Objects {
			if key := reply.Objects[i].Key; key != border {
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

// next reads pages until there is a batch to pass on, or the end.
func (w *walker) next(ctx context.Context) (batch, error) {
	tokens := 0
	for {
		q := w.request()
		reply, err := w.src.list(ctx, q)
		if err != nil {
			if q.ContinuationToken != "" && object.ClassOf(err) == object.ClassInvalid {
				w.token = "" // some stores forget tokens; the key is as good
				continue
			}
			return batch{}, err
		}
		rows, err := w.fresh(&reply)
		if err != nil {
			return batch{}, err
		}
		w.note(rows, reply.Truncated)
		if b, ready := w.batch(rows, &reply); ready {
			return b, nil
		}
		// A page without anything new, and the store says that there is more.
		if tokens++; reply.NextToken == "" || reply.NextToken == q.ContinuationToken || tokens > maxEmptyPages {
			if q.ContinuationToken == "" {
				return batch{}, w.fail(ErrStalled, w.at)
			}
			w.token = "" // once more from the key itself
			continue
		}
		w.token = reply.NextToken
	}
}

func (w *walker) request() object.ListRequest {
	if w.midKey != "" {
		return object.ListRequest{KeyMarker: w.midKey, VersionIDMarker: w.midVersion}
	}
	q := w.src.after(w.at)
	if !w.src.Versions {
		q.ContinuationToken = w.token
	}
	return q
}

// note tells the neighbour what the first key after the range's beginning is.
func (w *walker) note(rows []object.Object, truncated bool) {
	if w.began || w.at != w.s.From || w.midKey != "" || len(rows) == 0 && truncated {
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
// stores repeat it. A key with more versions than a page is passed on in pieces.
func (w *walker) batch(rows []object.Object, reply *object.ListReply) (b batch, ready bool) {
	b = batch{rows: rows, passed: w.at, token: reply.NextToken, more: reply.Truncated}
	if len(rows) == 0 {
		if !b.more && w.midKey != "" {
			b.passed = w.midKey
		}
		return b, !b.more
	}
	last := &rows[len(rows)-1]
	if !w.src.Versions || !b.more {
		b.passed = last.Key
		return b, true
	}
	start := sort.Search(len(rows), func(i int) bool { return rows[i].Key >= last.Key })
	if start > 0 {
		b.rows, b.passed, b.ahead = rows[:start], rows[start-1].Key, last.Key
		return b, true
	}
	if w.midKey != "" && last.Key != w.midKey {
		// The key in pieces is complete, and nothing else is.
		b.rows, b.passed, b.ahead = nil, w.midKey, last.Key
		return b, true
	}
	b.midKey, b.midVersion = last.Key, last.VersionID
	if reply.NextKeyMarker == last.Key && reply.NextVersionIDMarker != "" {
		b.midVersion = reply.NextVersionIDMarker
	}
	return b, true
}

// fresh checks a page and drops what was passed before. The rows that stay are
// in order, within the prefix, and after what is passed.
func (w *walker) fresh(reply *object.ListReply) ([]object.Object, error) {
	rows := reply.Objects
	kept := 0
	last, versions := w.at, w.passedVersions()
	if w.midKey != "" {
		last = w.midKey
	}
	for i := range rows {
		o := &rows[i]
		switch {
		case !strings.HasPrefix(o.Key, w.src.Prefix):
			return nil, w.fail(ErrForeign, o.Key)
		case !reply.EncodingHonoured && mangled(o.Key):
			return nil, w.fail(ErrMangled, o.Key)
		case o.Key < last && !w.repeated(o):
			return nil, w.fail(ErrOrder, o.Key)
		case o.Key < last:
			continue
		case o.Key > last:
			last = o.Key
			versions.begin()
		}
		if o.Key == w.at || w.src.Versions && versions.repeats(o.VersionID) || !w.src.Versions && kept > 0 && rows[kept-1].Key == o.Key {
			continue
		}
		if kept != i {
			rows[kept] = *o
		}
		kept++
	}
	return rows[:kept], nil
}

// versionSet are the versions of one key that have come.
type versionSet map[string]struct{}

func (v versionSet) begin() {
	if len(v) > 0 {
		clear(v)
	}
}

func (v versionSet) repeats(id string) bool {
	if _, again := v[id]; again {
		return true
	}
	v[id] = struct{}{}
	return false
}

// passedVersions are those of the key that comes in pieces, as far as the last
// page shows.
func (w *walker) passedVersions() versionSet {
	v := versionSet{}
	if w.midKey == "" {
		return v
	}
	v[w.midVersion] = struct{}{}
	for i := range w.before {
		if w.before[i].Key == w.midKey {
			v[w.before[i].VersionID] = struct{}{}
		}
	}
	return v
}

// repeated says whether a row of the last page came again.
func (w *walker) repeated(o *object.Object) bool {
	return slices.ContainsFunc(w.before, func(b object.Object) bool { return b.Key == o.Key && b.VersionID == o.VersionID })
}

// mangled says whether a key that came unencoded may be another one: XML cannot
// carry control characters, turns a carriage return into a line feed, and what a
// store replaces becomes U+FFFD.
func mangled(key string) bool {
	return !utf8.ValidString(key) || strings.ContainsFunc(key, func(r rune) bool { return r < 0x20 || r == 0x7f || r == utf8.RuneError })
}
