package report

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// failedRows are n rows with keys of their own, failed for one reason each in turn.
func failedRows(n int, reasons ...object.Reason) Rows {
	return func(f func(*object.Task, *object.Outcome) error) error {
		for i := range n {
			key := fmt.Sprintf("%s/%08d", strings.Repeat("a long folder/", 60), i)
			t := &object.Task{Seq: uint64(i), Object: object.Object{Ref: object.Ref{Bucket: "b", Key: key}, Size: 10}}
			o := &object.Outcome{Seq: uint64(i), State: object.Failed, Reason: reasons[i%len(reasons)], ErrorCode: "E", Message: "no way to " + key + strings.Repeat("; and more", 500)}
			if err := f(t, o); err != nil {
				return err
			}
		}
		return nil
	}
}

// TestPageStaysSmall: however many objects were not done, the page holds some of each
// reason, and says where the others are.
func TestPageStaysSmall(t *testing.T) {
	var b strings.Builder
	if err := WriteHTML(&b, samplePage(), failedRows(200_000, "denied", "transient", "other")); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	if len(page) > 3<<20 {
		t.Errorf("%d bytes", len(page))
	}
	for _, want := range []string{"The first 1,000 of 200,000", "reseal report --job", "failed: denied (E)", "failed: transient (E)", "66,667 objects"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	b.Reset()
	if err := WriteHTML(&b, samplePage(), failedRows(5000, "denied")); err != nil || !strings.Contains(b.String(), "And 4,400 more.") {
		t.Errorf("one reason takes all the room: %v", err)
	}
	many := make([]object.Reason, 500)
	for i := range many {
		many[i] = object.Reason(fmt.Sprint("reason ", i))
	}
	b.Reset()
	if err := WriteHTML(&b, samplePage(), failedRows(5000, many...)); err != nil || strings.Count(b.String(), "class=\"group") > maxGroups+5 {
		t.Errorf("%d groups, %v", strings.Count(b.String(), "class=\"group"), err)
	}
}

// TestPageTellsACauseOnce: a message that differs in nothing but the object's key stands
// above its objects, and not beside each.
func TestPageTellsACauseOnce(t *testing.T) {
	var b strings.Builder
	if err := WriteHTML(&b, samplePage(), failedRows(50, "denied")); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), "no way to …"); n != 1 {
		t.Errorf("it is told %d times", n)
	}
}

// TestPageEscapes: whatever a key, a message, a fact or a verification holds, it stands
// on the page as text.
func TestPageEscapes(t *testing.T) {
	const evil = `"><script>alert(1)</script>' onload='x` + "\x00\u202e"
	p := samplePage()
	p.Title, p.Facts = evil, []Fact{{evil, evil}}
	p.Verified = &Verified{Lines: []Fact{{evil, evil}}}
	p.Compared = []Compared{{evil, evil, evil}}
	p.Summary.Job, p.Summary.Cause = evil, &StopCause{evil, evil}
	p.Summary.Began, p.Summary.Host = time.Unix(1e9, 0), evil
	p.History = []Moment{{At: time.Unix(1e9, 0), Why: evil}, {At: time.Unix(1e9+5, 0), Planned: 9, Done: 4, Why: evil}}
	row := &object.Task{Object: object.Object{Ref: object.Ref{Bucket: evil, Key: evil, VersionID: evil}}}
	out := &object.Outcome{State: object.Failed, Reason: object.Reason(evil), ErrorCode: evil, Message: evil, Before: object.Encryption{Type: object.SSEKMS, KMSKeyID: evil}}
	var b strings.Builder
	if err := WriteHTML(&b, p, func(f func(*object.Task, *object.Outcome) error) error { return f(row, out) }); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"<script", "' onload", "\x00"} {
		if strings.Contains(b.String(), bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
}

func TestPlots(t *testing.T) {
	at := func(s int) time.Time { return time.Date(2026, 11, 28, 22, 0, s, 0, time.UTC) }
	history := []Moment{
		{At: at(0), Planned: 100},
		{At: at(10), Planned: 100, Done: 30, Bytes: 300, Requests: 50, Ceiling: 60, Throttled: 3, Why: "s3-throttling"},
		{At: at(20), Planned: 100, Done: 50, Failed: 2, Bytes: 500, Requests: 80, Ceiling: 60, Throttled: 5, Why: "s3-throttling", MedianSeconds: 0.02, SlowSeconds: 0.4},
		{At: at(30), Planned: 100, Done: 60, Failed: 2, Bytes: 600, Requests: 10, Throttled: 1, Why: "none"}, // another process
	}
	p := samplePage()
	p.History = history
	var b strings.Builder
	if err := WriteHTML(&b, p, rowsOf(sampleRows()...)); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, want := range []string{"62 of 100 objects have an outcome, after 30s.", "Up to 80 requests/s at 22:00:20 UTC; held back mostly by s3-throttling (50.0% of the time). 6 replies asked for fewer requests.",
		`class="line-ceiling" d="M333.3 50.0L666.7 50.0"`, `class="fill-failed"`, "22:00:30 UTC", "600 B in 30s",
		"Half of the requests took at most 20ms, most of the time; the slowest were at 22:00:20 UTC, when 95 in 100 took at most 400ms."} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q", want)
		}
	}
	many := make([]Moment, 5000)
	for i := range many {
		many[i] = Moment{At: at(0).Add(time.Duration(i) * time.Second), Requests: 1}
	}
	many[2222].Requests = 777
	if got := thinned(many); len(got) != maxPoints || peak(got).Requests != 777 {
		t.Errorf("%d points, the peak is %v", len(got), peak(got).Requests)
	}
}
