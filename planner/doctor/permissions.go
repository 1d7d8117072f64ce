package doctor

import (
	"slices"
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

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
	"s3:ListObjectAnnotations":            "annotations cannot be told, so what is copied in parts or rewritten is left",
	"s3:GetObjectAnnotation":              "a copy of an object with annotations is refused, and what is copied in parts or rewritten is left",
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
		loss := lossOf[p.Action]
		if loss != "" && f.accepted(loss) {
			level = Warning
		}
		fs.add(level, "permission", p.Action+" on "+p.Resource+" is missing: "+why, "grant it; `reseal iam-policy` prints the whole policy").
			Paste = f.allow(f.bucketOf(&p), p.Action)
	}
}

// bucketOf is the bucket that the permission is about.
func (f *Facts) bucketOf(p *Permission) string {
	if f.Dest != nil && (strings.HasSuffix(p.Resource, ":::"+f.Dest.Bucket) || p.Resource == f.Dest.Bucket) {
		return f.Dest.Bucket
	}
	return f.Bucket
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
