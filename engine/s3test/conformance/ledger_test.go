package conformance

import (
	"slices"
	"testing"
)

// TestLedger: a fact that is not as AWS has it must be named, a named one must
// show, and a difference that nothing looks at must not stay.
func TestLedger(t *testing.T) {
	list := differenceList{
		{[]string{"here"}, "check: named", "other", "a reason"},
		{[]string{"here"}, "check: * by pattern", "other", "a reason"},
		{[]string{"here"}, "check: one by pattern", "a third", "a reason"},
		{[]string{"here"}, "check: forgotten", "other", "a reason"},
		{[]string{"here"}, "another check: not run", "other", "a reason"},
		{[]string{"elsewhere"}, "check: not here", "other", "a reason"},
	}
	l := newLedger("here", list)
	for _, fact := range []struct {
		name, got string
		fine      bool
	}{
		{"check: as on AWS", "aws", true},
		{"check: not as on AWS", "other", false},
		{"check: named", "other", true},
		{"check: named", "other", false}, // twice
		{"check: two by pattern", "other", true},
		{"check: three by pattern", "aws", false},
		{"check: one by pattern", "a third", true},
		{"check: not here", "aws", true},
	} {
		if wrong := l.judge(fact.name, "aws", fact.got); (wrong == "") != fact.fine {
			t.Errorf("%s is %s: %q", fact.name, fact.got, wrong)
		}
	}
	l.ran["check"] = true
	if got := l.unstated(); !slices.Equal(got, []string{"check: forgotten"}) {
		t.Errorf("unstated: %q", got)
	}
	other := newLedger("here", list)
	if other.judge("check: named", "aws", "aws") == "" || other.judge("check: one by pattern", "aws", "other") == "" {
		t.Error("a difference that shows no more, or shows otherwise, passes")
	}
}

// TestDifferencesAreNamedOnce: every one for known servers, with a reason.
func TestDifferencesAreNamedOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range differences {
		for _, server := range d.servers {
			if id := server + " " + d.fact; seen[id] {
				t.Errorf("twice: %s", id)
			} else {
				seen[id] = true
			}
			if !slices.Contains(onEmbedded, server) && !slices.Contains(onMinIO, server) {
				t.Errorf("%s: no server is called %q", d.fact, server)
			}
		}
		if d.why == "" || len(d.servers) == 0 {
			t.Errorf("%s: without a reason or a server", d.fact)
		}
	}
}
