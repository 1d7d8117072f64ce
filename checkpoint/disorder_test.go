package checkpoint

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2"
)

// TestAStateInDisorder: one that would give a task out twice, or never, is damage, to who
// opens the job and to who reads it.
func TestAStateInDisorder(t *testing.T) {
	// forked has 3 holes, 297 outcomes, and three lanes, from 100, 1100 and 2100 on.
	lanes := []laneState{{100, 100, 1000}, {1100, 1100, 2000}}
	holes := []uint64{99, 1099, 2099}
	for name, c := range map[string]struct {
		lanes  []laneState
		handed uint64
		holes  []uint64
		fine   bool
	}{
		"as it was":              {lanes, 2100, holes, true},
		"a hole twice":           {lanes, 2100, []uint64{99, 99, 2099}, false},
		"holes out of order":     {lanes, 2100, []uint64{1099, 99, 2099}, false},
		"a hole in a lane":       {lanes, 2100, []uint64{99, 1100, 2099}, false},
		"a hole above handed":    {lanes, 2100, []uint64{99, 1099, 2100}, false},
		"a hole is missing":      {lanes, 2100, holes[:2], false},
		"a lane is missing":      {lanes[:1], 2100, holes, false},
		"a lane is shorter":      {[]laneState{{100, 100, 900}, lanes[1]}, 2100, holes, false},
		"a lane is longer":       {[]laneState{{98, 100, 1000}, lanes[1]}, 2100, holes, false},
		"lanes overlap":          {[]laneState{{100, 100, 1200}, lanes[1]}, 2100, holes, false},
		"a lane behind handed":   {[]laneState{lanes[0], {1100, 1100, 2101}}, 2100, holes, false},
		"a lane behind the plan": {lanes, 9100, holes, false},
		"handed is lower":        {lanes, 2000, holes, false},
		"handed is higher":       {lanes, 2300, holes, false},
		"a mark behind its lane": {[]laneState{{100, 1001, 1000}, lanes[1]}, 2100, holes, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := forked(t, dir)
			e := encoder{d: s.dict}
			e.state(s.counts.Load(), c.handed, c.lanes, c.holes)
			must(t, s.db.Set([]byte(keyState), e.b, pebble.Sync))
			must(t, s.abandon())
			_, rows, rerr := read(dir)
			_, left, err := goOn(t, dir)
			var disk *DiskError
			switch {
			case c.fine && (err != nil || rerr != nil || left != 2703):
				t.Errorf("%d left, %v; read %v, %v", left, err, rows, rerr)
			case !c.fine && (!errors.As(err, &disk) || rerr == nil):
				t.Errorf("%d left, %v; read %v, %v", left, err, rows, rerr)
			}
		})
	}
}
