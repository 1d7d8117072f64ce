package job

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/report"
	"github.com/resealhq/reseal/planner"
)

// This file keeps, for the report, what other verbs have found. It decides nothing.

// keptSize bounds each of these files in bytes: a verdict names every key that something
// still lies under, and a bucket may have as many keys as customers.
const keptSize = 64 << 20

// verified is verified.json: what the last verification found.
type verified struct {
	At      time.Time `json:"at"`
	Verdict *Verdict  `json:"verdict"`
}

// keep writes one, under its digest: a figure that a disk or a hand has changed is not
// shown.
func (j *Job) keep(name string, v any, log *slog.Logger) {
	data, err := json.Marshal(v)
	file := fmt.Appendf(nil, "%x\n%s", sha256.Sum256(data), data)
	if err == nil && len(file) > keptSize {
		err = fmt.Errorf("it would be %s, and at most %s is read back", humanize.IBytes(uint64(len(file))), humanize.IBytes(keptSize))
	}
	if err == nil {
		err = writeFile(j.path(name), file)
	}
	if err == nil {
		j.tell(name)
	} else {
		log.Warn("not kept for the report", "file", name, "error", err)
	}
}

// kept reads one; false where there is none that can be believed.
func (j *Job) kept(name string, v any) bool {
	file, err := readPlain(j.path(name), ofUs, keptSize)
	sum, data, _ := bytes.Cut(file, []byte("\n"))
	return err == nil && string(sum) == fmt.Sprintf("%x", sha256.Sum256(data)) && json.Unmarshal(data, v) == nil
}

func (j *Job) keepVerified(d *Verdict, log *slog.Logger) {
	j.keep(verifiedName, verified{time.Now().UTC().Truncate(time.Second), d}, log)
}

// lastVerified is the last verification in words.
func (j *Job) lastVerified() *report.Verified {
	var v verified
	if !j.kept(verifiedName, &v) || v.Verdict == nil {
		return nil
	}
	d := v.Verdict
	out := &report.Verified{At: v.At, OK: d.OK}
	for _, l := range []struct {
		name string
		n    uint64
	}{{"As the report says", d.Verified}, {"Changed since by others, as wanted", d.Changed}, {"Gone", d.Gone}, {"Different", d.Different}, {"Not done", d.NotDone}} {
		if l.n > 0 {
			out.Lines = append(out.Lines, report.Fact{Name: l.name, Value: report.Count(l.n, "object")})
		}
	}
	for _, e := range d.Examples {
		out.Lines = append(out.Lines, report.Fact{Name: e.Object, Value: e.What})
	}
	for _, g := range d.Dependents {
		out.Lines = append(out.Lines, report.Fact{Name: "Still under " + firstNonEmpty(g.KMSKeyID, g.Encryption),
			Value: report.Count(g.Current, "current version") + ", " + report.Count(g.Noncurrent, "noncurrent version")})
	}
	if d.Dependents != nil && len(d.Dependents) == 0 {
		out.Lines = append(out.Lines, report.Fact{Name: "Under other keys", Value: "nothing that lies under the source"})
	}
	if d.ClientSide > 0 {
		out.Lines = append(out.Lines, report.Fact{Name: "Under client-side encryption", Value: report.Count(d.ClientSide, "version") + ", whose own keys were not looked at"})
	}
	if d.Unread != "" {
		out.Lines = append(out.Lines, report.Fact{Name: "Not looked at", Value: d.Unread})
	}
	return out
}

// compared is the plan's estimate beside what became of it; nothing where no plan was
// made apart from a run.
func (j *Job) compared(s *report.Summary) []report.Compared {
	var e planner.Estimate
	if !j.kept(estimateName, &e) {
		return nil
	}
	n := func(n uint64) string { return humanize.Comma(int64(n)) }
	took := func(seconds float64) string {
		return time.Duration(seconds * float64(time.Second)).Round(time.Second).String()
	}
	var out []report.Compared
	add := func(name, estimated, actual string) {
		out = append(out, report.Compared{Name: name, Estimated: estimated, Actual: actual})
	}
	add("Objects", n(e.Total.Objects), n(s.Planned))
	ops := map[string]uint64{}
	for _, w := range e.Work {
		ops[w.Operation] += w.Objects
	}
	for op := object.OpUpdate; op.Changes(); op++ {
		if name := op.String(); ops[name]+s.Operations[name] > 0 {
			add("by "+name, n(ops[name]), n(s.Operations[name]))
		}
	}
	if ops["undecided"] > 0 {
		add("decided by the run", n(ops["undecided"]), "")
	}
	for k := range object.RequestKind(object.NumRequestKinds) {
		if name := k.String(); e.Requests[name]+s.Requests[name] > 0 {
			add(name+" requests", n(e.Requests[name]), n(s.Requests[name]))
		}
	}
	if e.Seconds > 0 {
		add("Time, at "+strconv.FormatFloat(e.RequestsPerSecond, 'f', -1, 64)+" requests/s", took(e.Seconds), took(s.Seconds))
	}
	if e.Cost.Total > 0 {
		add("Cost of requests, "+e.Cost.Currency, strconv.FormatFloat(e.Cost.Total, 'f', 2, 64), "see the bill")
	}
	return out
}
