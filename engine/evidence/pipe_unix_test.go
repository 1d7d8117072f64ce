//go:build unix

package evidence

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestPipesAreNoEvidence: a folder comes from whoever made it, and checking it ends.
func TestPipesAreNoEvidence(t *testing.T) {
	for _, name := range []string{publicName, envelopeName, csvName, parquetName} {
		dir := filepath.Join(t.TempDir(), "evidence")
		if err := Write(t.Context(), dir, content(3), localSigner(t)); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)); err != nil {
			t.Fatal(err)
		}
		checked := make(chan error, 1)
		go func() {
			_, err := Check(dir, nil)
			checked <- err
		}()
		select {
		case err := <-checked:
			var bad *BadError
			if !errors.As(err, &bad) || bad.File != name {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s: the check waits for somebody to write to it", name)
		}
	}
}
