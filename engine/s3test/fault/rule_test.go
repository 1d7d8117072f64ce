package fault

import (
	"slices"
	"testing"
)

// some are names enough to parse by.
func some(w string) (string, bool) {
	if w == "Copy" {
		w = "CopyObject"
	}
	return w, slices.Contains([]string{"CopyObject", "CreateMultipartUpload", "GetObject"}, w)
}

func TestBadRules(t *testing.T) {
	for _, r := range []string{"If", "(If Copy)", "(If Copy Failed", "(If Nope Failed)", "(If Copy Nope)", "(If (OnIndex x) Failed)",
		"(If (Every 0) Failed)", "(If Copy Failed) x", "(If (Not) Failed)", "(If Copy (Error x Y))", ")"} {
		if _, err := ParseRule(r, some); err == nil {
			t.Errorf("%s was taken", r)
		}
	}
	rules, err := Parse("# a comment\n\n(If Copy Failed)\n(If CreateMultipartUpload ReplyLost)\n", some)
	if err != nil || len(rules) != 2 || rules[0].String() != "(If Copy Failed)" {
		t.Errorf("%v, %v", rules, err)
	}
}

// The first rule that matches is used, and told by its text.
func TestFirstRuleWins(t *testing.T) {
	rules, err := Parse("(If (And Copy (Key \"a/*\")) (Applied Failed))\n(If Any Stalled)", some)
	if err != nil {
		t.Fatal(err)
	}
	var in Rules
	if f := in.Match(Request{Op: "CopyObject", Key: "a/b"}); f != (Fault{}) || !f.Applies() {
		t.Errorf("without rules: %+v", f)
	}
	in.Set(rules)
	first, second := in.Match(Request{Op: "CopyObject", Key: "a/b/c"}), in.Match(Request{Op: "GetObject", Key: "a/b"})
	if first.Rule != rules[0].String() || !first.Applies() || first.Reply != Error || first.Answer != InternalError {
		t.Errorf("the copy: %+v", first)
	}
	if second.Rule != rules[1].String() || second.Applies() || second.Reply != Stalled {
		t.Errorf("the read: %+v", second)
	}
	if hits := in.Hits(); hits[first.Rule] != 1 || hits[second.Rule] != 1 {
		t.Errorf("hits: %v", hits)
	}
}

func FuzzParseRule(f *testing.F) {
	f.Add(`(If (And Copy (OnIndex 4) (Key "a\"b")) (Applied (Error 500 X "y")))`)
	f.Fuzz(func(t *testing.T, line string) {
		if r, err := ParseRule(line, some); err == nil && r.String() != line {
			t.Errorf("%q became %q", line, r)
		}
	})
}
