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
		again  []uint64 // r/
	}{
		"as it was":              {lanes, 2100, holes, true, nil},
		"a hole twice":           {lanes, 2100, []uint64{99, 99, 2099}, false, nil},
		"holes out of order":     {lanes, 2100, []uint64{1099, 99, 2099}, false, nil},
		"a hole in a lane":       {lanes, 2100, []uint64{99, 1100, 2099}, false, nil},
		"a hole above handed":    {lanes, 2100, []uint64{99, 1099, 2100}, false, nil},
		"a hole is missing":      {lanes, 2100, holes[:2], false, nil},
		"a lane is missing":      {lanes[:1], 2100, holes, false, nil},
		"a lane is shorter":      {[]laneState{{100, 100, 900}, lanes[1]}, 2100, holes, false, nil},
		"a lane is longer":       {[]laneState{{98, 100, 1000}, lanes[1]}, 2100, holes, false, nil},
		"lanes overlap":          {[]laneState{{100, 100, 1200}, lanes[1]}, 2100, holes, false, nil},
		"a lane behind handed":   {[]laneState{lanes[0], {1100, 1100, 2101}}, 2100, holes, false, nil},
		"a lane behind the plan": {lanes, 9100, holes, false, nil},
		"handed is lower":        {lanes, 2000, holes, false, nil},
		"handed is higher":       {lanes, 2300, holes, false, nil},
		"a mark behind its lane": {[]laneState{{100, 1001, 1000}, lanes[1]}, 2100, holes, false, nil},
		// The sums of these are right: one task is in two places, and another in none.
		"another hole":                       {lanes, 2100, []uint64{98, 1099, 2099}, false, nil},
		"a lane that lies lower":             {[]laneState{{98, 100, 998}, lanes[1]}, 2100, []uint64{998, 1099, 2099}, false, nil},
		"a hole that is taken again instead": {lanes, 2100, holes[:2], true, []uint64{2099}},
		"another is taken again instead":     {lanes, 2100, holes[:2], false, []uint64{2098}},
		"one of a lane is taken again":       {lanes, 2100, holes[:2], false, []uint64{500}},
		"one above handed is taken again":    {lanes, 2100, holes[:2], false, []uint64{2500}},
		"a hole is taken again too":          {lanes, 2100, holes, false, []uint64{99}},
		"one that is settled is too":         {lanes, 2100, holes, false, []uint64{42}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := forked(t, dir)
			e := encoder{d: s.dict}
			e.state(s.counts.Load(), c.handed, c.lanes, c.holes)
			must(t, s.db.Set([]byte(keyState), e.b, pebble.Sync))
			for _, seq := range c.again {
				must(t, s.db.Set(seqKey(retryPrefix, seq), inDoubt, pebble.Sync))
			}
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
