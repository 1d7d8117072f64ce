package doctor

// This file judges what the settings of a bucket do to copies, and with them.

import (
	"fmt"
	"strings"

	"github.com/dustin/go-humanize/english"

	"github.com/resealhq/reseal/engine/object"
)

func encryption(f *Facts, fs *findings) {
	if f.Target.SSE == object.SSEC && f.written().BlocksSSEC == object.Yes {
		fs.add(Serious, "default-encryption", f.writeBucket()+" refuses SSE-C writes", "use a KMS key, or `reseal bucket-encryption set --block none`").
			Paste = f.at("reseal bucket-encryption set s3://" + object.ShellWord(f.writeName()) + " --block none")
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
			"`reseal bucket-encryption set` makes new objects arrive the same way").Paste = f.arrive()
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
		if r.OtherStore {
			f.toOtherServer(&r, name, fs)
			continue
		}
		if f.Target.SSE.KMS() && !r.KMSObjects {
			fs.add(Serious, "replication", name+" does not replicate objects under SSE-KMS: after this job they silently stop being replicated",
				"enable SseKmsEncryptedObjects with a ReplicaKmsKeyID in the rule first")
			continue
		}
		fs.add(Warning, "replication", f.ofCopied()+" as a new object, which "+strings.ToLower(name[:1])+name[1:]+" replicates again; an update replicates nothing",
			"expect the traffic, and re-encrypt the replica bucket by a run of its own where updates are used")
	}
}

// toOtherServer is about a rule of MinIO, which sends objects with the encryption that they
// have, and with the name of their KMS key.
func (f *Facts) toOtherServer(r *ReplicationRule, name string, fs *findings) {
	what := f.ofCopied() + " as a new object, which " + strings.ToLower(name[:1]) + name[1:] + " replicates again, under the same encryption"
	switch t := &f.Target; {
	case t.SSE.KMS() && t.KMSKeyID != "":
		fs.add(Warning, "replication", what+": where the KMS of the other server has no key of that name, replication fails, and what is there stays as it is",
			"see that the other server has the key "+t.KMSKeyID+" before the run, and expect the traffic")
	case t.SSE.KMS(), t.SSE == object.SSES3:
		fs.add(Warning, "replication", what+": where the other server has no KMS, replication fails, and what is there stays as it is",
			"see that the other server encrypts before the run, and expect the traffic")
	default:
		fs.add(Warning, "replication", what, "expect the traffic")
	}
	if !r.Deletions && f.Caps.Source == "canary" {
		fs.add(Note, "replication", "The throwaway objects of reseal (.reseal-canary-…) are replicated too, and their deletions are not: some of them stay on the other server",
			"delete them there")
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
				"expect transitions and expirations later by the object's age, or --stamp-mtime to keep the old date in the metadata").Paste = "--stamp-mtime"
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

// throughAccessPoint tells what is not told of a bucket that is written to through an
// access point, and what the job does about it.
func throughAccessPoint(f *Facts, fs *findings) {
	bucket := f.Bucket
	if f.Dest != nil {
		bucket = f.Dest.Bucket
	}
	if object.IsAccessPoint(bucket) {
		fs.add(Warning, "access point", "An access point tells no settings of its bucket: versioning, locks, lifecycle, replication and notifications are not known, and every object costs the requests that settings would spare",
			"name the bucket as s3://BUCKET where it may be used: then doctor tells what a copy sets off, and an object that has older versions is copied too").
			Paste = "reseal doctor s3://BUCKET"
	}
}

func versions(f *Facts, fs *findings) {
	switch f.written().Versioning {
	case object.VersioningEnabled:
		if f.copies() && f.Dest == nil { // a destination's objects are never overwritten
			fs.add(Warning, "versioning", "The bucket keeps versions: each copy leaves the old version behind, under its old encryption, and the storage doubles until it expires",
				"plan for it, and keep the old key until the old versions are gone (`reseal report` counts them)")
			if f.Settings.KeepsNoneOfSome {
				fs.add(Warning, "versioning", "The bucket keeps no versions of some keys, since prefixes or folders are excluded from its versioning: what a copy overwrites there is gone",
					"read the bucket's versioning settings for which they are, and take these exclusions away for the time of the job where an older version may be wanted")
			}
		}
	case object.VersioningOff, object.VersioningSuspended:
		if f.Caps.Source != "" && f.Caps.CopySourceIfMatch != object.Yes && f.copies() {
			fs.add(Warning, "versioning", f.writeBucket()+" keeps no versions, and the store was not seen to guard copies: an overwritten object would be gone",
				"stop other writers, or turn versioning on for the time of the job").
				Paste = f.aws("put-bucket-versioning --versioning-configuration Status=Enabled")
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
			"give --request-payer requester where the job runs under another account").Paste = "--request-payer requester"
	}
	if f.Settings.ACLsDisabled == object.No {
		fs.add(Note, "ownership", "ACLs are in force: the grants of every object are read and sent again, one request more for each",
			"BucketOwnerEnforced saves it, where nobody relies on ACLs")
	}
	if f.Settings.Website == object.Yes {
		fs.add(Note, "website", "The bucket is a website: every object is inspected for a redirect, which a copy would drop", "nothing; it is carried over")
	}
	for _, s := range f.Unread {
		fs.add(Warning, "permission", "The setting "+s+" could not be read for want of "+reading(s)+", so what it would do is not known", "grant it, and ask again").
			Paste = f.allow(f.writeName(), reading(s))
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
