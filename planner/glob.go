package planner

import "unicode/utf8"

// MatchGlob says whether the whole of name matches pattern, by the rules of the
// AWS CLI's --include and --exclude: * matches everything, slashes too, ? one
// character, [set] one of a set with ranges, [!set] one outside it. A bracket
// that is not closed stands for itself, as does every other character; case
// counts. A byte that is not UTF-8 is a character of its own.
func MatchGlob(pattern, name string) bool {
	// After a mismatch only the last star can be wrong about where it ends, so one
	// place to go back to is enough, and no input takes more than len² steps.
	var starPattern, starName string
	star := false
	for {
		switch {
		case pattern != "" && pattern[0] == '*':
			pattern = pattern[1:]
			if pattern == "" {
				return true
			}
			star, starPattern, starName = true, pattern, name
			continue
		case pattern == "" && name == "":
			return true
		case pattern != "" && name != "":
			r, size := utf8.DecodeRuneInString(name)
			if n, ok := matchOne(pattern, char{r, size, name[0]}); ok {
				pattern, name = pattern[n:], name[size:]
				continue
			}
		}
		if !star || starName == "" {
			return false
		}
		_, size := utf8.DecodeRuneInString(starName)
		starName = starName[size:]
		pattern, name = starPattern, starName
	}
}

// char is one character of a name; invalid UTF-8 is told apart by its byte.
type char struct {
	r     rune
	size  int
	first byte
}

func (c char) invalid() bool { return c.r == utf8.RuneError && c.size == 1 }

func (c char) equal(d char) bool {
	if c.invalid() || d.invalid() {
		return c == d
	}
	return c.r == d.r
}

func charAt(s string) char {
	r, size := utf8.DecodeRuneInString(s)
	return char{r, size, s[0]}
}

// matchOne matches one character against the head of pattern, which is not empty
// and no star, and tells the length of that head.
func matchOne(pattern string, c char) (n int, ok bool) {
	switch pattern[0] {
	case '?':
		return 1, true
	case '[':
		if set, n := cutSet(pattern); n > 0 {
			return n, inSet(set, c)
		}
	}
	p := charAt(pattern)
	return p.size, p.equal(c)
}

// cutSet gives what stands between the brackets at the head of pattern, and the
// length with them; n is 0 where no bracket closes. A ] that comes first, or
// first after !, is an ordinary member.
func cutSet(pattern string) (set string, n int) {
	i := 1
	if i < len(pattern) && pattern[i] == '!' {
		i++
	}
	if i < len(pattern) && pattern[i] == ']' {
		i++
	}
	for ; i < len(pattern); i++ {
		if pattern[i] == ']' {
			return pattern[1:i], i + 1
		}
	}
	return "", 0
}

func inSet(set string, c char) bool {
	want := true
	if set != "" && set[0] == '!' {
		want, set = false, set[1:]
	}
	for set != "" {
		low := charAt(set)
		set = set[low.size:]
		if len(set) >= 2 && set[0] == '-' {
			high := charAt(set[1:])
			set = set[1+high.size:]
			if low.r <= c.r && c.r <= high.r && !c.invalid() {
				return want
			}
			continue
		}
		if low.equal(c) {
			return want
		}
	}
	return !want
}
