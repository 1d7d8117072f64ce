package folder

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/resealhq/reseal/engine/object"
)

// far is a file system with one file, which another machine keeps by the kernel's lights: it
// may remember for an hour what it is told of the file.
type far struct {
	device  int
	written atomic.Uint64 // by others: the size, and the seconds of its times
}

// serve answers until the file system is taken away.
func (s *far) serve() {
	buf := make([]byte, 1<<17)
	for {
		n, err := unix.Read(s.device, buf)
		switch {
		case err == unix.EINTR || err == unix.ENOENT:
			continue
		case err != nil:
			return
		}
		in := buf[:n]
		op, node := binary.LittleEndian.Uint32(in[4:]), binary.LittleEndian.Uint64(in[16:])
		body, failed := s.answer(op, node)
		if op == 2 || op == 36 || op == 42 { // FORGET, INTERRUPT, BATCH_FORGET
			continue
		}
		out := binary.LittleEndian.AppendUint32(nil, uint32(16+len(body)))
		out = binary.LittleEndian.AppendUint32(out, uint32(-int32(failed)))
		out = append(append(out, in[8:16]...), body...)
		_, _ = unix.Write(s.device, out)
	}
}

func (s *far) answer(op uint32, node uint64) (body []byte, failed unix.Errno) {
	le := binary.LittleEndian
	const hour = 3600
	switch op {
	case 1: // LOOKUP
		body = le.AppendUint64(nil, 2)
		for _, v := range []uint64{0, hour, hour, 0} {
			body = le.AppendUint64(body, v)
		}
		return append(body, s.attributes(2)...), 0
	case 3: // GETATTR
		return append(le.AppendUint64(le.AppendUint64(nil, hour), 0), s.attributes(node)...), 0
	case 14, 27: // OPEN, OPENDIR
		return make([]byte, 16), 0
	case 17: // STATFS
		return make([]byte, 80), 0
	case 18, 25, 29: // RELEASE, FLUSH, RELEASEDIR
		return nil, 0
	case 26: // INIT
		body = make([]byte, 64)
		le.PutUint32(body, 7)
		le.PutUint32(body[4:], 31)
		le.PutUint32(body[20:], 1<<16)
		return body, 0
	}
	return nil, unix.ENOSYS
}

func (s *far) attributes(node uint64) []byte {
	le, written := binary.LittleEndian, s.written.Load()
	mode := uint32(unix.S_IFREG | 0o644)
	if node == 1 {
		mode = unix.S_IFDIR | 0o755
	}
	var a []byte
	for _, v := range []uint64{node, written, 1, written, written, written} { // inode, size, blocks, times
		a = le.AppendUint64(a, v)
	}
	for _, v := range []uint32{1, 1, 1, mode, 1, 0, 0, 0, 512, 0} { // nanoseconds, mode, links, owner
		a = le.AppendUint32(a, v)
	}
	return a
}

// TestRememberedTimes: what the kernel remembers of a file of another machine does not hide
// that somebody writes it there.
func TestRememberedTimes(t *testing.T) {
	at, done, why := t.TempDir(), make(chan struct{}), ""
	go func() {
		defer close(done)
		runtime.LockOSThread() // and it ends with the goroutine, and its mounts with it
		s := &far{}
		s.written.Store(1000)
		err := unix.Unshare(unix.CLONE_NEWNS)
		if err == nil {
			err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		if err == nil {
			s.device, err = unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
		}
		if err == nil {
			err = unix.Mount("far", at, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", s.device))
		}
		if err != nil {
			why = err.Error()
			return
		}
		go s.serve()
		s.look(t, at)
		_ = unix.Unmount(at, unix.MNT_DETACH)
		_ = unix.Close(s.device)
	}()
	<-done
	if why != "" {
		t.Skip("no file system of its own: " + why + "; root mounts one")
	}
}

func (s *far) look(t *testing.T, at string) {
	f, err := os.Open(filepath.Join(at, "file"))
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Error(err)
		return
	}
	ref := object.Ref{Bucket: at, Key: "file"}
	if err := unchanged("GetObject", ref, f, stamp(info)); err != nil {
		t.Errorf("nobody has written it: %v", err)
	}
	s.written.Store(2000)
	if err := unchanged("GetObject", ref, f, stamp(info)); object.ClassOf(err) != object.ClassChanged {
		t.Errorf("others have written it: %v", err)
	}
}
