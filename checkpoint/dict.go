package checkpoint

import (
	"maps"
	"sync"
	"sync/atomic"
)

// The dictionary takes this many words of at most this length; what does not
// fit stands in the record itself. Both bound its memory and its copies.
const (
	dictWords  = 1024
	dictLength = 512
)

// dict numbers the strings that repeat. Readers take an immutable snapshot, so
// that encoding an outcome takes no lock; a new word copies it.
type dict struct {
	snap atomic.Pointer[dictSnap]
	mu   struct {
		sync.Mutex
		fresh []uint64 // given out, not yet in a batch
	}
}

type dictSnap struct {
	ids   map[string]uint64
	words []string
}

func newDict() *dict {
	d := new(dict)
	d.snap.Store(&dictSnap{ids: map[string]uint64{"": 0}, words: []string{""}})
	return d
}

// id is the number of s, given now if it is new. The empty string is 0 always.
func (d *dict) id(s string) (uint64, bool) {
	if id, ok := d.snap.Load().ids[s]; ok {
		return id, true
	}
	if len(s) > dictLength {
		return 0, false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	old := d.snap.Load()
	if id, ok := old.ids[s]; ok {
		return id, true
	}
	if len(old.words) >= dictWords {
		return 0, false
	}
	id := uint64(len(old.words))
	d.store(old, id, s)
	d.mu.fresh = append(d.mu.fresh, id)
	return id, true
}

// store publishes one more word. REQUIRES: mu, or nobody else knows d yet.
func (d *dict) store(old *dictSnap, id uint64, s string) {
	ids := maps.Clone(old.ids)
	ids[s] = id
	words := make([]string, len(old.words), len(old.words)+1)
	copy(words, old.words)
	d.snap.Store(&dictSnap{ids: ids, words: append(words, s)})
}

func (d *dict) word(id uint64) (string, bool) {
	if d == nil {
		return "", false
	}
	words := d.snap.Load().words
	if id >= uint64(len(words)) {
		return "", false
	}
	return words[id], true
}

// take gives the words that no batch holds yet. The writer calls it after it
// took what it writes, so every word in use is there or was there before.
func (d *dict) take() []uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	fresh := d.mu.fresh
	d.mu.fresh = nil
	return fresh
}
