package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/s3test"
)

// TestToAnotherStoreThroughFaults: at either end each request meets each fault once,
// and the process dies in the middle; the next finishes, and nothing is left behind.
func TestToAnotherStoreThroughFaults(t *testing.T) {
	t.Parallel()
	atOnce := newPool(t, 3)
	for _, tc := range []struct{ name, at, rule, die string }{
		{"source fails", "from", `(If (And Get (Key "obj-*") (PerKey (First 1))) Failed)`, ""},
		{"source is cut off", "from", `(If (And Get (Key "obj-*") (PerKey (First 1))) Truncated)`, ""},
		{"put lost", "to", `(If (And Put (Key "copy/obj-*") (PerKey (First 1))) ReplyLost)`, ""},
		{"part lost", "to", `(If (And Part (Key "copy/obj-*") (PerKey (First 1))) ReplyLost)`, ""},
		{"complete lost", "to", `(If (And Complete (Key "copy/obj-*") (PerKey (First 1))) ReplyLost)`, ""},
		{"complete throttled", "to", `(If (And Complete (Key "copy/obj-*") (PerKey (First 1))) Throttled)`, ""},
		{"dies at a put", "", "", "PutObject"},
		{"dies at a part", "", "", "UploadPart"},
		{"dies at a completion", "", "", "CompleteMultipartUpload"},
	} {
		atOnce.run(cell(tc.name), func(t *testing.T) {
			s := newTwoStores(t)
			if tc.rule != "" {
				at := map[string]*s3test.Server{"from": s.from, "to": s.to}[tc.at]
				if err := at.SetRules(tc.rule); err != nil {
					t.Fatal(err)
				}
			}
			if tc.die != "" {
				s.dieAt(t, tc.die)
			}
			for try := range 3 {
				end := s.reseal(t, s.args...)
				if end.code == 0 {
					break
				}
				if try == 2 {
					t.Fatalf("exit code %d\n%s", end.code, end.stderr)
				}
			}
			s.check(t)
			s.uploads(t, tc.die != "")
		})
	}
	atOnce.wait()
}

// dieAt kills the process when such a request has had its effect.
func (s *twoStores) dieAt(t *testing.T, op string) {
	t.Helper()
	cmd := s.command(s.args...)
	gone := make(chan struct{})
	var seen atomic.Bool
	s.to.OnEffect(func(r s3test.Request) {
		if r.Op == op && strings.HasPrefix(r.Key, "copy/obj-") && seen.CompareAndSwap(false, true) {
			_ = cmd.Process.Kill()
			select {
			case <-gone:
			case <-time.After(time.Minute):
			}
		}
	})
	err := cmd.Start()
	if err == nil {
		err = cmd.Wait()
	}
	close(gone)
	s.to.OnEffect(nil)
	if err == nil || !seen.Load() {
		t.Fatalf("it saw no %s and ended by itself: %v", op, err)
	}
}

// uploads wants none to be left open but one that another object's worker had begun when
// the process died, and whose ID nobody heard. Nobody can tell it from another client's,
// and the log names it.
func (s *twoStores) uploads(t *testing.T, died bool) {
	t.Helper()
	open := s.to.Snapshot("b").Uploads
	if len(open) == 0 {
		return
	}
	log, err := os.ReadFile(filepath.Join(s.job, "reseal.log"))
	if err != nil {
		t.Fatal(err)
	}
	if !died || len(open) > 1 || len(open[0].Parts) > 0 || !bytes.Contains(log, []byte(open[0].ID)) {
		t.Errorf("uploads are left: %+v", open)
	}
}
