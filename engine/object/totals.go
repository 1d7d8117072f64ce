package object

import "time"

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
	Operations [OpMultipart + 1]Tally
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
