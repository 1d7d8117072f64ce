package s3control

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/s3control"
	"github.com/aws/aws-sdk-go-v2/service/s3control/types"
	"github.com/aws/smithy-go"
	smithyendpoints "github.com/aws/smithy-go/endpoints"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// here is the endpoint as it is, without the account before the host.
type here struct{ url url.URL }

func (h here) ResolveEndpoint(context.Context, s3control.EndpointParameters) (smithyendpoints.Endpoint, error) {
	return smithyendpoints.Endpoint{URI: h.url}, nil
}

// stage is a store with a bucket of n objects and one for manifests and reports, and
// AWS's own client before an S3 Control.
type stage struct {
	t     *testing.T
	store *s3test.Server
	ctl   *Server
	api   *s3control.Client
	key   string
}

func newStage(t *testing.T, n int, cfg Config) *stage {
	t.Helper()
	st := &stage{t: t, store: s3test.New(s3test.Config{})}
	t.Cleanup(st.store.Close)
	st.key = st.store.KMS.CreateKey("alias/new")
	st.store.CreateBucket("data", s3test.BucketConfig{Versioning: "Enabled", Ownership: "ObjectWriter"})
	st.store.CreateBucket("jobs", s3test.BucketConfig{})
	st.store.Fill("data", n, func(i int) string { return fmt.Sprintf("a/%05d", i) }, s3test.Bytes("x"), s3test.Attrs{Encryption: object.Encryption{Type: object.SSES3}})
	cfg.Store = st.store
	st.ctl = New(cfg)
	t.Cleanup(st.ctl.Close)
	u, err := url.Parse(st.ctl.URL())
	if err != nil {
		t.Fatal(err)
	}
	creds := s3test.DefaultCredentials
	st.api = s3control.New(s3control.Options{Region: "us-east-1", EndpointResolverV2: here{*u}, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(creds.AccessKeyID, creds.SecretAccessKey, "")})
	return st
}

// manifest writes one, and gives its location.
func (st *stage) manifest(sse s3types.ServerSideEncryption, lines ...string) *types.JobManifest {
	st.t.Helper()
	in := &s3.PutObjectInput{Bucket: aws.String("jobs"), Key: aws.String("m.csv"), Body: strings.NewReader(strings.Join(lines, "\n") + "\n"), ServerSideEncryption: sse}
	if sse == s3types.ServerSideEncryptionAwsKms {
		in.SSEKMSKeyId = &st.key
	}
	out, err := clientOf(st.store).PutObject(st.t.Context(), in)
	if err != nil {
		st.t.Fatal(err)
	}
	fields := []types.JobManifestFieldName{types.JobManifestFieldNameBucket, types.JobManifestFieldNameKey}
	if strings.Count(lines[0], ",") == 2 {
		fields = append(fields, types.JobManifestFieldNameVersionId)
	}
	return &types.JobManifest{Location: &types.JobManifestLocation{ETag: out.ETag, ObjectArn: aws.String("arn:aws:s3:::jobs/m.csv")},
		Spec: &types.JobManifestSpec{Format: types.JobManifestFormatS3BatchOperationsCsv20180820, Fields: fields}}
}

func (st *stage) all(n int) *types.JobManifest {
	var lines []string
	for i := range n {
		lines = append(lines, fmt.Sprintf("data,a/%05d", i))
	}
	return st.manifest(s3types.ServerSideEncryptionAes256, lines...)
}

func (st *stage) update(m *types.JobManifest, token string) *s3control.CreateJobInput {
	return &s3control.CreateJobInput{AccountId: aws.String("111122223333"), ClientRequestToken: &token, Manifest: m, Priority: aws.Int32(1), RoleArn: aws.String("arn:aws:iam::111122223333:role/batch"),
		ConfirmationRequired: aws.Bool(false), Operation: &types.JobOperation{S3UpdateObjectEncryption: &types.S3UpdateObjectEncryptionOperation{
			ObjectEncryption: &types.ObjectEncryption{SSEKMS: &types.S3UpdateObjectEncryptionSSEKMS{KMSKeyArn: &st.key}}}},
		Report: &types.JobReport{Enabled: true, Bucket: aws.String("arn:aws:s3:::jobs"), Prefix: aws.String("reports"), Format: types.JobReportFormatReportCsv20180820, ReportScope: types.JobReportScopeAllTasks}}
}

func (st *stage) copy(m *types.JobManifest, token string) *s3control.CreateJobInput {
	in := st.update(m, token)
	in.Operation = &types.JobOperation{S3PutObjectCopy: &types.S3CopyObjectOperation{TargetResource: aws.String("arn:aws:s3:::data"), SSEAwsKmsKeyId: &st.key, StorageClass: types.S3StorageClassStandard}}
	return in
}

func (st *stage) create(in *s3control.CreateJobInput) string {
	st.t.Helper()
	out, err := st.api.CreateJob(st.t.Context(), in)
	if err != nil {
		st.t.Fatal(err)
	}
	return *out.JobId
}

func (st *stage) describe(id string) *types.JobDescriptor {
	st.t.Helper()
	out, err := st.api.DescribeJob(st.t.Context(), &s3control.DescribeJobInput{AccountId: aws.String("111122223333"), JobId: &id})
	if err != nil {
		st.t.Fatal(err)
	}
	return out.Job
}

func (st *stage) wait(state State) {
	st.t.Helper()
	if !st.ctl.Wait(state, 20*time.Second) {
		st.t.Fatalf("no job became %s: %+v", state, st.ctl.Jobs())
	}
}

// rows are those of a job's report, and how many files it has.
func (st *stage) rows(id string) (rows [][]string, files int) {
	st.t.Helper()
	read := func(key string) []byte {
		out, err := clientOf(st.store).GetObject(st.t.Context(), &s3.GetObjectInput{Bucket: aws.String("jobs"), Key: &key})
		if err != nil {
			st.t.Fatal(err)
		}
		data, err := io.ReadAll(out.Body)
		if err != nil {
			st.t.Fatal(err)
		}
		return data
	}
	var m struct{ Results []reportFile }
	if err := json.Unmarshal(read("reports/job-"+id+"/manifest.json"), &m); err != nil {
		st.t.Fatal(err)
	}
	for _, f := range m.Results {
		some, err := csv.NewReader(bytes.NewReader(read(f.Key))).ReadAll()
		if err != nil {
			st.t.Fatal(err)
		}
		rows = append(rows, some...)
	}
	return rows, len(m.Results)
}

func TestATokenMakesOneJob(t *testing.T) {
	st := newStage(t, 3, Config{})
	in := st.update(st.all(3), "token")
	a, b := st.create(in), st.create(in)
	in.Priority = aws.Int32(2)
	_, err := st.api.CreateJob(t.Context(), in)
	var twice *types.IdempotencyException
	if a != b || !errors.As(err, &twice) || len(st.ctl.Jobs()) != 1 {
		t.Errorf("%s, %s, %v", a, b, err)
	}
}

func TestWhatNoJobCanBe(t *testing.T) {
	st := newStage(t, 3, Config{})
	m := st.all(3)
	for name, spoil := range map[string]func(*s3control.CreateJobInput){
		"two operations": func(in *s3control.CreateJobInput) {
			in.Operation.S3PutObjectCopy = st.copy(m, "t").Operation.S3PutObjectCopy
		},
		"no operation": func(in *s3control.CreateJobInput) { in.Operation = &types.JobOperation{} },
		"key by alias": func(in *s3control.CreateJobInput) {
			in.Operation.S3UpdateObjectEncryption.ObjectEncryption.SSEKMS.KMSKeyArn = aws.String("alias/new")
		},
		"role by name": func(in *s3control.CreateJobInput) { in.RoleArn = aws.String("batch-role") },
		"long token":   func(in *s3control.CreateJobInput) { in.ClientRequestToken = aws.String(strings.Repeat("x", 65)) },
		"class": func(in *s3control.CreateJobInput) {
			*in = *st.copy(m, "t")
			in.Operation.S3PutObjectCopy.StorageClass = "REDUCED_REDUNDANCY"
		},
		"report bucket": func(in *s3control.CreateJobInput) { in.Report.Bucket = aws.String("jobs") },
		"account":       func(in *s3control.CreateJobInput) { in.AccountId = aws.String("999999999999") },
	} {
		in := st.update(m, "t")
		spoil(in)
		var api smithy.APIError
		if _, err := st.api.CreateJob(t.Context(), in); !errors.As(err, &api) || api.ErrorCode() != "BadRequestException" && api.ErrorCode() != "AccessDenied" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(st.ctl.Jobs()); n != 0 {
		t.Errorf("%d jobs", n)
	}
}

func TestManifestsThatFailTheirJob(t *testing.T) {
	plain := s3types.ServerSideEncryptionAes256
	for name, make := range map[string]func(st *stage) *types.JobManifest{
		"ETag": func(st *stage) *types.JobManifest { m := st.all(2); m.Location.ETag = aws.String("0"); return m },
		"SSE-KMS": func(st *stage) *types.JobManifest {
			return st.manifest(s3types.ServerSideEncryptionAwsKms, "data,a/00000")
		},
		"mixed":   func(st *stage) *types.JobManifest { return st.manifest(plain, "data,a/00000,v", "data,a/00001,") },
		"buckets": func(st *stage) *types.JobManifest { return st.manifest(plain, "data,a/00000", "jobs,a/00001") },
	} {
		st := newStage(t, 2, Config{})
		id := st.create(st.update(make(st), "t"))
		st.wait(Failed)
		if d := st.describe(id); len(d.FailureReasons) != 1 || d.Status != types.JobStatusFailed || d.TerminationDate == nil {
			t.Errorf("%s: %+v", name, d)
		}
		if n := st.store.Count("Update"); n != 0 {
			t.Errorf("%s: %d objects were changed", name, n)
		}
	}
}

// TestTasksAreReal: updates keep everything, copies lose what they lose, and what is
// too large, newer or held to fail is in the report with its code.
func TestTasksAreReal(t *testing.T) {
	st := newStage(t, 3, Config{RowsPerFile: 2})
	since := time.Now().Add(time.Hour)
	st.store.Put("data", s3test.Object{Key: "large", Body: s3test.Synthetic(1, 5_368_709_121)})
	st.store.Put("data", s3test.Object{Key: "tagged +%2F", Body: s3test.Bytes("y"), Attrs: s3test.Attrs{Tags: []object.Tag{{Key: "a", Value: "b"}},
		Grants: []object.Grant{{ID: "reader", Permission: "READ"}}, StorageClass: "STANDARD_IA"}})
	st.store.Put("data", s3test.Object{Key: "newer", Body: s3test.Bytes("z"), LastModified: since.Add(time.Minute)})
	st.ctl.SetFault(func(key string) *Fault {
		if key == "a/00001" {
			return &Fault{Status: 500, Code: "InternalError", Message: "said to fail", Applied: true}
		}
		return nil
	})
	in := st.copy(st.manifest(s3types.ServerSideEncryptionAes256, "data,a/00000", "data,a/00001", "data,large", "data,tagged%20%2B%252F", "data,newer", "data,gone"), "t")
	in.Operation.S3PutObjectCopy.UnModifiedSinceConstraint = &since
	id := st.create(in)
	st.wait(Complete)
	rows, files := st.rows(id)
	if files != 3 { // one of two that succeeded, two of four that failed
		t.Errorf("%d files: %v", files, rows)
	}
	got := map[string]string{}
	for _, r := range rows {
		got[r[1]] = strings.Join(r[3:6], " ")
	}
	want := map[string]string{"a/00000": "succeeded 200 ", "a/00001": "failed 500 InternalError", "large": "failed 400 InvalidRequest",
		"tagged%20%2B%252F": "succeeded 200 ", "newer": "failed 412 PreconditionFailed", "gone": "failed 404 NoSuchKey"}
	for key, row := range want {
		if got[key] != row {
			t.Errorf("%s: %q, want %q", key, got[key], row)
		}
	}
	b := st.store.Snapshot("data")
	for _, key := range []string{"a/00000", "a/00001", "tagged +%2F"} {
		all := b.Find(key)
		o := all[slices.IndexFunc(all, func(o s3test.Object) bool { return o.Latest })]
		if len(all) != 2 || o.Encryption.KMSKeyID == "" || len(o.Grants) > 0 || o.StorageClass != "" || key[0] == 't' && len(o.Tags) != 1 {
			t.Errorf("%s: %+v", key, o)
		}
	}
}

func TestTheWayOfAJob(t *testing.T) {
	st := newStage(t, 60, Config{Stale: 1, Rate: 400})
	in := st.update(st.all(60), "first")
	in.ConfirmationRequired = aws.Bool(true)
	first := st.create(in)
	st.wait(Suspended)
	if d := st.describe(first); d.Status != types.JobStatusPreparing { // stale
		t.Errorf("the first answer tells %s", d.Status)
	}
	if d := st.describe(first); d.Status != types.JobStatusSuspended || *d.ProgressSummary.TotalNumberOfTasks != 60 || st.store.Count("Update") > 0 {
		t.Errorf("%+v", d)
	}
	ready := &s3control.UpdateJobStatusInput{AccountId: aws.String("111122223333"), JobId: &first, RequestedJobStatus: types.RequestedJobStatusReady}
	if _, err := st.api.UpdateJobStatus(t.Context(), ready); err != nil {
		t.Fatal(err)
	}
	st.wait(Active)
	if _, err := st.api.UpdateJobStatus(t.Context(), ready); err == nil {
		t.Error("an active job was confirmed again")
	}
	second := st.update(st.all(60), "second")
	second.Priority = aws.Int32(5)
	st.create(second)
	st.wait(Paused)
	st.wait(Complete)
	for st.ctl.Jobs()[0].State != Complete {
		<-time.After(5 * time.Millisecond)
	}
	want := []State{NewState, Preparing, Suspended, Ready, Active, Pausing, Paused, Active, Completing, Complete}
	if jobs := st.ctl.Jobs(); !slices.Equal(jobs[0].States, want) || jobs[0].Succeeded != 60 || jobs[1].Succeeded != 60 {
		t.Errorf("%+v", jobs)
	}
}

func TestJobsThatEndEarly(t *testing.T) {
	st := newStage(t, 30, Config{FailAfter: 16})
	st.ctl.SetFault(func(string) *Fault { return &Fault{Status: 403, Code: "AccessDenied"} })
	id := st.create(st.update(st.all(30), "t"))
	st.wait(Failed)
	if rows, _ := st.rows(id); len(rows) != 16 {
		t.Errorf("the report of the failed job has %d rows", len(rows))
	}
	st.ctl.SetFault(nil)
	st.ctl.Hold(Active)
	id = st.create(st.update(st.all(30), "u"))
	st.wait(Active)
	if _, err := st.api.UpdateJobStatus(t.Context(), &s3control.UpdateJobStatusInput{AccountId: aws.String("111122223333"), JobId: &id, RequestedJobStatus: types.RequestedJobStatusCancelled}); err != nil {
		t.Fatal(err)
	}
	st.wait(Cancelled)
	if rows, _ := st.rows(id); len(rows) != 0 {
		t.Errorf("the report of the cancelled job has rows: %v", rows)
	}
	if out, err := st.api.ListJobs(t.Context(), &s3control.ListJobsInput{AccountId: aws.String("111122223333"), JobStatuses: []types.JobStatus{types.JobStatusCancelled}}); err != nil || len(out.Jobs) != 1 || *out.Jobs[0].JobId != id {
		t.Errorf("%+v %v", out, err)
	}
}
