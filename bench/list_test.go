package main

import (
	"context"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"sort"
	"sync/atomic"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/planner/listing"
)

// BenchmarkListing lists a million keys of four shapes from a store that takes
// 30 ms a page, and reports how many times faster that was than one page after
// the other.
//
//	go test ./bench -run '^$' -bench Listing -benchtime 3x
func BenchmarkListing(b *testing.B) {
	const keys, page = 1_000_000, 30 * time.Millisecond
	for _, shape := range keyShapes {
		b.Run(shape.name, func(b *testing.B) {
			store := &slowLister{delay: page}
			for i := range keys {
				store.keys = append(store.keys, shape.key(i, keys))
			}
			slices.Sort(store.keys)
			store.keys = slices.Compact(store.keys)
			want := keySet{}
			for _, k := range store.keys {
				want.add(k)
			}
			sequential := time.Duration(len(store.keys)/1000+1) * page
			for b.Loop() {
				store.requests.Store(0)
				var got keySet
				src := &listing.Source{Lister: store, Bucket: "b", Readers: 64}
				begin := time.Now()
				err := src.Read(b.Context(), nil, func(p object.Page) error {
					var part keySet
					for i := range p.Objects {
						part.add(p.Objects[i].Key)
					}
					got.merge(&part)
					return nil
				})
				took := time.Since(begin)
				if err != nil {
					b.Fatal(err)
				}
				if got.n.Load() != want.n.Load() || got.sum.Load() != want.sum.Load() {
					b.Fatalf("%d keys of %d, or others", got.n.Load(), len(store.keys))
				}
				b.ReportMetric(float64(sequential)/float64(took), "x-sequential")
				b.ReportMetric(float64(store.requests.Load()), "requests")
			}
		})
	}
}

var keyShapes = []struct {
	name string
	key  func(i, n int) string
}{
	{"uuid", func(i, _ int) string {
		r := rand.New(rand.NewPCG(1, uint64(i)))
		return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", r.Uint32(), r.Uint32()>>16, r.Uint32()>>20, r.Uint32()>>16, r.Uint64()>>16)
	}},
	{"dates", func(i, n int) string {
		day := time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, i*3650/n)
		return fmt.Sprintf("logs/%s/part-%07d.parquet", day.Format("2006/01/02"), i)
	}},
	{"counters", func(i, _ int) string { return fmt.Sprintf("data/object-%d", i) }},
	{"skew", func(i, _ int) string {
		r := rand.New(rand.NewPCG(2, uint64(i)))
		switch {
		case i%100 < 90: // nearly everything in one deep folder
			return fmt.Sprintf("tenants/0007/warehouse/events/v2/region=eu-central-1/shard=0042/%010d-%04x.avro", i, r.Uint32N(1<<16))
		case i%100 < 95:
			return fmt.Sprintf("tmp/%x", r.Uint64())
		}
		return fmt.Sprintf("%c%s/ü-%d", 'A'+rune(r.IntN(58)), []string{"", "日本/", "x y/"}[r.IntN(3)], i)
	}},
}

// keySet compares sets of keys by count and sum of hashes, which costs less than
// the listing that it checks.
type keySet struct{ n, sum atomic.Uint64 }

var hashSeed = maphash.MakeSeed()

func (s *keySet) add(key string) {
	s.n.Add(1)
	s.sum.Add(maphash.String(hashSeed, key))
}

func (s *keySet) merge(t *keySet) {
	s.n.Add(t.n.Load())
	s.sum.Add(t.sum.Load())
}

// slowLister is a store's listing without the store.
type slowLister struct {
	keys     []string
	delay    time.Duration
	requests atomic.Int64
}

func (s *slowLister) ListPage(ctx context.Context, q object.ListRequest) (object.ListReply, error) {
	s.requests.Add(1)
	select {
	case <-time.After(s.delay):
	case <-ctx.Done():
		return object.ListReply{}, ctx.Err()
	}
	at := 0
	if q.StartAfter != "" {
		at = sort.Search(len(s.keys), func(i int) bool { return s.keys[i] > q.StartAfter })
	}
	if q.ContinuationToken != "" {
		if _, err := fmt.Sscan(q.ContinuationToken, &at); err != nil {
			return object.ListReply{}, err
		}
	}
	end := min(at+min(q.MaxKeys, 1000), len(s.keys))
	reply := object.ListReply{EncodingHonoured: true, Truncated: end < len(s.keys), NextToken: fmt.Sprint(end), Objects: make([]object.Object, end-at)}
	for i := range reply.Objects {
		reply.Objects[i].Ref = object.Ref{Bucket: q.Bucket, Key: s.keys[at+i]}
	}
	return reply, nil
}

func (s *slowLister) ListVersionsPage(context.Context, object.ListRequest) (object.ListReply, error) {
	return object.ListReply{}, &object.Error{Class: object.ClassUnsupported, Op: "ListObjectVersions"}
}
