package canary

import (
	"fmt"

	"github.com/resealhq/reseal/engine/object"
)

// AWS is what S3 itself does (general purpose buckets), for those who ask nothing.
func AWS(t object.Target) object.Capabilities {
	return object.Capabilities{
		Source: "aws", Encrypts: object.Yes,
		Route: object.RouteSelfCopy, EncryptedRoute: object.RouteSelfCopy, Replace: object.Yes, Multipart: object.Yes,
		OtherKey: object.Yes, OtherKeyRoute: object.RouteSelfCopy,
		CopySourceEncoding: object.EncodedOnce, PartSourceEncoding: object.EncodedOnce,
		Update:            object.Yes,
		CopySourceIfMatch: object.Yes, PartSourceIfMatch: object.Yes, CopyIfMatch: object.Yes, CompleteIfMatch: object.Yes,
		PutIfMatch: object.Yes, SendIfMatch: object.Yes, PutShowsEncryption: object.Yes, CompleteShowsETag: object.Yes, CountsTags: object.No,
		ListMetadata: object.No, CopyShowsEncryption: object.Yes, UploadShowsEncryption: object.Yes,
		KeepsTags: object.Yes, KeepsLock: object.Yes, KeepsRedirect: object.Yes, KeepsExpires: object.Yes, KeepsClass: object.Yes, KeepsChecksums: object.Yes,
		PutTagging: object.Yes, PutRetention: object.Yes, PutACL: object.Yes,
		GetTagging: object.Yes, GetACL: object.Yes, GetAttributes: object.Yes, GetRetention: object.Yes,
		DSSE: object.Yes, BucketKey: object.Yes, Checksums: object.Yes, UploadChecksums: object.Yes, SendChecksums: object.Yes, VersionsInReplies: object.Yes,
		ShownKeyID: t.ShownKeyID,
	}
}

// Difference is one ability that was seen to be other than it was believed to be.
type Difference struct {
	// Ability is the name in job.json and doctor's table.
	Ability        string `json:"ability"`
	Believed, Seen string
}

// String is a sentence for doctor.
func (d Difference) String() string {
	return fmt.Sprintf("%s: believed %s, seen %s", d.Ability, d.Believed, d.Seen)
}

// Differences are all abilities of which seen says something else than believed. What
// was not asked is no difference.
func Differences(believed, seen *object.Capabilities) []Difference {
	var all []Difference
	add := func(ability, b, s string, told bool) {
		if told && b != s {
			all = append(all, Difference{ability, b, s})
		}
	}
	b, s := findings(believed), findings(seen)
	for i := range s {
		add(s[i].name, b[i].found.String(), s[i].found.String(), *s[i].found != object.Unknown)
	}
	add("Route", believed.Route.String(), seen.Route.String(), true)
	add("EncryptedRoute", believed.EncryptedRoute.String(), seen.EncryptedRoute.String(), true)
	add("OtherKeyRoute", believed.OtherKeyRoute.String(), seen.OtherKeyRoute.String(), seen.OtherKey != object.Unknown)
	add("CopySourceEncoding", believed.CopySourceEncoding.String(), seen.CopySourceEncoding.String(), seen.CopySourceEncoding != object.EncodingUnknown)
	add("PartSourceEncoding", believed.PartSourceEncoding.String(), seen.PartSourceEncoding.String(), seen.PartSourceEncoding != object.EncodingUnknown)
	add("ShownKeyID", believed.ShownKeyID, seen.ShownKeyID, believed.ShownKeyID != "" && seen.ShownKeyID != "")
	return all
}

// named is a finding with its name.
type named struct {
	name  string
	found *object.Finding
}

// findings are all of c that are yes, no or unknown, always in the same order.
func findings(c *object.Capabilities) []named {
	return []named{
		{"Encrypts", &c.Encrypts}, {"Replace", &c.Replace}, {"Multipart", &c.Multipart}, {"OtherKey", &c.OtherKey}, {"Update", &c.Update},
		{"CopySourceIfMatch", &c.CopySourceIfMatch}, {"PartSourceIfMatch", &c.PartSourceIfMatch}, {"CopyIfMatch", &c.CopyIfMatch},
		{"CompleteIfMatch", &c.CompleteIfMatch}, {"PutIfMatch", &c.PutIfMatch}, {"SendIfMatch", &c.SendIfMatch}, {"PutShowsEncryption", &c.PutShowsEncryption},
		{"CompleteShowsETag", &c.CompleteShowsETag}, {"ListMetadata", &c.ListMetadata}, {"CopyShowsEncryption", &c.CopyShowsEncryption},
		{"UploadShowsEncryption", &c.UploadShowsEncryption}, {"CountsTags", &c.CountsTags}, {"KeepsTags", &c.KeepsTags}, {"KeepsLock", &c.KeepsLock},
		{"KeepsRedirect", &c.KeepsRedirect}, {"KeepsExpires", &c.KeepsExpires}, {"KeepsClass", &c.KeepsClass}, {"KeepsChecksums", &c.KeepsChecksums}, {"PutTagging", &c.PutTagging},
		{"PutRetention", &c.PutRetention}, {"PutACL", &c.PutACL}, {"CannedACL", &c.CannedACL}, {"GetTagging", &c.GetTagging}, {"GetACL", &c.GetACL},
		{"GetAttributes", &c.GetAttributes}, {"GetRetention", &c.GetRetention}, {"DSSE", &c.DSSE}, {"BucketKey", &c.BucketKey},
		{"Checksums", &c.Checksums}, {"UploadChecksums", &c.UploadChecksums}, {"SendChecksums", &c.SendChecksums}, {"VersionsInReplies", &c.VersionsInReplies},
	}
}
