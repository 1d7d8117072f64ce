package folder

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// TestAMappedFileOfAnOverlay: the kernel grants a lease of a file of overlayfs although
// somebody has it mapped to write it, so that it is not asked there.
func TestAMappedFileOfAnOverlay(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"lower", "upper", "work", "merged"} {
		if err := os.Mkdir(at(name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	done, why := make(chan struct{}), ""
	go func() {
		defer close(done)
		runtime.LockOSThread() // and it ends with the goroutine, and its mounts with it
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			why = "no mounts of its own: " + err.Error()
			return
		}
		err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		if err == nil {
			err = unix.Mount("overlay", at("merged"), "overlay", 0, "lowerdir="+at("lower")+",upperdir="+at("upper")+",workdir="+at("work"))
		}
		if err != nil {
			why = "no overlay can be mounted: " + err.Error()
			return
		}
		f, err := os.OpenFile(at("merged/file"), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Error(err)
			return
		}
		_, werr := f.Write(make([]byte, 8192))
		mapped, merr := unix.Mmap(int(f.Fd()), 0, 8192, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		f.Close()
		reader, err := os.Open(at("merged/file"))
		if err != nil || werr != nil || merr != nil {
			t.Error(werr, merr, err)
			return
		}
		defer reader.Close()
		if !mayBeWritten(reader) {
			t.Error("a file that is mapped to be written counts as one that nobody writes")
		}
		_ = unix.Munmap(mapped)
	}()
	<-done
	if why != "" {
		t.Skip(why + "; root mounts one")
	}
}
