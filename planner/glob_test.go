package planner

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestMatchGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"*", "a/b/c", true}, {"a*", "a/b/c", true},
		{"*.jpg", "a/b.jpg", true}, {"*.jpg", "a/b.jpg.txt", false}, {"?", "", false}, {"?", "é", true}, {"??", "é", false},
		{"?", "\xff", true}, {"\xff", "\xfe", false}, {"\xff", "\xff", true}, {"a?c", "a/c", true},
		{"[abc]", "b", true}, {"[abc]", "d", false}, {"[!abc]", "d", true}, {"[!abc]", "a", false},
		{"[a-c]x", "bx", true}, {"[a-c]x", "dx", false}, {"[c-a]", "b", false}, {"[é-í]", "ê", true},
		{"[]]", "]", true}, {"[!]]", "a", true}, {"[!]]", "]", false}, {"[]-a]", "^", true},
		{"[a-]", "-", true}, {"[-a]", "-", true}, {"[a-]", "b", false}, {"[^a]", "^", true}, {"[^a]", "b", false},
		{"[", "[", true}, {"[a", "[a", true}, {"[!", "[!", true}, {"a[b", "ab", false}, {"[]", "[]", true},
		{"logs/*/2024-??-*.gz", "logs/x/y/2024-01-02.gz", true}, {"*a*b*c*", "xxaxxbxxc", true}, {"*a*b*c*", "xxaxxcxxb", false},
		{"A", "a", false}, {"\\*", "*", false}, {"\\*", "\\x", true}, {"*\u00e9", "e\u0301", false}, {"**b", "aab", true},
	} {
		if got := MatchGlob(c.pattern, c.name); got != c.want {
			t.Errorf("MatchGlob(%q, %q) = %v", c.pattern, c.name, got)
		}
	}
}

// A pattern of stars that nearly matches is where backtracking matchers explode.
func TestMatchGlobIsNotExponential(t *testing.T) {
	if MatchGlob(strings.Repeat("a*", 200)+"b", strings.Repeat("a", 2000)) {
		t.Error("matched")
	}
}

// FuzzMatchGlob compares with a matcher that tries everything.
func FuzzMatchGlob(f *testing.F) {
	for _, s := range [][2]string{{"*a?[b-d]", "xxaéc"}, {"[!]]*", "]"}, {"[a-\xff]", "\xfe"}, {"*[*", "a[b"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if len(pattern) > 12 || len(name) > 12 {
			return
		}
		if got, want := MatchGlob(pattern, name), slowGlob(pattern, name); got != want {
			t.Errorf("MatchGlob(%q, %q) = %v, want %v", pattern, name, got, want)
		}
	})
}

func slowGlob(pattern, name string) bool {
	if pattern == "" {
		return name == ""
	}
	if pattern[0] == '*' {
		for i := 0; i <= len(name); {
			if slowGlob(pattern[1:], name[i:]) {
				return true
			}
			_, n := utf8.DecodeRuneInString(name[i:])
			i += max(n, 1)
		}
		return false
	}
	if name == "" {
		return false
	}
	n, ok := matchOne(pattern, charAt(name))
	return ok && slowGlob(pattern[n:], name[charAt(name).size:])
}
