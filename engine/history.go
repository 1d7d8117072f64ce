package engine

import "github.com/resealhq/reseal/engine/object"

// history is what has happened to an object so far, as far as it decides what may
// be done next.
//
//	          no doubt                        answered
//	planned ───────────► decide ─► do ─► sent ────────► written ─► prove ─► outcome
//	   │                   ▲  ▲           │                          │
//	   │ doubt             │  │           │ lost: ask                │ shows another
//	   ▼                   │  └───────────┤ not applied              │ object
//	clear up ──────────────┘              │                          │
//	   ▲      not ours                    ▼                          │
//	   └──────────────────────────── changed ◄───────────────────────┘
//	     lost and intended              │
//	                                    └─► decide, and look before
//
// From changed the way leads back to "clear up" only where a copy of this item was
// lost and what it drops is in the journal: the object that is there now may be what
// that copy has made of it, without its tags. In every other case what was known is
// of another object, and it is decided on anew.
type history struct {
	// doubt: an earlier process may have sent this task's mutation.
	doubt bool
	// changed: somebody was seen to have written the object since the plan.
	changed bool
	// intended: what a copy drops is in the journal.
	intended bool
	// lost: a request that changes the object got no answer, so that it may take
	// effect at any time.
	lost bool
	// copyLost: among these was one that may have made a version.
	copyLost bool
	// updated: an update was answered with success, and nothing shown yet.
	updated bool
	// vain: a copy of this item kept the old KMS key. vainBefore: one of a process that
	// died may have.
	vain, vainBefore bool
	// unanswered is what was known when the first of these was sent; nil before.
	unanswered *unanswered
	// otherEnvelope: after a rewrap the store showed another envelope than was written.
	otherEnvelope bool
	// refusals counts the answers that the target's key is unusable.
	refusals int
	// redecided are the refusals that this object showed, so that it was decided on anew.
	redecided []*refusal
	// wrote is the outcome as it stood when a copy of this item was answered with
	// success; its State is Done then, and Remaining before. wroteOver is the version that it copied.
	wrote     object.Outcome
	wroteOver string
}

// unanswered is an object and its outcome as they stood when a request was sent that
// got no answer.
type unanswered struct {
	obj     object.Object
	attrs   *object.Attributes
	out     object.Outcome
	version string // the current one by then
}

// noAnswer notes that a request that changes the object got no answer.
func (h *history) noAnswer(it *item) {
	h.copyLost = h.copyLost || it.out.Operation != object.OpUpdate
	if !h.lost {
		h.lost, h.unanswered = true, &unanswered{it.obj, it.attrs, it.out, it.readVersion()}
	}
}

// unclear says whether the journal has to be asked what this job has done to the
// object, before it is decided on.
func (h *history) unclear() bool { return h.doubt || h.changed && h.lost && h.intended }

// others notes that somebody wrote the object.
func (h *history) others() { h.doubt, h.changed = false, true }

// answered notes the success of a copy of that version.
func (h *history) answered(out *object.Outcome, over string) {
	h.wrote, h.wroteOver = *out, over
	h.wrote.State = object.Done
}

// written says whether a copy of this item was answered with success.
func (h *history) written() bool { return h.wrote.State == object.Done }

// again notes that the object is decided on anew, since what was done to it, if
// anything, brought it nowhere.
func (h *history) again(why *refusal) {
	h.redecided = append(h.redecided, why)
	h.wrote = object.Outcome{}
}

// provesItself says whether the item must know its outcome when its work returns:
// one that was in doubt, or that somebody wrote, is not left to the prover, which
// decides such items on anew itself and must not wait for itself.
func (h *history) provesItself() bool { return h.doubt || h.changed }
