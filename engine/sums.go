package engine

import (
	"cmp"
	"context"
	"crypto/sha256"
	"slices"
	"sync"

	"github.com/resealhq/reseal/engine/look"
	"github.com/resealhq/reseal/engine/object"
)

// sums are the SHA-256 of stretches of the bytes that were sent, to be compared with
// what the store gives back. They live in memory only.
type sums struct {
	// algorithm of the checksum that the source has, which is made of each stretch too;
	// empty for none.
	algorithm string
	// only: nothing but that one is made.
	only bool

	mu  sync.Mutex
	all []stretch
}

type stretch struct {
	from     int64
	n        int
	sha      [sha256.Size]byte
	checksum string
}

// add takes one stretch; nil takes nothing.
func (s *sums) add(from int64, b []byte) {
	if s == nil {
		return
	}
	one := stretch{from: from, n: len(b), checksum: object.Checksum(s.algorithm, b)}
	if !s.only {
		one.sha = sha256.Sum256(b)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, one)
}

// whole is the checksum of what the stretches make up, as a store would show it; empty
// where it cannot be told.
func (s *sums) whole(typ string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.SortFunc(s.all, func(a, b stretch) int { return cmp.Compare(a.from, b.from) })
	parts := make([]object.Part, 0, len(s.all))
	for i := range s.all {
		parts = append(parts, object.Part{Size: int64(s.all[i].n), Checksum: s.all[i].checksum})
	}
	return object.JoinedChecksum(s.algorithm, typ, parts)
}

// showsText says whether another object than the one that was read has the bytes that
// were sent. Where no envelope tells a write from others, that and nothing else does.
func (it *item) showsText(ctx context.Context, h *object.Head) (bool, error) {
	if it.sums == nil || h.ETag == it.obj.ETag {
		return false, nil
	}
	return it.hasSums(ctx, h)
}

// hasSums reads an object and compares.
func (it *item) hasSums(ctx context.Context, h *object.Head) (bool, error) {
	at := &look.Looker{Loop: it.run.loop, Source: it.run.cfg.Store, Rules: it.run.look.Rules, Facts: it.run.look.Facts}
	o := h.Object
	o.Ref = it.dest()
	var size int64
	for _, one := range it.sums.all {
		size += int64(one.n)
	}
	if size != o.Size {
		return false, nil
	}
	for _, one := range it.sums.all {
		same, err := it.hasSum(ctx, at, &o, one)
		if err != nil || !same {
			return false, err
		}
	}
	return true, nil
}

// hasSum reads by little pieces: whoever asks may hold the bytes that were sent.
func (it *item) hasSum(ctx context.Context, at *look.Looker, o *object.Object, one stretch) (bool, error) {
	h := sha256.New()
	buf := make([]byte, min(one.n, readAhead))
	for from, end := one.from, one.from+int64(one.n); from < end; {
		n := min(end-from, readAhead)
		if err := at.ReadRange(ctx, o, from, buf[:n]); err != nil {
			return false, err
		}
		h.Write(buf[:n])
		from += n
	}
	return [sha256.Size]byte(h.Sum(nil)) == one.sha, nil
}

func (it *item) compareSent(ctx context.Context, h *object.Head) error {
	same, err := it.hasSums(ctx, h)
	if err == nil && !same {
		err = differs(h)
	}
	return err
}
