package cse

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"
	"testing/iotest"
)

// sealed is what the standard library makes of a text.
func sealed(t testing.TB, key, nonce, text, aad []byte) []byte {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return gcm.Seal(nil, nonce, text, aad)
}

func filled(n int, seed uint64) []byte {
	b := make([]byte, n)
	var s [32]byte
	s[0] = byte(seed)
	_, _ = rand.NewChaCha8(s).Read(b)
	return b
}

// gcmEnvelope is a version 2 envelope under a data key.
func gcmEnvelope(t testing.TB, key []byte) (Envelope, DataKey) {
	t.Helper()
	d, err := NewDataKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return Envelope{Format: V2, Wrap: AESGCM, Content: GCM, cek: cekGCM, iv: filled(ivGCM, 9)}, d
}

// pieces cuts n bytes at multiples of 16 and shuffles the cuts.
func pieces(n int, r *rand.Rand) (cuts [][2]int) {
	for at := 0; at < n; {
		to := min(n, at+16*(1+r.IntN(40)))
		cuts = append(cuts, [2]int{at, to})
		at = to
	}
	r.Shuffle(len(cuts), func(i, j int) { cuts[i], cuts[j] = cuts[j], cuts[i] })
	return cuts
}

// TestPiecesAreGCM: pieces in any order make what the standard library makes of
// the whole, and its tag, for both suites and all sizes of keys.
func TestPiecesAreGCM(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 15, 16, 17, 31, 32, 33, 255, 4096, 65535, 65536, 65537, 200_003} {
		for _, aad := range []string{"", suite} {
			for _, size := range []int{16, 24, 32} {
				key, text := filled(size, uint64(n)), filled(n, 7)
				want := sealed(t, key, nonceV3[:], text, []byte(aad))
				x, err := newText(key, nonceV3, aad)
				if err != nil {
					t.Fatal(err)
				}
				u := &Upload{text: x}
				got := make([]byte, n)
				for _, c := range pieces(n, r) {
					if err := u.Part(got[c[0]:c[1]], text[c[0]:c[1]], int64(c[0])); err != nil {
						t.Fatal(err)
					}
				}
				tag, err := u.Finish(Unencrypted(int64(n)))
				if err != nil || !bytes.Equal(append(got, tag...), want) {
					t.Fatalf("%d bytes, %d of additional data, a key of %d: differs from crypto/cipher (%v)", n, len(aad), size, err)
				}
			}
		}
	}
}

// TestParallelPieces is for the race detector as well.
func TestParallelPieces(t *testing.T) {
	const n = 3<<20 + 5
	text, key := filled(n, 3), filled(32, 4)
	e, d := gcmEnvelope(t, key)
	want := sealed(t, key, e.iv, text, nil)
	x, err := newText(key, [ivGCM]byte(e.iv), "")
	if err != nil {
		t.Fatal(err)
	}
	dec, err := e.NewDecrypter(d, int64(len(want)))
	if err != nil {
		t.Fatal(err)
	}
	u := &Upload{text: x}
	got, back, done := make([]byte, n), make([]byte, n), make(chan error, 16)
	cuts := pieces(n, rand.New(rand.NewPCG(5, 6)))
	for w := range 8 {
		go func() {
			for i := w; i < len(cuts); i += 8 {
				from, to := cuts[i][0], cuts[i][1]
				if err := u.Part(got[from:to], text[from:to], int64(from)); err != nil {
					done <- err
					return
				}
				if err := dec.Part(back[from:to], want[from:to], int64(from)); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	proof, err := dec.Verify(want[n:])
	if err != nil || !proof.Authentic() || proof.Size() != n || !bytes.Equal(back, text) {
		t.Fatalf("decrypted: %v, %v", proof, err)
	}
	tag, err := u.Finish(proof)
	if err != nil || !bytes.Equal(append(got, tag...), want) {
		t.Errorf("encrypted: differs, %v", err)
	}
}

// TestNothingWithoutProof: no tag for a new object without the proof of the old
// one, no proof without every byte, and no byte twice.
func TestNothingWithoutProof(t *testing.T) {
	key, text := filled(32, 1), filled(64, 2)
	e, d := gcmEnvelope(t, key)
	whole := sealed(t, key, e.iv, text, nil)
	begin := func() (*Decrypter, *Upload) {
		dec, err := e.NewDecrypter(d, int64(len(whole)))
		if err != nil {
			t.Fatal(err)
		}
		x, err := newText(key, nonceV3, "")
		if err != nil {
			t.Fatal(err)
		}
		return dec, &Upload{text: x}
	}
	room := make([]byte, 64)
	dec, up := begin()
	steps := []struct {
		what string
		do   func() error
		ok   bool
	}{
		{"verify before anything", func() error { _, err := dec.Verify(whole[64:]); return err }, false},
		{"a piece", func() error { return dec.Part(room, whole[:32], 0) }, true},
		{"the same again", func() error { return dec.Part(room, whole[:32], 0) }, false},
		{"within it", func() error { return dec.Part(room, whole[16:32], 16) }, false},
		{"over its end", func() error { return dec.Part(room, whole[16:48], 16) }, false},
		{"within a block", func() error { return dec.Part(room, whole[40:48], 40) }, false},
		{"half a block", func() error { return dec.Part(room, whole[32:40], 32) }, false},
		{"beyond the text", func() error { return dec.Part(room, whole[32:80], 32) }, false},
		{"before the text", func() error { return dec.Part(room, whole[:16], -16) }, false},
		{"verify without the rest", func() error { _, err := dec.Verify(whole[64:]); return err }, false},
		{"the rest", func() error { return dec.Part(room, whole[32:64], 32) }, true},
		{"another tag", func() error { _, err := dec.Verify(whole[63:79]); return err }, false},
		{"half a tag", func() error { _, err := dec.Verify(whole[64:72]); return err }, false},
		{"the tag", func() error { _, err := dec.Verify(whole[64:]); return err }, true},
		{"encrypt", func() error { return up.Part(room, text[:48], 0) }, true},
		{"encrypt again", func() error { return up.Part(room, text[:16], 32) }, false},
		{"finish with what proves nothing", func() error { _, err := up.Finish(Verified{}); return err }, false},
		{"finish early", func() error { _, err := up.Finish(Unencrypted(64)); return err }, false},
		{"the end", func() error { return up.Part(room, text[48:57], 48) }, true},
		{"behind the end", func() error { return up.Part(room, text[:16], 64) }, false},
		{"finish with another size", func() error { _, err := up.Finish(Unencrypted(64)); return err }, false},
		{"finish", func() error { _, err := up.Finish(Unencrypted(57)); return err }, true},
	}
	for _, s := range steps {
		if err := s.do(); (err == nil) != s.ok {
			t.Errorf("%s: %v", s.what, err)
		}
	}
	_, up = begin()
	if up.Part(room, text[:16], 32) != nil || up.Part(room, text[:5], 0) == nil {
		t.Error("a short piece before another was taken")
	}
}

// TestLimit: the last byte that AES-GCM can carry, and the one behind it. The
// piece there makes the right key stream, and the sums of a text that long join.
func TestLimit(t *testing.T) {
	key := filled(32, 1)
	x, err := newText(key, nonceV3, "")
	if err != nil {
		t.Fatal(err)
	}
	u, src, got := &Upload{text: x}, make([]byte, 32), make([]byte, 32)
	if err := u.Part(got, src, maxText-16); err == nil {
		t.Error("a text of 16 bytes too much was taken")
	}
	if err := u.Part(got, src, maxText-32); err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	var want [16]byte
	last := x.counter(1<<32 - 1)
	block.Encrypt(want[:], last[:])
	if !bytes.Equal(got[16:], want[:]) {
		t.Error("the last block has another counter than 2^32-1")
	}
	if x.h.power(1<<32).times(x.h) != x.h.power(1<<32+1) {
		t.Error("powers differ")
	}
	e := Envelope{Format: V2, Content: GCM}
	if n, err := e.TextSize(maxText + 16); err != nil || n != maxText {
		t.Error(n, err)
	}
	if _, err := e.TextSize(maxText + 17); err == nil {
		t.Error("an object that is too large has a size")
	}
}

// TestReader: streams of AES-GCM and AES-CBC of many sizes, through readers that
// give little at a time.
func TestReader(t *testing.T) {
	for _, n := range []int{0, 1, 16, 17, readAhead - 1, readAhead, readAhead + 1, 3*readAhead - 16, 3 * readAhead, 3*readAhead + 9} {
		text, key := filled(n, 1), filled(32, 2)
		g, d := gcmEnvelope(t, key)
		c := Envelope{Format: V1, Content: CBC, iv: filled(ivCBC, 5)}
		for _, x := range []struct {
			e     Envelope
			bytes []byte
		}{{g, sealed(t, key, g.iv, text, nil)}, {c, cbcSealed(t, key, c.iv, text)}} {
			r, err := x.e.NewReader(d, iotest.HalfReader(bytes.NewReader(x.bytes)), int64(len(x.bytes)))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			proof, perr := r.Verified()
			if err != nil || perr != nil || !bytes.Equal(got, text) || proof.Size() != int64(n) || proof.Authentic() != (x.e.Content == GCM) {
				t.Errorf("%s of %d: %d bytes, %v, %+v, %v", x.e.Content, n, len(got), err, proof, perr)
			}
		}
	}
}

func cbcSealed(t testing.TB, key, iv, text []byte) []byte {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	pad := 16 - len(text)%16
	b := append(bytes.Clone(text), bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(b, b)
	return b
}

// TestReaderKeepsTheEnd: of an object that was changed, cut or lengthened, a
// reader never gives the whole text and never a proof.
func TestReaderKeepsTheEnd(t *testing.T) {
	const n = 2*readAhead + 77
	text, key := filled(n, 1), filled(32, 2)
	e, d := gcmEnvelope(t, key)
	whole := sealed(t, key, e.iv, text, nil)
	flip := func(i int) []byte { b := bytes.Clone(whole); b[i] ^= 1; return b }
	for what, b := range map[string][]byte{"the first byte": flip(0), "the last byte": flip(n - 1), "the tag": flip(n + 15),
		"cut": whole[:n+15], "cut to blocks": whole[:readAhead], "longer": append(bytes.Clone(whole), 0)} {
		r, err := e.NewReader(d, bytes.NewReader(b), int64(len(whole)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err == nil || len(got) >= n {
			t.Errorf("%s: gave %d bytes of %d, %v", what, len(got), n, err)
		}
		if _, err := r.Verified(); err == nil {
			t.Errorf("%s: proved", what)
		}
		if _, again := r.Read(make([]byte, 1)); !errors.Is(again, err) {
			t.Errorf("%s: then %v", what, again)
		}
	}
	c := Envelope{Format: V1, Content: CBC, iv: filled(ivCBC, 5)}
	broken := cbcSealed(t, key, c.iv, text)
	broken[len(broken)-17] ^= 0xff // turns the padding over
	r, err := c.NewReader(d, bytes.NewReader(broken), int64(len(broken)))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err == nil || len(got) >= n {
		t.Errorf("CBC: gave %d bytes, %v", len(got), err)
	}
}

// FuzzPieces cuts a text anywhere and compares with the standard library.
func FuzzPieces(f *testing.F) {
	f.Add([]byte("the text that is cut into pieces"), uint64(1))
	f.Add([]byte{}, uint64(0))
	key := filled(32, 1)
	f.Fuzz(func(t *testing.T, text []byte, seed uint64) {
		e, d := gcmEnvelope(t, key)
		want := sealed(t, key, e.iv, text, nil)
		dec, err := e.NewDecrypter(d, int64(len(want)))
		if err != nil {
			t.Fatal(err)
		}
		got := bytes.Clone(want[:len(text)])
		for _, c := range pieces(len(text), rand.New(rand.NewPCG(seed, 1))) {
			if err := dec.Part(got[c[0]:c[1]], got[c[0]:c[1]], int64(c[0])); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := dec.Verify(want[len(text):]); err != nil || !bytes.Equal(got, text) {
			t.Fatal(err)
		}
	})
}

func BenchmarkPart(b *testing.B) {
	x, err := newText(filled(32, 1), nonceV3, suite)
	if err != nil {
		b.Fatal(err)
	}
	piece := make([]byte, 1<<20)
	b.SetBytes(1 << 20)
	for i := 0; b.Loop(); i++ {
		if err := (&Upload{text: x}).Part(piece, piece, int64(i)<<20%(maxText-1<<20)); err != nil {
			b.Fatal(err)
		}
	}
}

// TestMemory: 16 MiB go through a Reader and an Upload in less than 1 MiB.
func TestMemory(t *testing.T) {
	const n = 16 << 20
	key := filled(32, 2)
	e, d := gcmEnvelope(t, key)
	whole := sealed(t, key, e.iv, make([]byte, n), nil)
	up, err := NewUpload(t.Context(), nil, V3, Target{Wrap: AESGCM, Key: rawKey(t, 32, 1)})
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r, err := e.NewReader(d, bytes.NewReader(whole), n+tagSize)
	if err != nil {
		t.Fatal(err)
	}
	piece := make([]byte, 1<<16)
	for at := int64(0); at < n; at += 1 << 16 {
		if _, err := io.ReadFull(r, piece); err != nil {
			t.Fatal(err)
		}
		if err := up.Part(piece, piece, at); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Read(piece); err != io.EOF {
		t.Fatal(err)
	}
	proof, err := r.Verified()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := up.Finish(proof); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
		t.Errorf("%d bytes were allocated", grown)
	}
}
