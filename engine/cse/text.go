package cse

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/resealhq/reseal/engine/object"
)

// text is AES-GCM over a text that is never in one place: pieces of it, in any
// order and at the same time, and the tag when all were seen.
//
// GCM is counter mode and a sum over the ciphertext, in powers of H = E(0). The
// counter of any place is known. For the sum of a piece GCM itself is asked, as a
// MAC over the piece: it answers (sum ⊕ length) · H ⊕ E(nonce), which is sum · H
// after two known terms are taken away. One H too many is what the tag wants in
// the end, so sums stay so, and are shifted by powers of H when they are joined.
type text struct {
	hidden
	block   cipher.Block
	gcm     cipher.AEAD
	nonce   [ivGCM]byte
	h, mask element // E(0), E(nonce ‖ 1)
	aad     element // the sum of the additional data, times H
	aadBits uint64

	mu struct {
		sync.Mutex
		pieces []piece // sorted, apart from each other, joined where they touch
		end    int64   // where a piece ended within a block, which ends the text; or -1
	}
}

// piece is a range of the text that was claimed, and its sum once it is known.
type piece struct {
	from, to int64
	sum      element
	known    bool
}

func newText(key []byte, nonce [ivGCM]byte, aad string) (*text, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	t := &text{block: block, gcm: gcm, nonce: nonce, aadBits: 8 * uint64(len(aad))}
	t.mu.end = -1
	var b [aes.BlockSize]byte
	block.Encrypt(b[:], b[:])
	t.h = elementOf(b[:])
	b = t.counter(1)
	block.Encrypt(b[:], b[:])
	t.mask = elementOf(b[:])
	t.aad = t.sum([]byte(aad))
	return t, nil
}

func (t *text) counter(n uint32) (b [aes.BlockSize]byte) {
	copy(b[:], t.nonce[:])
	binary.BigEndian.PutUint32(b[ivGCM:], n)
	return b
}

// sum is GHASH of the bytes, times H.
func (t *text) sum(b []byte) element {
	var room [tagSize]byte
	tag := t.gcm.Seal(room[:0], t.nonce[:], nil, b)
	length := element{hi: 8 * uint64(len(b))}
	return elementOf(tag).plus(t.mask).plus(length.times(t.h))
}

// cross puts the key stream at this offset over src.
func (t *text) cross(dst, src []byte, offset int64) {
	iv := t.counter(uint32(2 + offset/aes.BlockSize))
	cipher.NewCTR(t.block, iv[:]).XORKeyStream(dst, src)
}

// claim takes a range before anything is done with it. No range is given twice:
// its key stream would be used twice, or its sum would cancel itself out.
func (t *text) claim(offset int64, n int) error {
	to := offset + int64(n)
	switch {
	case offset < 0 || offset%aes.BlockSize != 0:
		return fmt.Errorf("cse: a piece begins at a multiple of %d, not at %d", aes.BlockSize, offset)
	case to > maxText:
		return tooLarge(to)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	i, _ := slices.BinarySearchFunc(t.mu.pieces, offset, func(p piece, at int64) int { return int(min(max(p.from-at, -1), 1)) })
	overlaps := i > 0 && t.mu.pieces[i-1].to > offset || i < len(t.mu.pieces) && t.mu.pieces[i].from < to
	if overlaps || t.mu.end >= 0 && (to > t.mu.end || n%aes.BlockSize != 0) {
		return fmt.Errorf("cse: bytes %d to %d of this text were there before, or are beyond its end", offset, to)
	}
	if n%aes.BlockSize != 0 {
		if i < len(t.mu.pieces) {
			return fmt.Errorf("cse: a piece of %d bytes ends within a block, but not the text", n)
		}
		t.mu.end = to
	}
	t.mu.pieces = slices.Insert(t.mu.pieces, i, piece{from: offset, to: to})
	return nil
}

// add gives a claimed range its sum and joins it with its neighbours.
func (t *text) add(offset int64, sum element) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.mu.pieces
	i := slices.IndexFunc(p, func(p piece) bool { return p.from == offset })
	p[i].sum, p[i].known = sum, true
	for _, j := range [2]int{i + 1, i} { // with the one behind, then with the one before
		if j > 0 && j < len(p) && p[j-1].known && p[j].known && p[j-1].to == p[j].from {
			p[j-1].sum = t.joined(p[j-1].sum, p[j].sum, p[j].to-p[j].from)
			p[j-1].to = p[j].to
			p = slices.Delete(p, j, j+1)
		}
	}
	t.mu.pieces = p
}

// joined is the sum of what gave left and what gave right, n bytes, behind it.
func (t *text) joined(left, right element, n int64) element {
	return left.times(t.h.power(blocks(n))).plus(right)
}

func blocks(n int64) int64 { return (n + aes.BlockSize - 1) / aes.BlockSize }

var errIncomplete = errors.New("cse: not every byte of the text was seen")

// tag is given when all of a text of this size was seen.
func (t *text) tag(size int64) ([tagSize]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all piece
	if len(t.mu.pieces) > 0 {
		all = t.mu.pieces[0]
	}
	if len(t.mu.pieces) > 1 || len(t.mu.pieces) == 1 && !all.known || all.from != 0 || all.to != size {
		return [tagSize]byte{}, errIncomplete
	}
	sum := t.joined(t.aad, all.sum, size)
	lengths := element{t.aadBits, 8 * uint64(size)}
	return sum.plus(lengths.times(t.h)).plus(t.mask).bytes(), nil
}

func tooLarge(n int64) error {
	return refuse(object.ReasonTooLarge, fmt.Sprintf("a text of %d bytes: AES-GCM ends at %d under one key; divide the object", n, int64(maxText)))
}
