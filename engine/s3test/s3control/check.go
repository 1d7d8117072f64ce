package s3control

import (
	"encoding/xml"
	"slices"
	"strings"
)

// The formats and classes that jobs can name.
const (
	csvFormat    = "S3BatchOperations_CSV_20180820"
	reportFormat = "Report_CSV_20180820"
	maxToken     = 64
)

var classes = []string{"", "STANDARD", "STANDARD_IA", "ONEZONE_IA", "GLACIER", "INTELLIGENT_TIERING", "DEEP_ARCHIVE", "GLACIER_IR"}

// understand reads and checks the body of CreateJob. It is as strict as AWS where it
// matters, and stricter where AWS takes more than this package does.
func understand(body []byte) (*createRequest, *apiError) {
	var q createRequest
	if err := xml.Unmarshal(body, &q); err != nil {
		return nil, bad("the request is not well-formed: %v", err)
	}
	switch {
	case q.ClientRequestToken == "" || len(q.ClientRequestToken) > maxToken:
		return nil, bad("ClientRequestToken has to have 1 to 64 characters")
	case len(q.Description) > 256:
		return nil, bad("Description has more than 256 characters")
	case q.Priority == nil || *q.Priority < 0:
		return nil, bad("Priority is missing")
	case !strings.HasPrefix(q.RoleArn, "arn:") || !strings.Contains(q.RoleArn, ":role/"):
		return nil, bad("RoleArn is not the ARN of a role")
	case q.ManifestGenerator != nil || q.Tags != nil:
		return nil, bad("ManifestGenerator and Tags are not played here")
	case q.Manifest == nil:
		return nil, bad("Manifest is missing")
	}
	for _, check := range []func(*createRequest) *apiError{checkManifest, checkOperation, checkReport} {
		if err := check(&q); err != nil {
			return nil, err
		}
	}
	return &q, nil
}

func checkManifest(q *createRequest) *apiError {
	m := q.Manifest
	bucket, key := m.place()
	switch {
	case m.Format != csvFormat:
		return bad("the manifest's format %q is not played here", m.Format)
	case !slices.Equal(m.Fields, []string{"Bucket", "Key"}) && !slices.Equal(m.Fields, []string{"Bucket", "Key", "VersionId"}):
		return bad("the manifest's fields are neither Bucket,Key nor Bucket,Key,VersionId")
	case bucket == "" || key == "":
		return bad("the manifest's ObjectArn is none")
	case m.ETag == "":
		return bad("the manifest's ETag is missing")
	}
	return nil
}

func checkOperation(q *createRequest) *apiError {
	o := &q.Operation
	switch {
	case o.Copy == nil && o.Update == nil && len(o.Others) == 0:
		return bad("Operation is missing")
	case o.Copy != nil && o.Update != nil, len(o.Others) > 0 && (o.Copy != nil || o.Update != nil), len(o.Others) > 1:
		return bad("a job has one operation")
	case len(o.Others) == 1:
		return bad("the operation %s is not played here", o.Others[0].XMLName.Local)
	case o.Update != nil:
		if k := o.Update.KMSKeyARN; !strings.HasPrefix(k, "arn:") || !strings.Contains(k, ":key/") {
			return bad("KMSKeyArn is not the full ARN of a key")
		}
		return nil
	}
	c := o.Copy
	switch {
	case !strings.HasPrefix(c.Target, "arn:aws:s3:::"):
		return bad("TargetResource is not the ARN of a bucket")
	case !slices.Contains(classes, c.Class):
		return bad("the storage class %q is not one of a copy", c.Class)
	case c.MetadataDirective != "" && c.MetadataDirective != "COPY", c.NewMetadata != nil, len(c.Others) > 0, c.CannedACL != "", c.TargetPrefix != "":
		return bad("copies that change metadata, tags, ACLs, locks or names are not played here")
	}
	return nil
}

func checkReport(q *createRequest) *apiError {
	r := &q.Report
	switch {
	case !r.Enabled:
		return nil
	case !strings.HasPrefix(r.Bucket, "arn:aws:s3:::"):
		return bad("the report's Bucket is not the ARN of a bucket")
	case r.Format != reportFormat:
		return bad("the report's Format is not %s", reportFormat)
	case r.Scope != "AllTasks" && r.Scope != "FailedTasksOnly":
		return bad("the report's ReportScope is missing")
	case strings.HasSuffix(r.Prefix, "/"):
		return bad("the report's Prefix ends in a slash")
	}
	return nil
}

// place is where the manifest lies.
func (m *manifest) place() (bucket, key string) {
	rest, ok := strings.CutPrefix(m.Object, "arn:aws:s3:::")
	if !ok {
		return "", ""
	}
	bucket, key, _ = strings.Cut(rest, "/")
	return bucket, key
}
