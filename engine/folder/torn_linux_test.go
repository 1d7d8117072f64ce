package folder

import (
	"bytes"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// TestTornReads: a file that is written again and again is read whole, as it was at one
// moment, or not at all. The writer has to wait for the CPU in the middle of its writes,
// while the file has the time at which they began.
func TestTornReads(t *testing.T) {
	const size = 8 << 20
	dir := t.TempDir()
	path := put(t, dir, "file", strings.Repeat("a", size))
	s, ref := source(t, dir), object.Ref{Bucket: dir, Key: "file"}
	var stop atomic.Bool
	var writer, readers sync.WaitGroup
	writer.Go(func() { writeInBursts(t, path, size, &stop) })
	var whole, refused atomic.Int64
	end := time.Now().Add(20 * time.Second)
	for range 8 {
		readers.Go(func() {
			for whole.Load() < 200 && time.Now().Before(end) && !t.Failed() {
				if readTwice(t, s, ref, size) {
					whole.Add(1)
				} else {
					refused.Add(1)
				}
			}
		})
	}
	readers.Wait()
	stop.Store(true)
	writer.Wait()
	if t.Logf("%d were whole, %d refused", whole.Load(), refused.Load()); whole.Load() == 0 {
		t.Error("none was read while nobody wrote")
	}
}

// writeInBursts opens the file and fills it with another letter again and again, as who may
// run last, and leaves it alone for a while.
func writeInBursts(t *testing.T, path string, size int, stop *atomic.Bool) {
	runtime.LockOSThread() // and ends the thread, which keeps its priority
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, syscall.Gettid(), 5); err != nil {
		t.Error(err)
		return
	}
	for i := 1; !stop.Load(); i++ {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := f.WriteAt(bytes.Repeat([]byte{byte('a' + i%26)}, size), 0); err != nil {
			t.Error(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		time.Sleep(20 * time.Millisecond)
		for pause := 0; i%8 == 0 && pause < 15 && !stop.Load(); pause++ {
			time.Sleep(atRest / 10)
		}
	}
}

// readTwice reads the file whole, and in two stretches; false where it was refused.
func readTwice(t *testing.T, s *Source, ref object.Ref, size int64) bool {
	got, err := s.Get(t.Context(), &object.GetRequest{Ref: ref, Max: size})
	if object.ClassOf(err) == object.ClassChanged {
		return false
	}
	if err != nil || int64(bytes.Count(got.Body, got.Body[:1])) != size {
		t.Errorf("half of the one and half of the other: %v", err)
		return false
	}
	half := make([]byte, size/2)
	if s.ReadRange(t.Context(), &object.RangeRequest{Ref: ref, ETag: got.ETag, Size: size, First: size / 2, Into: half}) != nil {
		return false
	}
	if half[0] != got.Body[0] || int64(bytes.Count(half, half[:1])) != size/2 {
		t.Error("stretches of two files")
	}
	return true
}
