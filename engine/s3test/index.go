package s3test

import "sort"

// blockSize bounds the run of entries that one insertion moves. With 512, a
// million keys are two thousand blocks, so that both levels stay cheap.
const blockSize = 512

// index keeps the keys of a bucket in order of their UTF-8 bytes: a sorted list
// of sorted blocks. A seek is two binary searches, an insertion moves at most a
// block.
type index struct {
	blocks [][]*entry
	n      int
}

// entry is one key with its versions, newest first.
type entry struct {
	key string
	vs  []*version
}

func (e *entry) current() *version { return e.vs[0] }

// block finds the block that holds key, or would.
func (x *index) block(key string) int {
	i := sort.Search(len(x.blocks), func(i int) bool { return x.blocks[i][0].key > key })
	if i > 0 {
		i--
	}
	return i
}

func within(b []*entry, key string) int {
	return sort.Search(len(b), func(i int) bool { return b[i].key >= key })
}

func (x *index) get(key string) *entry {
	if len(x.blocks) == 0 {
		return nil
	}
	b := x.blocks[x.block(key)]
	if i := within(b, key); i < len(b) && b[i].key == key {
		return b[i]
	}
	return nil
}

// add inserts an entry whose key is not there yet.
func (x *index) add(e *entry) {
	x.n++
	if len(x.blocks) == 0 {
		x.blocks = append(x.blocks, append(make([]*entry, 0, blockSize), e))
		return
	}
	bi := x.block(e.key)
	b := x.blocks[bi]
	i := within(b, e.key)
	if len(b) < blockSize {
		b = append(b, nil)
		copy(b[i+1:], b[i:])
		b[i] = e
		x.blocks[bi] = b
		return
	}
	x.split(bi, i)
	x.n--
	x.add(e)
}

// split makes room in a full block. Ascending insertion, the common way to fill
// a bucket, leaves full blocks behind instead of half-empty ones.
func (x *index) split(bi, at int) {
	b := x.blocks[bi]
	cut := len(b) / 2
	if at == len(b) && bi == len(x.blocks)-1 {
		cut = len(b) - 1
	}
	right := append(make([]*entry, 0, blockSize), b[cut:]...)
	clear(b[cut:])
	x.blocks = append(x.blocks, nil)
	copy(x.blocks[bi+2:], x.blocks[bi+1:])
	x.blocks[bi], x.blocks[bi+1] = b[:cut], right
}

func (x *index) remove(key string) {
	if len(x.blocks) == 0 {
		return
	}
	bi := x.block(key)
	b := x.blocks[bi]
	i := within(b, key)
	if i == len(b) || b[i].key != key {
		return
	}
	x.n--
	copy(b[i:], b[i+1:])
	b[len(b)-1] = nil
	if b = b[:len(b)-1]; len(b) > 0 {
		x.blocks[bi] = b
		return
	}
	x.blocks = append(x.blocks[:bi], x.blocks[bi+1:]...)
}

// from calls f for the entries with keys >= key in order until f returns the
// key to jump to (seek true) or stops (ok false).
func (x *index) from(key string, f func(*entry) (next string, seek, ok bool)) {
	for {
		if len(x.blocks) == 0 {
			return
		}
		bi := x.block(key)
		i := within(x.blocks[bi], key)
		jump := false
	walk:
		for ; bi < len(x.blocks); bi, i = bi+1, 0 {
			for b := x.blocks[bi]; i < len(b); i++ {
				next, seek, ok := f(b[i])
				if !ok {
					return
				}
				if seek {
					key, jump = next, true
					break walk
				}
			}
		}
		if !jump {
			return
		}
	}
}

// each calls f for every entry in order.
func (x *index) each(f func(*entry)) {
	for _, b := range x.blocks {
		for _, e := range b {
			f(e)
		}
	}
}
