package s3test

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"sync"
)

// Content is the bytes of an object. It never changes. Bytes that nobody
// stored (Synthetic) cost no memory, so that a test can have an object of many
// gigabytes.
type Content struct {
	segs []segment
	size int64

	mu      sync.Mutex
	digests map[string]string // by algorithm, base64; "ETag" as hex
}

// segment is either real bytes or a stretch of a synthetic stream.
type segment struct {
	data []byte // nil for synthetic
	from *stream
	off  int64 // within the synthetic stream
	n    int64
}

// stream is what a seed names. It remembers the digests of its stretches, so that
// what is copied, in parts or whole, is not hashed again.
type stream struct {
	seed uint64

	mu      sync.Mutex
	digests map[stretch]string
}

type stretch struct {
	off, n int64
	digest string
}

func (t *stream) digest(of stretch, compute func() string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if v, ok := t.digests[of]; ok {
		return v
	}
	if t.digests == nil {
		t.digests = make(map[stretch]string, 2)
	}
	v := compute()
	t.digests[of] = v
	return v
}

// Bytes is content held in memory. It keeps b: do not change it afterwards.
func Bytes[T ~string | ~[]byte](b T) *Content {
	c := &Content{size: int64(len(b))}
	if len(b) > 0 {
		c.segs = []segment{{data: []byte(b), n: int64(len(b))}}
	}
	return c
}

// Synthetic is size bytes of a reproducible stream that the seed names.
func Synthetic(seed uint64, size int64) *Content {
	c := &Content{size: size}
	if size > 0 {
		c.segs = []segment{{from: &stream{seed: seed}, n: size}}
	}
	return c
}

// Size in bytes.
func (c *Content) Size() int64 { return c.size }

// Slice is the n bytes from off on, without copying them.
func (c *Content) Slice(off, n int64) *Content {
	if off == 0 && n == c.size {
		return c
	}
	out := &Content{size: n}
	for _, s := range c.segs {
		if off >= s.n {
			off -= s.n
			continue
		}
		take := min(s.n-off, n)
		if take <= 0 {
			break
		}
		out.append(s.cut(off, take))
		off, n = 0, n-take
	}
	return out
}

func (s segment) cut(off, n int64) segment {
	if s.data != nil {
		return segment{data: s.data[off : off+n], n: n}
	}
	return segment{from: s.from, off: s.off + off, n: n}
}

// append joins stretches of one stream that touch, so that an object copied in
// parts is the same Content as its source.
func (c *Content) append(s segment) {
	if s.n == 0 {
		return
	}
	if k := len(c.segs) - 1; k >= 0 {
		l := &c.segs[k]
		if l.data == nil && s.data == nil && l.from.seed == s.from.seed && l.off+l.n == s.off {
			l.n += s.n
			return
		}
	}
	c.segs = append(c.segs, s)
}

// Concat is the parts one after the other.
func Concat(parts ...*Content) *Content {
	out := &Content{}
	for _, p := range parts {
		out.size += p.size
		for _, s := range p.segs {
			out.append(s)
		}
	}
	return out
}

// Equal compares the bytes.
func (c *Content) Equal(d *Content) bool {
	if c == d {
		return true
	}
	if c == nil || d == nil || c.size != d.size {
		return false
	}
	if c.virtual() && d.virtual() {
		return c.description() == d.description()
	}
	if len(c.segs) == 1 && len(d.segs) == 1 && c.segs[0].sameStretch(d.segs[0]) {
		return true
	}
	return equalReaders(c.Reader(), d.Reader())
}

func (s segment) sameStretch(o segment) bool {
	return s.from != nil && o.from != nil && s.from.seed == o.from.seed && s.off == o.off && s.n == o.n
}

func equalReaders(a, b io.Reader) bool {
	x, y := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, errA := io.ReadFull(a, x)
		m, _ := io.ReadFull(b, y)
		if n != m || !bytes.Equal(x[:n], y[:m]) {
			return false
		}
		if errA != nil {
			return true
		}
	}
}

// ReadAll is the bytes themselves.
func (c *Content) ReadAll() []byte {
	if len(c.segs) == 1 && c.segs[0].data != nil {
		return c.segs[0].data
	}
	b, _ := io.ReadAll(c.Reader())
	return b
}

// Reader streams the bytes.
func (c *Content) Reader() io.Reader {
	rs := make([]io.Reader, len(c.segs))
	for i, s := range c.segs {
		if s.data != nil {
			rs[i] = bytes.NewReader(s.data)
		} else {
			rs[i] = &synth{seed: s.from.seed, off: s.off, left: s.n}
		}
	}
	return io.MultiReader(rs...)
}

// virtualFrom is the size from which on synthetic bytes are not hashed any more.
const virtualFrom = 64 << 20

// virtual says whether the digests are made from the description of the bytes
// instead of from the bytes: equal for equal content, at no cost, but not the
// real MD5.
func (c *Content) virtual() bool {
	if c.size < virtualFrom {
		return false
	}
	for _, s := range c.segs {
		if s.data == nil {
			return true
		}
	}
	return false
}

func (c *Content) description() string {
	var b bytes.Buffer
	for _, s := range c.segs {
		if s.data != nil {
			fmt.Fprintf(&b, "bytes %x;", md5.Sum(s.data))
		} else {
			fmt.Fprintf(&b, "stream %d %d %d;", s.from.seed, s.off, s.n)
		}
	}
	return b.String()
}

// MD5 is the MD5 as ETags show it.
func (c *Content) MD5() string {
	return c.digest("ETag", func() string {
		h := md5.New()
		c.hashInto(h)
		return hex.EncodeToString(h.Sum(nil))
	})
}

func (c *Content) hashInto(w io.Writer) {
	if c.virtual() {
		io.WriteString(w, c.description())
		return
	}
	if len(c.segs) == 1 && c.segs[0].data != nil {
		w.Write(c.segs[0].data)
		return
	}
	io.Copy(w, c.Reader())
}

func (c *Content) digest(name string, compute func() string) string {
	if len(c.segs) == 1 && c.segs[0].from != nil {
		return c.segs[0].from.digest(stretch{c.segs[0].off, c.segs[0].n, name}, compute)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if v, ok := c.digests[name]; ok {
		return v
	}
	if c.digests == nil {
		c.digests = make(map[string]string, 2)
	}
	v := compute()
	c.digests[name] = v
	return v
}

// synth reads a stretch of a synthetic stream: 8-byte words of splitmix64, so
// that any offset can be read at once.
type synth struct {
	seed uint64
	off  int64
	left int64
}

func (s *synth) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	n := 0
	for n < len(p) && s.left > 0 {
		word, in := mix(s.seed+uint64(s.off/8)*0x9e3779b97f4a7c15), s.off%8
		if in == 0 && s.left >= 8 && len(p)-n >= 8 {
			binary.LittleEndian.PutUint64(p[n:], word)
			n, s.off, s.left = n+8, s.off+8, s.left-8
			continue
		}
		var w [8]byte
		binary.LittleEndian.PutUint64(w[:], word)
		k := copy(p[n:], w[in:min(8, in+s.left)])
		n, s.off, s.left = n+k, s.off+int64(k), s.left-int64(k)
	}
	return n, nil
}

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
