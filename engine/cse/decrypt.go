package cse

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
)

// ErrTag says that the object is not what was encrypted: a byte of it, or of its
// tag, was changed.
var ErrTag = errors.New("the tag does not verify: the object was changed after it was encrypted")

// Verified is the proof that a whole text was seen and is what was encrypted. It
// comes from a Decrypter or a Reader that verified, or from Unencrypted. The zero
// value proves nothing and is accepted nowhere.
type Verified struct {
	ok, authentic bool
	size          int64
}

// Size is that of the text.
func (v Verified) Size() int64 { return v.size }

// OK says whether there is a proof.
func (v Verified) OK() bool { return v.ok }

// Authentic is whether a tag verified. AES-CBC has none, and a source that was
// not encrypted by a client has none either.
func (v Verified) Authentic() bool { return v.authentic }

// Unencrypted is for a source without client-side encryption, of which this many
// bytes were read and found complete by other means.
func Unencrypted(size int64) Verified { return Verified{ok: size >= 0, size: size} }

// Decrypter gives the text of an object by pieces, in any order and at the same
// time. The text may go into an upload that nobody can see yet; Verify tells
// whether this upload may be completed.
type Decrypter struct {
	hidden
	text *text
	size int64
}

// NewDecrypter opens content under AES-GCM, of an object of this size.
func (e Envelope) NewDecrypter(d DataKey, objectSize int64) (*Decrypter, error) {
	if e.Content != GCM && e.Content != Committed {
		return nil, errors.New("cse: only AES-GCM is decrypted by pieces; use a Reader")
	}
	size, err := e.TextSize(objectSize)
	if err != nil {
		return nil, err
	}
	key, err := e.contentKey(d)
	if err != nil {
		return nil, err
	}
	nonce, aad := nonceV3, suite
	if e.Format != V3 {
		nonce, aad = [ivGCM]byte(e.iv), ""
	}
	t, err := newText(key, nonce, aad)
	if err != nil {
		return nil, err
	}
	return &Decrypter{text: t, size: size}, nil
}

// Size is that of the text; behind it the object has its tag.
func (d *Decrypter) Size() int64 { return d.size }

// Part decrypts the bytes of the object from offset on, without its tag. All but
// the last have whole blocks of 16; dst may be src. It may be called from many
// goroutines, once for each byte.
func (d *Decrypter) Part(dst, src []byte, offset int64) error {
	if len(src) == 0 {
		return nil
	}
	to := offset + int64(len(src))
	if len(dst) < len(src) || to > d.size || len(src)%aes.BlockSize != 0 && to != d.size {
		return fmt.Errorf("cse: a piece of %d bytes at %d of a text of %d", len(src), offset, d.size)
	}
	if err := d.text.claim(offset, len(src)); err != nil {
		return err
	}
	sum := d.text.sum(src)
	d.text.cross(dst[:len(src)], src, offset)
	d.text.add(offset, sum)
	return nil
}

// Verify compares the tag at the end of the object, once every byte was seen.
func (d *Decrypter) Verify(tag []byte) (Verified, error) {
	want, err := d.text.tag(d.size)
	if err != nil {
		return Verified{}, err
	}
	if subtle.ConstantTimeCompare(want[:], tag) != 1 {
		return Verified{}, ErrTag
	}
	return Verified{ok: true, authentic: true, size: d.size}, nil
}

// readAhead is how much of the text a Reader holds back at the most.
const readAhead = 64 << 10

// Reader is the text of an object as a stream. It gives the last piece only when
// the tag has verified (of AES-CBC: when the padding is right), so that whoever
// copies from it can never have the whole of a text that was tampered with.
type Reader struct {
	hidden
	s *stream
}

// stream is behind a pointer, so that a Reader has no text in it.
type stream struct {
	hidden
	src    io.Reader
	left   int64 // of the object, without the tag
	offset int64
	gcm    *Decrypter
	cbc    cipher.BlockMode
	buf    [readAhead]byte
	out    []byte
	err    error // sticky; io.EOF when verified
	proof  Verified
}

// NewReader opens the content of an object of this size.
func (e Envelope) NewReader(d DataKey, src io.Reader, objectSize int64) (*Reader, error) {
	r := &stream{src: src}
	if e.Content != CBC {
		gcm, err := e.NewDecrypter(d, objectSize)
		if err != nil {
			return nil, err
		}
		r.gcm, r.left = gcm, gcm.Size()
		return &Reader{s: r}, nil
	}
	if _, err := e.TextSize(objectSize); err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(d.Bytes())
	if err != nil {
		return nil, err
	}
	r.cbc, r.left = cipher.NewCBCDecrypter(block, e.iv), objectSize
	return &Reader{s: r}, nil
}

// Read gives the text.
func (r *Reader) Read(b []byte) (int, error) { return r.s.read(b) }

func (r *stream) read(b []byte) (int, error) {
	for len(r.out) == 0 && r.err == nil {
		r.out, r.err = r.next()
	}
	if len(r.out) == 0 {
		return 0, r.err
	}
	n := copy(b, r.out)
	r.out = r.out[n:]
	return n, nil
}

// next reads and opens one piece. With the last one comes io.EOF, and only if
// everything was right.
func (r *stream) next() ([]byte, error) {
	piece := r.buf[:min(r.left, readAhead)]
	if err := r.fill(piece); err != nil {
		return nil, err
	}
	r.left -= int64(len(piece))
	var err error
	if r.gcm != nil {
		err = r.gcm.Part(piece, piece, r.offset)
	} else {
		r.cbc.CryptBlocks(piece, piece)
	}
	if err != nil {
		return nil, err
	}
	r.offset += int64(len(piece))
	if r.left > 0 {
		return piece, nil
	}
	return r.last(piece)
}

func (r *stream) last(piece []byte) ([]byte, error) {
	proof := Verified{ok: true}
	var err error
	if r.gcm != nil {
		var tag [tagSize]byte
		if err = r.fill(tag[:]); err == nil {
			proof, err = r.gcm.Verify(tag[:])
		}
	} else {
		padded := len(piece)
		if piece, err = unpad(piece); err != nil {
			err = errors.New("the padding is wrong: the object was changed after it was encrypted, or the data key is another")
		}
		proof.size = r.offset - int64(padded-len(piece))
	}
	if err != nil {
		return nil, err
	}
	var beyond [1]byte
	if n, err := io.ReadFull(r.src, beyond[:]); n > 0 || err != io.EOF {
		return nil, errors.New("the object goes on behind its end")
	}
	r.proof = proof
	return piece, io.EOF
}

func (r *stream) fill(b []byte) error {
	_, err := io.ReadFull(r.src, b)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// Verified is the proof, once the text was read to its end.
func (r *Reader) Verified() (Verified, error) {
	if r.s.err != io.EOF || len(r.s.out) > 0 {
		return Verified{}, errIncomplete
	}
	return r.s.proof, nil
}
