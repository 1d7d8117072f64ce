package job

import (
	"bufio"
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
)

// Bounds of one submission. Its report is read back with 21 bytes of memory a task.
const (
	maxMembers  = 10_000_000
	maxManifest = 4 << 30 // bytes; what one PutObject takes is 5 GiB
)

// members begins the file that says which tasks a submission names: their numbers
// follow, ascending, each as the difference to the one before.
const membersHead = "reseal members 1\n"

// draft is a submission that is being put together.
type draft struct {
	group    batchGroup
	objects  uint64
	bytes    int64
	size     int64     // of the manifest
	newest   time.Time // LastModified
	undated  bool
	last     uint64
	path     string // of the manifest, ending in .csv
	manifest *os.File
	members  *os.File
	rows     *bufio.Writer
	numbers  *bufio.Writer
	md5      hash.Hash
	sha256   hash.Hash
}

// newDraft begins the files of submission n. What an earlier process left of one that it
// did not record is written over.
func (j *Job) newDraft(n int, g batchGroup) (_ *draft, err error) {
	dir := j.path(submitDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, unusableBecause(err, "the directory "+dir, "see to it that the job directory can be written")
	}
	d := &draft{group: g, path: filepath.Join(dir, fmt.Sprintf("%04d.csv", n)), md5: md5.New(), sha256: sha256.New()}
	if d.manifest, err = freshFile(d.path); err == nil {
		d.members, err = freshFile(d.path + ".members")
	}
	if err != nil {
		d.discard()
		return nil, unusableBecause(err, "the manifest "+d.path, "see to it that the job directory can be written")
	}
	d.rows = bufio.NewWriterSize(io.MultiWriter(d.manifest, d.md5), 1<<16)
	d.numbers = bufio.NewWriterSize(io.MultiWriter(d.members, d.sha256), 1<<16)
	_, _ = d.numbers.WriteString(membersHead) // bufio keeps the error
	return d, nil
}

func freshFile(path string) (*os.File, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|plainly, 0o600)
}

// add names one more task. Their numbers ascend.
func (d *draft) add(t *object.Task) {
	var space [binary.MaxVarintLen64]byte
	_, _ = d.numbers.Write(binary.AppendUvarint(space[:0], t.Seq-d.last))
	d.last = t.Seq
	o := &t.Object
	row := o.Bucket + "," + s3store.EscapeKey(o.Key)
	if d.group.versions {
		row += "," + o.VersionID
	}
	n, _ := d.rows.WriteString(row + "\n")
	d.size += int64(n)
	d.objects++
	d.bytes += max(0, o.Size)
	if o.LastModified.IsZero() {
		d.undated = true
	} else if o.LastModified.After(d.newest) {
		d.newest = o.LastModified
	}
}

// finish makes the files durable.
func (d *draft) finish() error {
	err := errors.Join(d.rows.Flush(), d.numbers.Flush(), d.manifest.Sync(), d.members.Sync(), d.manifest.Close(), d.members.Close(), syncDir(filepath.Dir(d.path)))
	if err != nil {
		return fmt.Errorf("writing the manifest %s: %w", d.path, err)
	}
	return nil
}

// discard takes the files away again.
func (d *draft) discard() {
	for _, f := range []*os.File{d.manifest, d.members} {
		if f != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}
}

// since is the time after which no object of it was written as it was planned.
func (d *draft) since(begun time.Time) time.Time {
	if !d.undated && d.newest.Before(begun) {
		begun = d.newest
	}
	return begun.UTC().Truncate(time.Second)
}

// submissionFile is where the manifest of a submission is.
func (j *Job) submissionFile(n int) string {
	return filepath.Join(j.path(submitDir), fmt.Sprintf("%04d.csv", n))
}

// membersOf are the numbers of a submission's tasks. They are believed only as they were
// written.
func (j *Job) membersOf(s *Submission, planned uint64) ([]uint64, error) {
	path := j.submissionFile(s.N) + ".members"
	data, err := readPlain(path, ofUs, maxMembers*binary.MaxVarintLen64)
	if err != nil {
		return nil, unusableBecause(err, "the file that names the tasks of submission "+fmt.Sprint(s.N), "restore the job directory")
	}
	damaged := func() ([]uint64, error) {
		return nil, unusable("the file "+path+" is not as it was written", "restore the job directory")
	}
	sum := sha256.Sum256(data)
	rest, ok := bytes.CutPrefix(data, []byte(membersHead))
	if !ok || hex.EncodeToString(sum[:]) != s.Members {
		return damaged()
	}
	seqs := make([]uint64, 0, min(s.Objects, maxMembers))
	last := uint64(0)
	for len(rest) > 0 {
		delta, n := binary.Uvarint(rest)
		if n <= 0 || len(seqs) > 0 && delta == 0 || last+delta >= planned || last+delta < last {
			return damaged()
		}
		last += delta
		seqs, rest = append(seqs, last), rest[n:]
	}
	if uint64(len(seqs)) != s.Objects {
		return damaged()
	}
	return seqs, nil
}

// numbersOf are the numbers that a finished draft names.
func (d *draft) numbersOf() (iter.Seq[uint64], error) {
	data, err := os.ReadFile(d.members.Name())
	if err != nil {
		return nil, fmt.Errorf("reading what is to be submitted: %w", err)
	}
	return func(yield func(uint64) bool) {
		last := uint64(0)
		for rest := data[len(membersHead):]; len(rest) > 0; {
			delta, n := binary.Uvarint(rest)
			if last, rest = last+delta, rest[max(1, n):]; !yield(last) {
				return
			}
		}
	}, nil
}
