package doctor

import (
	"encoding/json"

	"github.com/resealhq/reseal/engine/object"
)

// BatchNeeds is where S3 Batch Operations finds manifests and leaves reports, and the role
// that it assumes; empty for any.
type BatchNeeds struct {
	ManifestBucket, ManifestPrefix string
	ReportBucket, ReportPrefix     string
	RoleARN                        string
}

// batchService is what assumes the role, in every partition.
const batchService = "batchoperations.s3.amazonaws.com"

// BatchRole is the least policy of the role that S3 Batch Operations assumes for the jobs
// that `reseal submit` makes.
func BatchRole(needs []Needs, b BatchNeeds) Document {
	all := Document{Version: "2012-10-17"}
	for _, n := range needs {
		p := policy{partition: n.partition()}
		objects := []string{p.objects(n.Bucket, n.Prefix)}
		p.add("ReadObjects", objects, "s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectTagging", "s3:GetObjectVersionTagging", "s3:GetObjectAnnotation")
		writes := []string{"s3:PutObject", "s3:PutObjectTagging", "s3:PutObjectAnnotation"}
		if n.updates() {
			writes = append(writes, "s3:UpdateObjectEncryption")
		}
		p.add("WriteObjects", objects, writes...)
		p.listing("TellWhatIsGone", n.Bucket, n.Prefix, "s3:ListBucket")
		p.add("ReadManifests", []string{p.objects(b.ManifestBucket, b.ManifestPrefix)}, "s3:GetObject", "s3:GetObjectVersion")
		p.add("WriteReports", []string{p.objects(b.ReportBucket, b.ReportPrefix)}, "s3:PutObject")
		p.keys(n)
		for _, s := range p.statements {
			if s.Sid != "LookAtTargetKey" {
				all.add(s)
			}
		}
	}
	return all
}

// BatchCaller adds to the policy of a job what `reseal submit` needs.
func BatchCaller(d Document, n Needs, b BatchNeeds) Document {
	p := policy{partition: n.partition()}
	p.add("MakeJobs", []string{"*"}, "s3:CreateJob", "s3:ListJobs")
	p.add("FollowJobs", []string{"arn:" + p.partition + ":s3:*:*:job/*"}, "s3:DescribeJob", "s3:UpdateJobStatus", "s3:UpdateJobPriority")
	role := b.RoleARN
	if role == "" {
		role = "arn:" + p.partition + ":iam::*:role/*"
	}
	p.add("PassRole", []string{role}, "iam:PassRole").Condition = map[string]map[string]any{"StringEquals": {"iam:PassedToService": batchService}}
	p.add("WriteManifests", []string{p.objects(b.ManifestBucket, b.ManifestPrefix)}, "s3:PutObject")
	p.add("ReadReports", []string{p.objects(b.ReportBucket, b.ReportPrefix)}, "s3:GetObject")
	p.listing("FindReports", b.ReportBucket, b.ReportPrefix, "s3:ListBucket")
	for _, s := range p.statements {
		d.add(s)
	}
	return d
}

// BatchTrust is who may assume the role, as IAM takes it.
func BatchTrust() ([]byte, error) {
	return json.MarshalIndent(map[string]any{"Version": "2012-10-17", "Statement": []any{map[string]any{
		"Effect": "Allow", "Principal": map[string]string{"Service": batchService}, "Action": "sts:AssumeRole"}}}, "", "  ")
}

// CanBatch says whether a job can be given to S3 Batch Operations at all.
func (n *Needs) CanBatch() bool {
	return n.DestBucket == "" && n.Rewrap == nil && n.Reupload == nil && (n.Target.SSE == object.SSES3 || n.Target.SSE == object.SSEKMS) && n.Target.Context == ""
}
