package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/resealhq/reseal/engine/object"
)

// Summary is the job in numbers: the one object that run --json ends with. Its
// keys are a contract; it may gain some, and loses none.
type Summary struct {
	Job         string            `json:"job"`
	Resumed     bool              `json:"resumed"`
	Planned     uint64            `json:"planned"`
	Done        uint64            `json:"done"`
	Already     uint64            `json:"already"`
	Left        uint64            `json:"left"`
	Failed      uint64            `json:"failed"`
	Remaining   uint64            `json:"remaining"`
	Bytes       int64             `json:"bytes"`
	Operations  map[string]uint64 `json:"operations"`
	Requests    map[string]uint64 `json:"requests"`
	Seconds     float64           `json:"seconds"`
	Complete    bool              `json:"complete"`
	OldVersions object.Tally      `json:"old_versions_kept"`
	Causes      []CauseSummary    `json:"causes,omitempty"`
	More        int               `json:"more_causes,omitempty"` // that are not in Causes
	// InDoubt are those of Already that an earlier process of the job may have changed.
	InDoubt uint64 `json:"already_in_doubt,omitempty"`
	// Rules lock what the job writes, and came while it was at work.
	Rules []LockRule `json:"lock_rules,omitempty"`
	Standing

	states [object.NumStates]object.Tally
}

// LockRule is a rule by which a bucket locks every new object, a copy among them, since it was set
// while a job was at work there. No reply to a copy tells of it.
type LockRule struct {
	Bucket string `json:"bucket"`
	Rule   string `json:"rule"` // in words, as "GOVERNANCE, 30 days"
	Before string `json:"before"`
	// Seen is when the rule was first seen; After is when it was not there yet.
	After time.Time `json:"after"`
	Seen  time.Time `json:"seen"`
}

func (l *LockRule) String() string {
	return fmt.Sprintf("what was written to s3://%s since %s or up to %s before is locked: the bucket's rule for new objects is %s since then, and was %s when the run began",
		object.Printable(l.Bucket), l.Seen.UTC().Format(time.DateTime), l.Seen.Sub(l.After).Round(time.Second), object.Printable(l.Rule), object.Printable(l.Before))
}

// CauseSummary is one reason for which objects were left or failed.
type CauseSummary struct {
	State     string        `json:"state"`
	Reason    object.Reason `json:"reason"`
	ErrorCode string        `json:"error_code,omitempty"`
	Objects   uint64        `json:"objects"`
	Bytes     int64         `json:"bytes"`
	Example   string        `json:"example"` // s3://bucket/key
	Message   string        `json:"message,omitempty"`
	Hint      string        `json:"hint,omitempty"`
}

// maxCauses is how many causes a summary names.
const maxCauses = 10

// Lookup finds one planned object and its outcome by Seq. The checkpoint's Row
// is one.
type Lookup func(seq uint64) (object.Task, *object.Outcome, error)

// Summarize makes a summary of a job's totals. The examples come from lookup;
// where it is nil, or cannot find one, a cause has none.
func Summarize(job string, t *object.Totals, lookup Lookup) *Summary {
	s := &Summary{Job: job, Planned: t.Planned.Objects,
		Done: t.States[object.Done].Objects, Already: t.States[object.Already].Objects, Left: t.States[object.Left].Objects,
		Failed: t.States[object.Failed].Objects, Remaining: t.States[object.Remaining].Objects,
		Bytes: t.States[object.Done].Bytes, Seconds: t.Elapsed.Round(time.Millisecond).Seconds(),
		Operations: map[string]uint64{}, Requests: map[string]uint64{},
		Complete:    t.PlanComplete && t.States[object.Remaining].Objects == 0,
		OldVersions: t.OldVersions, states: t.States}
	for op := object.OpUpdate; op.Changes(); op++ {
		s.Operations[op.String()] = t.Operations[op].Objects
	}
	for k := range object.RequestKind(object.NumRequestKinds) {
		if n := t.Requests[k]; n > 0 || k <= object.ReqCopy { // list, head and copy are always there
			s.Requests[k.String()] = n
		}
	}
	for i := range t.Causes {
		switch c := &t.Causes[i]; {
		case c.State == object.Already: // of those that are as wanted some may be this job's work
			s.InDoubt += c.Objects
		case len(s.Causes) < maxCauses:
			s.Causes = append(s.Causes, causeSummary(c, lookup))
		default:
			s.More++
		}
	}
	return s
}

func causeSummary(c *object.Cause, lookup Lookup) CauseSummary {
	s := CauseSummary{State: c.State.String(), Reason: c.Reason, ErrorCode: c.ErrorCode, Objects: c.Objects, Bytes: c.Bytes, Hint: Hint(c.State, c.Reason)}
	if lookup == nil {
		return s
	}
	t, o, err := lookup(c.Example)
	if err != nil || o == nil {
		return s // the example is a help, not the answer
	}
	s.Example = t.Object.String()
	if o.State == c.State && o.Reason == c.Reason {
		s.Message = o.Message
	}
	return s
}

// WriteText writes the summary for a terminal: when and why, states, operations,
// causes.
func (s *Summary) WriteText(w io.Writer) error {
	var b strings.Builder
	s.Standing.writeText(&b)
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	return s.WriteCounts(w)
}

// WriteCounts writes the summary without when and why.
func (s *Summary) WriteCounts(w io.Writer) error {
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 4, 2, ' ', 0)
	for state, note := range s.notes() {
		if t := s.states[state]; t.Objects > 0 || state == object.Done {
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", state, humanize.Comma(int64(t.Objects)), humanize.IBytes(uint64(max(0, t.Bytes))), note)
		}
	}
	_ = tw.Flush()
	if n := s.OldVersions.Objects; n > 0 {
		fmt.Fprintf(&b, "%s (%s) left under the old encryption: a copy on a versioned bucket does not replace the version before\n",
			Count(n, "old version"), humanize.IBytes(uint64(max(0, s.OldVersions.Bytes))))
	}
	for i := range s.Rules {
		fmt.Fprintf(&b, "%s\n", &s.Rules[i])
	}
	for i := range s.Causes {
		s.Causes[i].writeText(&b)
	}
	if s.More > 0 {
		fmt.Fprintf(&b, "and %s: reseal report names every object\n", Count(uint64(s.More), "more cause"))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// notes gives the states in the order in which a person reads them.
func (s *Summary) notes() func(yield func(object.State, string) bool) {
	return func(yield func(object.State, string) bool) {
		var ops []string
		for op := object.OpUpdate; op.Changes(); op++ {
			if n := s.Operations[op.String()]; n > 0 {
				ops = append(ops, "by "+op.String()+" "+humanize.Comma(int64(n)))
			}
		}
		_ = yield(object.Done, strings.Join(ops, ", ")) && yield(object.Already, s.wasAsWanted()) &&
			yield(object.Left, "not touched") && yield(object.Failed, "tried, not changed") && yield(object.Remaining, "not taken yet")
	}
}

// wasAsWanted says of whom it is not known whether they were: an earlier process of
// the job was killed before it could record what it had done.
func (s *Summary) wasAsWanted() string {
	const perhaps = "found as wanted after an interruption; this job may have changed "
	switch n := s.states[object.Already].Objects; {
	case s.InDoubt == 0:
		return "was as wanted"
	case s.InDoubt >= n:
		return perhaps + "them"
	default:
		return comma(n-s.InDoubt) + " was as wanted, " + comma(s.InDoubt) + " " + perhaps + "those"
	}
}

func (c *CauseSummary) writeText(b *strings.Builder) {
	what := string(c.Reason)
	if c.ErrorCode != "" {
		what += " (" + c.ErrorCode + ")"
	}
	fmt.Fprintf(b, "%s: %s, %s", c.State, object.Printable(what), Count(c.Objects, "object"))
	if c.Example != "" {
		fmt.Fprintf(b, ", such as %q", c.Example)
	}
	b.WriteString("\n")
	if c.Message != "" {
		fmt.Fprintf(b, "    %s\n", object.Printable(oneLine(c.Message)))
	}
	if c.Hint != "" {
		fmt.Fprintf(b, "    what to do: %s\n", object.Printable(c.Hint))
	}
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
