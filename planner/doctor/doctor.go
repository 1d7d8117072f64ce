// Package doctor judges what was read of a bucket, a key and an endpoint before a
// job runs: what will happen around it that its outcomes do not tell. It is pure;
// whoever calls it has asked the store. It promises that every finding stands on
// something that was read, and that what could not be read is said to be so.
package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dustin/go-humanize/english"

	"github.com/resealhq/reseal/engine/object"
)

// Level says how much a finding matters.
type Level uint8

// Note is worth knowing; Warning has a consequence that outlives the run; Serious
// will spoil the run or something that others rely on.
const (
	Note Level = iota
	Warning
	Serious
)

// String is the word in doctor's output.
func (l Level) String() string { return [...]string{"note", "warning", "serious"}[l] }

// MarshalText writes String.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// Finding is one thing that was found, and what to do about it.
type Finding struct {
	Level Level `json:"level"`
	// Topic is one word for scripts: key, lifecycle, replication …
	Topic string `json:"topic"`
	What  string `json:"what"`
	Do    string `json:"do"`
}

// Facts are what was read. A pointer that is nil, and a Setting that is not
// Known, were not told.
type Facts struct {
	Bucket, Prefix string
	Target         object.Target
	Caps           object.Capabilities
	Settings       object.BucketFacts
	// Dest is where --dest leads; nil in place.
	Dest *Dest
	// CopyOnly is --operation copy.
	CopyOnly bool
	// What follows up to Notifications is of the bucket that is written: that of
	// Dest, where there is one. Default is its default encryption; DefaultKnown
	// whether it was told.
	Default      object.Encryption
	DefaultKnown bool
	// LockMode is the default retention's mode; empty for none.
	LockMode      string
	Lifecycle     []LifecycleRule
	Replication   []ReplicationRule
	Notifications []Notification
	Key           *Key
	// RequesterPays is the bucket's; PayerGiven whether --request-payer was.
	RequesterPays object.Finding
	PayerGiven    bool
	Permissions   []Permission
	// Unread are the settings that a missing permission hides, as S3 names them.
	Unread []string
	// AllVersions is --versions all.
	AllVersions bool
}

// Dest is a bucket and prefix that copies go to, where that is another one.
type Dest struct {
	Bucket, Prefix string
	Settings       object.BucketFacts
}

// LifecycleRule is an enabled rule, as far as a copy concerns it. Days are 0 for
// none.
type LifecycleRule struct {
	ID, Prefix           string
	ExpireDays           int
	TransitionDays       []int
	NoncurrentExpireDays int
	NewerNoncurrent      int
	AbortUploadDays      int
}

// ReplicationRule is an enabled rule.
type ReplicationRule struct {
	ID, Prefix, Destination string
	KMSObjects              bool
}

// Notification is one consumer of events; Copies is whether it is told of objects
// that a copy made.
type Notification struct {
	Target string
	Copies bool
}

// Key is the target's KMS key as KMS tells of it; Problem is why it could not be
// asked.
type Key struct {
	ARN, State, Region string
	Enabled, Symmetric bool
	Problem            string
}

// Permission is one that the job needs.
type Permission struct {
	Action, Resource string
	Granted          object.Finding
}

// Examine judges. The findings come in the order in which they would hurt.
func Examine(f *Facts) []Finding {
	var fs findings
	for _, judge := range []func(*Facts, *findings){
		store, key, permissions, encryption, replication, lifecycle, lock, versions, notifications, costs,
	} {
		judge(f, &fs)
	}
	return fs.bySeverity()
}

type findings []Finding

func (fs *findings) add(l Level, topic, what, do string) {
	*fs = append(*fs, Finding{l, topic, what, do})
}

func (fs findings) bySeverity() []Finding {
	out := make([]Finding, 0, len(fs))
	for l := int(Serious); l >= int(Note); l-- {
		for _, f := range fs {
			if f.Level == Level(l) {
				out = append(out, f)
			}
		}
	}
	return out
}

// copies says whether objects of this job will be copied rather than updated.
func (f *Facts) copies() bool {
	return f.CopyOnly || f.Dest != nil || f.Caps.Update != object.Yes || f.Target.SSE != object.SSEKMS
}

// written are the settings of the bucket that the job writes to.
func (f *Facts) written() *object.BucketFacts {
	if f.Dest != nil {
		return &f.Dest.Settings
	}
	return &f.Settings
}

// writePrefix is how the keys begin that the job writes.
func (f *Facts) writePrefix() string {
	if f.Dest != nil {
		return f.Dest.Prefix
	}
	return f.Prefix
}

// writeBucket begins a sentence about the bucket that the job writes to.
func (f *Facts) writeBucket() string {
	if f.Dest != nil {
		return "The destination s3://" + f.Dest.Bucket
	}
	return "The bucket"
}

// ofCopied begins a sentence about the objects that a side effect reaches.
func (f *Facts) ofCopied() string {
	if f.copies() {
		return "Every object is copied"
	}
	return "Objects that UpdateObjectEncryption cannot take (unencrypted, SSE-C, DSSE-KMS, locked) are copied"
}

func store(f *Facts, fs *findings) {
	c := &f.Caps
	if c.Source == "" {
		return // the key stood in the way of looking
	}
	switch {
	case c.Encrypts == object.No:
		fs.add(Serious, "store", "This store does not encrypt: it answers success and keeps the bytes as they are",
			"do not run here; nothing would change")
	case c.Source == "assumed":
		fs.add(Serious, "store", "This store was not seen to encrypt, and --accept unproven-encryption believes it all the same", "leave that out wherever the encryption matters")
	case c.Encrypts == object.Unknown && f.Target.SSE == object.SSEC && f.written().BlocksSSEC == object.Yes:
		// encryption tells why
	case c.Encrypts == object.Unknown && c.Source == "canary":
		fs.add(Serious, "store", "This store was not seen to encrypt under "+f.Target.SSE.String(), "try another --sse, or ask the store's operator")
	case c.Route == object.RouteNone && c.EncryptedRoute == object.RouteNone && c.Update != object.Yes:
		fs.add(Serious, "store", "No operation re-encrypts an object here", "rewrite the objects through a client instead")
	case c.CopySourceIfMatch == object.No:
		fs.add(Serious, "store", "This store ignores the condition that guards a copy against other writers",
			"see to it that nobody writes while the job runs, and say so with --accept concurrent-writes")
	case c.CopyIfMatch == object.No && c.CompleteIfMatch == object.Yes:
		fs.add(Note, "store", "CopyObject ignores the condition on its destination; a multipart copy honours it",
			"--guard strict copies through multipart uploads, so that no concurrent write can be overwritten")
	}
	if c.KeepsExpires == object.No {
		fs.add(Note, "store", "A plain copy drops the Expires header here, so every object costs a HEAD to look for one",
			"--accept expires saves it, where no object has such a header")
	}
}

func key(f *Facts, fs *findings) {
	k := f.Key
	if k == nil || !f.Target.SSE.KMS() {
		return
	}
	switch {
	case k.Problem != "":
		fs.add(Serious, "key", "The KMS key cannot be used: "+k.Problem, "grant kms:DescribeKey, kms:GenerateDataKey and kms:Decrypt on it, or name another key")
	case !k.Enabled:
		fs.add(Serious, "key", "The KMS key "+k.ARN+" is "+k.State, "enable it (or cancel its deletion), or name another key")
	case !k.Symmetric:
		fs.add(Serious, "key", "The KMS key "+k.ARN+" is not a symmetric encryption key", "name one that is; S3 takes no other")
	case k.Region != "" && f.written().Region != "" && k.Region != f.written().Region:
		fs.add(Serious, "key", "The KMS key is in "+k.Region+", and the objects are written in "+f.written().Region, "name a key in the bucket's region")
	}
}

// needed are the permissions without which objects fail or lose something, and
// what happens without them.
var needed = map[string]string{
	"s3:ListBucket":                       "the bucket cannot be listed",
	"s3:GetObject":                        "no object can be inspected or copied",
	"s3:GetObjectTagging":                 "an object with tags cannot be copied whole",
	"s3:GetObjectAcl":                     "grants cannot be read, so an object that may have some is left",
	"s3:GetObjectRetention":               "HEAD hides retention without it: a locked object looks unlocked",
	"s3:GetObjectLegalHold":               "HEAD hides legal holds without it: a held object looks free",
	"s3:ListBucketVersions":               "versions cannot be listed",
	"s3:GetObjectVersion":                 "no version can be inspected",
	"s3:GetBucketVersioning":              "it is not known whether old versions survive a copy",
	"s3:GetObjectAttributes":              "the part boundaries of composite checksums cannot be read",
	"s3:PutObject":                        "nothing can be written",
	"kms:GenerateDataKey":                 "nothing can be written under the key",
	"s3:GetBucketObjectLockConfiguration": "it is not known whether objects can be locked, so each is asked",
}

// settings are what a permission to read a setting is for, as Unread names it.
var settings = map[string]string{
	"s3:GetEncryptionConfiguration":  "default encryption",
	"s3:GetLifecycleConfiguration":   "lifecycle",
	"s3:GetReplicationConfiguration": "replication",
	"s3:GetBucketNotification":       "notifications",
}

func permissions(f *Facts, fs *findings) {
	for _, p := range f.Permissions {
		if p.Granted != object.No || !f.concerns(p.Action) || f.settingElsewhere(&p) {
			continue
		}
		if setting, about := settings[p.Action]; about && slices.Contains(f.Unread, setting) {
			continue // costs tells it
		}
		why, serious := needed[p.Action]
		level := Serious
		if !serious {
			level, why = Warning, "this setting stays unknown, and the careful way is taken"
		}
		fs.add(level, "permission", p.Action+" on "+p.Resource+" is missing: "+why, "grant it; `reseal iam-policy` prints the whole policy")
	}
}

// settingElsewhere says whether the permission reads a setting of the source that
// only matters where objects are written, which is the destination.
func (f *Facts) settingElsewhere(p *Permission) bool {
	_, about := settings[p.Action]
	return about && f.Dest != nil && f.Dest.Bucket != f.Bucket && strings.HasSuffix(p.Resource, ":::"+f.Bucket)
}

// concerns says whether the job would use the permission.
func (f *Facts) concerns(action string) bool {
	switch action {
	case "s3:ListBucketVersions", "s3:GetObjectVersion":
		return f.AllVersions
	case "s3:GetObjectAcl":
		return f.Settings.ACLsDisabled != object.Yes
	case "s3:GetObjectRetention", "s3:GetObjectLegalHold":
		return f.Settings.ObjectLock != object.No
	}
	return true
}

func encryption(f *Facts, fs *findings) {
	if f.Target.SSE == object.SSEC && f.written().BlocksSSEC == object.Yes {
		fs.add(Serious, "default-encryption", f.writeBucket()+" refuses SSE-C writes", "use a KMS key, or `reseal bucket-encryption set --block-sse-c off`")
	}
	if !f.DefaultKnown {
		if len(f.Unread) == 0 && f.Caps.Source != "aws" {
			return // a store without the setting has none to differ
		}
		return
	}
	if f.Target.SSE == object.SSEC || f.Default.Type == object.SSENone && f.Target.SSE == object.SSES3 && f.Caps.Source == "aws" {
		return // no default can be SSE-C; without one AWS takes SSE-S3
	}
	if !f.Target.MetBy(f.Default) {
		fs.add(Warning, "default-encryption", "New objects arrive under "+named(f.Default)+", not as this job leaves the old ones",
			"`reseal bucket-encryption set` makes new objects arrive the same way")
	}
}

func named(e object.Encryption) string {
	if e.Type == object.SSENone {
		return "no default encryption"
	}
	if e.KMSKeyID != "" {
		return e.Type.String() + " with " + e.KMSKeyID
	}
	return e.Type.String()
}

func replication(f *Facts, fs *findings) {
	for _, r := range f.Replication {
		if !overlaps(r.Prefix, f.writePrefix()) {
			continue
		}
		name := fmt.Sprintf("The replication rule %q to %s", r.ID, r.Destination)
		if f.Target.SSE.KMS() && !r.KMSObjects {
			fs.add(Serious, "replication", name+" does not replicate objects under SSE-KMS: after this job they silently stop being replicated",
				"enable SseKmsEncryptedObjects with a ReplicaKmsKeyID in the rule first")
			continue
		}
		fs.add(Warning, "replication", f.ofCopied()+" as a new object, which "+strings.ToLower(name[:1])+name[1:]+" replicates again; an update replicates nothing",
			"expect the traffic, and re-encrypt the replica bucket by a run of its own where updates are used")
	}
}

func lifecycle(f *Facts, fs *findings) {
	for _, r := range f.Lifecycle {
		if !overlaps(r.Prefix, f.writePrefix()) {
			continue
		}
		name := fmt.Sprintf("lifecycle rule %q", r.ID)
		if r.ExpireDays > 0 || len(r.TransitionDays) > 0 {
			fs.add(Warning, "lifecycle", f.ofCopied()+", which renews its date: the clock of "+name+" ("+clock(r)+") starts again",
				"expect transitions and expirations later by the object's age, or --stamp-mtime to keep the old date in the metadata")
		}
		if f.Dest == nil && f.Settings.Versioning == object.VersioningEnabled && (r.NoncurrentExpireDays > 0 || r.NewerNoncurrent > 0) {
			fs.add(Warning, "lifecycle", f.ofCopied()+", and the version before becomes noncurrent: "+name+" will delete it",
				"be sure of the new versions (`reseal verify`) before the rule removes the old ones")
		}
		if r.AbortUploadDays == 1 {
			fs.add(Note, "lifecycle", "The "+name+" ends multipart uploads after a day; a paused copy of a large object starts over then",
				"do not leave a run stopped for longer while large objects are in the middle")
		}
	}
}

func clock(r LifecycleRule) string {
	var parts []string
	for _, d := range r.TransitionDays {
		parts = append(parts, "transition after "+english.Plural(d, "day", ""))
	}
	if r.ExpireDays > 0 {
		parts = append(parts, "expiration after "+english.Plural(r.ExpireDays, "day", ""))
	}
	return strings.Join(parts, ", ")
}

func lock(f *Facts, fs *findings) {
	if f.Dest != nil {
		if f.LockMode != "" {
			fs.add(Warning, "lock", f.writeBucket()+" locks whatever is written to it, by a default retention of mode "+f.LockMode, "be sure of the target before the run: no copy can be deleted until its retention ends")
		}
		return
	}
	if f.Settings.ObjectLock != object.Yes {
		return
	}
	what := "The bucket has Object Lock: a locked object is copied to a new version with the same lock, and its old version stays, undeletable, under the old encryption"
	do := "keep the old key for as long as the longest retention"
	if f.LockMode == "COMPLIANCE" {
		fs.add(Serious, "lock", what+"; the default retention is COMPLIANCE, so every copy is locked from then on, and nobody can undo it", do)
		return
	}
	fs.add(Warning, "lock", what, do)
}

func versions(f *Facts, fs *findings) {
	switch f.written().Versioning {
	case object.VersioningEnabled:
		if f.copies() && f.Dest == nil { // a destination's objects are never overwritten
			fs.add(Warning, "versioning", "The bucket keeps versions: each copy leaves the old version behind, under its old encryption, and the storage doubles until it expires",
				"plan for it, and keep the old key until the old versions are gone (`reseal report` counts them)")
		}
	case object.VersioningOff, object.VersioningSuspended:
		if f.Caps.Source != "" && f.Caps.CopySourceIfMatch != object.Yes && f.copies() {
			fs.add(Warning, "versioning", f.writeBucket()+" keeps no versions, and the store was not seen to guard copies: an overwritten object would be gone",
				"stop other writers, or turn versioning on for the time of the job")
		}
	}
}

func notifications(f *Facts, fs *findings) {
	for _, n := range f.Notifications {
		if n.Copies {
			fs.add(Warning, "notifications", fmt.Sprintf("%s, and %s is told of each as if it were new", f.ofCopied(), n.Target),
				"tell its owners, or have it pass over s3:ObjectCreated:Copy and CompleteMultipartUpload for the time of the job")
		}
	}
}

func costs(f *Facts, fs *findings) {
	if f.RequesterPays == object.Yes && !f.PayerGiven {
		// S3 told so without the consent, hence the requests come from the owner's
		// account; from any other one they would all have been refused.
		fs.add(Note, "requester-pays", "The bucket is Requester Pays: its owner's requests pass as they are, those from any other account are refused",
			"give --request-payer requester where the job runs under another account")
	}
	if f.Settings.ACLsDisabled == object.No {
		fs.add(Note, "ownership", "ACLs are in force: the grants of every object are read and sent again, one request more for each",
			"BucketOwnerEnforced saves it, where nobody relies on ACLs")
	}
	if f.Settings.Website == object.Yes {
		fs.add(Note, "website", "The bucket is a website: every object is inspected for a redirect, which a copy would drop", "nothing; it is carried over")
	}
	for _, s := range f.Unread {
		fs.add(Warning, "permission", "The setting "+s+" could not be read for want of "+reading(s)+", so what it would do is not known", "grant it, and ask again")
	}
}

// reading names the permission to read a setting.
func reading(setting string) string {
	for action, s := range settings {
		if s == setting {
			return action
		}
	}
	return "a permission"
}

// overlaps says whether a rule for keys under a can concern keys under b.
func overlaps(a, b string) bool { return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) }
