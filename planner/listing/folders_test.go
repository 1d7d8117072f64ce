package listing

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// folderStore begins after a key as MinIO does: it walks the folders, counts what
// lies in those beside the key's own (x-… beside x/), although it drops that
// again, and stops walking at its limit. What it does not come to is missing, and
// it says that there is no more.
type folderStore struct{ *fakeStore }

func (f folderStore) ListPage(ctx context.Context, q object.ListRequest) (object.ListReply, error) {
	reply, err := f.fakeStore.ListPage(ctx, q)
	if q.ContinuationToken == "" {
		f.forget(&reply, q.StartAfter, q.MaxKeys)
	}
	return reply, err
}

func (f folderStore) ListVersionsPage(ctx context.Context, q object.ListRequest) (object.ListReply, error) {
	key, warm := strings.CutPrefix(q.KeyMarker, "warm:")
	q.KeyMarker = key
	reply, err := f.fakeStore.ListVersionsPage(ctx, q)
	if !warm {
		f.forget(&reply, key, q.MaxKeys)
	}
	if reply.NextKeyMarker != "" {
		reply.NextKeyMarker = "warm:" + reply.NextKeyMarker
	}
	return reply, err
}

func (f folderStore) forget(reply *object.ListReply, after string, size int) {
	beside := 0
	for i := range f.rows {
		if k := f.rows[i].Key; k <= after && besideFolder(k, after) {
			beside++
		}
	}
	if left := max(0, size+size/16+5-beside); left < len(reply.Objects) {
		*reply = object.ListReply{Objects: reply.Objects[:left], EncodingHonoured: true}
	}
}

func besideFolder(k, after string) bool {
	for i := range after {
		if after[i] == '/' && len(k) > i && k[:i] == after[:i] && k[i] < '/' {
			return true
		}
	}
	return false
}

// folders has n keys beside the folder and n in it, and some around.
func folders(beside, within int) []string {
	var keys []string
	for i := range beside {
		keys = append(keys, fmt.Sprintf("dir-%05d/x", i))
	}
	for i := range within {
		keys = append(keys, fmt.Sprintf("dir/%05d", i))
	}
	for i := range 50 {
		keys = append(keys, fmt.Sprintf("a/%02d", i))
		if within%2 == 0 {
			keys = append(keys, fmt.Sprintf("z/%02d", i))
		}
	}
	return keysOf(len(keys), func(i int) string { return keys[i] })
}

func TestStoresThatForgetBesideFolders(t *testing.T) {
	whole := 0
	for seed := range seeds(60) {
		r := rand.New(rand.NewPCG(seed, 11))
		keys := folders(r.IntN(60), 100+r.IntN(400))
		for _, versions := range []bool{false, true} {
			store := newStore(keys)
			if versions {
				store = versioned(keys, 2, 5, r)
			}
			store.page, store.delay = 5+r.IntN(30), time.Millisecond
			src := store.source(1 + r.IntN(24))
			src.Lister, src.Versions = folderStore{store}, versions
			got := newSink()
			if seed%2 == 0 {
				if err := read(t, src, nil, got.emit); err != nil {
					t.Fatal(err)
				}
			} else {
				synctest.Test(t, func(t *testing.T) { dieMany(t, src, got, r) })
			}
			got.check(t, store.rows)
			if _, ok := got.cursors[wholeID]; ok {
				whole++
			}
		}
	}
	if whole < 10 || whole > 110 {
		t.Errorf("%d of 120 listings went page after page: this test tests one way only", whole)
	}
}
