package job

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// pruneRecord is prune.record: what prunes of the job were about to delete, and what
// they did delete. It is appended to, a batch at a time, and synced: a line before the
// first request that deletes, and one after. It only ever keeps versions from being
// looked at again; what is deleted the store decides.
//
//	reseal prune 1 DIGEST      of the job
//	i SEQ "VERSION"            about to delete
//	d SEQ UNIX                 deleted
type pruneRecord struct {
	file *os.File           // nil where nothing is to be recorded
	away func([]byte) error // of a job in a bucket
	// gone are the bits of what is deleted, by Seq, and at when.
	gone []uint64
	at   map[uint64]int64
	// intended are versions of which nobody has recorded that they are deleted.
	intended map[uint64]string
}

// openPruneRecord reads the record, and holds it where it is to be written.
func openPruneRecord(j *Job, planned uint64, write bool) (_ *pruneRecord, err error) {
	r := &pruneRecord{gone: make([]uint64, (planned+63)/64), at: map[uint64]int64{}, intended: map[uint64]string{}}
	head := "reseal prune 1 " + hex.EncodeToString(j.digest[:]) + "\n"
	f, err := j.openRecord(pruneName, prunedRecord, "move it away: versions that were deleted are told as gone then", write)
	if f == nil || err != nil {
		return r, err
	}
	defer func() {
		if err != nil || !write {
			_ = f.Close()
		}
	}()
	if write {
		if err := lockRecord(f); err != nil {
			return nil, err
		}
	}
	whole, err := readRecord(f, head, func(line string) error { return r.line(strings.TrimSuffix(line, "\n"), planned) })
	if err != nil {
		return nil, unusableBecause(err, prunedRecord+", "+f.Name(), "restore it, or move it away: versions that were deleted are told as gone then")
	}
	if !write {
		return r, nil
	}
	r.file, r.away = f, j.recordAway(pruneName)
	if err := cutRecord(f, prunedRecord, whole); err != nil {
		return nil, err
	}
	if whole == 0 {
		return r, errors.Join(r.append([]byte(head)), syncDir(j.local))
	}
	return r, nil
}

// prunedRecord is what the records of prunes are called.
const prunedRecord = "the record of what was pruned"

// lockRecord refuses a record that another prune holds.
func lockRecord(f *os.File) error {
	switch locked, err := lockFile(f); {
	case err != nil:
		return unusableBecause(err, prunedRecord+" cannot be locked, "+f.Name(), "use a file system that has locks")
	case !locked:
		return unusablef("wait for it", "another prune is at work on the job whose record is %s", f.Name())
	}
	return nil
}

var errNoLine = errors.New("it cannot be read")

func (r *pruneRecord) line(line string, planned uint64) error {
	kind, rest, _ := strings.Cut(line, " ")
	number, what, _ := strings.Cut(rest, " ")
	seq, err := strconv.ParseUint(number, 10, 64)
	if err != nil || seq >= planned {
		return errNoLine
	}
	switch kind {
	case "i":
		version, err := strconv.Unquote(what)
		if err != nil || version == "" {
			return errNoLine
		}
		r.intended[seq] = version
	case "d":
		at, err := strconv.ParseInt(what, 10, 64)
		if err != nil {
			return errNoLine
		}
		r.set(seq, at)
	default:
		return errNoLine
	}
	return nil
}

func (r *pruneRecord) set(seq uint64, at int64) {
	r.gone[seq/64] |= 1 << (seq % 64)
	if len(r.at) < maxRemembered {
		r.at[seq] = at
	}
	delete(r.intended, seq)
}

// maxRemembered bounds the memory for the times of what earlier prunes did; the rows
// of the others have none.
const maxRemembered = 1 << 20

func (r *pruneRecord) deleted(seq uint64) (at time.Time, ok bool) {
	if seq/64 >= uint64(len(r.gone)) || r.gone[seq/64]&(1<<(seq%64)) == 0 {
		return at, false
	}
	if unix, known := r.at[seq]; known {
		at = time.Unix(unix, 0).UTC()
	}
	return at, true
}

// intend makes durable what is about to be deleted.
func (r *pruneRecord) intend(all []*candidate) error {
	var b bytes.Buffer
	for _, c := range all {
		if c.intended != c.old.VersionID {
			fmt.Fprintf(&b, "i %d %s\n", c.seq, strconv.Quote(c.old.VersionID))
		}
	}
	return r.append(b.Bytes())
}

// done makes durable what is deleted, those included that an earlier prune deleted
// and could not say so.
func (r *pruneRecord) done(all []*candidate) error {
	var b bytes.Buffer
	for _, c := range all {
		if c.state == PruneDeleted {
			fmt.Fprintf(&b, "d %d %d\n", c.seq, c.finished.Unix())
		}
	}
	return r.append(b.Bytes())
}

func (r *pruneRecord) append(lines []byte) error {
	if len(lines) == 0 {
		return nil
	}
	_, err := r.file.Write(slices.Clip(lines))
	if err == nil {
		err = r.file.Sync()
	}
	if err != nil {
		return unrecorded(err)
	}
	if r.away == nil {
		return nil
	}
	// The state of a job in a bucket says itself what is to be done about it.
	if err := r.away(lines); err != nil {
		return fmt.Errorf("%w; nothing was deleted that was not recorded first", err)
	}
	return nil
}

// unrecorded tells what a person can do: what was not recorded was not deleted.
func unrecorded(err error) error {
	return fmt.Errorf("what is to be deleted cannot be recorded first: %w; make room on the disk of the job directory, or see to it that it can be written, and prune again: nothing that was not recorded was deleted", err)
}

// Close gives the record back.
func (r *pruneRecord) Close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}
