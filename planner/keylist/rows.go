package keylist

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/dustin/go-humanize/english"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/planner/csvline"
)

// rowReader reads the rows of one part.
type rowReader interface {
	// next is the next row; wanted is false for one that the list does not ask for.
	// The end is io.EOF.
	next() (o object.Object, wanted bool, err error)
	line() int
}

// tableReader reads Batch Operations manifests and completion reports.
type tableReader struct {
	lines  *csvline.Reader
	kind   Kind
	bucket string
	cols   int      // of the first row
	held   [][]byte // the row after one that was taken for a header
}

func newTableReader(r io.Reader, kind Kind, bucket string) *tableReader {
	return &tableReader{lines: csvline.NewReader(r), kind: kind, bucket: bucket}
}

func (t *tableReader) line() int { return t.lines.Line() }

func (t *tableReader) next() (o object.Object, wanted bool, err error) {
	f, err := t.read()
	if err != nil {
		var bad *csvline.SyntaxError
		if errors.As(err, &bad) {
			err = errors.New(bad.What)
		}
		return o, false, err
	}
	if err := t.shape(f); err != nil {
		return o, false, err
	}
	o.Bucket = string(f[0])
	switch {
	case o.Bucket == "":
		return o, false, errors.New("the bucket is empty")
	case t.bucket == "" && !object.MayBeBucket(o.Bucket):
		return o, false, fmt.Errorf("no bucket can have the name %q", object.Cut(o.Bucket, 300))
	case t.bucket == "":
		t.bucket = o.Bucket
	case o.Bucket != t.bucket:
		return o, false, fmt.Errorf("the row is of bucket %q, and the job of %q: a job is about one bucket", object.Cut(o.Bucket, 300), t.bucket)
	}
	if o.Key, err = decoded(f[1]); err != nil {
		return o, false, err
	}
	if len(f) > 2 {
		o.VersionID = string(f[2])
	}
	return o, t.kind == Rows || Failed(f), nil
}

// read is the next line that is no header. A bucket may be called "bucket", and
// then a first line of these two words is a row, unless rows of another bucket
// follow: nothing is passed over that could be meant.
func (t *tableReader) read() ([][]byte, error) {
	if f := t.held; f != nil {
		t.held = nil
		return f, nil
	}
	f, err := t.lines.Next()
	if err != nil || t.cols > 0 || !Header(f) {
		return f, err
	}
	if string(f[0]) != "bucket" || string(f[1]) != "key" {
		return t.lines.Next()
	}
	first := make([][]byte, len(f))
	for i := range f {
		first[i] = bytes.Clone(f[i])
	}
	f, err = t.lines.Next()
	switch {
	case err != nil && err != io.EOF:
		return nil, err
	case err == nil && string(f[0]) != "bucket":
		return f, nil
	case err == nil:
		t.held = f // valid until the next line is read
	}
	return first, nil
}

// shape refuses rows that have another number of columns than the first.
func (t *tableReader) shape(f [][]byte) error {
	low, high := 2, 3
	if t.kind == Results {
		low, high = 4, 7
	}
	switch {
	case len(f) < low || len(f) > high:
		return fmt.Errorf("the line has %s", english.Plural(len(f), "column", ""))
	case t.cols == 0:
		t.cols = len(f)
	case len(f) != t.cols && t.kind == Rows:
		return fmt.Errorf("the line has %d columns, and the first one %d: version IDs are given for all objects or for none", len(f), t.cols)
	}
	return nil
}

// Header says whether a first line names the columns, as Athena writes them or as
// the documentation does. In lower case it may be the object "key" of a bucket that
// is called "bucket"; the reader of the rows finds out.
func Header(f [][]byte) bool {
	return len(f) >= 2 && bytes.EqualFold(f[0], []byte("bucket")) && bytes.EqualFold(f[1], []byte("key"))
}

// Failed says whether the row of a completion report is that of a task that has
// not succeeded.
func Failed(f [][]byte) bool {
	return len(f) > 3 && !strings.EqualFold(string(bytes.TrimSpace(f[3])), "succeeded")
}

// decoded undoes the URL encoding of a key.
func decoded(text []byte) (string, error) {
	key, err := url.QueryUnescape(string(text))
	switch {
	case err != nil:
		return "", fmt.Errorf("the key %q is not URL-encoded", object.Cut(string(text), 300))
	case key == "":
		return "", errors.New("the key is empty")
	case len(key) > object.MaxKey:
		return "", fmt.Errorf("the key has %d bytes, and S3 takes %d", len(key), object.MaxKey)
	}
	return key, nil
}

// keyReader reads plain keys.
type keyReader struct {
	in     *bufio.Reader
	end    byte
	bucket string
	n      int
	crs    bool // lines end in \r\n
	begun  bool
}

func newKeyReader(r io.Reader, bucket string) *keyReader {
	k := &keyReader{in: bufio.NewReaderSize(r, 64<<10), end: '\n', bucket: bucket}
	head, _ := k.in.Peek(64 << 10)
	if bytes.IndexByte(head, 0) >= 0 {
		k.end = 0
	}
	return k
}

func (k *keyReader) line() int { return max(1, k.n) }

func (k *keyReader) next() (o object.Object, wanted bool, err error) {
	for {
		line, err := k.in.ReadSlice(k.end)
		k.n++
		if err == bufio.ErrBufferFull {
			return o, false, fmt.Errorf("the line has more than %d bytes", len(line))
		}
		if err != nil && (err != io.EOF || len(line) == 0) {
			return o, false, err
		}
		key := k.trim(line)
		if len(key) == 0 {
			continue
		}
		if len(key) > object.MaxKey {
			return o, false, fmt.Errorf("the key has %d bytes, and S3 takes %d", len(key), object.MaxKey)
		}
		o.Bucket, o.Key = k.bucket, string(key)
		return o, true, nil
	}
}

// trim takes the line end off. A carriage return belongs to it if the first line
// has one: keys that end in one are rare, and lists from Windows are not.
func (k *keyReader) trim(line []byte) []byte {
	ended := len(line) > 0 && line[len(line)-1] == k.end
	if ended {
		line = line[:len(line)-1]
	}
	if k.end != '\n' {
		return line
	}
	cr := len(line) > 0 && line[len(line)-1] == '\r'
	if !k.begun {
		k.begun, k.crs = true, cr && ended
	}
	if k.crs && cr {
		line = line[:len(line)-1]
	}
	return line
}
