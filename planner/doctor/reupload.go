package doctor

import (
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// reuploads tells what changes for readers when objects get another client-side
// encryption, and what stays behind.
func reuploads(f *Facts, fs *findings) {
	if f.Caps.PutIfMatch != object.Yes || f.Caps.CompleteIfMatch != object.Yes {
		fs.add(Warning, "client-side", "This store was not seen to write on a condition in both ways, so that objects up to 5 MiB, or those above, are left as they are",
			"stop other writers and see what `reseal plan` leaves")
	}
	switch f.Reupload {
	case "none":
		fs.add(Warning, "readers", "Encryption clients refuse objects that no client has encrypted, or need to be told to take them, from the moment when each is written",
			"let the readers take both until `reseal verify` has been content")
		fs.add(Note, "plaintext", "Whoever may read the bucket then reads the text: only server-side encryption and the bucket's own permissions guard it",
			"look at who has s3:GetObject, and name --sse aws:kms with a key of your own")
	case "v2":
		fs.add(Note, "readers", "Version 2 does not commit to its data key; clients of today read it only where they are told to",
			"use --client-side v3 once every reader takes it").Paste = "--client-side v3"
	default:
		fs.add(Warning, "readers", "Clients before the releases of December 2025 cannot read version 3, from the moment when each object is written",
			"bring every reader up to date first, with a policy that takes both until `reseal verify` has been content")
	}
	fs.add(Note, "data-keys", "Data keys come to this machine and the text passes through it; neither is written anywhere", "run it where both may be")
	if f.written().Versioning != object.VersioningOff {
		fs.add(Warning, "versions", "Old versions keep their old encryption, those that this run leaves behind among them",
			"keep the old wrapping key as long as they exist, and let a lifecycle rule expire them")
	}
}

// ReuploadNeeds are the keys of a job that writes objects under another client-side
// encryption; Key is empty where a raw key wraps, or none.
type ReuploadNeeds struct {
	Key string
	// SourceKey is the only one that opens; any where it is empty. RawSource: a raw key
	// opens, too.
	SourceKey string
	RawSource bool
}

// reupload allows the data keys: new ones under the new key, and those of the objects
// as they are.
func (p *policy) reupload(r *ReuploadNeeds, region string) {
	named := func(key string) []string {
		if !strings.HasPrefix(key, "arn:") || strings.Contains(key, ":alias/") {
			return []string{p.anyKey(region)}
		}
		return []string{key}
	}
	if r.Key != "" {
		p.add("MakeDataKeys", named(r.Key), "kms:GenerateDataKey", "kms:Decrypt", "kms:DescribeKey")
	}
	if r.SourceKey != "" || !r.RawSource {
		p.add("OpenDataKeys", named(r.SourceKey), "kms:Decrypt")
	}
}
