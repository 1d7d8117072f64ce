// Package check judges what a run did to a bucket of the embedded store: it compares
// the bucket with a snapshot from before and names every difference that was neither
// intended nor unavoidable. It asks nobody whose work is judged: the state is the
// server's own.
package check

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// Intent is what was to happen to one version.
type Intent uint8

// The intents.
const (
	Keep      Intent = iota // nothing may have changed
	Change                  // it must be as the target wants it now, whole
	MayChange               // either of the two, and nothing in between
	Ignore                  // somebody else wrote it: not looked at
)

// Expectation says what a run was to do with a bucket.
type Expectation struct {
	// Target of the run.
	Target object.Target
	// Intent for each version that was there before; where nil, current objects
	// change and everything else is kept. An object that met the target before
	// counts as Keep whatever Intent says.
	Intent func(o s3test.Object) Intent
	// Operation that made the changes: OpUpdate allows nothing but the encryption
	// to differ; with OpCopy a version that was changed in place counts as a copy (as
	// some stores do it); all others decide by what is seen.
	Operation object.Operation
	// Accept names losses that are allowed: acl, lock, tags, redirect,
	// composite-checksum, metadata.
	Accept []object.Reason
	// NoChecksums: copies of the store have none, so that composite-checksum allows that.
	NoChecksums bool
	// Extra is how many more new versions than one an object there may be in all:
	// those whose copy was in flight when a process died.
	Extra int
}

// Difference is one thing that is not as it should be.
type Difference struct {
	Key, VersionID string
	// Field that differs, or what happened to the version.
	Field         string
	Before, After string
}

// String is one line for a test's log.
func (d Difference) String() string {
	return fmt.Sprintf("%q version %q: %s: %s → %s", d.Key, d.VersionID, d.Field, d.Before, d.After)
}

// Checked is what Bucket saw.
type Checked struct {
	Differences []Difference
	// Changed counts versions that were changed, Kept those that were not, Extra
	// new versions beyond one an object.
	Changed, Kept, Extra int
}

// Bucket compares a bucket with an earlier snapshot and names every
// difference that was neither intended nor unavoidable. Unavoidable, with a
// copy, are: date and version ID, an ETag that is no MD5, the parts (unless a
// composite checksum had to be kept), a checksum where there was none, the
// owner, the tier of INTELLIGENT_TIERING, a temporary restore, the source's KMS
// context, grants where ACLs are disabled, and default retention on what had
// none. Uploads in progress that were not there before are differences.
func Bucket(s *s3test.Server, before s3test.Bucket, want Expectation) Checked {
	return Compare(before, s.Snapshot(before.Name), want)
}

// Compare is Bucket over two snapshots.
func Compare(before, after s3test.Bucket, want Expectation) Checked {
	c := &comparison{Expectation: want, before: before, after: after}
	if before.Exists && !after.Exists {
		c.add("", "", "bucket", "exists", "deleted")
		return c.Checked
	}
	if !reflect.DeepEqual(before.Config, after.Config) {
		c.add("", "", "bucket settings", fmt.Sprint(before.Config), fmt.Sprint(after.Config))
	}
	c.keys()
	for _, u := range after.Uploads {
		if !slices.ContainsFunc(before.Uploads, func(b s3test.UploadState) bool { return b.ID == u.ID }) {
			c.add(u.Key, "", "upload", "none", "left behind: "+u.ID)
		}
	}
	if c.Checked.Extra > want.Extra {
		c.add("", "", "new versions beyond one an object", fmt.Sprint(want.Extra), fmt.Sprint(c.Checked.Extra))
	}
	return c.Checked
}

type comparison struct {
	Expectation
	Checked
	before, after s3test.Bucket
}

func (c *comparison) add(key, id, field, before, after string) {
	c.Differences = append(c.Differences, Difference{key, id, field, before, after})
}

// keys walks both lists of keys side by side.
func (c *comparison) keys() {
	b, a := c.before.Objects, c.after.Objects
	for len(b) > 0 || len(a) > 0 {
		switch {
		case len(a) == 0 || len(b) > 0 && b[0].Key < a[0].Key:
			n := run(b)
			for _, o := range b[:n] {
				if c.intent(o) != Ignore {
					c.add(o.Key, o.VersionID, "version", "there", "gone, and the key with it")
				}
			}
			b = b[n:]
		case len(b) == 0 || a[0].Key < b[0].Key:
			c.add(a[0].Key, a[0].VersionID, "key", "none", "appeared")
			a = a[run(a):]
		default:
			n, m := run(b), run(a)
			c.versions(b[:n], a[:m])
			b, a = b[n:], a[m:]
		}
	}
}

// run is how many versions of the same key the list begins with.
func run(os []s3test.Object) int {
	n := 1
	for n < len(os) && os[n].Key == os[0].Key {
		n++
	}
	return n
}

func (c *comparison) intent(o s3test.Object) Intent {
	i := Keep
	switch {
	case c.Intent != nil:
		i = c.Intent(o)
	case o.Latest && !o.DeleteMarker:
		i = Change
	}
	if (i == Change || i == MayChange) && c.met(o) {
		return Keep
	}
	return i
}

func (c *comparison) met(o s3test.Object) bool {
	return c.Target.MetBy(o.Encryption) && (c.Target.StorageClass == "" || object.SameClass(c.Target.StorageClass, o.StorageClass))
}

// versions compares the versions of one key.
func (c *comparison) versions(before, after []s3test.Object) {
	old := map[string]bool{}
	var fresh []s3test.Object // versions that were not there
	for _, o := range before {
		old[o.VersionID] = true
		if c.intent(o) == Ignore {
			return
		}
	}
	for _, o := range after {
		if !old[o.VersionID] {
			fresh = append(fresh, o)
		}
	}
	used := false
	for _, o := range before {
		i := slices.IndexFunc(after, func(a s3test.Object) bool { return a.VersionID == o.VersionID })
		if i < 0 {
			c.add(o.Key, o.VersionID, "version", "there", "gone")
			continue
		}
		used = c.version(o, after[i], fresh) || used
	}
	switch {
	case len(fresh) == 0:
	case !used:
		c.add(fresh[0].Key, fresh[0].VersionID, "version", "none", fmt.Sprintf("%d appeared", len(fresh)))
	default:
		c.Checked.Extra += len(fresh) - 1
	}
}

// version judges one version that is still there, and whether the fresh ones
// are its copies.
func (c *comparison) version(o, now s3test.Object, fresh []s3test.Object) (copied bool) {
	intent := c.intent(o)
	same := identical(o, now)
	switch {
	case intent == Keep:
		c.Kept++
		c.same(o, now)
	case same && len(fresh) > 0 && o.Latest:
		c.Changed++
		for _, f := range fresh {
			c.copied(o, f)
		}
		if !fresh[0].Latest {
			c.add(o.Key, fresh[0].VersionID, "latest", "the copy", "another version")
		}
		return true
	case same && intent == MayChange:
		c.Kept++
	case same:
		c.add(o.Key, o.VersionID, "encryption", show(o.Encryption), "unchanged")
	case c.Operation == object.OpUpdate || o.VersionID != "null" && c.Operation != object.OpCopy:
		c.Changed++
		c.updated(o, now)
	default:
		c.Changed++
		c.copied(o, now)
	}
	return false
}

func identical(a, b s3test.Object) bool { return len(differences(a, b)) == 0 }

// same reports every field that differs.
func (c *comparison) same(o, now s3test.Object) {
	c.Differences = append(c.Differences, differences(o, now)...)
}

// updated allows the encryption to differ and nothing else.
func (c *comparison) updated(o, now s3test.Object) {
	c.encrypted(o, now)
	now.Encryption, now.Context = o.Encryption, o.Context
	c.same(o, now)
}

func (c *comparison) encrypted(o, now s3test.Object) {
	if !c.met(now) {
		c.add(o.Key, now.VersionID, "encryption", show(o.Encryption), show(now.Encryption))
	}
	if c.Target.SSE.KMS() && now.Context != c.Target.Context {
		c.add(o.Key, now.VersionID, "encryption context", "as the target's", "another")
	}
}

func show(e object.Encryption) string {
	return fmt.Sprintf("%s %s bucket-key=%t %s", e.Type, e.KMSKeyID, e.BucketKey, e.CustomerKeyMD5)
}

// differences names every field in which two versions differ, but for being
// the latest.
func differences(a, b s3test.Object) []Difference {
	var out []Difference
	if !a.LastModified.Equal(b.LastModified) {
		out = append(out, diff(a, "LastModified", a.LastModified, b.LastModified))
	}
	if a.ETag != b.ETag {
		out = append(out, diff(a, "ETag", a.ETag, b.ETag))
	}
	if a.DeleteMarker != b.DeleteMarker {
		out = append(out, diff(a, "DeleteMarker", a.DeleteMarker, b.DeleteMarker))
	}
	if !a.DeleteMarker && !a.Body.Equal(b.Body) {
		out = append(out, diff(a, "bytes", size(a), size(b)))
	}
	if reflect.DeepEqual(a.Attrs, b.Attrs) {
		return out
	}
	x, y := reflect.ValueOf(a.Attrs), reflect.ValueOf(b.Attrs)
	for i := range x.NumField() {
		f := x.Type().Field(i)
		if !f.IsExported() {
			continue
		}
		if p, q := x.Field(i).Interface(), y.Field(i).Interface(); !equalField(p, q) {
			out = append(out, diff(a, f.Name, p, q))
		}
	}
	return out
}

// equalField takes empty and nil for the same.
func equalField(p, q any) bool {
	if reflect.DeepEqual(p, q) {
		return true
	}
	x, y := reflect.ValueOf(p), reflect.ValueOf(q)
	switch x.Kind() {
	case reflect.Map, reflect.Slice:
		return x.Len() == 0 && y.Len() == 0
	}
	return false
}

func size(o s3test.Object) string {
	if o.Body == nil {
		return "none"
	}
	return fmt.Sprintf("%d bytes, MD5 %s", o.Body.Size(), o.Body.MD5())
}

func diff(o s3test.Object, field string, before, after any) Difference {
	return Difference{o.Key, o.VersionID, field, fmt.Sprint(before), fmt.Sprint(after)}
}
