package folder

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash/crc64"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/store"
)

// sumName is the checksum that a written file is told apart by, in S3's words. It can be
// joined from those of stretches that were written at the same time.
const sumName = "CRC64NVME"

// Dest is a folder that objects are written to as files. The ETag of a file is the
// CRC64NVME of its bytes, so that looking at one reads it. A file is under no encryption,
// and keeps of the metadata the modification time.
type Dest struct {
	*tree
	nothing
	// token is in the name of every file that is not whole yet.
	token string
	// folds: the file system takes some names that differ for the same.
	folds bool

	mu   sync.Mutex
	open map[string]*partial // by upload ID
}

// OpenDest opens a folder to be written, and makes it where it is missing. job is what
// nobody knows but the job that writes: its unfinished files are known by it.
func OpenDest(dir, job string) (*Dest, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	t, err := openTree(dir)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte("a file of this job that is not whole yet\n" + job))
	d := &Dest{tree: t, token: hex.EncodeToString(sum[:10]), open: map[string]*partial{}}
	if d.folds, err = d.foldsNames(); err != nil {
		_ = t.Close()
		return nil, err
	}
	return d, nil
}

// OpenWritten opens a folder whose files are to be looked at. Nothing is written to it.
func OpenWritten(dir string) (*Dest, error) {
	t, err := openTree(dir)
	if err != nil {
		return nil, err
	}
	return &Dest{tree: t}, nil
}

// Store is the folder as the engine writes it.
func (d *Dest) Store() store.Store {
	return store.Store{Hot: d, Uploads: d, Details: d, Reader: d}
}

// Capabilities are what a folder does.
func Capabilities() object.Capabilities {
	return object.Capabilities{Source: "folder", Encrypts: object.Yes, PutIfMatch: object.Yes, SendIfMatch: object.Yes, CompleteShowsETag: object.Yes,
		PutShowsEncryption: object.Yes, UploadShowsEncryption: object.Yes, Checksums: object.No, UploadChecksums: object.No, SendChecksums: object.No,
		ListMetadata: object.No, PutTagging: object.No, PutACL: object.No, PutRetention: object.No, Update: object.No}
}

// Facts are what a folder is.
func Facts() object.BucketFacts {
	return object.BucketFacts{Versioning: object.VersioningOff, ACLsDisabled: object.Yes, ObjectLock: object.No, Website: object.No,
		DefaultEncryption: object.Encryption{Type: object.SSENone}, BlocksSSEC: object.No}
}

// there opens what has a name, if it is a file and the name is just that one.
func (d *Dest) there(op string, ref object.Ref) (*os.File, fs.FileInfo, error) {
	dir, name, err := d.parent(ref.Key, false)
	if err != nil {
		return nil, nil, failure(op, ref, err)
	}
	defer dir.Close()
	info, err := dir.Lstat(name)
	switch {
	case err != nil:
		return nil, nil, failure(op, ref, err)
	case info.Mode()&fs.ModeSymlink != 0:
		return nil, nil, taken(op, ref, object.ReasonLink, "a symbolic link has its name, and is neither followed nor replaced")
	case info.IsDir():
		return nil, nil, taken(op, ref, object.ReasonConflict, "a folder has its name")
	case !info.Mode().IsRegular():
		return nil, nil, taken(op, ref, object.ReasonForeign, kind(info.Mode())+" has its name")
	}
	if d.folds {
		if err := d.exactly(op, ref); err != nil {
			return nil, nil, err
		}
	}
	f, err := dir.OpenFile(name, os.O_RDONLY|neverWaits, 0)
	if err != nil {
		return nil, nil, failure(op, ref, err)
	}
	opened, err := f.Stat()
	if err == nil && !os.SameFile(info, opened) {
		err = changed(op, ref)
	}
	if err != nil {
		_ = f.Close()
		return nil, nil, failure(op, ref, err)
	}
	return f, opened, nil
}

func taken(op string, ref object.Ref, why object.Reason, message string) error {
	return &object.Error{Class: object.ClassInvalid, Op: op, Ref: ref, Leaves: why, Message: message + "; it was not overwritten", NotSent: true}
}

// Head looks at a file, and reads it.
func (d *Dest) Head(_ context.Context, ref object.Ref, _ object.CustomerKey) (object.Head, error) {
	const op = "HeadObject"
	f, info, err := d.there(op, ref)
	if err != nil {
		return object.Head{}, err
	}
	defer f.Close()
	h := crc64.New(crc64.MakeTable(0x9a6c9329ac4bc9b5))
	n, err := io.Copy(h, f)
	if err != nil {
		return object.Head{}, failure(op, ref, err)
	}
	if n != info.Size() {
		return object.Head{}, changed(op, ref)
	}
	sum := h.Sum(nil)
	return object.Head{Object: object.Object{Ref: ref, Size: n, ETag: etagOf(sum), LastModified: info.ModTime(), Encryption: object.Encryption{Type: object.SSENone},
		Settled: true, Plain: true, ChecksumAlgorithm: sumName, ChecksumType: object.FullObject},
		Attributes: object.Attributes{Checksums: map[string]string{sumName: base64.StdEncoding.EncodeToString(sum)}}}, nil
}

func etagOf(sum []byte) string { return "crc64nvme." + hex.EncodeToString(sum) }

// etagFrom is etagOf for the checksum in S3's writing.
func etagFrom(checksum string) string {
	raw, err := base64.StdEncoding.DecodeString(checksum)
	if err != nil || len(raw) == 0 {
		return ""
	}
	return etagOf(raw)
}

// Get reads a whole file.
func (d *Dest) Get(_ context.Context, g *object.GetRequest) (object.GetReply, error) {
	return object.GetReply{}, refused("GetObject", g.Ref)
}

// Open reads a file as a stream.
func (d *Dest) Open(_ context.Context, ref object.Ref, _ object.CustomerKey, _ string) (io.ReadCloser, error) {
	f, _, err := d.there("GetObject", ref)
	return f, err
}

// ReadRange reads a stretch of a file.
func (d *Dest) ReadRange(_ context.Context, g *object.RangeRequest) error {
	f, _, err := d.there("GetObject", g.Ref)
	if err != nil {
		return err
	}
	defer f.Close()
	return fill("GetObject", g.Ref, f, g.First, g.Into)
}

// Put writes a file. It appears whole and durable, or not at all.
func (d *Dest) Put(_ context.Context, r *object.PutRequest) (reply object.CopyReply, err error) {
	const op = "PutObject"
	p, err := d.begin(op, r.Dest, mtimeOf(r.Attributes))
	if err != nil {
		return reply, err
	}
	if _, err = p.file.WriteAt(r.Body, 0); err == nil {
		err = p.publish()
	}
	if err != nil {
		p.remove()
		return reply, d.occupied(op, r.Dest, err)
	}
	return object.CopyReply{ETag: etagFrom(object.Checksum(sumName, r.Body)), Encryption: object.Encryption{Type: object.SSENone}}, nil
}

// occupied makes of a name that was taken the condition that did not hold.
func (d *Dest) occupied(op string, ref object.Ref, err error) error {
	if errors.Is(err, fs.ErrExist) {
		return &object.Error{Class: object.ClassChanged, Op: op, Ref: ref, Message: "something stands at its name now", NotSent: true}
	}
	return failure(op, ref, err)
}

func mtimeOf(a *object.Attributes) time.Time {
	if a == nil {
		return time.Time{}
	}
	t, _ := parseMtime(a.Metadata[MtimeName])
	return t
}

// Sweep removes the files that an earlier process of this job has left unfinished, and says
// how many those were. No link is followed, and nothing else is touched.
func (d *Dest) Sweep(ctx context.Context) (removed int, err error) {
	err = d.sweep(ctx, "", &removed)
	return removed, err
}

func (d *Dest) sweep(ctx context.Context, path string, removed *int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	dir, err := d.dir(path, false)
	if err != nil {
		if path == "" {
			return err
		}
		return nil // a folder of somebody else's, or gone: nothing of ours can be in it any more
	}
	defer dir.Close()
	f, err := dir.Open(".")
	if err != nil {
		return nil //nolint:nilerr // one that cannot be read is not one that this job wrote to
	}
	list, err := f.ReadDir(-1)
	_ = f.Close()
	if err != nil {
		return err
	}
	for _, e := range list {
		switch name := e.Name(); {
		case e.IsDir():
			if err := d.sweep(ctx, strings.TrimPrefix(path+"/"+name, "/"), removed); err != nil {
				return err
			}
		case d.ours(name) && e.Type().IsRegular():
			if err := dir.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			*removed++
		}
	}
	return nil
}

// ours says whether a name is one that only this job gives.
func (d *Dest) ours(name string) bool {
	id, is := strings.CutPrefix(name, object.PartialName+d.token+"-")
	return is && isID(strings.TrimSuffix(id, accent))
}
