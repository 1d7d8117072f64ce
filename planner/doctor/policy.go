package doctor

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// Needs is what decides which permissions a job uses.
type Needs struct {
	Bucket, Prefix         string
	DestBucket, DestPrefix string // empty in place
	// Manifest is the s3:// or s3tables:// URI of a manifest, empty for none.
	Manifest string
	Target   object.Target
	// Region narrows the KMS statements; empty for any.
	Region string
	// Configured is the region of the environment or the profile. It narrows
	// nothing: it tells the partition where neither a key's ARN nor Region does.
	Configured string
	// SourceKeys are the KMS keys that the objects are under; empty for any key,
	// used through S3 only. NoSourceKeys is whether none is under a KMS key.
	SourceKeys   []string
	NoSourceKeys bool
	// NameVersions is whether the rows of the source can name a version: those of a
	// listing of all versions, and of a manifest.
	NameVersions bool
	// ACLs, Locks: whether objects can have grants and locks to carry over. No
	// leaves their permissions out, anything else keeps them.
	ACLs, Locks object.Finding
	// Update says whether UpdateObjectEncryption may be used.
	Update bool
	// End is source or dest for what that end alone needs, where two credentials are used;
	// empty for one that does both.
	End string
	// Prune: old versions are to be deleted afterwards. Nothing else needs to delete.
	Prune bool
	// Rewrap is what a job that rewraps asks of KMS itself; nil for other jobs.
	Rewrap *RewrapNeeds
	// Reupload is what a job asks of KMS itself that changes client-side encryption by
	// writing objects again; nil for other jobs.
	Reupload *ReuploadNeeds
}

// RewrapNeeds are the keys that wrap data keys of client-side encryption; empty where a
// raw key does. SourceKey may be any where it is not told.
type RewrapNeeds struct {
	Key, SourceKey string
	// RawKey and RawSource: a raw key wraps, or wrapped, so that KMS has to give or
	// take data keys.
	RawKey, RawSource bool
	// Unwrap opens the new wraps.
	Unwrap bool
}

// updates says whether the job can have use for UpdateObjectEncryption.
func (n *Needs) updates() bool {
	return n.Update && n.DestBucket == "" && n.Target.SSE == object.SSEKMS && n.Reupload == nil
}

// Document is an IAM policy.
type Document struct {
	Version   string
	Statement []Statement
}

// Statement is one of its statements.
type Statement struct {
	Sid       string
	Effect    string
	Action    []string
	Resource  []string
	Condition map[string]map[string]any `json:",omitempty"`
}

// Policy is the least policy that lets the job run, with everything that it
// would carry over for the objects.
func Policy(n Needs) Document {
	p := policy{partition: n.partition()}
	writeBucket, writePrefix := n.Bucket, n.Prefix
	if n.DestBucket != "" {
		writeBucket, writePrefix = n.DestBucket, n.DestPrefix
	}
	if n.End == "dest" {
		p.listing("TellWhatIsFree", n.DestBucket, n.DestPrefix, "s3:ListBucket")
		p.settings(writeBucket)
		p.add("WriteObjects", []string{p.objects(writeBucket, writePrefix)}, append(writes(n), "s3:GetObjectTagging")...)
		p.add("FindUploads", []string{p.bucket(writeBucket)}, "s3:ListBucketMultipartUploads")
		n.NoSourceKeys = true
		p.keys(n)
		return Document{Version: "2012-10-17", Statement: p.statements}
	}
	// Versions are listed by `reseal verify`, which looks for what still depends on old keys.
	p.listing("ListObjects", n.Bucket, n.Prefix, "s3:ListBucket", "s3:ListBucketVersions")
	if n.End == "source" {
		p.settings(n.Bucket)
		p.add("ReadObjects", []string{p.objects(n.Bucket, n.Prefix)}, reads(n)...)
		p.manifest(n.Manifest)
		n.Target.SSE = object.SSES3 // its key is the other end's
		p.keys(n)
		return Document{Version: "2012-10-17", Statement: p.statements}
	}
	if n.DestBucket != "" {
		p.listing("TellWhatIsFree", n.DestBucket, n.DestPrefix, "s3:ListBucket") // S3 denies what is not there to whoever may not list
	}
	p.settings(n.Bucket, writeBucket)
	p.add("ReadObjects", []string{p.objects(n.Bucket, n.Prefix)}, reads(n)...)
	p.add("WriteObjects", []string{p.objects(writeBucket, writePrefix)}, writes(n)...)
	if n.Prune {
		p.add("PruneVersions", []string{p.objects(n.Bucket, n.Prefix)}, "s3:DeleteObjectVersion", "s3:GetObjectVersion", "s3:GetObjectRetention", "s3:GetObjectLegalHold")
	}
	p.add("FindUploads", []string{p.bucket(writeBucket)}, "s3:ListBucketMultipartUploads")
	p.manifest(n.Manifest)
	p.keys(n)
	return Document{Version: "2012-10-17", Statement: p.statements}
}

// PolicyOfAll is the least policy for several places: what is allowed alike on each stands
// in one statement.
func PolicyOfAll(needs []Needs) Document {
	all := Document{Version: "2012-10-17"}
	for _, n := range needs {
		for _, s := range Policy(n).Statement {
			all.add(s)
		}
	}
	return all
}

// add joins a statement with one that allows the same, or gives it a name of its own.
func (d *Document) add(s Statement) {
	same := 0
	for i := range d.Statement {
		have := &d.Statement[i]
		if !strings.HasPrefix(have.Sid, s.Sid) {
			continue
		}
		same++
		if slices.Equal(have.Action, s.Action) && reflect.DeepEqual(have.Condition, s.Condition) {
			have.Resource = unique(slices.Concat(have.Resource, s.Resource)...)
			return
		}
	}
	if same > 0 {
		s.Sid += strconv.Itoa(same + 1)
	}
	d.Statement = append(d.Statement, s)
}

// JSON is the policy as IAM takes it.
func (d Document) JSON() ([]byte, error) { return json.MarshalIndent(d, "", "  ") }

type policy struct {
	partition  string
	statements []Statement
}

func (p *policy) add(sid string, on []string, actions ...string) *Statement {
	p.statements = append(p.statements, Statement{Sid: sid, Effect: "Allow", Action: actions, Resource: on})
	return &p.statements[len(p.statements)-1]
}

func (p *policy) bucket(name string) string {
	if object.IsAccessPoint(name) {
		return name
	}
	return "arn:" + p.partition + ":s3:::" + literal(name)
}

func (p *policy) objects(bucket, prefix string) string {
	if object.IsAccessPoint(bucket) {
		return bucket + "/object/" + literal(prefix) + "*"
	}
	return p.bucket(bucket) + "/" + literal(prefix) + "*"
}

// literal is a text that means itself in a policy, where *, ? and ${…} are
// patterns and variables: without it a prefix could allow more than it says, or
// something else.
func literal(text string) string { return patterns.Replace(text) }

var patterns = strings.NewReplacer("*", "${*}", "?", "${?}", "$", "${$}")

// listing allows to list the prefix only. S3 takes the key of a HEAD for the
// prefix when it decides whether to tell that there is nothing.
func (p *policy) listing(sid, bucket, prefix string, actions ...string) {
	s := p.add(sid, []string{p.bucket(bucket)}, actions...)
	if prefix != "" {
		s.Condition = map[string]map[string]any{"StringLike": {"s3:prefix": []string{literal(prefix) + "*"}}}
	}
}

// settings allows to read those of the buckets. An access point tells none.
func (p *policy) settings(buckets ...string) {
	var on []string
	for _, b := range buckets {
		if !object.IsAccessPoint(b) {
			on = append(on, p.bucket(b))
		}
	}
	if len(on) > 0 {
		p.add("BucketSettings", unique(on...), "s3:GetBucketVersioning", "s3:GetEncryptionConfiguration", "s3:GetBucketOwnershipControls",
			"s3:GetBucketObjectLockConfiguration", "s3:GetBucketWebsite", "s3:GetLifecycleConfiguration", "s3:GetReplicationConfiguration",
			"s3:GetBucketNotification", "s3:GetBucketRequestPayment")
	}
}

// manifest allows to read one, and what it names: the files of an inventory lie
// beside the folder of its manifest.json.
func (p *policy) manifest(uri string) {
	if table, ok := strings.CutPrefix(uri, "s3tables://"); ok {
		if part := strings.Split(table, "/"); len(part) == 4 { // ARN:bucket/NAME, namespace, table: its own ARN has an ID for a name
			p.add("ReadTable", []string{part[0] + "/" + part[1], part[0] + "/" + part[1] + "/table/*"}, "s3tables:GetTableBucket", "s3tables:GetTable", "s3tables:GetTableMetadataLocation", "s3tables:GetTableData")
		}
		return
	}
	bucket, key, ok := strings.Cut(strings.TrimPrefix(uri, "s3://"), "/")
	if !ok || !strings.HasPrefix(uri, "s3://") {
		return
	}
	dir := folder(key)
	if strings.HasSuffix(key, "/manifest.json") {
		dir = folder(strings.TrimSuffix(dir, "/"))
	}
	p.add("ReadManifest", []string{p.objects(bucket, dir)}, "s3:GetObject")
	p.listing("FindManifest", bucket, dir, "s3:ListBucket")
}

// folder is what a key has up to its last slash, with it.
func folder(key string) string { return key[:strings.LastIndex(key, "/")+1] }

// reads need the actions for versions wherever a request names one. Every job may:
// it asks for the null version that a copy would overwrite, and proves its copies
// by the versions that they became.
func reads(n Needs) []string {
	// A copy takes annotations along only for who may read and write them. Those that an
	// operation would drop are listed and read before it, and written again after it.
	a := []string{"s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectTagging", "s3:GetObjectAttributes", "s3:GetObjectAnnotation", "s3:ListObjectAnnotations"}
	if n.NameVersions {
		a = append(a, "s3:GetObjectVersionTagging", "s3:GetObjectVersionAttributes")
	}
	if n.ACLs != object.No {
		a = append(a, "s3:GetObjectAcl")
		if n.NameVersions {
			a = append(a, "s3:GetObjectVersionAcl")
		}
	}
	if n.Locks != object.No {
		a = append(a, "s3:GetObjectRetention", "s3:GetObjectLegalHold")
	}
	return a
}

func writes(n Needs) []string {
	a := []string{"s3:PutObject", "s3:PutObjectTagging", "s3:PutObjectAnnotation", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"}
	if n.updates() {
		a = append(a, "s3:UpdateObjectEncryption")
	}
	if n.DestBucket != "" {
		a = append(a, "s3:GetObject", "s3:GetObjectVersion") // what is there already is compared, never overwritten
	}
	if n.ACLs != object.No {
		a = append(a, "s3:PutObjectAcl")
	}
	if n.Locks != object.No {
		a = append(a, "s3:PutObjectRetention", "s3:PutObjectLegalHold")
	}
	return a
}

// keys allows the target's key for writing and the sources' for reading. A key
// that is not known by its ARN is allowed through S3 only.
func (p *policy) keys(n Needs) {
	if n.Rewrap != nil {
		p.rewrap(n.Rewrap, n.Region)
		p.add("KeepServerSideEncryption", []string{p.anyKey(n.Region)}, "kms:GenerateDataKey", "kms:Decrypt").Condition = p.viaS3(n.Region)
		return
	}
	if n.Reupload != nil {
		p.reupload(n.Reupload, n.Region)
		if n.Target.SSE == object.SSEUnknown {
			p.add("KeepServerSideEncryption", []string{p.anyKey(n.Region)}, "kms:GenerateDataKey", "kms:Decrypt").Condition = p.viaS3(n.Region)
			return
		}
	}
	if n.Target.SSE.KMS() {
		actions := []string{"kms:GenerateDataKey", "kms:Decrypt"}
		if n.updates() {
			actions = append(actions, "kms:Encrypt", "kms:ReEncrypt*")
		}
		on := []string{n.Target.KMSKeyID}
		if !strings.HasPrefix(n.Target.KMSKeyID, "arn:") || strings.Contains(n.Target.KMSKeyID, ":alias/") {
			on = []string{p.anyKey(n.Region)}
		}
		s := p.add("UseTargetKey", on, actions...)
		if on[0] == p.anyKey(n.Region) {
			s.Condition = p.viaS3(n.Region)
		}
		p.add("LookAtTargetKey", on, "kms:DescribeKey")
	}
	if n.NoSourceKeys {
		return
	}
	on := n.SourceKeys
	if len(on) == 0 {
		on = []string{p.anyKey(n.Region)}
	}
	actions := []string{"kms:Decrypt"}
	if n.updates() {
		actions = append(actions, "kms:ReEncrypt*")
	}
	s := p.add("ReadUnderOldKeys", on, actions...)
	if len(n.SourceKeys) == 0 {
		s.Condition = p.viaS3(n.Region)
	}
}

// rewrap allows what a rewrap asks KMS itself. From KMS to KMS that is no more than a
// ReEncrypt: neither data nor data keys can be read with it.
func (p *policy) rewrap(r *RewrapNeeds, region string) {
	named := func(key string) []string {
		if !strings.HasPrefix(key, "arn:") || strings.Contains(key, ":alias/") {
			return []string{p.anyKey(region)}
		}
		return []string{key}
	}
	if r.Key != "" {
		actions := []string{"kms:ReEncryptTo"}
		if r.SourceKey != "" && !r.RawKey {
			actions = append(actions, "kms:ReEncryptFrom") // what is under it already, only KMS tells
		}
		if r.RawSource {
			actions = append(actions, "kms:Encrypt")
		}
		if r.Unwrap {
			actions = append(actions, "kms:Decrypt")
		}
		p.add("WrapUnderNewKey", named(r.Key), append(actions, "kms:DescribeKey")...)
	}
	switch {
	case r.RawKey && (r.SourceKey != "" || !r.RawSource):
		p.add("UnwrapUnderOldKey", named(r.SourceKey), "kms:Decrypt")
	case r.Key != "":
		p.add("UnwrapUnderOldKey", named(r.SourceKey), "kms:ReEncryptFrom")
	}
}

func (p *policy) anyKey(region string) string {
	if region == "" {
		region = "*"
	}
	return "arn:" + p.partition + ":kms:" + region + ":*:key/*"
}

func (p *policy) viaS3(region string) map[string]map[string]any {
	if region == "" {
		region = "*"
	}
	// Where the domain is another, services name themselves by their endpoint in some
	// partitions and not in others.
	domain := ".*"
	if p.partition == "aws" || p.partition == "aws-us-gov" {
		domain = ".amazonaws.com"
	}
	return map[string]map[string]any{"StringLike": {"kms:ViaService": "s3." + region + domain}}
}

// partition is that of the target's key, or of a source's, since a key is where
// its bucket is; else that of the region.
func (n *Needs) partition() string {
	keys := append([]string{n.Bucket, n.DestBucket, n.Target.KMSKeyID}, n.SourceKeys...)
	if n.Rewrap != nil {
		keys = append(keys, n.Rewrap.Key, n.Rewrap.SourceKey)
	}
	if n.Reupload != nil {
		keys = append(keys, n.Reupload.Key, n.Reupload.SourceKey)
	}
	for _, key := range keys {
		if f := strings.SplitN(key, ":", 3); len(f) == 3 && f[0] == "arn" && f[1] != "" {
			return f[1]
		}
	}
	region := n.Region
	if region == "" {
		region = n.Configured
	}
	return object.PartitionOf(region)
}

func unique(names ...string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}
