package doctor

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

const (
	keyARN = "arn:aws:kms:eu-west-1:111122223333:key/new"
	oldARN = "arn:aws:kms:eu-west-1:111122223333:key/old"
)

// plain is a bucket without a trap, on AWS, already as the job wants new objects.
func plain() *Facts {
	return &Facts{Bucket: "b", Prefix: "logs/",
		Target: object.Target{SSE: object.SSEKMS, KMSKeyID: keyARN},
		Caps: object.Capabilities{Source: "aws", Encrypts: object.Yes, Route: object.RouteSelfCopy, EncryptedRoute: object.RouteSelfCopy,
			Update: object.Yes, CopySourceIfMatch: object.Yes, CopyIfMatch: object.Yes, CompleteIfMatch: object.Yes, KeepsExpires: object.Yes},
		Settings:     object.BucketFacts{Versioning: object.VersioningOff, ACLsDisabled: object.Yes, ObjectLock: object.No, Website: object.No, Region: "eu-west-1"},
		DefaultKnown: true, Default: object.Encryption{Type: object.SSEKMS, KMSKeyID: keyARN},
		Key:         &Key{ARN: keyARN, State: "Enabled", Region: "eu-west-1", Enabled: true, Symmetric: true},
		Permissions: []Permission{{"s3:GetObject", "b", object.Yes}, {"s3:ListBucket", "b", object.Yes}},
	}
}

func TestNothingIsInvented(t *testing.T) {
	if got := Examine(plain()); len(got) > 0 {
		t.Errorf("a plain bucket: %+v", got)
	}
	f := plain()
	f.Owner = "111122223333"
	if got := Examine(f); len(got) > 0 {
		t.Errorf("a key of the bucket's account: %+v", got)
	}
	f = plain() // rules that cannot reach the job's objects
	f.Lifecycle = []LifecycleRule{{ID: "tmp", Prefix: "tmp/", ExpireDays: 1}}
	f.Replication = []ReplicationRule{{ID: "r", Prefix: "other/"}}
	f.Notifications = []Notification{{Target: "queue"}}
	f.Permissions = append(f.Permissions, Permission{"s3:GetObjectRetention", "b", object.No}, Permission{"s3:GetObjectAcl", "b", object.No})
	if got := Examine(f); len(got) > 0 {
		t.Errorf("rules elsewhere: %+v", got)
	}
	f = plain() // the bucket that is read loses nothing, and that which is written is empty
	f.Settings.Versioning, f.Settings.ObjectLock, f.Settings.BlocksSSEC = object.VersioningEnabled, object.Yes, object.Yes
	f.Dest = &Dest{Bucket: "d", Settings: object.BucketFacts{Versioning: object.VersioningEnabled, ObjectLock: object.Yes, Region: "eu-west-1"}}
	f.Lifecycle = []LifecycleRule{{ID: "old", NoncurrentExpireDays: 1}, {ID: "logs", Prefix: "logs/", ExpireDays: 1}}
	f.Dest.Prefix = "copies/"
	f.Permissions = append(f.Permissions, Permission{"s3:GetLifecycleConfiguration", "arn:aws:s3:::b", object.No})
	if got := Examine(f); len(got) > 0 {
		t.Errorf("another destination: %+v", got)
	}
}

func TestTraps(t *testing.T) {
	for name, test := range map[string]struct {
		set   func(f *Facts)
		level Level
		topic string
		says  string
	}{
		"lifecycle by age": {func(f *Facts) { f.Lifecycle = []LifecycleRule{{ID: "old", TransitionDays: []int{90}}} }, Warning, "lifecycle", "transition after 90 days"},
		"noncurrent expiry": {func(f *Facts) {
			f.Settings.Versioning = object.VersioningEnabled
			f.Lifecycle = []LifecycleRule{{ID: "n", NoncurrentExpireDays: 1}}
		}, Warning, "lifecycle", "will delete it"},
		"replication, no KMS": {func(f *Facts) { f.Replication = []ReplicationRule{{ID: "dr", Destination: "arn:aws:s3:::dr"}} }, Serious, "replication", "silently stop"},
		"replication again":   {func(f *Facts) { f.Replication = []ReplicationRule{{ID: "dr", KMSObjects: true}} }, Warning, "replication", "replicates again"},
		"to another MinIO":    {func(f *Facts) { f.Replication = []ReplicationRule{{ID: "dr", OtherStore: true}} }, Warning, "replication", "has no key of that name"},
		"to another MinIO, SSE-S3": {func(f *Facts) {
			f.Target = object.Target{SSE: object.SSES3}
			f.Replication = []ReplicationRule{{ID: "dr", OtherStore: true}}
		}, Warning, "replication", "has no KMS"},
		"throwaway objects": {func(f *Facts) {
			f.Caps.Source, f.Replication = "canary", []ReplicationRule{{ID: "dr", OtherStore: true}}
		}, Note, "replication", "stay on the other server"},
		"compliance lock":    {func(f *Facts) { f.Settings.ObjectLock = object.Yes; f.LockMode = "COMPLIANCE" }, Serious, "lock", "COMPLIANCE"},
		"object lock":        {func(f *Facts) { f.Settings.ObjectLock = object.Yes }, Warning, "lock", "old encryption"},
		"disabled key":       {func(f *Facts) { f.Key.Enabled, f.Key.State = false, "Disabled" }, Serious, "key", "Disabled"},
		"key elsewhere":      {func(f *Facts) { f.Key.Region = "us-east-1" }, Serious, "key", "us-east-1"},
		"W1 key of others":   {func(f *Facts) { f.Owner = "999988887777" }, Serious, "key", "is copied"},
		"missing permission": {func(f *Facts) { f.Permissions[0].Granted = object.No }, Serious, "permission", "s3:GetObject"},
		"lock hidden": {func(f *Facts) {
			f.Settings.ObjectLock = object.Yes
			f.Permissions = []Permission{{"s3:GetObjectRetention", "b", object.No}}
		}, Serious, "permission", "looks unlocked"},
		"website":              {func(f *Facts) { f.Settings.Website = object.Yes }, Note, "website", "redirect"},
		"other default":        {func(f *Facts) { f.Default = object.Encryption{Type: object.SSES3} }, Warning, "default-encryption", "sse-s3"},
		"blocked SSE-C":        {func(f *Facts) { f.Target.SSE = object.SSEC; f.Settings.BlocksSSEC = object.Yes }, Serious, "default-encryption", "SSE-C"},
		"events":               {func(f *Facts) { f.Notifications = []Notification{{"arn:aws:sqs:q", true}} }, Warning, "notifications", "arn:aws:sqs:q"},
		"requester pays":       {func(f *Facts) { f.RequesterPays = object.Yes }, Note, "requester-pays", "Requester Pays"},
		"copies keep versions": {func(f *Facts) { f.Caps.Update = object.No; f.Settings.Versioning = object.VersioningEnabled }, Warning, "versioning", "leaves the old version"},
		"keys without versions": {func(f *Facts) {
			f.Caps.Update, f.Settings.Versioning, f.Settings.KeepsNoneOfSome = object.No, object.VersioningEnabled, true
		}, Warning, "versioning", "keeps no versions of some keys"},
		"asked to copy": {func(f *Facts) { f.CopyOnly = true; f.Settings.Versioning = object.VersioningEnabled }, Warning, "versioning", "storage doubles"},
		"SSE-C, destination": {func(f *Facts) {
			f.Target.SSE = object.SSEC
			f.Dest = &Dest{Bucket: "d", Settings: object.BucketFacts{BlocksSSEC: object.Yes}}
		}, Serious, "default-encryption", "s3://d refuses"},
		"key, destination": {func(f *Facts) { f.Dest = &Dest{Bucket: "d", Settings: object.BucketFacts{Region: "us-east-1"}} }, Serious, "key", "written in us-east-1"},
		"rule of the destination": {func(f *Facts) {
			f.Dest = &Dest{Bucket: "d", Prefix: "tmp/"}
			f.Lifecycle = []LifecycleRule{{ID: "tmp", Prefix: "tmp/", ExpireDays: 1}}
		}, Warning, "lifecycle", "Every object is copied"},
		"lock of the destination": {func(f *Facts) { f.Dest, f.LockMode = &Dest{Bucket: "d"}, "GOVERNANCE" }, Warning, "lock", "s3://d locks whatever"},
		"permission there": {func(f *Facts) {
			f.Dest = &Dest{Bucket: "d"}
			f.Permissions = append(f.Permissions, Permission{"s3:GetLifecycleConfiguration", "arn:aws:s3:::d", object.No})
		}, Warning, "permission", "s3:GetLifecycleConfiguration on arn:aws:s3:::d"},
		"does not encrypt": {func(f *Facts) { f.Caps.Encrypts = object.No }, Serious, "store", "does not encrypt"},
		"unread setting":   {func(f *Facts) { f.Unread = []string{"lifecycle"} }, Warning, "permission", "lifecycle"},
	} {
		f := plain()
		test.set(f)
		got := Examine(f)
		i := slices.IndexFunc(got, func(g Finding) bool { return g.Topic == test.topic && strings.Contains(g.What, test.says) })
		switch {
		case i < 0:
			t.Errorf("%s: not found in %+v", name, got)
		case got[i].Level != test.level || got[i].Do == "":
			t.Errorf("%s: %+v", name, got[i])
		case got[i].Paste == "" && name != "does not encrypt": // nothing helps there
			t.Errorf("%s: no line to paste: %+v", name, got[i])
		}
		for j := 1; j < len(got); j++ {
			if got[j].Level > got[j-1].Level {
				t.Errorf("%s: %v after %v", name, got[j].Level, got[j-1].Level)
			}
		}
	}
}

func TestPolicy(t *testing.T) {
	n := Needs{Bucket: "b", Prefix: "p/", Target: object.Target{SSE: object.SSEKMS, KMSKeyID: keyARN}, Region: "eu-west-1",
		SourceKeys: []string{oldARN}, ACLs: object.No, Locks: object.No, Update: true}
	d := Policy(n)
	text, err := d.JSON()
	if err != nil || !json.Valid(text) {
		t.Fatal(err)
	}
	for _, want := range []string{`"s3:UpdateObjectEncryption"`, `"arn:aws:s3:::b/p/*"`, `"kms:ReEncrypt*"`, keyARN, oldARN, `"s3:prefix"`, `"s3:AbortMultipartUpload"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in the policy", want)
		}
	}
	for _, not := range []string{`"s3:PutObjectAcl"`, `"s3:PutObjectRetention"`, `"s3:*"`, `"kms:*"`, `"Resource": "*"`, "DeleteObject"} {
		if strings.Contains(string(text), not) {
			t.Errorf("%s is in the least policy", not)
		}
	}
	n.Update, n.Target, n.SourceKeys, n.DestBucket, n.Manifest, n.Region = false, object.Target{SSE: object.SSES3}, nil, "d", "s3://inv/b/2026-11-23T01-00Z/manifest.json", "cn-north-1"
	text, _ = Policy(n).JSON()
	for _, want := range []string{`"arn:aws-cn:s3:::d/*"`, `"arn:aws-cn:s3:::inv/b/*"`, `"b/*"`, `"kms:ViaService"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in the policy: %s", want, text)
		}
	}
	if list := Policy(n).Statement[1]; list.Resource[0] != "arn:aws-cn:s3:::d" || list.Action[0] != "s3:ListBucket" {
		t.Errorf("who may not list the destination is denied what is not there: %+v", list)
	}
	n.NoSourceKeys = true
	if none, _ := Policy(n).JSON(); strings.Contains(string(none), "kms:") {
		t.Errorf("no KMS key has a part in this job: %s", none)
	}
	if strings.Contains(string(text), "UpdateObjectEncryption") || strings.Contains(string(text), "GenerateDataKey") {
		t.Error("a job to SSE-S3 needs no such permission")
	}
}
