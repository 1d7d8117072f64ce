package s3test

import (
	"slices"
	"strings"
)

// versionRow is one row of a listing of versions.
type versionRow struct {
	key    string
	v      *version
	latest bool
	class  string // of a version that is deleted, and has still to be taken out of a tier
}

// listVersions serves ListObjectVersions.
func (s *Server) listVersions(q *request) (*reply, *s3Error) {
	l, e := s.newListing(q)
	if e != nil {
		return nil, e
	}
	key, id := q.q("key-marker"), q.q("version-id-marker")
	if id != "" && key == "" {
		return nil, errInvalidArgument("A version-id marker cannot be specified without a key marker.")
	}
	var rows []versionRow
	if !s.profile.VersionsNullNext || id != "null" {
		rows = l.withFreed(l.versions(key, id))
	}
	x := newXML("ListVersionsResult")
	x.el("Name", q.bucket)
	x.el("Prefix", l.name(l.prefix))
	x.el("KeyMarker", l.name(key))
	x.el("VersionIdMarker", id)
	if l.truncated && !s.profile.VersionsNoMarker {
		x.el("NextKeyMarker", l.name(l.last))
		if n := len(rows); n > 0 && rows[n-1].key == l.last {
			next := rows[n-1].v.id
			if s.profile.VersionsNullNext {
				next = "null"
			}
			x.el("NextVersionIdMarker", next)
		}
	}
	x.int("MaxKeys", int64(l.max))
	x.opt("Delimiter", l.name(l.delimiter))
	if l.encode {
		x.el("EncodingType", "url")
	}
	x.bool("IsTruncated", l.truncated)
	for _, r := range rows {
		l.versionRow(x, r)
	}
	l.writePrefixes(x)
	return x.reply(), nil
}

func (l *listing) versionRow(x *xmlDoc, r versionRow) {
	name := "Version"
	if r.v.marker {
		name = "DeleteMarker"
	}
	x.open(name)
	x.el("Key", l.name(r.key))
	x.el("VersionId", r.v.id)
	x.bool("IsLatest", r.latest)
	if r.v.marker {
		x.time("LastModified", r.v.modified)
		x.opt("StorageClass", r.class)
	} else {
		l.row(x, r.v, true)
	}
	x.close(name)
}

// withFreed adds what MinIO lists of versions that were deleted (BucketConfig.Tier).
func (l *listing) withFreed(rows []versionRow) []versionRow {
	for _, f := range l.b.freed {
		if !strings.HasPrefix(f.key, l.prefix) {
			continue
		}
		i := slices.IndexFunc(rows, func(r versionRow) bool { return r.key >= f.key })
		if i < 0 {
			i = len(rows)
		} else if rows[i].key == f.key {
			rows[i].latest = false
		}
		rows = slices.Insert(rows, i, f)
	}
	if l.max > 0 && len(rows) > l.max { // who goes on is not served: a page has room for many
		rows, l.truncated = rows[:l.max], true
	}
	return rows
}

// versions are the rows after (key, id), newest first within a key.
func (l *listing) versions(key, id string) []versionRow {
	var rows []versionRow
	start := max(key, l.prefix)
	if p := l.passed(key); id == "" && p != "" {
		start = p + "\xff"
	}
	l.b.keys.from(start, func(e *entry) (string, bool, bool) {
		if !strings.HasPrefix(e.key, l.prefix) {
			return "", false, false
		}
		vs := e.vs
		if e.key == key {
			vs = l.after(e, id)
		}
		if p := l.common(e.key); p != "" && len(vs) > 0 {
			if len(rows)+len(l.prefixes) >= l.max {
				l.truncated = l.max > 0
				return "", false, false
			}
			l.prefixes, l.last = append(l.prefixes, p), p
			return p + "\xff", true, true
		}
		for _, v := range vs {
			if len(rows)+len(l.prefixes) >= l.max {
				l.truncated = l.max > 0
				return "", false, false
			}
			rows, l.last = append(rows, versionRow{key: e.key, v: v, latest: v == e.vs[0]}), e.key
		}
		return "", false, true
	})
	return rows
}

// after are the versions of the marker's key that follow it.
func (l *listing) after(e *entry, id string) []*version {
	if id == "" {
		return nil
	}
	for i, v := range e.vs {
		if v.id != id {
			continue
		}
		if l.s.profile.VersionsRepeat && i == 0 {
			return e.vs
		}
		return e.vs[i+1:]
	}
	return e.vs // the marker is gone: better twice than never
}

// passed is the common prefix that a marker lies in or is: it was given already.
func (l *listing) passed(marker string) string {
	if marker == "" || !strings.HasPrefix(marker, l.prefix) {
		return ""
	}
	return l.common(marker)
}

// common is the common prefix that a key falls under, empty for none.
func (l *listing) common(key string) string {
	if l.delimiter == "" {
		return ""
	}
	for i := len(l.prefix); i+len(l.delimiter) <= len(key); i++ {
		if key[i:i+len(l.delimiter)] == l.delimiter {
			return key[:i+len(l.delimiter)]
		}
	}
	return ""
}
