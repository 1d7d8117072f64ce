package columnar

import (
	"encoding/binary"
	"errors"
)

// What Thrift's compact protocol calls its types.
const (
	thriftTrue   = 1
	thriftFalse  = 2
	thriftByte   = 3
	thriftI16    = 4
	thriftI32    = 5
	thriftI64    = 6
	thriftDouble = 7
	thriftBinary = 8
	thriftList   = 9
	thriftSet    = 10
	thriftMap    = 11
	thriftStruct = 12
	thriftUUID   = 16
)

var (
	errThriftShort  = errors.New("it ends within a structure")
	errThriftDamage = errors.New("its structure is damaged")
	errThriftDeep   = errors.New("its structure is nested too deep")
	errThriftMany   = errors.New("its structure has too many elements")
)

// maxThriftDepth bounds the nesting: of Parquet's structures the deepest has 8 levels.
const maxThriftDepth = 32

// thriftWalk steps over a structure of Thrift's compact protocol and keeps nothing of it.
// The Parquet library makes room for as many elements as a list claims before it has
// seen one, so somebody has to look first.
type thriftWalk struct {
	b  []byte
	at int
	// elements of all lists may be so many yet.
	elements int
}

func (w *thriftWalk) uvarint() (uint64, error) {
	v, n := binary.Uvarint(w.b[w.at:])
	switch {
	case n == 0:
		return 0, errThriftShort
	case n < 0:
		return 0, errThriftDamage
	}
	w.at += n
	return v, nil
}

func (w *thriftWalk) pass(n uint64) error {
	if n > uint64(len(w.b)-w.at) {
		return errThriftShort
	}
	w.at += int(n)
	return nil
}

func (w *thriftWalk) next() (byte, error) {
	if w.at == len(w.b) {
		return 0, errThriftShort
	}
	w.at++
	return w.b[w.at-1], nil
}

// structure steps over the fields of one.
func (w *thriftWalk) structure(depth int) error {
	if depth > maxThriftDepth {
		return errThriftDeep
	}
	for {
		head, err := w.next()
		if err != nil || head == 0 {
			return err
		}
		if head>>4 == 0 { // the number of the field follows
			if _, err := w.uvarint(); err != nil {
				return err
			}
		}
		if kind := head & 0xf; kind != thriftTrue && kind != thriftFalse {
			if err := w.value(kind, depth); err != nil {
				return err
			}
		}
	}
}

func (w *thriftWalk) value(kind byte, depth int) error {
	switch kind {
	case thriftTrue, thriftFalse, thriftByte:
		return w.pass(1)
	case thriftI16, thriftI32, thriftI64:
		_, err := w.uvarint()
		return err
	case thriftDouble:
		return w.pass(8)
	case thriftUUID:
		return w.pass(16)
	case thriftBinary:
		n, err := w.uvarint()
		if err != nil {
			return err
		}
		return w.pass(n)
	case thriftList, thriftSet:
		return w.list(depth + 1)
	case thriftMap:
		return w.pairs(depth + 1)
	case thriftStruct:
		return w.structure(depth + 1)
	}
	return errThriftDamage
}

func (w *thriftWalk) list(depth int) error {
	head, err := w.next()
	if err != nil {
		return err
	}
	n := uint64(head >> 4)
	if n == 15 {
		if n, err = w.uvarint(); err != nil {
			return err
		}
	}
	return w.values(n, depth, head&0xf)
}

func (w *thriftWalk) pairs(depth int) error {
	n, err := w.uvarint()
	if err != nil || n == 0 {
		return err
	}
	kinds, err := w.next()
	if err != nil {
		return err
	}
	return w.values(n, depth, kinds>>4, kinds&0xf)
}

// values steps over n times one value of each kind.
func (w *thriftWalk) values(n uint64, depth int, kinds ...byte) error {
	switch {
	case depth > maxThriftDepth:
		return errThriftDeep
	case n > uint64(len(w.b)-w.at): // each takes a byte or more
		return errThriftShort
	case n > uint64(w.elements):
		return errThriftMany
	}
	w.elements -= int(n)
	for range n {
		for _, kind := range kinds {
			if err := w.value(kind, depth); err != nil {
				return err
			}
		}
	}
	return nil
}
