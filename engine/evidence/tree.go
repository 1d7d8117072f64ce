package evidence

import (
	"crypto/sha256"
	"errors"
	"math/bits"
)

// hash is a node of the tree.
type hash = [sha256.Size]byte

// leafHash and nodeHash keep leaves and nodes apart, as RFC 6962 has it, so that
// no inner node can be passed off as a row.
func leafHash(row []byte) hash {
	return sha256.Sum256(append([]byte{0}, row...))
}

func nodeHash(left, right hash) hash {
	var b [1 + 2*sha256.Size]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[1+sha256.Size:], right[:])
	return sha256.Sum256(b[:])
}

// tree is the Merkle tree of RFC 6962 over rows that come one after another. It
// keeps a hash for each complete subtree, so a handful for any number of rows.
type tree struct {
	rows  uint64
	stack []hash // of the complete subtrees, the largest first
}

func (t *tree) add(row []byte) { t.addLeaf(leafHash(row)) }

func (t *tree) addLeaf(h hash) {
	for n := t.rows; n&1 == 1; n >>= 1 {
		last := len(t.stack) - 1
		h = nodeHash(t.stack[last], h)
		t.stack = t.stack[:last]
	}
	t.stack = append(t.stack, h)
	t.rows++
}

// root is that of all rows so far; of none it is the hash of nothing.
func (t *tree) root() hash {
	if len(t.stack) == 0 {
		return sha256.Sum256(nil)
	}
	h := t.stack[len(t.stack)-1]
	for i := len(t.stack) - 2; i >= 0; i-- {
		h = nodeHash(t.stack[i], h)
	}
	return h
}

// path collects the hashes that lead from one leaf to the root while the rows
// pass by, in one pass and with the memory of one path.
type path struct {
	index uint64 // of the leaf
	rows  uint64 // in all
	sides []side
	row   uint64 // that comes next
}

// side is the neighbour of one step: the rows that it covers, and its tree.
type side struct {
	from, to uint64
	tree     tree
}

// newPath prepares for the leaf of that index among so many rows.
func newPath(index, rows uint64) *path {
	p := &path{index: index, rows: rows}
	for from, to := uint64(0), rows; to-from > 1; {
		half := from + largestPower(to-from)
		if index < half {
			p.sides = append(p.sides, side{from: half, to: to})
			to = half
		} else {
			p.sides = append(p.sides, side{from: from, to: half})
			from = half
		}
	}
	return p
}

// largestPower is the largest power of two below n.
func largestPower(n uint64) uint64 { return 1 << (bits.Len64(n-1) - 1) }

func (p *path) add(row []byte) {
	for i := range p.sides {
		if s := &p.sides[i]; p.row >= s.from && p.row < s.to {
			s.tree.add(row)
			break
		}
	}
	p.row++
}

// hashes lead from the leaf upwards.
func (p *path) hashes() []hash {
	out := make([]hash, 0, len(p.sides))
	for i := len(p.sides) - 1; i >= 0; i-- {
		out = append(out, p.sides[i].tree.root())
	}
	return out
}

// climb computes the root from a leaf and its path.
func climb(leaf hash, index, rows uint64, hashes []hash) (hash, error) {
	if index >= rows {
		return hash{}, errors.New("the row lies outside the tree")
	}
	var left []bool // whether the neighbour is on the left, from the root downwards
	for from, to := uint64(0), rows; to-from > 1; {
		half := from + largestPower(to-from)
		left = append(left, index >= half)
		if index < half {
			to = half
		} else {
			from = half
		}
	}
	if len(left) != len(hashes) {
		return hash{}, errors.New("the path has another length than the tree is high")
	}
	h := leaf
	for i, other := range hashes {
		if left[len(left)-1-i] {
			h = nodeHash(other, h)
		} else {
			h = nodeHash(h, other)
		}
	}
	return h, nil
}
