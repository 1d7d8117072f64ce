package object

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"
)

// Secrets are the session tokens, secret keys and customer keys that a client
// sends or signs with. A store, or a proxy before it, that repeats a request in its
// reply must not get one of them into a report, a log or a checkpoint: whatever a
// reply says is compared with them before anybody else sees it.
//
// A run of sixteen bytes of a secret is found, as it is, in hex, in Base64 at any
// offset, and percent-encoded, so that one that was cut off is found too. It is
// safe for concurrent use; the zero value knows no secret.
type Secrets struct {
	mu  sync.Mutex
	set atomic.Pointer[secretSet]
}

const (
	// secretRun is how much of a secret has to be repeated. What is shorter is no
	// secret, and would be found in every other text.
	secretRun = 16
	// window is what a text is looked up by: every run of secretRun bytes holds one
	// that begins at a multiple of it.
	window = secretRun / 2
	// keptSecrets is how many are remembered: replies to requests that were signed
	// before a renewal are still to come.
	keptSecrets = 8
)

// secretSet is never changed once it is published.
type secretSet struct {
	secrets []string // the oldest first
	forms   []string
	places  []place // sorted by window
	// bits says which windows may be among places; most texts are done with it.
	bits [1 << 10]uint64
}

// place is where a window occurs.
type place struct {
	window   uint64
	form, at int32
}

// Add remembers a secret: the text of a header, or a key.
func (s *Secrets) Add(secret string) {
	if len(secret) < secretRun || s.knows(secret) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.knows(secret) {
		return
	}
	next := &secretSet{}
	if old := s.set.Load(); old != nil {
		next.secrets = old.secrets[max(0, len(old.secrets)-keptSecrets+1):]
	}
	next.secrets = append(slices.Clone(next.secrets), secret)
	for _, secret := range next.secrets {
		next.forms = append(next.forms, formsOf(secret)...)
		if raw, err := base64.StdEncoding.DecodeString(secret); err == nil && len(raw) >= secretRun { // as a customer key is
			next.forms = append(next.forms, formsOf(string(raw))...)
		}
	}
	next.index()
	s.set.Store(next)
}

// AddBytes is Add; it makes no copy of a secret that is known.
func (s *Secrets) AddBytes(secret []byte) {
	if set := s.set.Load(); set != nil {
		for _, known := range set.secrets {
			if known == string(secret) {
				return
			}
		}
	}
	s.Add(string(secret))
}

func (s *Secrets) knows(secret string) bool {
	set := s.set.Load()
	return set != nil && slices.Contains(set.secrets, secret)
}

// formsOf are the ways in which a text may repeat a secret.
func formsOf(secret string) []string {
	lower := hex.EncodeToString([]byte(secret))
	forms := []string{secret, lower, strings.ToUpper(lower)}
	for _, form := range []string{url.QueryEscape(secret), url.PathEscape(secret)} {
		if form != secret {
			forms = append(forms, form)
		}
	}
	for skip := range 3 { // what stands before it decides how it falls into groups of three
		whole := secret[skip : len(secret)-(len(secret)-skip)%3]
		standard := base64.StdEncoding.EncodeToString([]byte(whole))
		forms = append(forms, standard)
		if inURL := base64.URLEncoding.EncodeToString([]byte(whole)); inURL != standard {
			forms = append(forms, inURL)
		}
	}
	return forms
}

func (set *secretSet) index() {
	for i, form := range set.forms {
		for at := 0; at+window <= len(form); at++ {
			p := place{window: windowAt(form, at), form: int32(i), at: int32(at)}
			if strings.Count(form[at:at+window], form[at:at+1]) == window {
				continue // all of one byte: no secret, and common elsewhere
			}
			set.places = append(set.places, p)
			word, bit := bitOf(p.window)
			set.bits[word] |= bit
		}
	}
	slices.SortFunc(set.places, func(a, b place) int { return cmp.Compare(a.window, b.window) })
}

// windowAt is the window of text that begins at i.
func windowAt[T string | []byte](text T, i int) uint64 {
	t := text[i : i+window]
	return uint64(t[0]) | uint64(t[1])<<8 | uint64(t[2])<<16 | uint64(t[3])<<24 | uint64(t[4])<<32 | uint64(t[5])<<40 | uint64(t[6])<<48 | uint64(t[7])<<56
}

// bitOf is where a window stands in bits.
func bitOf(w uint64) (word, bit uint64) {
	w *= 0x9e3779b97f4a7c15
	return w >> 54, 1 << (w >> 48 & 63)
}

// In says whether text repeats one of the secrets.
func (s *Secrets) In(text string) bool { return Repeats(s, text) }

// Repeats is In for bytes too.
func Repeats[T string | []byte](s *Secrets, text T) bool {
	set := s.set.Load()
	return set != nil && len(text) >= secretRun && repeats(set, text)
}

func repeats[T string | []byte](set *secretSet, text T) bool {
	for at := 0; at+window <= len(text); at += window {
		w := windowAt(text, at)
		word, bit := bitOf(w)
		if set.bits[word]&bit == 0 {
			continue
		}
		i, _ := slices.BinarySearchFunc(set.places, w, func(p place, w uint64) int { return cmp.Compare(p.window, w) })
		for ; i < len(set.places) && set.places[i].window == w; i++ {
			if p := set.places[i]; runAround(text, at, set.forms[p.form], int(p.at)) >= secretRun {
				return true
			}
		}
	}
	return false
}

// runAround is how long text and form agree around these two places.
func runAround[T string | []byte](text T, at int, form string, in int) int {
	from, to := 0, 0
	for at-from > 0 && in-from > 0 && text[at-from-1] == form[in-from-1] {
		from++
	}
	for at+to < len(text) && in+to < len(form) && text[at+to] == form[in+to] {
		to++
	}
	return from + to
}

// What a store may say at most: longer texts are cut before anything reads them.
const (
	MaxCode      = 256
	MaxMessage   = 2 << 10
	MaxRequestID = 256
)

// ErrLeak is the cause of an error where a reply of success repeats a secret of
// the request, and LeakHint what to do about it.
var ErrLeak = errors.New("the answer repeats a secret of the request, so nothing of it is used")

// LeakHint goes with ErrLeak.
const LeakHint = "look for a proxy or a store that repeats the headers of requests; renew the credentials and keys that it saw"

// Withheld stands where a text repeated a secret.
const Withheld = "(withheld: it repeats a secret of the request)"

// Cut shortens a text to n bytes, and what follows to three dots.
func Cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	const dots = "…"
	n -= len(dots)
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return strings.Clone(text[:n]) + dots
}

// Clean cuts what a store says, and withholds it where it repeats a secret.
func (s *Secrets) Clean(text string, n int) string {
	if text = Cut(text, n); s.In(text) {
		return Withheld
	}
	return text
}

// CleanError does that to every text of an error that came from outside. The
// signature, in hex, is that of the request; it may be empty.
func (s *Secrets) CleanError(e *Error, signature string) {
	clean := func(text *string, n int) {
		*text = s.Clean(*text, n)
		if RepeatsSignature(*text, signature) {
			*text = Withheld
		}
	}
	clean(&e.Code, MaxCode)
	clean(&e.Message, MaxMessage)
	clean(&e.RequestID, MaxRequestID)
	clean(&e.Hint, MaxMessage)
	clean(&e.Condition, MaxCode)
	if e.Err != nil {
		if cause := e.Err.Error(); s.In(cause) || RepeatsSignature(cause, signature) {
			e.Err = nil
		}
	}
}

// RepeatsSignature is In for a secret that is another one in every request, so that
// no index is worth its while. It finds runs of twice secretRun.
func RepeatsSignature(text, signature string) bool {
	if signature == "" || len(text) < secretRun {
		return false
	}
	for _, form := range formsOf(signature) {
		for at := 0; at+secretRun <= len(form); at += secretRun {
			if strings.Contains(text, form[at:at+secretRun]) {
				return true
			}
		}
	}
	return false
}

// RepeatsWhole is RepeatsSignature for long texts: it finds the signature as it was
// sent, whole, and costs little. Of a text that repeats one, no stretch as long as the
// signature is without one of its windows, so that one window of each is looked at.
func RepeatsWhole[T string | []byte](text T, signature string) bool {
	if len(signature) < secretRun {
		return false
	}
	var bits [256]uint64
	for at := 0; at+window <= len(signature); at++ {
		word, bit := bitOf(windowAt(signature, at))
		bits[word%256] |= bit
	}
	for at := 0; at+window <= len(text); at += len(signature) - window + 1 {
		word, bit := bitOf(windowAt(text, at))
		if bits[word%256]&bit == 0 {
			continue
		}
		if strings.Contains(string(text[max(0, at-len(signature)):min(len(text), at+len(signature))]), signature) {
			return true
		}
	}
	return false
}
