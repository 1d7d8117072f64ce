package job

import (
	"os"
	"path/filepath"
	"testing"
)

// TestReadsWhatIsReplacedMeanwhile: a running job exchanges its files by rename, and
// whoever asks for its status at that moment gets one of them.
func TestReadsWhatIsReplacedMeanwhile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "status.json")
	replace := func() {
		next := path + ".new"
		if err := os.WriteFile(next, []byte("whole"), 0o600); err != nil {
			t.Error(err)
		}
		if err := os.Rename(next, path); err != nil {
			t.Error(err)
		}
	}
	replace()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				replace()
			}
		}
	}()
	for range 20_000 {
		if data, err := readPlain(path, ofUs, 1<<10); err != nil || string(data) != "whole" {
			t.Errorf("%q, %v", data, err)
			break
		}
	}
	close(stop)
	<-stopped
}
