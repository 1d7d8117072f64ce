package listing

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// flat and zipf are two more shapes that a division meets: one prefix with a counter
// of fixed width, and folders of which each is much larger than the next.
var divided = append(slices.Clone(shapes), []struct {
	name string
	keys func(n int) []string
}{
	{"flat", func(n int) []string { return keysOf(n, func(i int) string { return fmt.Sprintf("backup/%012d", i*7) }) }},
	{"zipf", func(n int) []string {
		r := rand.New(rand.NewPCG(3, 3))
		z := rand.NewZipf(r, 1.3, 1, 60)
		return keysOf(n, func(i int) string { return fmt.Sprintf("tenant-%04d/%016x", (z.Uint64()*7919)%1000, r.Uint64()) })
	}},
	{"tree", func(n int) []string {
		return keysOf(n, func(i int) string {
			d := time.Date(2019, 3, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, i*1200/n)
			return fmt.Sprintf("year=%d/month=%02d/day=%02d/%06d.gz", d.Year(), d.Month(), d.Day(), i)
		})
	}},
}...)

// sizes are how many of the rows each piece holds.
func sizes(t *testing.T, pieces []Piece, rows []object.Object) []int {
	t.Helper()
	var sizes []int
	border := ""
	for i, p := range pieces {
		if p.After != border || (p.Through == "") != (i == len(pieces)-1) || p.Through != "" && p.Through <= p.After {
			t.Fatalf("piece %d of %d is (%q, %q], and the one before ends at %q", i, len(pieces), p.After, p.Through, border)
		}
		border = p.Through
		from := sort.Search(len(rows), func(i int) bool { return rows[i].Key > p.After })
		to := len(rows)
		if p.Through != "" {
			to = sort.Search(len(rows), func(i int) bool { return rows[i].Key > p.Through })
		}
		sizes = append(sizes, to-from)
	}
	return sizes
}

// TestDivide: no piece is larger than twice a fair share nor smaller than half of it,
// and only a part of the listing is read for that.
func TestDivide(t *testing.T) {
	for _, shape := range divided {
		for _, n := range []int{8, 40} {
			if n == 40 && shape.name != "uuid" && shape.name != "tree" {
				continue // too small a listing for so many of such pieces
			}
			if testing.Short() && (n == 40 || shape.name != "tree") {
				continue // goroutines are the same ones for all
			}
			t.Run(fmt.Sprint(shape.name, "/", n), func(t *testing.T) {
				store := newStore(shape.keys(200_000))
				store.page = 50
				var pieces []Piece
				var err error
				synctest.Test(t, func(t *testing.T) { pieces, err = store.source(0).Divide(t.Context(), n) })
				if err != nil || len(pieces) != n {
					t.Fatalf("%d pieces, %v", len(pieces), err)
				}
				got, fair := sizes(t, pieces, store.rows), len(store.rows)/n
				if slices.Max(got) > 2*fair || slices.Min(got) < fair/2 {
					t.Errorf("a fair share is %d, and the pieces hold %d", fair, got)
				}
				if read := int(store.rowsSent.Load()); read > len(store.rows)/3 {
					t.Errorf("%d of %d keys were read", read, len(store.rows))
				}
			})
		}
	}
}

// TestPiecesTile: whatever the shape, the store's bad habits and the number of pieces,
// reading each piece alone gives every row once, also where a piece is read by
// processes that die.
func TestPiecesTile(t *testing.T) {
	for _, shape := range append(divided, struct {
		name string
		keys func(n int) []string
	}{"odd", func(int) []string { return oddKeys() }}) {
		for _, versions := range []bool{false, true} {
			t.Run(fmt.Sprint(shape.name, versions), func(t *testing.T) {
				keys := 3000
				if testing.Short() {
					keys = 600
				}
				store := newStore(shape.keys(keys))
				if versions {
					var rows []object.Object
					for i, o := range store.rows {
						for v := range 1 + i%4 {
							o.VersionID = fmt.Sprint("v", v)
							rows = append(rows, o)
						}
					}
					store.rows = rows
				}
				store.page, store.delay = 17, 50*time.Millisecond
				r := rand.New(rand.NewPCG(5, uint64(len(shape.name))))
				src := store.source(8)
				src.Versions = versions
				var pieces []Piece
				var err error
				synctest.Test(t, func(t *testing.T) { pieces, err = src.Divide(t.Context(), 7) })
				if err != nil {
					t.Fatal(err)
				}
				got := newSink()
				for i, size := range sizes(t, pieces, store.rows) {
					piece := *src
					piece.After, piece.Through = pieces[i].After, pieces[i].Through
					one := newSink()
					synctest.Test(t, func(t *testing.T) { dieMany(t, &piece, one, r) })
					if len(one.rows) != size {
						t.Errorf("piece %d gave %d rows of %d", i, len(one.rows), size)
					}
					for id, n := range one.rows {
						got.rows[id] += n
					}
				}
				got.check(t, store.rows)
			})
		}
	}
}

// TestPiecesOfAStoreInAnotherOrder: of the pieces of a store that does not list in byte
// order one at least cannot be read: their borders tile the store's own order too, so
// that a key that one of them misses comes to another, whose bounds it breaks.
func TestPiecesOfAStoreInAnotherOrder(t *testing.T) {
	for _, border := range []string{"a/1", "a/2", "b/1", "b/2", "c/1"} {
		store := newStore([]string{"a/1", "a/2", "b/1", "b/2", "c/1", "c/2"})
		store.page, store.delay = 1, 50*time.Millisecond
		store.sort(func(a, b string) bool { return a[2:]+a[:1] < b[2:]+b[:1] })
		refused := false
		for _, p := range []Piece{{Through: border}, {After: border}} {
			src := store.source(2)
			src.After, src.Through = p.After, p.Through
			err := read(t, src, nil, newSink().emit)
			refused = refused || errors.Is(err, ErrOrder)
		}
		if !refused {
			t.Errorf("cut at %q, a store in another order was believed", border)
		}
	}
}

// TestDivideFewKeys: there are never more pieces than keys to cut at.
func TestDivideFewKeys(t *testing.T) {
	for _, n := range []int{0, 1, 3} {
		store := newStore(shapes[0].keys(n))
		pieces, err := store.source(1).Divide(t.Context(), 8)
		if err != nil || len(pieces) != max(1, n) {
			t.Errorf("%d keys: %d pieces, %v", n, len(pieces), err)
		}
		sizes(t, pieces, store.rows)
	}
}
