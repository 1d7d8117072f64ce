package engine

import (
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// TestBetween: only a version that is surely of the time between is one for which a copy is removed.
func TestBetween(t *testing.T) {
	at := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	row := func(id string, ms int) object.Object {
		return object.Object{Ref: object.Ref{Key: "k", VersionID: id}, LastModified: at.Add(time.Duration(ms) * time.Millisecond), Noncurrent: ms < 30}
	}
	marker := row("theirs", 20)
	marker.DeleteMarker = true
	wasMarker := row("was", 10)
	wasMarker.DeleteMarker = true
	ours, theirs, was, older := row("ours", 30), row("theirs", 20), row("was", 10), row("older", 0)
	for name, c := range map[string]struct {
		rows []object.Object
		want string
	}{
		"nothing":                    {[]object.Object{ours, was, older}, ""},
		"a write":                    {[]object.Object{ours, theirs, was, older}, "theirs"},
		"a deletion":                 {[]object.Object{ours, marker, was}, "theirs"},
		"two":                        {[]object.Object{ours, row("newer", 25), theirs, was}, "newer"},
		"something newer":            {[]object.Object{row("newest", 40), ours, theirs, was}, ""},
		"ours is gone":               {[]object.Object{theirs, was}, ""},
		"what it was made of is not": {[]object.Object{ours, theirs, older}, ""},
		"nor as a version":           {[]object.Object{ours, theirs, wasMarker}, ""},
		"sorted some other way":      {[]object.Object{ours, older, was}, ""},
		"no rows":                    {nil, ""},
	} {
		l := &laid{made: "ours", over: "was"}
		got := ""
		if o := l.between(c.rows); o != nil {
			got = o.VersionID
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestLaidOver: what is looked at is the copy that was answered, over what that was made of, also where
// the object was looked at again since.
func TestLaidOver(t *testing.T) {
	seen := &object.Attributes{}
	for name, c := range map[string]struct {
		version  string
		attrs    *object.Attributes
		past     history
		inferred bool
		want     string
	}{
		"a version":             {version: "was", attrs: seen, want: "was"},
		"the null version":      {attrs: seen, want: object.NullVersion},
		"nobody has looked":     {want: ""},
		"looked at again since": {version: "made", attrs: seen, past: history{wrote: object.Outcome{State: object.Done, NewVersionID: "made"}, wroteOver: "was"}, want: "was"},
		"without an answer":     {version: "made", attrs: seen, past: history{unanswered: &unanswered{version: "was"}}, inferred: true, want: "was"},
		"without an answer, after others": {version: "made", attrs: seen, inferred: true, want: "was", past: history{unanswered: &unanswered{version: "was"},
			wrote: object.Outcome{State: object.Done, NewVersionID: "earlier"}, wroteOver: "older"}},
	} {
		it := &item{run: &run{cfg: &Config{}}, version: c.version, attrs: c.attrs, past: c.past}
		got := ""
		if l := it.laid(&object.Outcome{State: object.Done, Operation: object.OpRewrite, NewVersionID: "made", Inferred: c.inferred}); l != nil {
			got = l.over
		}
		if got != c.want {
			t.Errorf("%s: over %q, want %q", name, got, c.want)
		}
	}
}
