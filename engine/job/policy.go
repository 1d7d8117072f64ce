package job

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	"github.com/resealhq/reseal/engine"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/planner"
)

// Policy is how objects may be treated. The job records it, so that a resumed run
// needs no repetition. The zero value lets reseal choose and accepts no loss.
type Policy struct {
	Operation Operation `json:"operation"`
	Inspect   Inspect   `json:"inspect"`
	Verify    Verify    `json:"verify"`
	Guard     Guard     `json:"guard"`
	// Accept are the losses and risks that the operator accepts by name.
	Accept []Acceptance `json:"accept,omitempty"`
	// MultipartThreshold is the size from which on objects are copied in parts of
	// PartSize; DefaultThreshold and engine.DefaultPartSize where 0.
	MultipartThreshold int64 `json:"multipart_threshold,omitempty"`
	PartSize           int64 `json:"part_size,omitempty"`
}

// Operation says which operations may be used; empty is auto.
type Operation string

// The operations: the cheapest safe one, or one kind only.
const (
	OperationAuto Operation = "auto"
	UpdateOnly    Operation = "update"
	CopyOnly      Operation = "copy"
	RewriteOnly   Operation = "rewrite"
	RewrapOnly    Operation = "rewrap"
)

// Inspect says whether an object is asked about before it is decided on; empty is
// auto, which asks where the plan's row cannot settle it.
type Inspect string

// The ways to inspect.
const (
	InspectAuto   Inspect = "auto"
	InspectAlways Inspect = "always"
	InspectNever  Inspect = "never"
)

// Verify is the proof that is asked of the store for each object; empty is auto,
// the cheapest one that does prove.
type Verify string

// The proofs: the reply to the change, a HEAD after it, the bytes, or with
// RewrapOnly the data key.
const (
	VerifyAuto     Verify = "auto"
	VerifyResponse Verify = "response"
	VerifyHead     Verify = "head"
	VerifyRead     Verify = "read"
	VerifyUnwrap   Verify = "unwrap"
)

// Guard says how concurrent writers are guarded against; empty is auto.
type Guard string

// GuardStrict never overwrites a concurrent write, also where that takes a dearer
// route.
const (
	GuardAuto   Guard = "auto"
	GuardStrict Guard = "strict"
)

// Acceptance is a loss or a risk that an operator accepts by its name.
type Acceptance string

// What can be accepted.
const (
	AcceptACL               Acceptance = "acl"
	AcceptLock              Acceptance = "lock"
	AcceptTags              Acceptance = "tags"
	AcceptRedirect          Acceptance = "redirect"
	AcceptCompositeChecksum Acceptance = "composite-checksum"
	AcceptContext           Acceptance = "encryption-context"
	AcceptExpires           Acceptance = "expires"
	AcceptAnnotations       Acceptance = "annotations"
	AcceptEventHold         Acceptance = "event-hold"
	AcceptConcurrentWrites  Acceptance = "concurrent-writes"
	AcceptUnproven          Acceptance = "unproven-encryption"
	AcceptReaders           Acceptance = "cse-readers"
	AcceptUnauthenticated   Acceptance = "unauthenticated"
	AcceptPlaintext         Acceptance = "plaintext"
	AcceptInstructionGap    Acceptance = "instruction-gap"
)

// Words of each kind, in the order in which people are shown them; the first of
// those that have a default is the default.
var (
	Operations  = [...]Operation{OperationAuto, UpdateOnly, CopyOnly, RewriteOnly, RewrapOnly}
	Inspects    = [...]Inspect{InspectAuto, InspectAlways, InspectNever}
	Verifies    = [...]Verify{VerifyAuto, VerifyResponse, VerifyHead, VerifyRead, VerifyUnwrap}
	Guards      = [...]Guard{GuardAuto, GuardStrict}
	Acceptances = [...]Acceptance{AcceptACL, AcceptLock, AcceptTags, AcceptRedirect, AcceptCompositeChecksum, AcceptContext, AcceptExpires, AcceptAnnotations, AcceptEventHold,
		AcceptConcurrentWrites, AcceptUnproven, AcceptReaders, AcceptUnauthenticated, AcceptPlaintext, AcceptInstructionGap}
)

// UnmarshalText refuses an unknown word, as those of the other kinds do.
func (o *Operation) UnmarshalText(b []byte) error { return known(o, b, "operation", Operations[:]) }

// UnmarshalText refuses an unknown word.
func (i *Inspect) UnmarshalText(b []byte) error { return known(i, b, "inspect", Inspects[:]) }

// UnmarshalText refuses an unknown word.
func (v *Verify) UnmarshalText(b []byte) error { return known(v, b, "verify", Verifies[:]) }

// UnmarshalText refuses an unknown word.
func (g *Guard) UnmarshalText(b []byte) error { return known(g, b, "guard", Guards[:]) }

// UnmarshalText refuses an unknown word.
func (a *Acceptance) UnmarshalText(b []byte) error { return known(a, b, "accept", Acceptances[:]) }

func known[W ~string](w *W, text []byte, field string, words []W) error {
	if !slices.Contains(words, W(text)) {
		return fmt.Errorf("%s: unknown word %q", field, text)
	}
	*w = W(text)
	return nil
}

// UnmarshalJSON refuses unknown words, and fields that nobody knows: what a policy
// says and is not understood must not mean the default.
func (p *Policy) UnmarshalJSON(data []byte) error {
	type plain Policy
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	var read plain
	if err := d.Decode(&read); err != nil {
		return err
	}
	*p = Policy(read)
	return nil
}

// DefaultThreshold: from here on parts in parallel beat one CopyObject on AWS by a
// factor (published: 1 GiB in 64 MiB parts 3.6 s, in one 15.6 s), and a crash costs
// a part instead of the object. Below it the requests saved count for more.
const DefaultThreshold = 256 << 20

// Validate refuses unknown words and sizes that S3 does not take, and writes what
// is left out as it will be recorded.
func (p *Policy) Validate() error {
	p.Operation, p.Inspect = cmp.Or(p.Operation, OperationAuto), cmp.Or(p.Inspect, InspectAuto)
	p.Verify, p.Guard = cmp.Or(p.Verify, VerifyAuto), cmp.Or(p.Guard, GuardAuto)
	p.MultipartThreshold = cmp.Or(p.MultipartThreshold, DefaultThreshold)
	check := []error{known(&p.Operation, []byte(p.Operation), "Policy.Operation", Operations[:]), known(&p.Inspect, []byte(p.Inspect), "Policy.Inspect", Inspects[:]),
		known(&p.Verify, []byte(p.Verify), "Policy.Verify", Verifies[:]), known(&p.Guard, []byte(p.Guard), "Policy.Guard", Guards[:])}
	for _, a := range p.Accept {
		check = append(check, known(&a, []byte(a), "Policy.Accept", Acceptances[:]))
	}
	for _, err := range check {
		if err != nil {
			return unusableBecause(err, "the policy", "use a word that the documentation names")
		}
	}
	if p.PartSize != 0 && (p.PartSize < engine.MinPartSize || p.PartSize > engine.MaxPartSize) {
		return unusablef("S3 takes parts from 5MiB to 5GiB", "Policy.PartSize %d", p.PartSize)
	}
	if p.MultipartThreshold < 1 || p.MultipartThreshold > engine.MaxPartSize {
		return unusablef("give a size up to 5GiB", "Policy.MultipartThreshold %d", p.MultipartThreshold)
	}
	return nil
}

// equal says whether two policies are the same, whatever the order of what they
// accept.
func (p *Policy) equal(q *Policy) bool {
	a, b := *p, *q
	a.Accept, b.Accept = nil, nil
	same := slices.Equal(slices.Sorted(slices.Values(p.Accept)), slices.Sorted(slices.Values(q.Accept)))
	return same && reflect.DeepEqual(a, b)
}

// Accepts says whether the operator accepted a loss or risk.
func (p *Policy) Accepts(a Acceptance) bool { return slices.Contains(p.Accept, a) }

// The policy as engine and planner know it.

func (p *Policy) inspect() engine.Inspect {
	return map[Inspect]engine.Inspect{InspectAlways: engine.InspectAlways, InspectNever: engine.InspectNever}[p.Inspect]
}

func (p *Policy) verify() engine.Verify {
	return map[Verify]engine.Verify{VerifyResponse: engine.VerifyResponse, VerifyHead: engine.VerifyHead, VerifyRead: engine.VerifyRead, VerifyUnwrap: engine.VerifyUnwrap}[p.Verify]
}

func (p *Policy) restriction() planner.Restriction {
	return map[Operation]planner.Restriction{UpdateOnly: planner.UpdateOnly, CopyOnly: planner.CopyOnly, RewriteOnly: planner.RewriteOnly, RewrapOnly: planner.RewrapOnly}[p.Operation]
}

func (p *Policy) losses() (losses []object.Reason) {
	for _, a := range p.Accept {
		losses = append(losses, object.Reason(a))
	}
	return losses
}
