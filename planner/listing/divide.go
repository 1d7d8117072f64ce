package listing

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"github.com/resealhq/reseal/engine/object"
)

// Piece is one part of a divided listing: the keys behind After, up to and with
// Through; empty is the beginning and the end.
type Piece struct {
	After, Through string
	// Rows is how many there may be; a guess.
	Rows float64
}

// Divide looks for keys that cut the listing into n pieces of about the same size. It
// reads a few pages for each piece and guesses the rest as readers do who look for
// something to cut; where the listing is small it reads all of it. There are fewer
// pieces where there are not enough keys. Whatever it guesses, the pieces tile the key
// space.
func (s *Source) Divide(ctx context.Context, n int) ([]Piece, error) {
	d := &division{src: s, pieces: n, budget: dividePages + n*pagesPerPiece}
	d.open = []*stretch{{span: span{place: place{Open: true}}}}
	if err := d.read(ctx, d.open); err != nil {
		return nil, err
	}
	for d.budget > 0 {
		next := d.largest()
		if len(next) == 0 {
			break
		}
		d.budget -= len(next)
		if err := d.read(ctx, d.cut(next)); err != nil {
			return nil, err
		}
	}
	return d.cuts(), nil
}

// How much is read for a division: so many pages, and more for more pieces. All of them
// are used up where the listing is longer: a folder that nobody came across is the one
// thing that a guess cannot allow for.
const (
	dividePages   = 640
	pagesPerPiece = 16
	divideReaders = 16 // requests at a time
	marksPerPage  = 32
)

// division is the work of Divide.
type division struct {
	src    *Source
	pieces int
	budget int // pages that may still be read
	space  space
	open   []*stretch
	// guessed is how many there were when all were guessed anew.
	guessed int
}

// stretch is a span of which the first pages were read, and the rest is guessed.
type stretch struct {
	span
	counts []mark
	tails  []tail // of the last page
	// from is what this one was cut from, and empty how often in a row such a cut
	// found next to nothing behind it.
	from  *stretch
	empty int
}

// mark is how many rows were counted up to and with a key, since the mark before.
type mark struct {
	through string
	rows    float64
}

// tail is the end of a page: so many rows since a key.
type tail struct {
	since string
	rows  int
}

// largest are the stretches that a page each is spent on: those with the largest rests,
// and none that is small beside them.
func (d *division) largest() []*stretch {
	most := 0.0
	var next []*stretch
	for _, t := range d.open {
		most = max(most, t.rest)
	}
	for _, t := range d.open {
		if t.rest > 0 && t.rest >= most/4 {
			next = append(next, t)
		}
	}
	slices.SortFunc(next, func(a, b *stretch) int {
		switch {
		case a.rest > b.rest:
			return -1
		case a.rest < b.rest:
			return 1
		}
		return strings.Compare(a.From, b.From)
	})
	return next[:min(len(next), divideReaders, d.budget)]
}

func (t *stretch) weight() float64 {
	sum := t.rest
	for _, m := range t.counts {
		sum += m.rows
	}
	return sum
}

// cut makes two of each stretch, and gives back what is to be read next. A stretch
// in which no border can be thought of is read on.
func (d *division) cut(next []*stretch) []*stretch {
	read := make([]*stretch, 0, len(next))
	for _, t := range next {
		m := t.border(d)
		if m == "" || !utf8.ValidString(m) {
			read = append(read, t)
			continue
		}
		child := &stretch{from: t, span: span{place: place{From: m, Pos: m, To: t.To, Open: t.Open}}}
		t.To, t.Open = m, false
		t.guess(d)
		d.open = append(d.open, child)
		read = append(read, child)
	}
	return read
}

// border is where to cut. A cut that found nothing behind it shows that the density of
// the last page does not go on that far, so that the next one goes much nearer: numbers
// within a folder are dense, and say nothing of the folders behind it.
func (t *stretch) border(d *division) string {
	if t.empty > 0 {
		low := max(t.know(), d.src.Prefix)
		base := t.base(low, d.src.Prefix)
		c := d.space.scale(low, base)
		here, end := c.of(low), t.end(c)
		part := math.Ldexp(1, -1<<min(t.empty, 6))
		if m := c.key(low[:base], here+part*(end-here), part*(end-here)/8, low, t.To, t.Open); end > here && m != "" {
			return m
		}
	}
	m, _ := t.cutKey(&d.space, d.src.Prefix, d.src.pageSize())
	return m
}

// read lists the next page of each stretch.
func (d *division) read(ctx context.Context, stretches []*stretch) error {
	replies := make([]object.ListReply, len(stretches))
	g, ctx := errgroup.WithContext(ctx)
	for i, t := range stretches {
		g.Go(func() (err error) {
			replies[i], err = d.page(ctx, t.know())
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, t := range stretches {
		if err := t.take(d, &replies[i]); err != nil {
			return err
		}
	}
	if len(d.open) >= 2*d.guessed {
		stretches, d.guessed = d.open, len(d.open) // the space has become better known
	}
	for _, t := range stretches {
		t.guess(d)
	}
	return nil
}

// page is the first page behind a key that has a row in it, or says that there is none.
func (d *division) page(ctx context.Context, after string) (reply object.ListReply, err error) {
	q := d.src.after(after)
	for range maxEmptyPages {
		if reply, err = d.src.list(ctx, q); err != nil || len(reply.Objects) > 0 || !reply.Truncated {
			return reply, err
		}
		if q = d.src.following(&reply); q == (object.ListRequest{}) {
			break
		}
	}
	return reply, fmt.Errorf("s3://%s after %q: %w", d.src.Bucket, after, ErrStalled)
}

// take counts the rows of a page that lie within the stretch.
func (t *stretch) take(d *division, reply *object.ListReply) error {
	rows, at := reply.Objects, t.know()
	ends := !reply.Truncated
	var keys []string
	for i := range rows {
		key := rows[i].Key
		switch {
		case !strings.HasPrefix(key, d.src.Prefix):
			return fmt.Errorf("listing s3://%s: at key %q: %w", d.src.Bucket, key, ErrForeign)
		case len(keys) > 0 && key < keys[len(keys)-1]:
			return fmt.Errorf("listing s3://%s: at key %q: %w", d.src.Bucket, key, ErrOrder)
		case key <= at:
			continue // begins inclusive
		case !t.Open && key > t.To:
			ends = true
			continue
		}
		keys = append(keys, key)
	}
	t.inPage, t.tails = len(keys), nil
	if ends || len(keys) == 0 {
		t.inPage = 0
	}
	t.count(keys)
	if p := t.from; p != nil {
		if p.empty++; t.inPage > 0 || len(keys) > d.src.pageSize()/4 {
			p.empty = 0
		}
		t.from = nil
	}
	if len(keys) > 0 {
		t.first, t.last = keys[0], keys[len(keys)-1]
		d.space.learn(len(keys), func(i int) string { return keys[i] })
		for n := len(keys); n >= 8 && t.inPage > 0 || n == len(keys) && t.inPage > 0; n /= 2 {
			t.tails = append(t.tails, tail{keys[len(keys)-n], n})
		}
	}
	return nil
}

// count makes marks of a page's keys.
func (t *stretch) count(keys []string) {
	step, since := max(1, len(keys)/marksPerPage), 0
	for i := range keys {
		last := i == len(keys)-1
		if i-since+1 < step && !last || !last && keys[i+1] == keys[i] {
			continue // versions of one key stay together
		}
		t.counts = append(t.counts, mark{keys[i], float64(i - since + 1)})
		since = i + 1
	}
}

// guess is what may lie behind the last key read: the most that any end of the last
// page lets expect. Too much is put right by a cut, too little by nothing.
func (t *stretch) guess(d *division) {
	t.rest = 0
	if t.inPage == 0 {
		return // it was read to its end
	}
	for _, end := range t.tails {
		t.rest = max(t.rest, sane(t.density(&d.space, d.src.Prefix, end.since, end.rows)))
	}
	t.rest = max(t.rest, 1)
}

// bound makes of the most that there may be what there probably is: between that and
// what the whole last page lets expect, and not far above all others, which are guesses
// that no page was left to look into.
func (d *division) bound() {
	var rests []float64
	for _, t := range d.open {
		if t.inPage > 0 {
			whole := sane(t.density(&d.space, d.src.Prefix, t.tails[0].since, t.tails[0].rows))
			t.rest = max(1, math.Sqrt(whole*t.rest))
			rests = append(rests, t.rest)
		}
	}
	slices.Sort(rests)
	if len(rests) == 0 {
		return
	}
	most := 2 * rests[len(rests)*9/10]
	for _, t := range d.open {
		t.rest = min(t.rest, most)
	}
}

// cuts chooses the borders from what was counted and guessed: of all marks those next
// to where a piece should end.
func (d *division) cuts() []Piece {
	slices.SortFunc(d.open, func(a, b *stretch) int { return strings.Compare(a.From, b.From) })
	d.bound()
	var marks []mark
	total := 0.0
	for _, t := range d.open {
		marks = append(marks, t.counts...)
		if t.rest > 0 {
			marks = append(marks, mark{t.To, t.rest}) // to the end of the stretch
		}
		total += t.weight()
	}
	pieces := []Piece{{}}
	sum, since := 0.0, 0.0
	for i, m := range marks {
		sum += m.rows
		if i == len(marks)-1 || len(pieces) == d.pieces || !utf8.ValidString(m.through) {
			continue
		}
		// A piece that came out large leaves less for each of the others.
		fair := (total - since) / float64(d.pieces-len(pieces)+1)
		if sum-since+marks[i+1].rows/2 < fair && len(marks)-1-i > d.pieces-len(pieces) {
			continue
		}
		p := &pieces[len(pieces)-1]
		p.Through, p.Rows = m.through, sum-since
		pieces, since = append(pieces, Piece{After: m.through}), sum
	}
	pieces[len(pieces)-1].Rows = total - since
	return pieces
}
