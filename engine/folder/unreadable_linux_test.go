package folder

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// TestUnreadable: a folder that may not be read is a row, and not the end. Root reads it as
// somebody else, since nothing is forbidden to root.
func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a/file", "x")
	put(t, dir, "b/file", "x")
	if err := os.Chmod(filepath.Join(dir, "a"), 0); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.Chmod(filepath.Join(dir, "a"), 0o755) }()
	s := source(t, dir)
	if os.Getuid() == 0 {
		runtime.LockOSThread() // of this thread alone, which ends with the test
		if err := syscall.Setfsuid(65534); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = syscall.Setfsuid(0) }()
	}
	var rows []object.Object
	err := s.Read(context.Background(), nil, func(p object.Page) error { rows = append(rows, p.Objects...); return nil })
	if err != nil || len(rows) != 2 || rows[0].Key != "a/" || rows[0].Unfit.Reason != "denied" || rows[1].Unfit.Reason != "" {
		t.Errorf("%+v, %v", rows, err)
	}
	h, err := s.Head(context.Background(), object.Ref{Bucket: dir, Key: "a/"}, object.CustomerKey{})
	if err != nil || h.Unfit != rows[0].Unfit {
		t.Errorf("looked at again it is %+v, %v", h.Unfit, err)
	}
}
