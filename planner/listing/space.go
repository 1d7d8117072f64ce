package listing

import (
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// space is what was seen of the keys: which characters stand where. It turns
// keys into fractions and back, so that a range can be cut in the middle of what
// it probably holds. It only ever guesses; nothing that is right depends on it.
type space struct {
	everywhere alphabet
	at         []alphabet // by offset in characters
}

// alphabet is a sorted set of characters.
type alphabet []rune

const (
	maxAlphabet = 256 // characters of one set; more would not make guesses better
	maxOffset   = 256 // characters of a key that are looked at
	samples     = 12  // keys of a page that are
)

func (a alphabet) add(r rune) alphabet {
	i, found := slices.BinarySearch(a, r)
	if found || len(a) >= maxAlphabet {
		return a
	}
	return slices.Insert(a, i, r)
}

// learn takes a sample of a page's keys.
func (s *space) learn(n int, key func(i int) string) {
	step := max(1, n/samples)
	for i := 0; i < n; i += step {
		s.learnKey(key(i))
	}
	if n > 0 {
		s.learnKey(key(n - 1))
	}
}

func (s *space) learnKey(key string) {
	offset := 0
	for _, r := range key {
		if offset >= maxOffset {
			return
		}
		if offset == len(s.at) {
			s.at = append(s.at, nil)
		}
		s.at[offset] = s.at[offset].add(r)
		s.everywhere = s.everywhere.add(r)
		offset++
	}
}

// kind groups characters that stand for each other: where one digit was seen,
// any digit can be.
type kind uint8

const (
	other kind = iota // '/' and '-' do not stand for each other
	digit
	upper
	lower
	foreign // beyond ASCII
	kinds
)

func kindOf(r rune) kind {
	switch {
	case '0' <= r && r <= '9':
		return digit
	case 'A' <= r && r <= 'Z':
		return upper
	case 'a' <= r && r <= 'z':
		return lower
	case r >= utf8.RuneSelf:
		return foreign
	}
	return other
}

// representative stands for a kind that was not seen yet, where it might come.
var representative = [kinds]rune{other: '~', digit: '5', upper: 'M', lower: 'm', foreign: '中'}

// alphabetAt is what may stand at an offset: what was seen there, with all its
// kind. first adds a little room for the kinds that were not seen.
func (s *space) alphabetAt(offset int, first bool) alphabet {
	var seen alphabet
	if offset < len(s.at) {
		seen = s.at[offset]
	}
	var has [kinds]bool
	for _, r := range seen {
		has[kindOf(r)] = true
	}
	var out alphabet
	if len(seen) == 0 { // beyond every key so far
		has[digit] = true
	}
	out = out.addAll('0', '9', has[digit])
	top := rune('Z')
	if has[digit] && !seen.any('G', 'Z') {
		top = 'F' // hexadecimal
	}
	out = out.addAll('A', top, has[upper])
	top = 'z'
	if has[digit] && !seen.any('g', 'z') {
		top = 'f'
	}
	out = out.addAll('a', top, has[lower])
	for _, r := range seen {
		out = out.add(r)
	}
	if has[foreign] {
		for _, r := range s.everywhere {
			if kindOf(r) == foreign {
				out = out.add(r)
			}
		}
	}
	for k, r := range representative {
		if first && !has[k] {
			out = out.add(r)
		}
	}
	return out
}

func (a alphabet) addAll(from, to rune, really bool) alphabet {
	for r := from; r <= to && really; r++ {
		a = a.add(r)
	}
	return a
}

// any says whether a letter from one to another is in the alphabet.
func (a alphabet) any(from, to rune) bool {
	i, found := slices.BinarySearch(a, from)
	return found || i < len(a) && a[i] <= to
}

// scale measures keys that share their first base bytes: 0 is that prefix itself,
// 1 lies behind all keys that begin with it.
type scale struct {
	base    int
	offset  int // of the first character after base
	space   *space
	letters []alphabet // by place, as far as they were needed
}

// digits are enough to use up the precision of a float64.
const digits = 24

func (s *space) scale(key string, base int) *scale {
	return &scale{base: base, offset: utf8.RuneCountInString(key[:base]), space: s}
}

func (c *scale) alphabet(n int) alphabet {
	for len(c.letters) <= n {
		c.letters = append(c.letters, c.space.alphabetAt(c.offset+len(c.letters), len(c.letters) == 0))
	}
	return c.letters[n]
}

// of is where key lies on the scale, from 0 to 1.
func (c *scale) of(key string) float64 {
	at, width, n := 0.0, 1.0, 0
	for _, r := range key[min(c.base, len(key)):] {
		if n == digits || width < 1e-18 {
			break
		}
		letters := c.alphabet(n)
		i, found := slices.BinarySearch(letters, r)
		width /= float64(len(letters) + 1) // 0 is the end of the key
		if !found {
			// Between two letters that were seen: all keys that begin so are in one
			// place as far as is known.
			return at + width*(float64(i)+0.99)
		}
		at += width * float64(i+1)
		n++
	}
	return at
}

// key is a short string within tolerance of a place on the scale, strictly
// between low and high (open: no high); empty where there is none.
func (c *scale) key(prefix string, x, tolerance float64, low, high string, open bool) string {
	var b strings.Builder
	b.WriteString(prefix)
	width := 1.0
	best := ""
	for n := range digits {
		letters := c.alphabet(n)
		if len(letters) == 0 {
			break
		}
		x *= float64(len(letters) + 1)
		i := min(int(math.Floor(x)), len(letters))
		x -= float64(i)
		if i == 0 {
			i, x = 1, 0 // no key ends before its first letter
		}
		b.WriteRune(letters[i-1])
		width /= float64(len(letters) + 1)
		if m := b.String(); m > low && (open || m < high) {
			if best = m; width <= tolerance {
				break
			}
		}
	}
	return best
}

// after is a short string behind all keys that begin with the first n characters
// of key and before as many others as possible; empty where there is none.
func (s *space) after(key string, n int) string {
	end := 0
	for range n {
		_, size := utf8.DecodeRuneInString(key[end:])
		end += size
	}
	last, size := utf8.DecodeLastRuneInString(key[:end])
	if size == 0 || last == utf8.RuneError && size == 1 || last >= utf8.MaxRune {
		return ""
	}
	next := last + 1
	if next == 0xD800 { // surrogates are no characters
		next = 0xE000
	}
	return key[:end-size] + string(next)
}

// varies says whether a character behind that of key was seen at the offset.
func (s *space) varies(key string, offset int) bool {
	if offset >= len(s.at) || len(s.at[offset]) == 0 {
		return false
	}
	i := 0
	for _, r := range key {
		if i == offset {
			return r < s.at[offset][len(s.at[offset])-1]
		}
		i++
	}
	return false
}
