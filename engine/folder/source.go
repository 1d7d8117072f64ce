package folder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"os"
	"path"
	"strings"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/store"
)

// Source is a folder whose files are read as the objects of a job. The ETag of a file
// is made of its inode, size, and times to the nanosecond: it is the same for as long as
// nobody writes the file.
type Source struct {
	*tree
	nothing
	// prefix is what keys have before the path of their file.
	prefix string
	// checksum is the algorithm that files are told to have, so that they get there with
	// one; empty where the store makes none.
	checksum string
}

// OpenSource opens a folder to be read. Keys will have the prefix; checksum names the
// algorithm that the store is to be sent, or is empty.
func OpenSource(dir, prefix, checksum string) (*Source, error) {
	t, err := openTree(dir)
	if err != nil {
		return nil, err
	}
	return &Source{tree: t, prefix: prefix, checksum: checksum}, nil
}

// Store is the folder as the engine reads it.
func (s *Source) Store() store.Store {
	return store.Store{Hot: s, Uploads: s, Details: s, Reader: s}
}

// row is what is known of a file without reading it.
func (s *Source) row(key string, info fs.FileInfo) object.Object {
	o := object.Object{Ref: object.Ref{Bucket: s.path, Key: key}, Size: info.Size(), ETag: stamp(info), LastModified: info.ModTime(),
		Encryption: object.Encryption{Type: object.SSENone}, Settled: true, Plain: true, Unfit: object.KeyName(s.prefix, key)}
	if s.checksum != "" {
		o.ChecksumAlgorithm, o.ChecksumType = s.checksum, object.FullObject
	}
	switch mode := info.Mode(); {
	case mode&fs.ModeSymlink != 0:
		o.Unfit = object.Unfit{Reason: object.ReasonLink, Message: "it is a symbolic link, and none is followed"}
	case !mode.IsRegular():
		o.Unfit = object.Unfit{Reason: object.ReasonSpecial, Message: "it is no file but " + kind(mode)}
	}
	if o.Unfit.Reason != "" && !info.Mode().IsRegular() {
		o.Size = 0
	}
	return o
}

func kind(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a folder"
	case mode&fs.ModeNamedPipe != 0:
		return "a pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	}
	return "a device"
}

// stamp is the ETag of a file.
func stamp(info fs.FileInfo) string {
	inode, changed := identity(info)
	return fmt.Sprintf("%x.%x.%x.%x", inode, info.Size(), info.ModTime().UnixNano(), changed)
}

// attributes are what an object of the file has beside its bytes.
func attributes(key string, info fs.FileInfo) object.Attributes {
	kind, _, _ := strings.Cut(mime.TypeByExtension(path.Ext(key)), ";") // nobody has looked for a charset
	if kind == "" {
		kind = "binary/octet-stream"
	}
	return object.Attributes{ContentType: kind, Metadata: map[string]string{MtimeName: mtimeText(info.ModTime())}, Tags: []object.Tag{}, Grants: []object.Grant{}, Annotations: []object.Annotation{}}
}

// Head looks at a file.
func (s *Source) Head(_ context.Context, ref object.Ref, _ object.CustomerKey) (object.Head, error) {
	const op = "HeadObject"
	if strings.HasSuffix(ref.Key, "/") { // a folder that could not be read
		dir, _, err := s.entries(ref.Key)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return object.Head{Object: s.unread(ref.Key, err)}, nil
		}
		if err == nil {
			_ = dir.Close()
		}
		return object.Head{}, failure(op, ref, fs.ErrNotExist)
	}
	dir, name, err := s.parent(ref.Key, false)
	if err != nil {
		return object.Head{}, failure(op, ref, err)
	}
	defer dir.Close()
	info, err := dir.Lstat(name)
	if err != nil {
		return object.Head{}, failure(op, ref, err)
	}
	return s.head(ref.Key, info), nil
}

func (s *Source) head(key string, info fs.FileInfo) object.Head {
	return object.Head{Object: s.row(key, info), Attributes: attributes(key, info)}
}

// A file's times tell when a write began and nothing of its end: in the middle of one it has
// them already, and keeps them. So a file is read once nobody has written it for a while.
const (
	// atRest is that while, where somebody may be writing.
	atRest = time.Second
	// tick is the same where nobody has the file open to write it: no clock that a kernel
	// tells times by goes in longer steps, and a later write is seen by them.
	tick = 20 * time.Millisecond
	// coarse is the same, and for all, where times may have no fractions: FAT keeps
	// every other second, and ext3 each. A second write within one is not seen by them.
	coarse = 2*time.Second + tick
	// otherClock is how far the clock of another machine may be from this one. Where that
	// one tells the times, a file that seems to be younger is watched for the whole while:
	// one that is being written may seem to be at rest.
	otherClock = time.Minute
)

// rested waits until the file has been at rest, and is an error where it was changed
// meanwhile.
func rested(ctx context.Context, op string, ref object.Ref, f *os.File, info fs.FileInfo) error {
	written, rests := lastChange(info), []time.Duration{tick, atRest}
	if written.Nanosecond() == 0 {
		rests = []time.Duration{coarse}
	}
	since := written
	if time.Since(written) < otherClock && !timesAreOurs(f) {
		since = time.Now()
	}
	for _, rest := range rests {
		age := time.Since(since)
		if age >= rests[len(rests)-1] {
			return nil
		}
		if age < rest {
			select {
			case <-time.After(rest - max(age, 0)): // a clock that was set back says nothing
			case <-ctx.Done():
				return ctx.Err()
			}
			if err := unchanged(op, ref, f, stamp(info)); err != nil {
				return err
			}
		}
		if !mayBeWritten(f) {
			return nil
		}
	}
	return nil
}

// lastChange is when the file was written last, or had another attribute changed. Its
// owner can set the one time to any, and not the other, where the system has two.
func lastChange(info fs.FileInfo) time.Time {
	if _, changed := identity(info); changed != 0 {
		return time.Unix(0, changed)
	}
	return info.ModTime()
}

// file opens a file that is one and is at rest, and tells what it is.
func (s *Source) file(ctx context.Context, op string, ref object.Ref) (*os.File, fs.FileInfo, error) {
	dir, name, err := s.parent(ref.Key, false)
	if err != nil {
		return nil, nil, failure(op, ref, err)
	}
	defer dir.Close()
	there, err := dir.Lstat(name)
	if err != nil {
		return nil, nil, failure(op, ref, err)
	}
	if !there.Mode().IsRegular() {
		return nil, nil, changed(op, ref)
	}
	f, err := dir.OpenFile(name, os.O_RDONLY|neverWaits, 0)
	if err != nil {
		return nil, nil, failure(op, ref, err)
	}
	info, err := f.Stat()
	if err == nil && !os.SameFile(there, info) {
		err = changed(op, ref)
	}
	if err == nil {
		err = rested(ctx, op, ref, f, info)
	}
	if err != nil {
		_ = f.Close()
		return nil, nil, failure(op, ref, err)
	}
	return f, info, nil
}

func changed(op string, ref object.Ref) error {
	return &object.Error{Class: object.ClassChanged, Op: op, Ref: ref, NotSent: true, Message: "the file was changed meanwhile"}
}

// unchanged looks again at a file that was read.
func unchanged(op string, ref object.Ref, f *os.File, etag string) error {
	askAnew(f)
	info, err := f.Stat()
	if err != nil {
		return failure(op, ref, err)
	}
	if stamp(info) != etag {
		return changed(op, ref)
	}
	return nil
}

// Get reads a whole file.
func (s *Source) Get(ctx context.Context, g *object.GetRequest) (object.GetReply, error) {
	const op = "GetObject"
	f, info, err := s.file(ctx, op, g.Ref)
	if err != nil {
		return object.GetReply{}, err
	}
	defer f.Close()
	out := object.GetReply{Head: s.head(g.Ref.Key, info)}
	switch {
	case g.ETag != "" && g.ETag != out.ETag:
		return out, changed(op, g.Ref)
	case out.Size > g.Max:
		return out, &object.Error{Class: object.ClassTooLarge, Op: op, Ref: g.Ref, Message: fmt.Sprintf("it has %d bytes, and %d are taken at most", out.Size, g.Max), NotSent: true}
	}
	out.Body = g.Into[:0]
	if int64(cap(out.Body)) < out.Size {
		out.Body = make([]byte, out.Size)
	}
	out.Body = out.Body[:out.Size]
	if err := readAll(op, g.Ref, f, 0, out.Body, out.Object); err != nil {
		return object.GetReply{}, err
	}
	if s.checksum != "" {
		out.Checksums = map[string]string{s.checksum: object.Checksum(s.checksum, out.Body)}
	}
	return out, nil
}

// readAll reads a stretch of a file that is to be o before and after. What the kernel makes
// while it is read, as below /proc, has more bytes than the none that its size tells.
func readAll(op string, ref object.Ref, f *os.File, from int64, into []byte, o object.Object) error {
	if err := fill(op, ref, f, from, into); err != nil {
		return err
	}
	more := 0
	if end := from + int64(len(into)); end == o.Size {
		more, _ = f.ReadAt(make([]byte, 1), end)
	}
	if err := unchanged(op, ref, f, o.ETag); err != nil {
		return err
	}
	if more > 0 {
		return &object.Error{Class: object.ClassInvalid, Leaves: object.ReasonSpecial, Op: op, Ref: ref, NotSent: true,
			Message: "it has more bytes than its size tells"}
	}
	return nil
}

// fill reads a stretch. A file that ends before it was cut.
func fill(op string, ref object.Ref, f *os.File, from int64, into []byte) error {
	n, err := f.ReadAt(into, from)
	if n == len(into) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return changed(op, ref)
	}
	return failure(op, ref, err)
}

// ReadRange reads a stretch of a file, on the condition that it is the one with that ETag
// before and after.
func (s *Source) ReadRange(ctx context.Context, g *object.RangeRequest) error {
	const op = "GetObject"
	f, info, err := s.file(ctx, op, g.Ref)
	if err != nil {
		return err
	}
	defer f.Close()
	if stamp(info) != g.ETag {
		return changed(op, g.Ref)
	}
	return readAll(op, g.Ref, f, g.First, g.Into, s.row(g.Ref.Key, info))
}

// Open reads a file as a stream. Its end is an error where the file was changed since.
func (s *Source) Open(ctx context.Context, ref object.Ref, _ object.CustomerKey, etag string) (io.ReadCloser, error) {
	const op = "GetObject"
	f, info, err := s.file(ctx, op, ref)
	if err != nil {
		return nil, err
	}
	if etag != "" && stamp(info) != etag {
		_ = f.Close()
		return nil, changed(op, ref)
	}
	return &steady{File: f, ref: ref, etag: stamp(info)}, nil
}

// steady is a file that has to stay as it is until it was read.
type steady struct {
	*os.File
	ref  object.Ref
	etag string
}

func (r *steady) Read(b []byte) (int, error) {
	n, err := r.File.Read(b)
	if err == io.EOF {
		if cerr := unchanged("GetObject", r.ref, r.File, r.etag); cerr != nil {
			err = cerr
		}
	}
	return n, err
}

// WriteTo is not the file's own, which would pass Read by.
func (r *steady) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{r})
}
