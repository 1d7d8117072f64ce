package folder

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// partial is a file that is not whole yet, in the folder where it will be.
type partial struct {
	dir   *os.Root
	file  *os.File
	temp  string
	name  string
	mtime time.Time // zero for now

	mu    sync.Mutex
	parts []object.Part
}

const idBytes = 8

func newID() string {
	var b [idBytes]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func isID(s string) bool {
	raw, err := hex.DecodeString(s)
	return err == nil && len(raw) == idBytes && hex.EncodeToString(raw) == s
}

func (d *Dest) tempName(id string) string { return object.PartialName + d.token + "-" + id }

// begin makes an unfinished file beside the place where it will be.
func (d *Dest) begin(op string, ref object.Ref, mtime time.Time) (*partial, error) {
	_, p, err := d.beginNamed(op, ref, mtime)
	return p, err
}

func (d *Dest) beginNamed(op string, ref object.Ref, mtime time.Time) (id string, p *partial, err error) {
	dir, name, err := d.parent(ref.Key, true)
	if err != nil {
		return "", nil, failure(op, ref, err)
	}
	if d.folds {
		if err := d.exactly(op, ref); err != nil {
			_ = dir.Close()
			return "", nil, err
		}
	}
	id = newID()
	p = &partial{dir: dir, temp: d.tempName(id), name: name, mtime: mtime}
	if p.file, err = dir.OpenFile(p.temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666); err != nil {
		_ = dir.Close()
		return "", nil, failure(op, ref, err)
	}
	return id, p, nil
}

// publish makes the file durable, gives it its time, and then its name, if nothing has it.
func (p *partial) publish() error {
	if !p.mtime.IsZero() {
		if err := p.dir.Chtimes(p.temp, time.Now(), p.mtime); err != nil {
			return err
		}
	}
	if err := p.file.Sync(); err != nil {
		return err
	}
	if err := p.file.Close(); err != nil {
		return err
	}
	if err := rename(p.dir, p.temp, p.name); err != nil {
		return err
	}
	err := syncDir(p.dir)
	_ = p.dir.Close()
	return err
}

// byLink gives a file a second name, which fails where something has it, and takes the
// first away.
func byLink(dir *os.Root, from, to string) error {
	if err := dir.Link(from, to); err != nil {
		return err
	}
	return dir.Remove(from)
}

// remove gives the file up.
func (p *partial) remove() {
	_ = p.file.Close()
	_ = p.dir.Remove(p.temp)
	_ = p.dir.Close()
}

// CreateUpload begins a file that is written by stretches.
func (d *Dest) CreateUpload(_ context.Context, r *object.CopyRequest) (string, object.Encryption, error) {
	id, p, err := d.beginNamed("CreateMultipartUpload", r.Dest, mtimeOf(r.Attributes))
	if err != nil {
		return "", object.Encryption{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open[id] = p
	return id, object.Encryption{Type: object.SSENone}, nil
}

func (d *Dest) upload(op string, ref object.Ref, id string) (*partial, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p := d.open[id]; p != nil {
		return p, nil
	}
	return nil, &object.Error{Class: object.ClassNoUpload, Op: op, Ref: ref, Message: "there is no such unfinished file", NotSent: true}
}

// SendPart writes one stretch where it belongs.
func (d *Dest) SendPart(_ context.Context, r *object.SendRequest) (object.CopyReply, error) {
	const op = "UploadPart"
	p, err := d.upload(op, r.Dest, r.UploadID)
	if err != nil {
		return object.CopyReply{}, err
	}
	if _, err := p.file.WriteAt(r.Body, r.First); err != nil {
		return object.CopyReply{}, failure(op, r.Dest, err)
	}
	sum := object.Checksum(sumName, r.Body)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.parts = slices.DeleteFunc(p.parts, func(q object.Part) bool { return q.Number == r.Number })
	p.parts = append(p.parts, object.Part{Number: r.Number, ETag: etagFrom(sum), Size: int64(len(r.Body)), Checksum: sum})
	return object.CopyReply{ETag: etagFrom(sum)}, nil
}

// CompleteUpload gives the file its name, if it has all its stretches and nothing has the
// name.
func (d *Dest) CompleteUpload(_ context.Context, r *object.CompleteRequest) (object.CopyReply, error) {
	const op = "CompleteMultipartUpload"
	p, err := d.upload(op, r.Dest, r.UploadID)
	if err != nil {
		return object.CopyReply{}, err
	}
	sum, size := p.whole()
	info, err := p.file.Stat()
	switch {
	case err != nil:
		return object.CopyReply{}, failure(op, r.Dest, err)
	case size != r.Size || info.Size() != r.Size || sum == "":
		return object.CopyReply{}, &object.Error{Class: object.ClassInvalid, Op: op, Ref: r.Dest, Message: "the unfinished file does not have the size of its parts", NotSent: true}
	}
	err = p.publish()
	d.forget(r.UploadID)
	if err != nil {
		p.remove()
		return object.CopyReply{}, d.occupied(op, r.Dest, err)
	}
	return object.CopyReply{ETag: etagFrom(sum), Encryption: object.Encryption{Type: object.SSENone}}, nil
}

// whole is the checksum of what the stretches make up, and its size.
func (p *partial) whole() (sum string, size int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	slices.SortFunc(p.parts, func(a, b object.Part) int { return cmp.Compare(a.Number, b.Number) })
	for i := range p.parts {
		size += p.parts[i].Size
	}
	return object.JoinedChecksum(sumName, object.FullObject, p.parts), size
}

func (d *Dest) forget(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.open, id)
}

// AbortUpload removes an unfinished file, also one of an earlier process of this job.
func (d *Dest) AbortUpload(_ context.Context, dest object.Ref, id string) error {
	const op = "AbortMultipartUpload"
	if p, err := d.upload(op, dest, id); err == nil {
		d.forget(id)
		p.remove()
		return nil
	}
	gone := &object.Error{Class: object.ClassNoUpload, Op: op, Ref: dest, Message: "there is no such unfinished file", NotSent: true}
	if !isID(id) {
		return gone
	}
	dir, _, err := d.parent(dest.Key, false)
	if err != nil {
		return gone
	}
	defer dir.Close()
	if info, err := dir.Lstat(d.tempName(id)); err != nil || !info.Mode().IsRegular() {
		return gone
	}
	return failure(op, dest, dir.Remove(d.tempName(id)))
}
