// Package doctor judges what was read of a bucket, a key and an endpoint before a
// job runs: what will happen around it that its outcomes do not tell. It is pure;
// whoever calls it has asked the store. It promises that every finding stands on
// something that was read, and that what could not be read is said to be so.
package doctor

import (
	"fmt"
	"strconv"
	"strings"

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
	// Paste is a line for what Do says: a statement for an IAM policy, a command, or a
	// flag. Empty where no line could help.
	Paste string `json:"paste,omitempty"`
}

// Facts are what was read. A pointer that is nil, and a Setting that is not
// Known, were not told.
type Facts struct {
	Bucket, Prefix string
	// Endpoint that answered; empty for AWS.
	Endpoint string
	// Owner is the account that the bucket belongs to, where somebody has told.
	Owner  string
	Target object.Target
	Caps   object.Capabilities
	// Through: the destination's store cannot read the source.
	Through bool
	// Unlike are sentences on what AWS is believed to do and was seen not to do.
	Unlike   []string
	Settings object.BucketFacts
	// Dest is where --dest leads; nil in place.
	Dest *Dest
	// CopyOnly is --operation copy.
	CopyOnly bool
	// Rewrap is set where only envelopes of client-side encryption change.
	Rewrap *Rewrap
	// Reupload is set where objects are written again by another encryption client or
	// by none: v3, v2 or none.
	Reupload string
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
	// Accept are the losses and risks that the operator accepts by name.
	Accept []object.Reason
	// Denied are the questions that were refused, beside what CheckRead asks.
	Denied []Denied
	// Probed is set where AWS was probed too.
	Probed bool
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
	// OtherStore: the destination is a bucket of another server, as MinIO knows them.
	// Deletions: deletions of versions are replicated too.
	OtherStore, Deletions bool
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
	// Store is the key store that is not KMS's own, by its ID or kind, where StoreRate
	// is above 0: so many requests a second it takes, all its users together, and so
	// many a job sends where nothing else is said.
	Store                  string
	StoreRate, DefaultRate int
}

// Permission is one that the job needs.
type Permission struct {
	Action, Resource string
	Granted          object.Finding
}

// Examine judges. The findings come in the order in which they would hurt.
func Examine(f *Facts) []Finding {
	var fs findings
	judges := []func(*Facts, *findings){throughAccessPoint, store, key, updates, permissions, encryption, replication, lifecycle, lock, versions, notifications, costs}
	if f.Rewrap != nil { // no object comes under another encryption of the server
		judges = []func(*Facts, *findings){throughAccessPoint, store, permissions, envelopes, replication, lifecycle, lock, notifications}
	}
	if f.Reupload != "" {
		judges = []func(*Facts, *findings){store, key, permissions, reuploads, replication, lifecycle, lock, versions, notifications, costs}
		if f.Target.SSE == object.SSEUnknown { // an object keeps its own
			judges = []func(*Facts, *findings){store, permissions, reuploads, replication, lifecycle, lock, notifications}
		}
	}
	for _, judge := range append(judges, denied) {
		judge(f, &fs)
	}
	for i := range fs {
		if look := looks[fs[i].Topic]; fs[i].Paste == "" && look != "" {
			fs[i].Paste = f.aws(look)
		}
	}
	return fs.bySeverity()
}

type findings []Finding

// add notes one. What it returns is good until the next is added.
func (fs *findings) add(l Level, topic, what, do string) *Finding {
	*fs = append(*fs, Finding{Level: l, Topic: topic, What: what, Do: do})
	return &(*fs)[len(*fs)-1]
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
	twoStores(f, fs)
	switch {
	case c.Encrypts == object.No:
		fs.add(Serious, "store", "This store does not encrypt: it answers success and keeps the bytes as they are",
			"do not run here; nothing would change")
	case c.Source == "assumed":
		fs.add(Serious, "store", "This store was not seen to encrypt, and --accept unproven-encryption believes it all the same", "leave that out wherever the encryption matters")
	case c.Encrypts == object.Unknown && f.Target.SSE == object.SSEC && f.written().BlocksSSEC == object.Yes:
		// encryption tells why
	case c.Encrypts == object.Unknown && c.Source == "canary":
		x := fs.add(Serious, "store", "This store was not seen to encrypt under "+f.Target.SSE.String(), "try another --sse, or ask the store's operator")
		if f.Target.SSE.KMS() {
			x.Do = "look below at what was refused: AccessDenied is a missing kms:GenerateDataKey or kms:Decrypt on the key; else try another --sse, or ask the store's operator"
			x.Paste = f.allowKey("kms:GenerateDataKey", "kms:Decrypt")
		}
	case c.Route == object.RouteNone && c.EncryptedRoute == object.RouteNone && c.Update != object.Yes:
		fs.add(Serious, "store", "No operation re-encrypts an object here", "rewrite the objects through a client instead")
	case c.CopyIfMatch != object.Yes && c.PutIfMatch == object.Yes && (c.IsAWS() || f.Dest != nil || f.Target.SSE != object.SSEC):
		fs.add(Note, "store", "CopyObject ignores the condition on its destination, so objects are read and written again on one up to 512 KiB, and larger ones copied in parts",
			"--accept concurrent-writes allows the plain copy, which overwrites a write that somebody makes in its very moment").Paste = "--accept concurrent-writes"
	case c.CopySourceIfMatch == object.No:
		level := Serious
		if f.accepted("concurrent-writes") {
			level = Warning
		}
		fs.add(level, "store", "This store ignores the condition that guards a copy against other writers",
			"see to it that nobody writes while the job runs, and say so with --accept concurrent-writes").Paste = "--accept concurrent-writes"
	case c.Unguarded() && !f.written().KeepsAll() && !f.accepted("concurrent-writes"):
		fs.add(Serious, "store", "This store honours no condition, and the bucket keeps no versions, so a write of somebody else could be lost: a run is refused",
			"see to it that nobody writes while the job runs, and say so with --accept concurrent-writes").Paste = "--accept concurrent-writes"
	case c.CopyIfMatch == object.No && c.CompleteIfMatch == object.Yes:
		fs.add(Note, "store", "CopyObject ignores the condition on its destination, so objects are copied in parts, which ends on one",
			"--accept concurrent-writes allows the plain copy, which overwrites a write that somebody makes in its very moment").Paste = "--accept concurrent-writes"
	}
	if len(f.Unlike) > 0 {
		fs.add(Serious, "store", "This endpoint is AWS's and was seen to do less than a job relies on: "+strings.Join(f.Unlike, "; "),
			"run no job here before it is understood, and report it with this output")
	}
	if c.KeepsExpires == object.No && c.PutIfMatch != object.Yes {
		fs.add(Note, "store", "A plain copy drops the Expires header here, so every object costs a HEAD to look for one",
			"--accept expires saves it, where no object has such a header").Paste = "--accept expires"
	}
}

func key(f *Facts, fs *findings) {
	k := f.Key
	if k == nil || !f.Target.SSE.KMS() {
		return
	}
	if k.StoreRate > 0 {
		fs.add(Warning, "key", fmt.Sprintf("The KMS key is in the key store %s, which takes %d requests a second of all its users together; more cannot be asked for", k.Store, k.StoreRate),
			fmt.Sprintf("a job sends it at most %d a second by itself; --max-kms-requests-per-second leaves more to others, and --bucket-key on spares most of them", k.DefaultRate)).Paste = "--max-kms-requests-per-second " + strconv.Itoa(max(1, k.DefaultRate/2))
	}
	switch {
	case k.Problem != "" && f.Caps.Source != "" && f.Caps.Encrypts == object.Yes: // a job does without looking
		seen := "though the store encrypts under it"
		if f.Caps.Source == "aws" && !f.Probed {
			seen = "and whether objects can be written under it was not tried"
		}
		fs.add(Warning, "key", "The KMS key cannot be looked at, "+seen+": "+k.Problem, "grant kms:DescribeKey, without which its state is not known, and a name that is no ARN rules updates out").
			Paste = f.allowKey("kms:DescribeKey")
	case k.Problem != "":
		fs.add(Serious, "key", "The KMS key cannot be used: "+k.Problem, "grant kms:DescribeKey, kms:GenerateDataKey and kms:Decrypt on it, or name another key").
			Paste = f.allowKey("kms:DescribeKey", "kms:GenerateDataKey", "kms:Decrypt")
	case !k.Enabled:
		x := fs.add(Serious, "key", "The KMS key "+k.ARN+" is "+k.State, "enable it (or cancel its deletion), or name another key")
		x.Paste = "aws kms enable-key --key-id " + object.ShellWord(k.ARN)
		if k.State == "PendingDeletion" {
			x.Paste = "aws kms cancel-key-deletion --key-id " + object.ShellWord(k.ARN) + " && " + x.Paste
		}
	case !k.Symmetric:
		fs.add(Serious, "key", "The KMS key "+k.ARN+" is not a symmetric encryption key", "name one that is; S3 takes no other").
			Paste = "aws kms list-aliases --region " + object.ShellWord(k.Region)
	case k.Region != "" && f.written().Region != "" && k.Region != f.written().Region:
		fs.add(Serious, "key", "The KMS key is in "+k.Region+", and the objects are written in "+f.written().Region, "name a key in the bucket's region").
			Paste = "aws kms list-aliases --region " + object.ShellWord(f.written().Region)
	}
}

// updates tells, where the accounts are known, that S3 takes only the keys of the
// bucket's own for an update.
func updates(f *Facts, fs *findings) {
	account := accountOf(f.Target.KMSKeyID)
	if f.copies() || f.Owner == "" || account == "" || account == f.Owner {
		return
	}
	fs.add(Serious, "key", "The KMS key is of the account "+account+", and the bucket of "+f.Owner+": S3 refuses UpdateObjectEncryption, and what the plan would update is copied",
		"name a key of the bucket's account, or expect copies: new dates, and old versions where the bucket keeps them").
		Paste = "--operation copy"
}

// accountOf is the account in an ARN; empty where it names none.
func accountOf(arn string) string {
	if f := strings.SplitN(arn, ":", 6); len(f) == 6 {
		return f[4]
	}
	return ""
}
