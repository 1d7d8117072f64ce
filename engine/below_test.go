package engine

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/store"
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

// listers are versions that may be listed below some prefixes alone.
type listers struct {
	store.Versions
	below []string
	asked []string
}

func (l *listers) ListVersionsPage(_ context.Context, q object.ListRequest) (object.ListReply, error) {
	l.asked = append(l.asked, q.Prefix)
	for _, p := range l.below {
		if strings.HasPrefix(q.Prefix, p) {
			return object.ListReply{}, nil
		}
	}
	return object.ListReply{}, &object.Error{Class: object.ClassDenied}
}

// TestLooksWhereItMay: neighbours that lie below different prefixes are asked about one by one where what
// lies above both may not be listed, and a refusal is believed for a minute.
func TestLooksWhereItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemStore(0)
		for _, key := range []string{"a/1", "b/1", "b/2", "c/1"} {
			s.put(key, []byte("x"))
		}
		j := planOf(s, true)
		may := &listers{below: []string{"a/", "b/"}}
		cfg := memConfig(s, j, object.OpCopy)
		cfg.Versions = may
		if err := cfg.Validate(); err != nil {
			t.Fatal(err)
		}
		b := newRun(&cfg).below
		look := func(from, to int) {
			var batch []*laid
			for _, task := range j.mu.tasks[from:to] {
				batch = append(batch, &laid{task: task, out: object.Outcome{Seq: task.Seq, State: object.Done}})
			}
			b.lookAt(t.Context(), batch)
		}
		look(0, 3)
		if b.blind() {
			t.Errorf("nothing is looked at any more after %q", may.asked)
		}
		look(2, 4)
		if !b.blind() {
			t.Errorf("what may not be listed is asked for again, after %q", may.asked)
		}
		asked := len(may.asked)
		look(0, 1)
		if len(may.asked) != asked {
			t.Errorf("asked for %q", may.asked[asked:])
		}
		time.Sleep(belowAgain)
		if look(0, 1); len(may.asked) != asked+1 {
			t.Error("nobody asks again")
		}
	})
}
