package job

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// This file is what the records have in common that verbs append to in a job directory:
// lines under a head that names the job.

// openRecord opens one; nil where there is none and none is to be written. One that others
// may write is refused; what names it for people, fix says what to do then.
func (j *Job) openRecord(name, what, fix string, write bool) (*os.File, error) {
	path, flags := j.path(name), os.O_RDONLY
	if write {
		flags = os.O_RDWR | os.O_CREATE
	}
	f, err := os.OpenFile(path, flags|plainly, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, unusableBecause(err, what+", "+path, "see to it that the job directory can be read and written")
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is no ordinary file")
	}
	if err == nil {
		err = ofUs(info)
	}
	if err != nil {
		_ = f.Close()
		return nil, unusableBecause(err, what+", "+path, fix)
	}
	return f, nil
}

// readRecord takes in every whole line below the head, and tells how long they are
// together. What is left of a line at the end was cut by a crash.
func readRecord(f io.Reader, head string, line func(line string) error) (whole int64, err error) {
	b := bufio.NewReader(f)
	for n := 0; ; n++ {
		text, err := b.ReadString('\n')
		switch {
		case err == io.EOF:
			return whole, nil
		case err != nil:
			return whole, err
		case n == 0 && text != head:
			return whole, errors.New("it is of another job, or of another version of reseal")
		case n > 0:
			if err := line(text); err != nil {
				return whole, fmt.Errorf("line %d: %w", n+1, err)
			}
		}
		whole += int64(len(text))
	}
}

// cutRecord leaves of a record what is whole, to be appended to.
func cutRecord(f *os.File, what string, whole int64) error {
	if err := f.Truncate(whole); err != nil {
		return unusableBecause(err, what+", "+f.Name(), "see to it that the job directory can be written")
	}
	_, err := f.Seek(whole, io.SeekStart)
	return err
}
