package checkpoint

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"strconv"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A seal is the file beside the database that says what the database must hold
// at least, since Pebble takes a log that is cut off for one that was being
// written when the power went.
//
//	closed   every file of the database with its size, and the digest of each that
//	         is not a table (blocks of tables have checksums of their own)
//	open     the number of the last turn that is known to be durable
//
// It is closed after Pebble was, and opened, durably, before Pebble is. While it
// is open the number is written in place after each sync, without one of its
// own: it is never ahead of the database, and a crash of the process does not
// lose it.
type seal struct {
	turn   uint64
	closed bool
	files  map[string]sealed
}

// sealed is one file: its size and its digest, which tables have not.
type sealed struct {
	size int64
	sum  string
}

const (
	sealName    = "SEAL"
	newSealName = "SEAL.new"
	sealClosed  = "reseal checkpoint closed\n"
	sealOpen    = "reseal checkpoint open\n"
	slotSize    = 512 // a write of one slot cannot tear the other
)

// readSeal reads the seal of the store in path; found is false in directories
// of versions that made none.
func readSeal(disk vfs.FS, path string) (s *seal, found bool, err error) {
	data, err := readFile(disk, disk.PathJoin(path, sealName))
	if errors.Is(err, fs.ErrNotExist) {
		return &seal{}, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	s = &seal{closed: bytes.HasPrefix(data, []byte(sealClosed))}
	ok := false
	if s.closed {
		ok = s.parse(string(data))
	} else {
		for at := 0; at+slotSize <= len(data); at += slotSize {
			if turn, whole := parseSlot(data[at : at+slotSize]); whole {
				s.turn, ok = max(s.turn, turn), true
			}
		}
	}
	if !ok {
		return nil, true, &corruptError{"its " + sealName + " is damaged"}
	}
	return s, true, nil
}

func readFile(disk vfs.FS, name string) ([]byte, error) {
	f, err := disk.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// parse reads the text of a closed seal.
func (s *seal) parse(text string) bool {
	body, sum, ok := cutLast(text, "sum ")
	if !ok || sum != digest([]byte(body))+"\n" {
		return false
	}
	s.files = map[string]sealed{}
	lines := strings.Split(strings.TrimSuffix(strings.TrimPrefix(body, sealClosed), "\n"), "\n")
	for i, line := range lines {
		f := strings.Fields(line)
		if len(f) < 2 {
			return false
		}
		n, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil {
			return false
		}
		switch {
		case i == 0 && f[0] == "turn":
			s.turn = uint64(n)
		case len(f) == 2:
			s.files[f[0]] = sealed{size: n}
		default:
			s.files[f[0]] = sealed{n, f[2]}
		}
	}
	return true
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// equal says whether two seals promise the same. A nil seal is one that could not be read.
func (s *seal) equal(o *seal) bool {
	if s == nil || o == nil {
		return s == o
	}
	return s.turn == o.turn && s.closed == o.closed && maps.Equal(s.files, o.files)
}

// check compares a closed seal with the database.
func (s *seal) check(disk vfs.FS, db string) error {
	if !s.closed {
		return nil
	}
	now, err := sealFiles(disk, db)
	if err != nil {
		return err
	}
	for name, was := range s.files {
		is, there := now[name]
		switch {
		case !there:
			return &corruptError{"its file " + name + " is missing"}
		case is.size != was.size:
			return &corruptError{fmt.Sprintf("its file %s has %d bytes, and had %d when the job was closed", name, is.size, was.size)}
		case is.sum != was.sum:
			return &corruptError{"its file " + name + " has changed since the job was closed"}
		}
	}
	for name := range now {
		if _, known := s.files[name]; !known {
			return &corruptError{"a file " + name + " was added since the job was closed"}
		}
	}
	return nil
}

// sealFiles lists what a seal covers. Names that begin with a dot are other
// programs'.
func sealFiles(disk vfs.FS, db string) (map[string]sealed, error) {
	names, err := disk.List(db)
	if err != nil {
		return nil, err
	}
	files := make(map[string]sealed, len(names))
	for _, name := range names {
		if strings.HasPrefix(name, ".") {
			continue
		}
		st, err := disk.Stat(disk.PathJoin(db, name))
		if err != nil {
			return nil, err
		}
		f := sealed{size: st.Size()}
		if !strings.HasSuffix(name, ".sst") {
			data, err := readFile(disk, disk.PathJoin(db, name))
			if err != nil {
				return nil, err
			}
			f.sum = digest(data)
		}
		files[name] = f
	}
	return files, nil
}

// closeSeal seals a database that nobody has open.
func closeSeal(disk vfs.FS, path string, turn uint64) error {
	db := disk.PathJoin(path, dbDir)
	// What Pebble deleted last would be there again after a power cut, and be taken
	// for a file that somebody has added.
	if err := syncDir(disk, db); err != nil {
		return err
	}
	files, err := sealFiles(disk, db)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	w := bufio.NewWriter(&b)
	fmt.Fprintf(w, "%sturn %d\n", sealClosed, turn)
	for name, f := range files {
		fmt.Fprintf(w, "%s %d %s\n", name, f.size, f.sum)
	}
	_ = w.Flush() // to memory
	fmt.Fprintf(&b, "sum %s\n", digest(b.Bytes()))
	f, err := replaceSeal(disk, path, b.Bytes())
	if err != nil {
		return err
	}
	return f.Close()
}

// openSeal breaks the seal, durably, and keeps its file open for floor.raise.
func openSeal(disk vfs.FS, path string, turn uint64) (*floor, error) {
	f, err := replaceSeal(disk, path, append(slot(turn), make([]byte, slotSize)...))
	if err != nil {
		return nil, err
	}
	return &floor{file: f, turn: turn}, nil
}

func replaceSeal(disk vfs.FS, path string, data []byte) (vfs.File, error) {
	fresh := disk.PathJoin(path, newSealName)
	f, err := disk.Create(fresh, vfs.WriteCategoryUnspecified) // a new file, whatever lies there
	if err != nil {
		return nil, err
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = disk.Rename(fresh, disk.PathJoin(path, sealName))
	}
	if err == nil {
		err = syncDir(disk, path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// floor is an open seal: the number of the last turn that is durable.
type floor struct {
	file vfs.File // nil once it was closed
	turn uint64
	// using is held while file is written or closed.
	using sync.Mutex
}

// raise notes that a turn is durable. Only the writer calls it.
func (f *floor) raise(turn uint64) error {
	f.using.Lock()
	defer f.using.Unlock()
	if f.file == nil {
		return fs.ErrClosed
	}
	f.turn = turn
	_, err := f.file.WriteAt(slot(turn), int64(turn%2)*slotSize)
	return err
}

// close ends the writing.
func (f *floor) close() error {
	f.using.Lock()
	defer f.using.Unlock()
	return f.closeFile()
}

// abandon is close for a store that has failed. Pebble may have found the failure,
// so that the writer is still at work, on a disk that may never answer: then nobody
// waits, and what the writer began is closed behind it.
func (f *floor) abandon() error {
	if f.using.TryLock() {
		defer f.using.Unlock()
		return f.closeFile()
	}
	go func() { _ = f.close() }()
	return nil
}

// closeFile closes the file once. REQUIRES: using.
func (f *floor) closeFile() error {
	if f.file == nil {
		return nil
	}
	file := f.file
	f.file = nil
	return file.Close()
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func slot(turn uint64) []byte {
	b := make([]byte, slotSize)
	n := copy(b, sealOpen)
	n += len(strconv.AppendUint(b[n:n], turn, 10))
	b[n] = '\n'
	copy(b[slotSize-8:], fmt.Sprintf("%08x", crc32.Checksum(b[:slotSize-8], castagnoli)))
	return b
}

func parseSlot(b []byte) (turn uint64, ok bool) {
	text, found := strings.CutPrefix(string(b[:slotSize-8]), sealOpen)
	if !found || string(b[slotSize-8:]) != fmt.Sprintf("%08x", crc32.Checksum(b[:slotSize-8], castagnoli)) {
		return 0, false
	}
	number, _, _ := strings.Cut(text, "\n")
	turn, err := strconv.ParseUint(number, 10, 64)
	return turn, err == nil
}
