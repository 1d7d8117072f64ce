package job

import (
	"testing"
	"time"
)

// TestPruneLocks: each kind of lock keeps a version, a retention until it has run out
// by any clock that is not wildly wrong.
func TestPruneLocks(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		mode        string
		until       time.Time
		hold, event bool
		locked      bool
	}{
		"none":          {},
		"hold":          {hold: true, locked: true},
		"event":         {event: true, locked: true},
		"governance":    {mode: "GOVERNANCE", until: now.Add(time.Hour), locked: true},
		"compliance":    {mode: "COMPLIANCE", until: now.Add(time.Hour), locked: true},
		"just ran out":  {mode: "COMPLIANCE", until: now.Add(-time.Minute), locked: true},
		"ran out":       {mode: "COMPLIANCE", until: now.Add(-time.Hour)},
		"no date":       {mode: "GOVERNANCE", locked: true},
		"ran out, held": {mode: "COMPLIANCE", until: now.Add(-time.Hour), hold: true, locked: true},
	} {
		if got := lockOf(c.mode, c.until, c.hold, c.event); (got != "") != c.locked {
			t.Errorf("%s: %q", name, got)
		}
	}
}
