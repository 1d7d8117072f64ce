package s3store

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// sender answers what the SDK's client sends.
type sender func(*http.Request) *http.Response

func (s sender) Do(r *http.Request) (*http.Response, error) { return s(r), nil }

// TestBatchOnAWS: S3 Control is asked at the account's own host in the bucket's region, in
// every partition, and for nothing that would change metadata or grants.
func TestBatchOnAWS(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "AKID")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_ENDPOINT_URL_S3_CONTROL", "")
	for region, host := range map[string]string{"us-west-2": "111122223333.s3-control.us-west-2.amazonaws.com", "cn-north-1": "111122223333.s3-control.cn-north-1.amazonaws.com.cn"} {
		s, _ := opened(t, Options{Region: region}, func(*http.Request) *http.Response {
			return &http.Response{StatusCode: 200, Header: http.Header{"X-Amz-Bucket-Region": {region}}, Body: http.NoBody}
		})
		var sent *http.Request
		var body string
		s.cfg.HTTPClient = sender(func(r *http.Request) *http.Response {
			sent = r
			if r.Body != nil {
				data, _ := io.ReadAll(r.Body)
				body = string(data)
			}
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("<CreateJobResult><JobId>some-job</JobId></CreateJobResult>"))}
		})
		b, err := s.BatchOperations(t.Context(), "111122223333", "docs")
		if err != nil {
			t.Fatal(err)
		}
		id, err := b.Create(t.Context(), &BatchJob{Token: "t", Description: "d", RoleARN: "arn:aws:iam::111122223333:role/r", Priority: 1, Bucket: "docs",
			Manifest: BatchObject{Bucket: "control", Key: "m.csv"}, ETag: "e", Report: BatchObject{Bucket: "control", Key: "out"}, Class: "STANDARD_IA", KMSKey: "key"})
		if err != nil || id != "some-job" || sent.URL.Scheme != "https" || sent.URL.Host != host || sent.Header.Get("X-Amz-Account-Id") != "111122223333" {
			t.Fatalf("%q %v: %v", id, err, sent)
		}
		if a := sent.Header.Get("Authorization"); !strings.Contains(a, "/"+region+"/s3/aws4_request") {
			t.Errorf("signed as %s", a)
		}
		for _, part := range []string{"<ConfirmationRequired>true<", "<UnModifiedSinceConstraint>", "<MetadataDirective>COPY<", "<StorageClass>STANDARD_IA<", ":s3:::docs<", ":s3:::control/m.csv<", "arn:" + object.PartitionOf(region) + ":s3:::"} {
			if !strings.Contains(body, part) {
				t.Errorf("no %s in %s", part, body)
			}
		}
		if strings.Contains(body, "NewObjectMetadata") || strings.Contains(body, "AccessControl") {
			t.Errorf("it asks for other metadata or grants: %s", body)
		}
	}
}
