package s3store

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3control"
	"github.com/aws/aws-sdk-go-v2/service/s3control/types"
	"github.com/aws/smithy-go"
	smithyendpoints "github.com/aws/smithy-go/endpoints"

	"github.com/resealhq/reseal/engine/object"
)

// ErrNoBatch is the cause where there is no S3 Batch Operations to ask: the store is not
// AWS's, and AWS_ENDPOINT_URL_S3_CONTROL names none.
var ErrNoBatch = errors.New("no S3 Batch Operations to ask")

// BatchJob is what CreateJob is asked for. Two calls with the same one make one job, as
// long as its token is the same.
type BatchJob struct {
	// Token of at most 64 characters.
	Token       string `json:"token"`
	Description string `json:"description"` // at most 256 characters
	RoleARN     string `json:"role_arn"`
	Priority    int32  `json:"priority"`
	// Bucket that the objects are in.
	Bucket string `json:"bucket"`
	// Manifest is the object that names them, ETag its, and Versions says whether by
	// version.
	Manifest BatchObject `json:"manifest"`
	ETag     string      `json:"etag"`
	Versions bool        `json:"versions"`
	// Report is the bucket and the prefix, without a slash at its end, of the report.
	Report BatchObject `json:"report"`
	// Update is UpdateObjectEncryption, else it is a copy in place.
	Update bool `json:"update"`
	// KMSKey that the objects come under, for an update its ARN; empty, for a copy, is
	// what the bucket's default encryption says.
	KMSKey    string `json:"kms_key,omitempty"`
	BucketKey bool   `json:"bucket_key"`
	// Class of the copies, and Since when no object may have been written to be copied.
	Class string    `json:"class,omitempty"`
	Since time.Time `json:"since,omitzero"`
}

// BatchObject is an object that a job reads, or a prefix that it writes below.
type BatchObject struct {
	Bucket string `json:"bucket"`
	Key    string `json:"key,omitempty"`
}

// Ref names it for every other request.
func (o BatchObject) Ref() object.Ref { return object.Ref{Bucket: o.Bucket, Key: o.Key} }

// BatchState is where a job of S3 Batch Operations stands.
type BatchState struct {
	ID          string
	Description string
	// Status as S3 names it: New, Preparing, Suspended, Ready, Active, Pausing, Paused,
	// Completing, Complete, Cancelling, Cancelled, Failing, Failed.
	Status string
	// Total is 0 until the manifest was read.
	Total, Succeeded, Failed int64
	// Reasons of a job that failed.
	Reasons []string
	Created time.Time
}

// BatchOperations is S3 Batch Operations of one account, in the region of a bucket.
type BatchOperations struct {
	store   *Store
	client  *s3control.Client
	account string
	bucket  string
	region  string
}

var accountID = regexp.MustCompile(`^[0-9]{12}$`)

// BatchOperations opens it where the bucket is. Where no account is named, it is that of
// the credentials.
func (s *Store) BatchOperations(ctx context.Context, account, bucket string) (*BatchOperations, error) {
	endpoint := os.Getenv("AWS_ENDPOINT_URL_S3_CONTROL")
	if !s.aws && endpoint == "" {
		return nil, &object.Error{Class: object.ClassUnsupported, Op: "CreateJob", NotSent: true, Err: ErrNoBatch,
			Message: "S3 Batch Operations is AWS's own, and the endpoint is another store's", Hint: "do it with Run"}
	}
	b := &BatchOperations{store: s, account: account, bucket: bucket}
	a, err := s.Address(ctx, bucket)
	if err != nil {
		return nil, err
	}
	b.region = a.Region
	if account == "" {
		if b.account, err = s.account(ctx); err != nil {
			return nil, err
		}
	}
	if !accountID.MatchString(b.account) {
		return nil, &object.Error{Class: object.ClassInvalid, Op: "CreateJob", NotSent: true, Message: "the account " + object.Cut(b.account, 64) + " is no account ID of 12 digits",
			Hint: "name the account of the bucket and its jobs"}
	}
	var own *url.URL
	if endpoint != "" {
		if own, err = url.Parse(endpoint); err != nil || own.Host == "" {
			return nil, &object.Error{Class: object.ClassInvalid, Op: "CreateJob", NotSent: true, Message: "AWS_ENDPOINT_URL_S3_CONTROL is no URL", Hint: "give it as https://host"}
		}
	}
	b.client = s3control.NewFromConfig(s.cfg, func(o *s3control.Options) {
		o.RetryMaxAttempts = 1
		o.HTTPSignerV4 = byStoresClock{v4.NewSigner(func(so *v4.SignerOptions) { so.DisableURIPathEscaping = true }), s}
		o.Region = b.region
		o.BaseEndpoint = nil // AWS_ENDPOINT_URL is S3's
		o.Credentials = aws.NewCredentialsCache(aws.CredentialsProviderFunc(s.retrieve))
		if own != nil {
			o.EndpointResolverV2 = asItIs{*own}
		}
	})
	return b, nil
}

// asItIs is an endpoint of one's own: AWS's rules would put the account before its host.
type asItIs struct{ url url.URL }

func (e asItIs) ResolveEndpoint(context.Context, s3control.EndpointParameters) (smithyendpoints.Endpoint, error) {
	return smithyendpoints.Endpoint{URI: e.url}, nil
}

// account is that of whoever signs the requests.
func (s *Store) account(ctx context.Context) (string, error) {
	who, err := s.Identity(ctx)
	if err != nil {
		return "", &object.Error{Class: object.ClassDenied, Op: "GetCallerIdentity", Message: "the account is not known: " + object.Cut(err.Error(), object.MaxMessage),
			Hint: "name the account of the bucket and its jobs", Err: err}
	}
	parsed, err := arn.Parse(who)
	if err != nil {
		return "", &object.Error{Class: object.ClassInvalid, Op: "GetCallerIdentity", NotSent: true, Message: "the account is not known", Hint: "name the account of the bucket and its jobs"}
	}
	return parsed.AccountID, nil
}

// Account whose jobs these are, and the region.
func (b *BatchOperations) Account() (account, region string) { return b.account, b.region }

func (b *BatchOperations) arn(ref object.Ref) *string {
	s := "arn:" + object.PartitionOf(b.region) + ":s3:::" + ref.Bucket
	if ref.Key != "" {
		s += "/" + ref.Key
	}
	return &s
}

// Create makes the job, which waits until it is confirmed. It may be called again when
// its answer was lost.
func (b *BatchOperations) Create(ctx context.Context, j *BatchJob) (id string, err error) {
	fields := []types.JobManifestFieldName{types.JobManifestFieldNameBucket, types.JobManifestFieldNameKey}
	if j.Versions {
		fields = append(fields, types.JobManifestFieldNameVersionId)
	}
	in := &s3control.CreateJobInput{AccountId: &b.account, ClientRequestToken: &j.Token, ConfirmationRequired: aws.Bool(true), Description: &j.Description,
		Priority: &j.Priority, RoleArn: &j.RoleARN, Operation: b.operation(j),
		Manifest: &types.JobManifest{Spec: &types.JobManifestSpec{Format: types.JobManifestFormatS3BatchOperationsCsv20180820, Fields: fields},
			Location: &types.JobManifestLocation{ObjectArn: b.arn(j.Manifest.Ref()), ETag: &j.ETag}},
		Report: &types.JobReport{Enabled: true, Bucket: b.arn(object.Ref{Bucket: j.Report.Bucket}), Format: types.JobReportFormatReportCsv20180820,
			Prefix: aws.String(j.Report.Key), ReportScope: types.JobReportScopeAllTasks, ExpectedBucketOwner: b.owner()},
	}
	out, err := b.client.CreateJob(ctx, in)
	if err != nil {
		return "", b.failed(ctx, "CreateJob", err)
	}
	if id = aws.ToString(out.JobId); !batchID.MatchString(id) {
		return "", &object.Error{Class: object.ClassTransient, Op: "CreateJob", Message: "the answer has no job ID"}
	}
	return id, nil
}

// batchID is what a job's ID can be. It becomes part of keys and paths.
var batchID = regexp.MustCompile(`^[A-Za-z0-9_-]{5,36}$`)

// ValidBatchID says whether an ID has the form of a job's.
func ValidBatchID(id string) bool { return batchID.MatchString(id) }

func (b *BatchOperations) owner() *string {
	if o := b.store.opts.ExpectedBucketOwner; o != "" {
		return &o
	}
	return nil
}

func (b *BatchOperations) operation(j *BatchJob) *types.JobOperation {
	if j.Update {
		return &types.JobOperation{S3UpdateObjectEncryption: &types.S3UpdateObjectEncryptionOperation{ObjectEncryption: &types.ObjectEncryption{
			SSEKMS: &types.S3UpdateObjectEncryptionSSEKMS{KMSKeyArn: &j.KMSKey, BucketKeyEnabled: &j.BucketKey}}}}
	}
	c := &types.S3CopyObjectOperation{TargetResource: b.arn(object.Ref{Bucket: j.Bucket}), MetadataDirective: types.S3MetadataDirectiveCopy,
		StorageClass: types.S3StorageClass(j.Class), UnModifiedSinceConstraint: aws.Time(j.Since), RequesterPays: b.store.opts.RequestPayer != ""}
	if j.KMSKey != "" {
		c.SSEAwsKmsKeyId, c.BucketKeyEnabled = &j.KMSKey, j.BucketKey
	}
	return &types.JobOperation{S3PutObjectCopy: c}
}

// Describe tells where a job stands. What it tells may be a little old.
func (b *BatchOperations) Describe(ctx context.Context, id string) (s BatchState, err error) {
	out, err := b.client.DescribeJob(ctx, &s3control.DescribeJobInput{AccountId: &b.account, JobId: &id})
	if err != nil {
		return s, b.failed(ctx, "DescribeJob", err)
	}
	j := out.Job
	if j == nil || aws.ToString(j.JobId) != id {
		return s, &object.Error{Class: object.ClassTransient, Op: "DescribeJob", Message: "the answer is about another job"}
	}
	s = BatchState{ID: id, Description: aws.ToString(j.Description), Status: object.Cut(string(j.Status), object.MaxCode), Created: aws.ToTime(j.CreationTime)}
	if p := j.ProgressSummary; p != nil {
		s.Total, s.Succeeded, s.Failed = aws.ToInt64(p.TotalNumberOfTasks), aws.ToInt64(p.NumberOfTasksSucceeded), aws.ToInt64(p.NumberOfTasksFailed)
	}
	for _, f := range j.FailureReasons {
		s.Reasons = append(s.Reasons, object.Cut(aws.ToString(f.FailureCode)+": "+aws.ToString(f.FailureReason), object.MaxMessage))
	}
	return s, nil
}

// Find looks for a job by its description, among those of the last 90 days; an empty ID
// says that there is none.
func (b *BatchOperations) Find(ctx context.Context, description string) (id string, err error) {
	pages := s3control.NewListJobsPaginator(b.client, &s3control.ListJobsInput{AccountId: &b.account})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return "", b.failed(ctx, "ListJobs", err)
		}
		for _, j := range page.Jobs {
			if aws.ToString(j.Description) == description && ValidBatchID(aws.ToString(j.JobId)) {
				return *j.JobId, nil
			}
		}
	}
	return "", nil
}

// Confirm lets a job begin that waits for it.
func (b *BatchOperations) Confirm(ctx context.Context, id string) error {
	return b.ask(ctx, id, types.RequestedJobStatusReady)
}

// Cancel ends a job. What it has done is done.
func (b *BatchOperations) Cancel(ctx context.Context, id string) error {
	return b.ask(ctx, id, types.RequestedJobStatusCancelled)
}

func (b *BatchOperations) ask(ctx context.Context, id string, status types.RequestedJobStatus) error {
	_, err := b.client.UpdateJobStatus(ctx, &s3control.UpdateJobStatusInput{AccountId: &b.account, JobId: &id, RequestedJobStatus: status})
	if err != nil {
		return b.failed(ctx, "UpdateJobStatus", err)
	}
	return nil
}

// Prioritize changes a job's priority.
func (b *BatchOperations) Prioritize(ctx context.Context, id string, priority int32) error {
	_, err := b.client.UpdateJobPriority(ctx, &s3control.UpdateJobPriorityInput{AccountId: &b.account, JobId: &id, Priority: priority})
	if err != nil {
		return b.failed(ctx, "UpdateJobPriority", err)
	}
	return nil
}

// batchActions are what a refusal of S3 Control asks for.
var batchActions = map[string]string{
	"CreateJob":         "s3:CreateJob, and iam:PassRole on the role of the job",
	"DescribeJob":       "s3:DescribeJob",
	"ListJobs":          "s3:ListJobs",
	"UpdateJobStatus":   "s3:UpdateJobStatus",
	"UpdateJobPriority": "s3:UpdateJobPriority",
}

// failed brings an error of S3 Control into the one table.
func (b *BatchOperations) failed(ctx context.Context, op string, err error) error {
	var resp *awshttp.ResponseError
	var api smithy.APIError
	if !errors.As(err, &api) {
		return noAnswer(ctx, "S3 Control", op, object.Ref{Bucket: b.bucket}, err)
	}
	signature := ""
	status, id := http.StatusBadRequest, ""
	if errors.As(err, &resp) {
		status, id = resp.HTTPStatusCode(), resp.ServiceRequestID()
		if resp.Response != nil {
			signature = signatureOf(resp.Response.Response)
		}
	}
	e := &object.Error{Op: op, Ref: object.Ref{Bucket: b.bucket}, Code: object.Cut(api.ErrorCode(), object.MaxCode), Message: object.Cut(api.ErrorMessage(), object.MaxMessage),
		HTTPStatus: status, RequestID: object.Cut(id, object.MaxRequestID)}
	if class, known := codes[e.Code]; known {
		e.Class = class
	} else {
		e.Class = byStatus(status)
	}
	if e.Class == object.ClassDenied {
		e.Hint = "grant " + batchActions[op]
	}
	e.Message = strings.ToValidUTF8(withoutKeys(e.Message), "")
	b.store.secrets.CleanError(e, signature)
	return e
}
