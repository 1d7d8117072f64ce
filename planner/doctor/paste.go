package doctor

// This file makes the line of a finding that somebody can paste: a statement for a
// policy, a command, or a flag.

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// Denied is a question that was not answered.
type Denied struct {
	// Bucket is where it was asked, What the answer that was none.
	Bucket, What string
	// Actions are the permissions for want of which it was refused; none for another
	// cause.
	Actions []string
}

// denied tells the questions that were not answered.
func denied(f *Facts, fs *findings) {
	for _, d := range f.Denied {
		if len(d.Actions) == 0 {
			fs.add(Serious, "store", "A question was not answered: "+d.What, "see to that, and ask again")
			continue
		}
		x := fs.add(Serious, "permission", "A question was refused: "+d.What, "grant it, and ask again")
		x.Paste = f.allow(d.Bucket, d.Actions...)
		if f.Target.SSE.KMS() && slices.Contains(d.Actions, "s3:PutObject") { // S3 refuses it for want of either
			x.Do = "grant what of it is missing, and ask again"
			x.Paste += "," + f.allowKey("kms:GenerateDataKey", "kms:Decrypt")
		}
	}
}

// allow is a statement for the actions on what the job has in the bucket.
func (f *Facts) allow(bucket string, actions ...string) string {
	prefix := f.Prefix
	if f.Dest != nil && bucket == f.Dest.Bucket && bucket != f.Bucket {
		prefix = f.Dest.Prefix
	}
	p := policy{partition: f.partition()}
	var on []string
	for _, a := range actions {
		if ofObject(a) {
			on = append(on, p.objects(bucket, prefix))
		} else {
			on = append(on, p.bucket(bucket))
		}
	}
	return line(Statement{Effect: "Allow", Action: actions, Resource: unique(on...)})
}

// ofObject says whether the action is on objects; those on buckets name it, or list.
func ofObject(action string) bool {
	name := strings.TrimPrefix(action, "s3:")
	switch {
	case strings.HasPrefix(name, "List"):
		return name == "ListMultipartUploadParts" || name == "ListObjectAnnotations"
	case strings.Contains(name, "Bucket"), strings.HasSuffix(name, "Configuration"):
		return false
	}
	return true
}

// allowKey is a statement for the actions on the target's key. A key that is named by an
// alias is one that has it.
func (f *Facts) allowKey(actions ...string) string {
	s := Statement{Effect: "Allow", Action: actions, Resource: []string{f.Target.KMSKeyID}}
	switch key := f.Target.KMSKeyID; {
	case strings.HasPrefix(key, "arn:") && !strings.Contains(key, ":alias/"):
	case strings.Contains(key, "alias/"):
		s.Resource = []string{"arn:" + f.partition() + ":kms:*:*:key/*"}
		s.Condition = map[string]map[string]any{"ForAnyValue:StringEquals": {"kms:ResourceAliases": key[strings.Index(key, "alias/"):]}}
	default:
		s.Resource = []string{"arn:" + f.partition() + ":kms:*:*:key/" + literal(key)}
	}
	return line(s)
}

func (f *Facts) partition() string {
	n := Needs{Bucket: f.Bucket, Target: f.Target, Region: f.written().Region}
	if f.Dest != nil {
		n.DestBucket = f.Dest.Bucket
	}
	return n.partition()
}

func line(s Statement) string {
	text, err := json.Marshal(struct {
		Effect    string
		Action    []string
		Resource  []string
		Condition map[string]map[string]any `json:",omitempty"`
	}{s.Effect, s.Action, s.Resource, s.Condition})
	if err != nil {
		return "" // strings alone
	}
	return string(text)
}

// aws is a command of the AWS CLI about the bucket that is written.
func (f *Facts) aws(command string) string {
	return f.at("aws s3api " + command + " --bucket " + object.ShellWord(f.writeName()))
}

// writeName is the bucket that the job writes to.
func (f *Facts) writeName() string {
	if f.Dest != nil {
		return f.Dest.Bucket
	}
	return f.Bucket
}

// at adds the endpoint, where it is not AWS's.
func (f *Facts) at(command string) string {
	if f.Endpoint != "" {
		command += " --endpoint-url " + object.ShellWord(f.Endpoint)
	}
	return command
}

// arrive is the command that makes new objects arrive as the job leaves the old ones.
func (f *Facts) arrive() string {
	t := &f.Target
	command := "reseal bucket-encryption set s3://" + object.ShellWord(f.writeName()) + " --sse " + t.SSE.Header()
	if t.SSE.KMS() && t.KMSKeyID != "" {
		command += " --sse-kms-key-id " + object.ShellWord(t.KMSKeyID)
	}
	if t.SSE == object.SSEKMS && t.BucketKey == object.On {
		command += " --bucket-key on"
	}
	return f.at(command)
}

// looks are commands that show what a finding is about, for those that have no other
// line.
var looks = map[string]string{
	"lifecycle": "get-bucket-lifecycle-configuration", "replication": "get-bucket-replication", "notifications": "get-bucket-notification-configuration",
	"lock": "get-object-lock-configuration", "versioning": "get-bucket-versioning", "versions": "get-bucket-lifecycle-configuration",
	"ownership": "get-bucket-ownership-controls", "website": "get-bucket-website", "requester-pays": "get-bucket-request-payment",
	"default-encryption": "get-bucket-encryption",
}
