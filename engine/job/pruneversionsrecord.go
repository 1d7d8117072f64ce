package job

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// versionRecord is prune.versions: what prunes of selected noncurrent versions were about
// to delete, and what they did delete. A line before the first request that deletes, and
// one after, each batch synced. It only tells the rows of what is not there any more; what
// is deleted the store decides.
//
//	reseal prune versions 1 DIGEST                                     of the job
//	i 0 SIZE "BUCKET" "KEY" "VERSION" "ETAG" "SSE" "KMS KEY" "CURRENT" "REQUEST"     about to delete
//	d UNIX SIZE …                                                      deleted
//	k 0 SIZE …                                                         not deleted after all
type versionRecord struct {
	file  *os.File // nil where nothing is recorded, and nothing is to be
	whole int64    // bytes of whole lines
	head  string
	write bool
	away  func([]byte) error // of a job in a bucket
	open  map[string]*candidate
}

// maxLine bounds a line in bytes: a key of 1,024 bytes, each of which may take four.
const maxLine = 64 << 10

func openVersionRecord(j *Job, write bool) (_ *versionRecord, err error) {
	r := &versionRecord{write: write, open: map[string]*candidate{}, head: "reseal prune versions 1 " + hex.EncodeToString(j.digest[:]) + "\n"}
	f, err := j.openRecord(pruneVersionsName, prunedRecord, "move it away: versions that were deleted are told as gone then", write)
	if f == nil || err != nil {
		return r, err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
		}
	}()
	if write {
		if err := lockRecord(f); err != nil {
			return nil, err
		}
	}
	r.file, r.away = f, j.recordAway(pruneVersionsName)
	if err := r.scan(r.note); err != nil {
		return nil, unusableBecause(err, prunedRecord+", "+f.Name(), "restore it, or move it away: versions that were deleted are not told any more then")
	}
	if !write {
		return r, nil
	}
	if err := cutRecord(f, prunedRecord, r.whole); err != nil {
		return nil, err
	}
	if r.whole == 0 {
		return r, errors.Join(r.append([]byte(r.head)), syncDir(j.local))
	}
	return r, nil
}

// scan reads every whole line from the beginning.
func (r *versionRecord) scan(line func(kind byte, c *candidate)) error {
	b := bufio.NewReaderSize(io.NewSectionReader(r.file, 0, 1<<62), maxLine)
	r.whole = 0
	for n := 0; ; n++ {
		text, err := b.ReadSlice('\n')
		switch {
		case err == io.EOF:
			return nil // what is left of a line was cut by a crash
		case err != nil:
			return err
		case n == 0 && string(text) != r.head:
			return errors.New("it is of another job, or of another version of reseal")
		case n > 0:
			kind, c, err := parseVersionLine(strings.TrimSuffix(string(text), "\n"))
			if err != nil {
				return fmt.Errorf("line %d: %w", n+1, err)
			}
			line(kind, c)
		}
		r.whole += int64(len(text))
	}
}

// note keeps what nobody has recorded as deleted.
func (r *versionRecord) note(kind byte, c *candidate) {
	if kind == 'i' {
		r.open[c.old.String()] = c
		return
	}
	delete(r.open, c.old.String())
}

// earlier gives what earlier prunes have deleted.
func (r *versionRecord) earlier(row func(*candidate)) error {
	if r.file == nil {
		return nil
	}
	whole := r.whole
	err := r.scan(func(kind byte, c *candidate) {
		if kind != 'd' {
			return
		}
		c.state, c.message, c.earlier = PruneDeleted, "by an earlier prune of this job", true
		row(c)
	})
	if err == nil && r.whole != whole {
		err = errors.New("the record of what was pruned has changed meanwhile")
	}
	return err
}

// listed notes that a version is listed. It gives its ID where an earlier prune was about
// to delete it.
func (r *versionRecord) listed(c *candidate) string {
	if r.open[c.old.String()] == nil {
		return ""
	}
	delete(r.open, c.old.String())
	return c.old.VersionID
}

// unlisted are those that earlier prunes were about to delete and that nobody has listed.
func (r *versionRecord) unlisted() (all []*candidate) {
	for _, c := range r.open {
		all = append(all, c)
	}
	return all
}

func (r *versionRecord) intend(all []*candidate) error {
	var b bytes.Buffer
	for _, c := range all {
		c.recorded = true
		writeVersionLine(&b, 'i', c)
	}
	return r.append(b.Bytes())
}

func (r *versionRecord) done(all []*candidate) error {
	var b bytes.Buffer
	for _, c := range all {
		switch {
		case c.state == PruneDeleted:
			writeVersionLine(&b, 'd', c)
		case !c.recorded && c.intended == "", c.state == PruneFailed, c.reason == KeptUnread: // never meant, or not known
		case c.state == PruneKept, c.state == PruneGone:
			writeVersionLine(&b, 'k', c)
		}
	}
	return r.append(b.Bytes())
}

func writeVersionLine(b *bytes.Buffer, kind byte, c *candidate) {
	at, o := int64(0), &c.outcome
	if kind == 'd' {
		at = c.finished.Unix()
	}
	fmt.Fprintf(b, "%c %d %d", kind, at, o.Size)
	for _, text := range []string{c.old.Bucket, c.old.Key, c.old.VersionID, o.ETagBefore, o.Before.Type.String(), o.Before.KMSKeyID, o.NewVersionID, c.requestID} {
		b.WriteString(" " + strconv.Quote(text))
	}
	b.WriteByte('\n')
}

func parseVersionLine(line string) (kind byte, c *candidate, err error) {
	parts := strings.SplitN(line, " ", 4)
	if len(parts) < 4 || len(parts[0]) != 1 || !strings.Contains("idk", parts[0]) {
		return 0, nil, errNoLine
	}
	at, err1 := strconv.ParseInt(parts[1], 10, 64)
	size, err2 := strconv.ParseInt(parts[2], 10, 64)
	var texts [8]string
	rest := " " + parts[3]
	for i := range texts {
		quoted, err := strconv.QuotedPrefix(strings.TrimPrefix(rest, " "))
		if err != nil || !strings.HasPrefix(rest, " ") {
			return 0, nil, errNoLine
		}
		rest = rest[1+len(quoted):]
		if texts[i], err = strconv.Unquote(quoted); err != nil {
			return 0, nil, errNoLine
		}
	}
	sse, err3 := object.ParseSSE(texts[4])
	if err1 != nil || err2 != nil || err3 != nil || rest != "" || texts[0] == "" || texts[1] == "" || texts[2] == "" {
		return 0, nil, errNoLine
	}
	c = &candidate{old: object.Ref{Bucket: texts[0], Key: texts[1], VersionID: texts[2]}, intended: texts[2], requestID: texts[7],
		outcome: object.Outcome{Size: size, ETagBefore: texts[3], Before: object.Encryption{Type: sse, KMSKeyID: texts[5]}, NewVersionID: texts[6]}}
	if parts[0] == "d" {
		c.finished = time.Unix(at, 0).UTC()
	}
	return parts[0][0], c, nil
}

func (r *versionRecord) append(lines []byte) error {
	if len(lines) == 0 {
		return nil
	}
	n, err := r.file.WriteAt(lines, r.whole)
	if err == nil {
		err = r.file.Sync()
	}
	if err == nil && r.away != nil {
		err = r.away(lines)
	}
	if err != nil {
		return unrecorded(err)
	}
	r.whole += int64(n)
	return nil
}

// Close gives the record back.
func (r *versionRecord) Close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}
