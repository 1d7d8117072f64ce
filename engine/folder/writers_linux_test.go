package folder

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/resealhq/reseal/engine/object"
)

// wholeTimes is a file on a file system that keeps whole seconds.
type wholeTimes struct{ fs.FileInfo }

func (w wholeTimes) Sys() any {
	st := *w.FileInfo.Sys().(*syscall.Stat_t)
	st.Ctim.Nsec = 0
	return &st
}

// young is a file that was just written. rests says whether it is at rest by such an info, to
// somebody who does not wait: context.Canceled where that has to be waited for.
func young(t *testing.T) (info fs.FileInfo, rests func(fs.FileInfo) error) {
	t.Helper()
	dir := t.TempDir()
	f, err := os.Open(put(t, dir, "file", "before"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if info, err = f.Stat(); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	return info, func(info fs.FileInfo) error {
		return rested(ended, "GetObject", object.Ref{Bucket: dir, Key: "file"}, f, info)
	}
}

// TestWholeSeconds: where times have no fractions, a second write within two seconds of the
// first may not be seen by them, so that a file is left alone for so long, whoever has it.
func TestWholeSeconds(t *testing.T) {
	info, rests := young(t)
	time.Sleep(2 * tick)
	if err := rests(info); err != nil {
		t.Errorf("with fractions: %v", err)
	}
	if err := rests(wholeTimes{info}); !errors.Is(err, context.Canceled) {
		t.Errorf("without: it was not waited: %v", err)
	}
}

// older is a file whose times were told by a clock that is five seconds behind this one.
type older struct{ fs.FileInfo }

func (o older) Sys() any {
	st := *o.FileInfo.Sys().(*syscall.Stat_t)
	st.Ctim.Sec -= 5
	return &st
}

// TestAnotherClock: where another machine tells the times, a file that is being written may
// seem to be old. It is watched all the same.
func TestAnotherClock(t *testing.T) {
	info, rests := young(t)
	if err := rests(older{info}); err != nil {
		t.Errorf("by this machine's clock: %v", err)
	}
	here := writtenHere
	defer func() { writtenHere = here }()
	writtenHere = nil
	if err := rests(older{info}); !errors.Is(err, context.Canceled) {
		t.Errorf("by another's: it was not waited: %v", err)
	}
}

// TestWritersElsewhere: a kernel that grants leases without knowing the writers is not asked.
func TestWritersElsewhere(t *testing.T) {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !mayBeWritten(f) {
		t.Error("nobody writes a file of /proc")
	}
}

// TestFilesOfTheKernel: a file with bytes and without a size is left, and not sent empty.
func TestFilesOfTheKernel(t *testing.T) {
	if b, err := os.ReadFile("/proc/sys/kernel/ostype"); err != nil || len(b) == 0 {
		t.Fatalf("the kernel's own file has %d bytes, %v", len(b), err)
	}
	s := source(t, "/proc/sys/kernel")
	ref := object.Ref{Bucket: "/proc/sys/kernel", Key: "ostype"}
	got, err := s.Get(t.Context(), &object.GetRequest{Ref: ref, Max: 100})
	if e, ok := errors.AsType[*object.Error](err); !ok || e.Leaves != object.ReasonSpecial {
		t.Errorf("%d bytes, %v", len(got.Body), err)
	}
}

// TestLeaseOfAnother: who has a lease of a file is asked to give it up, and the file is read
// after that.
func TestLeaseOfAnother(t *testing.T) {
	dir := t.TempDir()
	f, err := os.OpenFile(put(t, dir, "file", "before"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_WRLCK); err != nil {
		t.Fatalf("%v: set TMPDIR to a file system of this machine, which has leases", err)
	}
	s, get := source(t, dir), &object.GetRequest{Ref: object.Ref{Bucket: dir, Key: "file"}, Max: 100}
	if _, err := s.Get(t.Context(), get); object.ClassOf(err) != object.ClassTransient {
		t.Errorf("while another has a lease: %v, %v", object.ClassOf(err), err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), get); err != nil {
		t.Error(err)
	}
}
