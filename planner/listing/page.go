package listing

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/resealhq/reseal/engine/object"
)

// fresh checks a page and drops what was passed before. The rows that stay are
// in order, within the prefix, and after what is passed.
func (w *walker) fresh(reply *object.ListReply) ([]object.Object, error) {
	rows := reply.Objects
	kept := 0
	last, versions := w.at, w.passedVersions()
	switch {
	case len(w.pending) > 0:
		last = w.pending[0].Key
	case w.midKey != "":
		last = w.midKey
	}
	for i := range rows {
		o := &rows[i]
		switch {
		case !strings.HasPrefix(o.Key, w.src.Prefix):
			return nil, w.fail(ErrForeign, o.Key)
		case !reply.EncodingHonoured && mangled(o.Key):
			return nil, w.fail(ErrMangled, o.Key)
		case o.Key < last && !w.repeated(o):
			return nil, w.fail(ErrOrder, o.Key)
		case o.Key < last:
			continue
		case o.Key > last:
			last = o.Key
			versions.begin()
		}
		if o.Key == w.at || w.src.Versions && versions.repeats(o.VersionID) || !w.src.Versions && kept > 0 && rows[kept-1].Key == o.Key {
			continue
		}
		if kept != i {
			rows[kept] = *o
		}
		kept++
	}
	return rows[:kept], nil
}

// versionSet are the versions of one key that have come.
type versionSet map[string]struct{}

func (v versionSet) begin() {
	if len(v) > 0 {
		clear(v)
	}
}

func (v versionSet) repeats(id string) bool {
	if _, again := v[id]; again {
		return true
	}
	v[id] = struct{}{}
	return false
}

// passedVersions are those of the key that comes in pieces, as far as the last
// page shows.
func (w *walker) passedVersions() versionSet {
	v := versionSet{}
	for i := range w.pending {
		v[w.pending[i].VersionID] = struct{}{}
	}
	if w.midKey == "" || len(w.pending) > 0 && w.pending[0].Key != w.midKey {
		return v
	}
	v[w.midVersion] = struct{}{}
	for i := range w.before {
		if w.before[i].key == w.midKey {
			v[w.before[i].version] = struct{}{}
		}
	}
	return v
}

// repeated says whether a row of the last page came again.
func (w *walker) repeated(o *object.Object) bool {
	same := func(b object.Object) bool { return b.Key == o.Key && b.VersionID == o.VersionID }
	return slices.Contains(w.before, named{o.Key, o.VersionID}) || slices.ContainsFunc(w.pending, same)
}

// mangled says whether a key that came unencoded may be another one: XML cannot
// carry control characters, turns a carriage return into a line feed, and what a
// store replaces becomes U+FFFD.
func mangled(key string) bool {
	return !utf8.ValidString(key) || strings.ContainsFunc(key, func(r rune) bool { return r < 0x20 || r == 0x7f || r == utf8.RuneError })
}
