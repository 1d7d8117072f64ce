// Package keylist reads lists of keys: S3 Batch Operations manifests
// (Bucket,Key[,VersionId], URL-encoded, no header), plain lists of keys, and the
// completion reports of Batch Operations, of which it takes the failed rows. It
// promises that a list with a line that cannot be understood, or means another
// bucket, gives out no row at all, and that a resumed job reads the very list
// that it began with.
//
// A list tells names and nothing else: sizes are -1, and every object is
// inspected before anything is done with it. A version ID is taken as it stands;
// whether it is the current version is found out by the worker.
package keylist

import (
	"bufio"
	"bytes"
	"context"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/planner"
)

// Kind is what the lines of a list are.
type Kind uint8

// The kinds of lists.
const (
	// Rows are Bucket,Key or Bucket,Key,VersionId; keys are URL-encoded, a space is
	// + or %20. A first line of just these names is passed over.
	Rows Kind = iota
	// Keys are raw keys, one a line; or, where a list holds NUL bytes, one between
	// two of them, so that keys with line ends can be named.
	Keys
	// Results are rows of a completion report: Bucket,Key,VersionId,TaskStatus and
	// more. The order of the columns after these differs between the schema that
	// S3 declares and what it writes, so that nothing of it is used.
	Results
)

// Part is one file of a list.
type Part struct {
	// Name is for messages.
	Name string
	// MD5 in hex, where something tells what it must be.
	MD5 string
	// Open gives the content from its beginning, compressed by gzip or not. It is
	// called twice or more.
	Open func(ctx context.Context) (io.ReadCloser, error)
}

// Options of reading a list. The zero value is ready, but for Keys.
type Options struct {
	// Bucket that the list is about: needed for Keys; for the others all rows must
	// be of it, or of the bucket of the first row where it is empty.
	Bucket string
	// PageRows is how many rows are emitted together; 0 for 1,000.
	PageRows int
}

// Source is one list. It implements planner.Source.
type Source struct {
	kind   Kind
	parts  []Part
	opt    Options
	bucket string
}

const (
	fixRows = "a Batch Operations manifest has lines Bucket,Key or Bucket,Key,VersionId, with URL-encoded keys and no header"
	fixKeys = "a key list has one key a line"
)

// New opens a list. It reads as far as it takes to know the bucket.
func New(ctx context.Context, kind Kind, parts []Part, opt Options) (*Source, error) {
	s := &Source{kind: kind, parts: parts, opt: opt, bucket: opt.Bucket}
	if kind == Keys && opt.Bucket == "" {
		return nil, &planner.UnusableError{What: "a key list names no bucket", Fix: "add --bucket BUCKET"}
	}
	for i := 0; s.bucket == "" && i < len(parts); i++ {
		err := s.scan(ctx, &parts[i], nil, func(o *object.Object, _ bool) error {
			s.bucket = o.Bucket
			return io.EOF
		})
		if err != nil {
			return nil, err
		}
	}
	if s.bucket == "" {
		return nil, &planner.UnusableError{Where: s.name(), What: "the list is empty, so it names no bucket", Fix: "add --bucket BUCKET, or give another list"}
	}
	return s, nil
}

func (s *Source) name() string {
	if len(s.parts) == 0 {
		return "the list"
	}
	return s.parts[0].Name
}

// Bucket that the list is about.
func (s *Source) Bucket() string { return s.bucket }

// Kind of the list.
func (s *Source) Kind() Kind { return s.kind }

// Check reads the list to its end and gives nothing out. What is wrong is a
// *planner.UnusableError that names file and line.
func (s *Source) Check(ctx context.Context) error {
	_, err := s.check(ctx)
	return err
}

// check returns the digest of each part.
func (s *Source) check(ctx context.Context) ([]string, error) {
	digests := make([]string, len(s.parts))
	for i := range s.parts {
		p := &s.parts[i]
		sum := md5.New()
		if err := s.scan(ctx, p, sum, func(*object.Object, bool) error { return nil }); err != nil {
			return nil, err
		}
		digests[i] = hex.EncodeToString(sum.Sum(nil))
		if p.MD5 != "" && digests[i] != p.MD5 {
			return nil, &planner.UnusableError{Where: p.Name, What: fmt.Sprintf("its MD5 is %s and the manifest says %s", digests[i], p.MD5),
				Fix: "the file is damaged or another one; fetch it again"}
		}
	}
	return digests, nil
}

// Read checks the whole list and then emits its rows, in their order.
func (s *Source) Read(ctx context.Context, resume []object.Cursor, emit func(object.Page) error) error {
	digests, err := s.check(ctx)
	if err != nil {
		return err
	}
	at := make(map[string]object.Cursor, len(resume))
	for _, c := range resume {
		at[c.Range] = c
	}
	ranges := make([]string, len(s.parts))
	for i, d := range digests {
		ranges[i] = fmt.Sprintf("%d/%s", i, d)
		delete(at, ranges[i])
	}
	if len(at) > 0 {
		return &planner.UnusableError{Where: s.name(), What: "this is not the list that the job began to read",
			Fix: "give the list of the first run, or begin a new job"}
	}
	for _, c := range resume {
		at[c.Range] = c
	}
	for i := range s.parts {
		c, begun := at[ranges[i]]
		if c.Finished {
			continue
		}
		skip := uint64(0)
		if begun {
			var n int
			if skip, n = binary.Uvarint(c.Position); n <= 0 {
				return fmt.Errorf("%s: the position in the job is damaged", s.parts[i].Name)
			}
		}
		if err := s.readPart(ctx, &s.parts[i], ranges[i], skip, emit); err != nil {
			return err
		}
	}
	return nil
}

func (s *Source) readPart(ctx context.Context, p *Part, name string, skip uint64, emit func(object.Page) error) error {
	size := s.opt.PageRows
	if size <= 0 {
		size = 1000
	}
	var page []object.Object
	done, since := uint64(0), 0
	send := func(finished bool) error {
		c := object.Cursor{Range: name, Position: binary.AppendUvarint(nil, done), Finished: finished}
		err := emit(object.Page{Objects: page, Cursors: []object.Cursor{c}})
		page, since = nil, 0
		return err
	}
	var failed error
	err := s.scan(ctx, p, nil, func(o *object.Object, wanted bool) error {
		done++
		if done <= skip {
			return nil
		}
		if wanted {
			page = append(page, *o)
		}
		if since++; len(page) == size || since > 100*size {
			if failed = send(false); failed != nil {
				return failed
			}
		}
		return nil
	})
	switch {
	case failed != nil:
		return failed
	case err != nil:
		return err
	case done < skip:
		return fmt.Errorf("%s: the list has fewer rows than were read of it before", p.Name)
	}
	return send(true)
}

// scan gives every row of a part to visit, with whether it is wanted; io.EOF
// from visit ends it early and is no error. The sum, where there is one, takes in
// the bytes as they lie.
func (s *Source) scan(ctx context.Context, p *Part, sum io.Writer, visit func(o *object.Object, wanted bool) error) error {
	r, err := p.Open(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return &planner.UnusableError{Where: p.Name, What: "there is no such file", Fix: "give the list of objects with --manifest"}
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", p.Name, err)
	}
	defer r.Close()
	src := &source{ctx: ctx, r: r, sum: sum}
	in := bufio.NewReaderSize(src, 256<<10)
	rows, err := s.rows(ctx, in)
	for err == nil {
		var o object.Object
		var wanted bool
		if o, wanted, err = rows.next(); err != nil {
			break
		}
		o.Size = -1
		if err := visit(&o, wanted); err != nil {
			if err == io.EOF {
				return nil
			}
			return err
		}
	}
	if err == io.EOF {
		// A gzip file may end before its bytes do; all of them count for the sum.
		_, err = io.Copy(io.Discard, in)
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case src.err != nil:
		return fmt.Errorf("reading %s: %w", p.Name, src.err)
	}
	return s.fault(p, rows, err)
}

func (s *Source) fault(p *Part, rows rowReader, err error) error {
	at, fix := p.Name, fixRows
	if s.kind == Keys {
		fix = fixKeys
	}
	if rows != nil {
		at += fmt.Sprintf(", line %d", rows.line())
	}
	return &planner.UnusableError{Where: at, What: err.Error(), Fix: fix}
}

// rows picks the reader of the kind.
func (s *Source) rows(ctx context.Context, in *bufio.Reader) (rowReader, error) {
	text, err := planner.Unzip(ctx, in)
	if err == nil {
		text, err = withoutMark(text)
	}
	if err != nil {
		return nil, err
	}
	if s.kind == Keys {
		return newKeyReader(text, s.bucket), nil
	}
	return newTableReader(text, s.kind, s.bucket), nil
}

// withoutMark passes over the byte order mark that Windows puts before a text, and
// refuses the other encodings that begin with one: between their NULs the
// letters would pass for keys.
func withoutMark(text io.Reader) (io.Reader, error) {
	in := bufio.NewReaderSize(text, 64<<10)
	head, _ := in.Peek(3) // the reader of the rows meets the error again
	switch {
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
		return nil, errors.New("it is in UTF-16; write it in UTF-8")
	case bytes.Equal(head, []byte("\ufeff")):
		_, err := in.Discard(len(head))
		return in, err
	}
	return in, nil
}

// source reads, sums, ends with its context, and remembers what went wrong with
// getting the bytes, as against with what they say.
type source struct {
	ctx context.Context
	r   io.Reader
	sum io.Writer
	err error
}

func (r *source) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.r.Read(p)
	if r.sum != nil {
		r.sum.Write(p[:n])
	}
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}
