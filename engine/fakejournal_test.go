package engine

import (
	"context"
	"io"
	"sync"

	"github.com/resealhq/reseal/engine/object"
)

// memJournal keeps a plan and its outcomes in memory. reopen is what a crash
// leaves: outcomes of the durable ones, everything handed out in doubt.
type memJournal struct {
	mu struct {
		sync.Mutex
		tasks      []object.Task
		next       int
		dispatched int
		outcomes   map[uint64]*object.Outcome
		uploads    map[uint64]object.Upload
		parts      map[uint64][]object.Part
		failing    error
	}
}

func planOf(s *memStore, settled bool) *memJournal {
	j := &memJournal{}
	j.mu.outcomes = map[uint64]*object.Outcome{}
	j.mu.uploads = map[uint64]object.Upload{}
	j.mu.parts = map[uint64][]object.Part{}
	objs, _, _ := s.ListInspected(context.Background(), "b", "", "", 1<<30)
	for i, o := range objs {
		o.Settled = settled
		if !settled {
			o.Encryption = object.Encryption{}
		}
		j.mu.tasks = append(j.mu.tasks, object.Task{Seq: uint64(i), Object: o})
	}
	return j
}

func (j *memJournal) reopen() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.mu.next = 0
	for i := range j.mu.tasks {
		j.mu.tasks[i].InDoubt = i < j.mu.dispatched
	}
}

func (j *memJournal) Next(ctx context.Context, buf []object.Task) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for ; n < len(buf) && j.mu.next < len(j.mu.tasks); j.mu.next++ {
		if t := j.mu.tasks[j.mu.next]; j.mu.outcomes[t.Seq] == nil {
			buf[n] = t
			n++
		}
	}
	j.mu.dispatched = max(j.mu.dispatched, j.mu.next)
	if n == 0 {
		return 0, io.EOF
	}
	return n, ctx.Err()
}

func (j *memJournal) Record(o *object.Outcome) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.mu.failing == nil {
		kept := *o
		j.mu.outcomes[o.Seq] = &kept
	}
	return j.mu.failing
}

func (j *memJournal) Flush() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.mu.failing
}

func (j *memJournal) SaveUpload(u object.Upload) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.mu.uploads[u.Seq] = u
	return nil
}

func (j *memJournal) SavePart(seq uint64, p object.Part) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.mu.parts[seq] = append(j.mu.parts[seq], p)
	return nil
}

func (j *memJournal) Upload(seq uint64) (object.Upload, []object.Part, bool, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	u, ok := j.mu.uploads[seq]
	return u, j.mu.parts[seq], ok, nil
}

func (j *memJournal) DropUpload(seq uint64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.mu.uploads, seq)
	delete(j.mu.parts, seq)
	return nil
}

func (j *memJournal) Leftovers() ([]object.Upload, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var left []object.Upload
	for seq, u := range j.mu.uploads {
		if j.mu.outcomes[seq] != nil {
			left = append(left, u)
		}
	}
	return left, nil
}

// states counts the outcomes by state.
func (j *memJournal) states() [object.NumStates]int {
	j.mu.Lock()
	defer j.mu.Unlock()
	var n [object.NumStates]int
	for _, o := range j.mu.outcomes {
		n[o.State]++
	}
	n[object.Remaining] = len(j.mu.tasks) - len(j.mu.outcomes)
	return n
}

// always chooses the same operation for everything that is not as wanted yet.
type always struct {
	target object.Target
	op     object.Operation
}

func (a always) Choose(o *object.Object, _ *object.Attributes) object.Choice {
	if o.Encryption.Type == object.SSEUnknown {
		return object.Choice{Operation: object.OpUndecided}
	}
	if a.target.Satisfied(o) {
		return object.Choice{Operation: object.OpNone, Already: true}
	}
	return object.Choice{Operation: a.op, Route: object.RouteSelfCopy}
}

func memConfig(s *memStore, j *memJournal, op object.Operation) Config {
	target := object.Target{SSE: object.SSEKMS, KMSKeyID: "arn:aws:kms:r:1:key/new"}
	return Config{Journal: j, Store: s.store(), Chooser: always{target, op}, Target: target,
		Caps: object.Capabilities{CompleteIfMatch: object.Yes, SendIfMatch: object.Yes}, Facts: object.BucketFacts{Versioning: object.VersioningOff, ACLsDisabled: object.Yes}, Workers: 8}
}
