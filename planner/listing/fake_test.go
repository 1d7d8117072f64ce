package listing

import (
	"context"
	"fmt"
	"hash/fnv"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// fakeStore lists keys as S3 does, or as a store that does it worse.
type fakeStore struct {
	rows []object.Object // in the store's order
	less func(a, b string) bool
	page int
	// delay of every request.
	delay time.Duration
	// The ways in which stores go wrong.
	emptyLast   bool // says that there is more behind the last row
	inclusive   bool // begins a page with the row that it should begin after
	noTokens    bool
	badTokens   bool // refuses its own tokens
	unencoded   bool
	stuck       string // a key that it never gets past
	emptyPages  bool   // every other page is empty, with a token
	ignoreAfter bool   // start-after means nothing
	oneWalk     bool   // says so

	requests atomic.Int64
	rowsSent atomic.Int64
}

func newStore(keys []string) *fakeStore {
	s := &fakeStore{page: 1000, less: func(a, b string) bool { return a < b }, rows: make([]object.Object, 0, len(keys))}
	for _, k := range keys {
		s.rows = append(s.rows, object.Object{Ref: object.Ref{Bucket: "b", Key: k}, Size: 1})
	}
	return s
}

func (s *fakeStore) sort(less func(a, b string) bool) {
	s.less = less
	slices.SortStableFunc(s.rows, func(a, b object.Object) int {
		switch {
		case less(a.Key, b.Key):
			return -1
		case less(b.Key, a.Key):
			return 1
		}
		return 0
	})
}

// behind is the index of the first row after key in the store's order.
func (s *fakeStore) behind(key string) int {
	return sort.Search(len(s.rows), func(i int) bool { return s.less(key, s.rows[i].Key) })
}

// wait is how long a request takes: no two that begin at different keys take quite the
// same time, so that by a virtual clock the order of the replies is the same in every
// run.
func (s *fakeStore) wait(ctx context.Context, begin string) error {
	s.requests.Add(1)
	if s.delay == 0 {
		return ctx.Err()
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(begin))
	select {
	case <-time.After(s.delay + s.delay*time.Duration(h.Sum32()%10_000)/1_000_000):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *fakeStore) ListPage(ctx context.Context, q object.ListRequest) (object.ListReply, error) {
	if err := s.wait(ctx, q.StartAfter+q.ContinuationToken+q.KeyMarker+q.VersionIDMarker); err != nil {
		return object.ListReply{}, err
	}
	return s.pageOf(q)
}

func (s *fakeStore) pageOf(q object.ListRequest) (object.ListReply, error) {
	at := 0
	prefixed := q.Prefix
	if q.ContinuationToken != "" {
		if s.badTokens {
			return object.ListReply{}, &object.Error{Class: object.ClassInvalid, Op: "ListObjectsV2"}
		}
		n, empty := q.ContinuationToken, false
		if s.emptyPages {
			n, empty = n[1:], n[0] == 'e'
		}
		at, _ = strconv.Atoi(n)
		if empty {
			return object.ListReply{Truncated: true, NextToken: "f" + n, EncodingHonoured: true}, nil
		}
	} else if q.StartAfter != "" && !s.ignoreAfter {
		at = s.behind(q.StartAfter)
		if s.inclusive && at > 0 && s.rows[at-1].Key == q.StartAfter {
			at--
		}
	}
	if prefixed != "" && !(at > 0) {
		at = sort.Search(len(s.rows), func(i int) bool { return s.rows[i].Key >= prefixed })
	}
	size := s.page
	if q.MaxKeys > 0 {
		size = min(size, q.MaxKeys)
	}
	reply := object.ListReply{EncodingHonoured: !s.unencoded, OneWalk: s.oneWalk}
	end := min(at+size, len(s.rows))
	if s.stuck != "" {
		if i := s.behind(s.stuck); end >= i && at <= i {
			end, reply.Truncated = i, true
		}
	}
	reply.Objects = make([]object.Object, 0, max(0, end-at)) // a store that answers at once does
	for ; at < end; at++ {
		if prefixed != "" && len(s.rows[at].Key) >= len(prefixed) && s.rows[at].Key[:len(prefixed)] > prefixed {
			break
		}
		reply.Objects = append(reply.Objects, s.rows[at])
	}
	s.rowsSent.Add(int64(len(reply.Objects)))
	more := at < len(s.rows) && at == end
	reply.Truncated = reply.Truncated || more || s.emptyLast && len(reply.Objects) > 0
	if reply.Truncated && !s.noTokens && s.stuck == "" {
		reply.NextToken = strconv.Itoa(at)
		if s.emptyPages {
			reply.NextToken = "e" + reply.NextToken
		}
	}
	return reply, nil
}

// ListVersionsPage lists rows as versions; a key's newest comes first.
func (s *fakeStore) ListVersionsPage(ctx context.Context, q object.ListRequest) (object.ListReply, error) {
	if err := s.wait(ctx, q.StartAfter+q.ContinuationToken+q.KeyMarker+q.VersionIDMarker); err != nil {
		return object.ListReply{}, err
	}
	at := 0
	if q.KeyMarker != "" {
		at = s.behind(q.KeyMarker)
		if q.VersionIDMarker != "" {
			for i := at - 1; i >= 0 && s.rows[i].Key == q.KeyMarker; i-- {
				if s.rows[i].VersionID == q.VersionIDMarker {
					at = i + 1
					if s.inclusive {
						at = i
					}
				}
			}
		} else if s.inclusive && at > 0 && s.rows[at-1].Key == q.KeyMarker {
			at--
		}
	}
	size := s.page
	if q.MaxKeys > 0 {
		size = min(size, q.MaxKeys)
	}
	end := min(at+size, len(s.rows))
	reply := object.ListReply{EncodingHonoured: true, Truncated: end < len(s.rows), OneWalk: s.oneWalk}
	reply.Objects = append(reply.Objects, s.rows[at:end]...)
	if reply.Truncated && !s.noTokens && end > 0 {
		reply.NextKeyMarker, reply.NextVersionIDMarker = s.rows[end-1].Key, s.rows[end-1].VersionID
	}
	return reply, nil
}

// sink is a checkpoint: rows by identity, cursors by range, both or neither.
type sink struct {
	mu      sync.Mutex
	rows    map[string]int
	cursors map[string]object.Cursor
	life    int // pages until the process dies; negative for ever
}

func newSink() *sink {
	return &sink{rows: map[string]int{}, cursors: map[string]object.Cursor{}, life: -1}
}

// seeds are so many, and a third under the race detector: from one to the next the
// goroutines are the same.
func seeds(all uint64) uint64 {
	if testing.Short() {
		return max(1, all/3)
	}
	return all
}

var errDied = fmt.Errorf("the process died")

func (s *sink) emit(p object.Page) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life == 0 {
		return errDied
	}
	s.life--
	for i := range p.Objects {
		s.rows[p.Objects[i].Key+"\x00"+p.Objects[i].VersionID]++
	}
	for _, c := range p.Cursors {
		s.cursors[c.Range] = c
	}
	return nil
}

func (s *sink) resume() (out []object.Cursor) {
	for _, c := range s.cursors {
		out = append(out, c)
	}
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

func (s *sink) check(t *testing.T, rows []object.Object) {
	t.Helper()
	for i := range rows {
		id := rows[i].Key + "\x00" + rows[i].VersionID
		if n := s.rows[id]; n != 1 {
			t.Fatalf("%q came %d times", id, n)
		}
	}
	if len(s.rows) != len(rows) {
		t.Fatalf("%d rows came, %d are there", len(s.rows), len(rows))
	}
}

// The shapes of keys, n each, sorted.
var shapes = []struct {
	name string
	keys func(n int) []string
}{
	{"uuid", func(n int) []string {
		r := rand.New(rand.NewPCG(1, 1))
		return keysOf(n, func(int) string {
			a, b := r.Uint64(), r.Uint64()
			return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>48, b&0xffffffffffff)
		})
	}},
	{"dates", func(n int) []string {
		return keysOf(n, func(i int) string {
			day := i * 3650 / n
			d := time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, day)
			return fmt.Sprintf("logs/%s/part-%07d.parquet", d.Format("2006/01/02"), i)
		})
	}},
	{"counters", func(n int) []string {
		return keysOf(n, func(i int) string { return fmt.Sprintf("data/object-%d", i) })
	}},
	{"skew", func(n int) []string {
		r := rand.New(rand.NewPCG(2, 2))
		return keysOf(n, func(i int) string {
			switch {
			case i%100 < 90: // nearly everything in one deep folder
				return fmt.Sprintf("tenants/0007/warehouse/events/v2/region=eu-central-1/shard=0042/%010d-%04x.avro", i, r.Uint32N(1<<16))
			case i%100 < 95:
				return fmt.Sprintf("tmp/%x", r.Uint64())
			}
			return fmt.Sprintf("%c%s/ü-%d", 'A'+rune(r.IntN(58)), []string{"", "日本/", "x y/"}[r.IntN(3)], i)
		})
	}},
}

func keysOf(n int, key func(i int) string) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = key(i)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// checksum says whether two sets of keys are the same at less cost than a map,
// which would be most of what is measured.
type checksum struct {
	keys, cursors atomic.Int64
	sum           atomic.Uint64
}

var seed = maphash.MakeSeed()

func (c *checksum) emit(p object.Page) error {
	sum := uint64(0)
	for i := range p.Objects {
		sum += maphash.String(seed, p.Objects[i].Key)
	}
	c.sum.Add(sum)
	c.keys.Add(int64(len(p.Objects)))
	c.cursors.Add(int64(len(p.Cursors)))
	return nil
}

func checksumOf(rows []object.Object) *checksum {
	c := &checksum{}
	_ = c.emit(object.Page{Objects: rows})
	return c
}
