package object

import (
	"cmp"
	"slices"
	"time"
)

// Tally counts objects and their bytes. Objects of unknown size add no bytes.
type Tally struct {
	Objects uint64 `json:"objects"`
	Bytes   int64  `json:"bytes"`
}

// Cause is one reason why objects were left or failed.
type Cause struct {
	State     State
	Reason    Reason
	ErrorCode string
	Tally
	// Example is the Seq of one of them.
	Example uint64
}

// Totals is a job in numbers: what the checkpoint keeps with the outcomes, and
// what summary, status and metrics show.
type Totals struct {
	Planned      Tally
	PlanComplete bool
	// States by State; Remaining is what has no outcome.
	States [NumStates]Tally
	// Operations of the objects done, by Operation.
	Operations [NumOperations]Tally
	// OldVersions counts the versions that copies left behind under their old
	// encryption.
	OldVersions Tally
	// Requests by RequestKind, of all processes of the job.
	Requests [NumRequestKinds]uint64
	// Elapsed is the running time of all processes of the job.
	Elapsed time.Duration
	// Causes of left and failed objects, the most frequent first.
	Causes []Cause
}

// Add counts what another part of the job did too. The plan is complete where that of
// both is; so adding begins with one that is.
func (t *Totals) Add(o *Totals) {
	t.Planned.add(o.Planned)
	t.PlanComplete = t.PlanComplete && o.PlanComplete
	for i := range t.States {
		t.States[i].add(o.States[i])
	}
	for i := range t.Operations {
		t.Operations[i].add(o.Operations[i])
	}
	t.OldVersions.add(o.OldVersions)
	for i := range t.Requests {
		t.Requests[i] += o.Requests[i]
	}
	t.Elapsed += o.Elapsed
	t.Causes = slices.Clone(t.Causes)
	for _, c := range o.Causes {
		t.cause(&c)
	}
	slices.SortStableFunc(t.Causes, func(a, b Cause) int { return cmp.Compare(b.Objects, a.Objects) })
}

func (t *Totals) cause(c *Cause) {
	for i := range t.Causes {
		if h := &t.Causes[i]; h.State == c.State && h.Reason == c.Reason && h.ErrorCode == c.ErrorCode {
			h.Tally.add(c.Tally)
			return
		}
	}
	t.Causes = append(t.Causes, *c)
}

func (t *Tally) add(o Tally) {
	t.Objects += o.Objects
	t.Bytes += o.Bytes
}
