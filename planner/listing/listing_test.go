package listing

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// read reads by a clock that only the store's delays move, so that goroutines
// interleave as they would with a real store and no time is spent waiting.
func read(t *testing.T, src *Source, resume []object.Cursor, emit func(object.Page) error) (err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { err = src.Read(t.Context(), resume, emit) })
	return err
}

func (s *fakeStore) source(readers int) *Source {
	return &Source{Lister: s, Bucket: "b", Readers: readers, PageSize: s.page}
}

func TestEveryShapeIsReadOnce(t *testing.T) {
	for _, shape := range shapes {
		for _, readers := range []int{1, 3, 64} {
			t.Run(fmt.Sprint(shape.name, readers), func(t *testing.T) {
				store := newStore(shape.keys(5000))
				store.page, store.delay = 20, 100*time.Millisecond
				got := newSink()
				if err := read(t, store.source(readers), nil, got.emit); err != nil {
					t.Fatal(err)
				}
				got.check(t, store.rows)
				if readers > 1 && len(got.cursors) < readers {
					t.Errorf("%d ranges for %d readers", len(got.cursors), readers)
				}
				for _, c := range got.cursors {
					if !c.Finished {
						t.Errorf("range %s is not finished", c.Range)
					}
				}
			})
		}
	}
}

// oddKeys are what people put into buckets, and what cuts could stumble on.
func oddKeys() []string {
	keys := []string{"", "a", "a/", "a//", "/", "//", " ", "+", "%", "%2F", "é", "e\u0301", "日本", "\U0001F600", "\uFFFD", "\uD7FF", "\uE000",
		"\U0010FFFF", "\U0010FFFFx", "\x01", "\x7f", "a\nb", "a\rb", "\xff", "\xff\xfe", "a\xffb", "a\xc3", strings.Repeat("k", 1000), strings.Repeat("é", 512), "z\x00"}
	for _, k := range slices.Clone(keys) {
		for _, l := range keys[:20] {
			keys = append(keys, k+l, k+"/x/"+l)
		}
	}
	keys = slices.DeleteFunc(keys, func(k string) bool { return k == "" })
	slices.Sort(keys)
	return slices.Compact(keys)
}

func TestOddKeysAndStores(t *testing.T) {
	for name, spoil := range map[string]func(*fakeStore){
		"good":             func(*fakeStore) {},
		"empty last page":  func(s *fakeStore) { s.emptyLast = true },
		"begins inclusive": func(s *fakeStore) { s.inclusive = true },
		"without tokens":   func(s *fakeStore) { s.noTokens = true },
		"bad tokens":       func(s *fakeStore) { s.badTokens = true },
		"empty pages":      func(s *fakeStore) { s.emptyPages = true },
		"one row a page":   func(s *fakeStore) { s.page = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			for _, readers := range []int{1, 16} {
				store := newStore(oddKeys())
				store.page, store.delay = 7, 50*time.Millisecond
				spoil(store)
				got := newSink()
				if err := read(t, store.source(readers), nil, got.emit); err != nil {
					t.Fatal(err)
				}
				got.check(t, store.rows)
			}
		})
	}
}

func TestEmptyBucketAndPrefix(t *testing.T) {
	store := newStore(nil)
	got := newSink()
	if err := read(t, store.source(8), nil, got.emit); err != nil || len(got.rows) != 0 {
		t.Fatalf("%d rows, %v", len(got.rows), err)
	}
	store = newStore(shapes[1].keys(3000))
	store.page, store.delay = 10, 50*time.Millisecond
	src := store.source(16)
	src.Prefix = "logs/2016/"
	got = newSink()
	if err := read(t, src, nil, got.emit); err != nil {
		t.Fatal(err)
	}
	got.check(t, slices.DeleteFunc(slices.Clone(store.rows), func(o object.Object) bool { return !strings.HasPrefix(o.Key, src.Prefix) }))
}

// The process dies at random moments, and what is durable is all that the next
// one knows.
func TestDyingAtRandomMoments(t *testing.T) {
	for _, shape := range shapes {
		for seed := range seeds(12) {
			r := rand.New(rand.NewPCG(seed, 3))
			store := newStore(shape.keys(1500))
			store.page, store.delay = 1+r.IntN(30), time.Duration(r.IntN(60))*time.Millisecond
			got := newSink()
			src := store.source(1 + r.IntN(40))
			synctest.Test(t, func(t *testing.T) { dieMany(t, src, got, r) })
			got.check(t, store.rows)
		}
	}
}

// dieMany reads in as many lives as it takes, each ended by an emit that fails or
// by a cancelled context.
func dieMany(t *testing.T, src *Source, got *sink, r *rand.Rand) {
	t.Helper()
	for lives := 0; ; lives++ {
		ctx, cancel := context.WithCancel(t.Context())
		pages := r.IntN(60)
		got.life = -1
		if r.IntN(2) == 0 {
			got.life = 1 + pages
		}
		n := 0
		emit := func(p object.Page) error {
			err := got.emit(p)
			got.mu.Lock()
			defer got.mu.Unlock()
			if n++; n == pages {
				cancel()
			}
			return err
		}
		err := src.Read(ctx, got.resume(), emit)
		cancel()
		switch {
		case err == nil:
			return
		case !errors.Is(err, errDied) && !errors.Is(err, context.Canceled):
			t.Fatal(err)
		case lives > 3000:
			t.Fatal("it never ends")
		}
	}
}

func TestReadingAFinishedListingAgainReadsNothing(t *testing.T) {
	store := newStore(shapes[0].keys(300))
	store.page = 20
	got := newSink()
	for range 2 {
		if err := read(t, store.source(4), got.resume(), got.emit); err != nil {
			t.Fatal(err)
		}
	}
	got.check(t, store.rows)
}

// slashFirst is the order of stores that walk directories: a/ before a-.
func slashFirst(a, b string) bool {
	return strings.ReplaceAll(a, "/", "\x00") < strings.ReplaceAll(b, "/", "\x00")
}

func TestStoresThatCannotBeTrustedStopByName(t *testing.T) {
	dirs := func() []string {
		var keys []string
		for i := range 40 {
			for j := range 10 {
				keys = append(keys, fmt.Sprintf("d%02d/%d", i, j), fmt.Sprintf("d%02d-%d", i, j))
			}
		}
		return keysOf(len(keys), func(i int) string { return keys[i] })
	}
	for _, c := range []struct {
		name  string
		keys  []string
		spoil func(*fakeStore)
		want  error
	}{
		{"directory order", dirs(), func(s *fakeStore) { s.sort(slashFirst) }, ErrOrder},
		{"letters regardless of case", keysOf(500, func(i int) string { return fmt.Sprintf("%c%03d", "aBcDeF"[i%6], i) }), func(s *fakeStore) {
			s.sort(func(a, b string) bool { return strings.ToLower(a) < strings.ToLower(b) })
		}, ErrOrder},
		{"backwards", dirs(), func(s *fakeStore) { s.sort(func(a, b string) bool { return a > b }) }, ErrOrder},
		{"start-after ignored", dirs(), func(s *fakeStore) { s.ignoreAfter, s.noTokens = true, true }, ErrStalled},
		{"stuck", dirs(), func(s *fakeStore) { s.stuck = "d20/3" }, ErrStalled},
		{"U+FFFD, not encoded", []string{"a", "b\uFFFDc"}, func(s *fakeStore) { s.unencoded = true }, ErrMangled},
		{"line feed, not encoded", []string{"a", "b\nc"}, func(s *fakeStore) { s.unencoded = true }, ErrMangled},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, readers := range []int{1, 2, 32} {
				for _, page := range []int{3, 11, 100} {
					store := newStore(c.keys)
					store.page, store.delay = page, 20*time.Millisecond
					c.spoil(store)
					got := newSink()
					err := read(t, store.source(readers), nil, got.emit)
					if err == nil && len(got.rows) == len(c.keys) {
						continue // everything came, whatever the order
					}
					if err == nil {
						t.Fatalf("%d readers, %d a page: %d keys of %d came, and nobody noticed", readers, page, len(got.rows), len(c.keys))
					}
					if !errors.Is(err, c.want) && !errors.Is(err, ErrOrder) {
						t.Errorf("%d readers, %d a page: stopped by %v", readers, page, err)
					}
				}
			}
		})
	}
}

// tiling are the cursors of a listing that was cut at borders and read nowhere.
func tiling(borders ...string) []object.Cursor {
	slices.Sort(borders)
	borders = slices.Compact(borders)
	var out []object.Cursor
	from := ""
	for i, b := range borders {
		p := place{From: from, Pos: from, To: b}
		out = append(out, object.Cursor{Range: rangeID(uint64(i)), Position: p.encode()})
		from = b
	}
	p := place{From: from, Pos: from, Open: true}
	return append(out, object.Cursor{Range: rangeID(uint64(len(borders))), Position: p.encode()})
}

// What the border check is for: every page of every range looks right, and the
// keys a-… lie behind a/… in the store's order but before the border in ours.
func TestABorderInTheStoresWrongOrder(t *testing.T) {
	keys := []string{"a-1", "b"}
	for i := range 50 {
		keys = append(keys, fmt.Sprintf("a/%02d", i))
	}
	for _, page := range []int{1, 10} {
		store := newStore(keys)
		store.sort(slashFirst)
		store.page = page
		got := newSink()
		if err := read(t, store.source(2), tiling("a."), got.emit); !errors.Is(err, ErrOrder) {
			t.Errorf("%d of %d keys came, and the error is %v", len(got.rows), len(keys), err)
		}
	}
}

// In whatever order a store lists: the listing is complete, or it is an error.
func TestNoOrderHidesKeys(t *testing.T) {
	complete, refused := 0, 0
	for seed := range uint64(1500) {
		r := rand.New(rand.NewPCG(seed, 4))
		const letters = "-/0a"
		perm := r.Perm(len(letters))
		rank := func(b byte) int {
			if i := strings.IndexByte(letters, b); i >= 0 {
				return perm[i]
			}
			return len(letters) + int(b) // what only borders hold
		}
		order := func(a, b string) bool {
			for i := 0; i < len(a) && i < len(b); i++ {
				if a[i] != b[i] {
					return rank(a[i]) < rank(b[i])
				}
			}
			return len(a) < len(b)
		}
		word := func() string {
			k := make([]byte, 1+r.IntN(4))
			for i := range k {
				k[i] = letters[r.IntN(len(letters))]
			}
			return string(k)
		}
		store := newStore(keysOf(2+r.IntN(12), func(int) string { return word() }))
		store.page = 1 + r.IntN(3)
		store.sort(order)
		src := store.source(1 + r.IntN(4))
		var borders []string
		for range r.IntN(4) {
			borders = append(borders, word())
		}
		got := newSink()
		switch err := read(t, src, tiling(borders...), got.emit); {
		case err == nil:
			got.check(t, store.rows)
			complete++
		case errors.Is(err, ErrOrder):
			refused++
		default:
			t.Fatal(err)
		}
	}
	if complete < 100 || refused < 100 {
		t.Errorf("%d complete, %d refused: this test tests nothing", complete, refused)
	}
}

func TestForeignRowsStop(t *testing.T) {
	store := newStore([]string{"a/1", "b/1"})
	src := store.source(2)
	src.Prefix = "c/"
	src.Lister = withoutPrefix{store}
	if err := read(t, src, nil, newSink().emit); !errors.Is(err, ErrForeign) {
		t.Error(err)
	}
}

type withoutPrefix struct{ *fakeStore }

func (w withoutPrefix) ListPage(ctx context.Context, q object.ListRequest) (object.ListReply, error) {
	q.Prefix = ""
	return w.fakeStore.ListPage(ctx, q)
}

// A bucket that is written to while it is read: what was there all the time
// comes once, and the border check raises no false alarm.
func TestBucketInUse(t *testing.T) {
	base := shapes[0].keys(3000)
	for seed := range seeds(5) {
		r := rand.New(rand.NewPCG(seed, 5))
		store := newStore(base)
		store.page, store.delay = 10, 50*time.Millisecond
		busy := &busyStore{fakeStore: store, r: r}
		src := store.source(24)
		src.Lister = busy
		got := newSink()
		if err := read(t, src, nil, got.emit); err != nil {
			t.Fatal(err)
		}
		for _, k := range base {
			if got.rows[k+"\x00"] != 1 {
				t.Fatalf("%q came %d times", k, got.rows[k+"\x00"])
			}
		}
	}
}
