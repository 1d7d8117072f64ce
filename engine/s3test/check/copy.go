package check

import (
	"maps"
	"slices"
	"strings"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// copied judges what a copy made of o: the encryption must be the target's, and
// every field must be the same unless it cannot be.
func (c *comparison) copied(o, now s3test.Object) {
	c.encrypted(o, now)
	if now.LastModified.Before(o.LastModified) {
		c.add(o.Key, now.VersionID, "LastModified", o.LastModified.String(), now.LastModified.String())
	}
	c.forgive(&o, &now)
	now.LastModified = o.LastModified
	for _, d := range differences(o, now) {
		d.VersionID = now.VersionID
		c.Differences = append(c.Differences, d)
	}
}

// forgive makes equal what a copy cannot keep, and what was accepted.
func (c *comparison) forgive(o, now *s3test.Object) {
	if !digestETags(o, now) { // by the encryption that each really has
		now.ETag = o.ETag
	}
	now.Encryption, now.Context = o.Encryption, o.Context
	now.Owner, now.Restore, now.ArchiveTier = o.Owner, o.Restore, o.ArchiveTier
	if c.Target.StorageClass != "" {
		now.StorageClass = o.StorageClass // met has judged it
	}
	c.forgiveChecksum(o, now)
	if c.Target.StampMtime {
		now.Metadata = withoutStamp(o.Metadata, now.Metadata)
	}
	if maps.EqualFunc(o.Metadata, now.Metadata, func(x, y string) bool { return s3test.DecodeWords(x) == s3test.DecodeWords(y) }) {
		now.Metadata = o.Metadata
	}
	enforced := c.before.Config.Ownership == "" || c.before.Config.Ownership == "BucketOwnerEnforced"
	if enforced || c.accepts(object.ReasonACL) {
		now.Grants = o.Grants
	}
	if o.LockMode == "" && now.LockMode != "" && now.LockMode == c.before.Config.DefaultLockMode || c.accepts(object.ReasonLock) {
		now.LockMode, now.RetainUntil, now.EventHold = o.LockMode, o.RetainUntil, o.EventHold
	}
	if c.accepts(object.ReasonLock) {
		now.LegalHold = o.LegalHold
	}
	if o.EventHold.On && now.EventHold == o.EventHold { // the date moves on while the hold lasts
		now.RetainUntil = o.RetainUntil
	}
	if c.accepts(object.ReasonTags) {
		now.Tags = o.Tags
	}
	if sameTags(o.Tags, now.Tags) {
		now.Tags = o.Tags
	}
	if c.accepts(object.ReasonRedirect) {
		now.Redirect = o.Redirect
	}
	if c.accepts(object.ReasonMetadata) {
		now.Metadata, now.MissingMetadata, now.Expires = o.Metadata, o.MissingMetadata, o.Expires
	}
}

func (c *comparison) accepts(r object.Reason) bool { return slices.Contains(c.Accept, r) }

// composite is the type of a checksum over those of the parts.
const composite = "COMPOSITE"

// digestETags says whether both ETags are MD5s of the same thing, so that they
// must be equal.
func digestETags(o, now *s3test.Object) bool {
	digest := func(x *s3test.Object) bool {
		return (x.Encryption.Type == object.SSENone || x.Encryption.Type == object.SSES3) && !strings.Contains(x.ETag, "-")
	}
	return digest(o) && digest(now)
}

// forgiveChecksum: a checksum where there was none is no loss; one that was
// there must stay as it was, with its parts where it is made of theirs.
func (c *comparison) forgiveChecksum(o, now *s3test.Object) {
	switch {
	case o.Checksum == s3test.Checksum{}:
		now.Checksum = o.Checksum
	case c.NoChecksums && now.Checksum == s3test.Checksum{} && c.accepts(object.ReasonComposite):
		now.Checksum = o.Checksum
	case (o.Checksum.Type == composite || now.Checksum.Type == composite) && c.accepts(object.ReasonComposite):
		now.Checksum = o.Checksum
	case o.Checksum.Type == composite && len(o.Parts) == len(now.Parts):
		ps := slices.Clone(now.Parts)
		for i := range ps {
			ps[i].ETag = o.Parts[i].ETag
		}
		now.Parts = ps
		return
	}
	now.Parts = o.Parts
}

// withoutStamp takes the stamped date away again, unless it was there before.
func withoutStamp(before, after map[string]string) map[string]string {
	if _, had := before["mtime"]; had {
		return after
	}
	m := maps.Clone(after)
	delete(m, "mtime")
	return m
}

// sameTags compares them as the set they are.
func sameTags(a, b []object.Tag) bool {
	if len(a) != len(b) {
		return false
	}
	for _, t := range a {
		if !slices.Contains(b, t) {
			return false
		}
	}
	return true
}
