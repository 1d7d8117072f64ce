package checkpoint

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/resealhq/reseal/engine/object"
)

// TestAPlanIsWrittenOnce: Pebble flushes each task of a long plan to a table, and
// moves that table down its levels as it is. Tasks share no table with cursors or
// outcomes, which are written again and again.
func TestAPlanIsWrittenOnce(t *testing.T) {
	const pages, size = 400, 100
	opts := memOptions(vfs.NewMem())
	opts.memTable = 64 << 10
	s, err := Open("job", opts)
	must(t, err)
	for p := range pages {
		position := []byte(fmt.Sprintf("position %d", p))
		must(t, s.Append(tasks(p*size, (p+1)*size), []object.Cursor{{Range: fmt.Sprintf("r%d", p%48), Position: position}}))
	}
	must(t, s.PlanComplete())
	must(t, s.db.Flush())
	m := s.db.Metrics()
	flushed, again := m.Levels[0].TableBytesFlushed, uint64(0)
	for _, l := range m.Levels {
		again += l.TableBytesCompacted
	}
	if flushes := m.Flush.Count; flushes < 24 || again > flushed/4 {
		t.Errorf("%d flushes of together %d bytes, and %d bytes were written again", flushes, flushed, again)
	}
	levels, err := s.db.SSTables()
	must(t, err)
	plans := 0
	for _, tables := range levels {
		for _, table := range tables {
			first, last := table.Smallest.UserKey[0], table.Largest.UserKey[0]
			if (first == 'p') != (last == 'p') {
				t.Errorf("a table holds tasks, and others: %q to %q", table.Smallest.UserKey, table.Largest.UserKey)
			}
			if first == 'p' {
				plans++
			}
		}
	}
	if plans == 0 {
		t.Error("no table holds the plan")
	}
	must(t, s.Close())
}
