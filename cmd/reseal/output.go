package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"

	"github.com/resealhq/reseal/engine/job"
)

// writeOutput writes to a file that a person has named. One that is there is replaced by
// the new one, and one that is not appears, when that was written to its end. What is no
// ordinary file (a pipe, a terminal, /dev/null) is written to as it is: a file in its place
// would be in everybody's way. So are standard output and standard error, by whatever name.
func (a *app) writeOutput(path string, write func(io.Writer) error) error {
	if path == "-" {
		return write(a.stdout)
	}
	if err := refuseOwnFile("the output", path); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil { // none yet, or one of which the next one tells
		return writeAtomically(path, write)
	}
	for _, out := range []*os.File{os.Stdout, os.Stderr} {
		if there, err := out.Stat(); err == nil && os.SameFile(there, info) {
			return writeBuffered(out, path, write)
		}
	}
	if info.Mode().IsRegular() {
		return writeAtomically(path, write)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return outputUnusable(err, path)
	}
	return errors.Join(writeBuffered(f, path, write), f.Close())
}

// refuseOwnFile refuses to write over what a job keeps in its directory.
func refuseOwnFile(what, path string) error {
	if dir := job.Holding(path); dir != "" {
		return unusablef("name another file", "%s %s is a file of the job in %s, which cannot be opened without it", what, path, dir)
	}
	return nil
}

// writeAtomically lets a file appear only when it was written to its end; what
// stood there before stays until then.
func writeAtomically(path string, write func(io.Writer) error) (err error) {
	f, err := createBeside(path)
	if err != nil {
		return outputUnusable(err, path)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if err := writeBuffered(f, path, write); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}

func writeBuffered(f *os.File, path string, write func(io.Writer) error) error {
	buffered := bufio.NewWriterSize(f, 64<<10)
	if err := write(buffered); err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

func outputUnusable(err error, path string) error {
	return unusableBecause(err, "the output "+path, "name a file in a directory that you can write to")
}

// createBeside makes a file beside path that nobody has. Who may read it the umask
// says, as of every file that a person has a program write.
func createBeside(path string) (*os.File, error) {
	for {
		name := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"."+strconv.FormatUint(rand.Uint64(), 36))
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
}
