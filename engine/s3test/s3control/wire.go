package s3control

import (
	"encoding/xml"
	"time"
)

// createRequest is the body of CreateJob, as far as it is understood; what is not makes
// the request a bad one.
type createRequest struct {
	XMLName              xml.Name  `xml:"CreateJobRequest"`
	ClientRequestToken   string    `xml:"ClientRequestToken"`
	ConfirmationRequired bool      `xml:"ConfirmationRequired"`
	Description          string    `xml:"Description"`
	Manifest             *manifest `xml:"Manifest"`
	ManifestGenerator    *struct{} `xml:"ManifestGenerator"`
	Operation            operation `xml:"Operation"`
	Priority             *int      `xml:"Priority"`
	Report               report    `xml:"Report"`
	RoleArn              string    `xml:"RoleArn"`
	Tags                 *struct{} `xml:"Tags"`
}

type manifest struct {
	Format   string   `xml:"Spec>Format"`
	Fields   []string `xml:"Spec>Fields>member"`
	ETag     string   `xml:"Location>ETag"`
	Object   string   `xml:"Location>ObjectArn"`
	VersionI string   `xml:"Location>ObjectVersionId"`
}

// operation is a union: one of its members must be there.
type operation struct {
	Copy   *copyOperation   `xml:"S3PutObjectCopy"`
	Update *updateOperation `xml:"S3UpdateObjectEncryption"`
	Others []struct {
		XMLName xml.Name
	} `xml:",any"`
}

type copyOperation struct {
	BucketKey         bool       `xml:"BucketKeyEnabled"`
	CannedACL         string     `xml:"CannedAccessControlList"`
	MetadataDirective string     `xml:"MetadataDirective"`
	NewMetadata       *struct{}  `xml:"NewObjectMetadata"`
	KMSKey            string     `xml:"SSEAwsKmsKeyId"`
	Class             string     `xml:"StorageClass"`
	TargetPrefix      string     `xml:"TargetKeyPrefix"`
	Target            string     `xml:"TargetResource"`
	UnmodifiedSince   *time.Time `xml:"UnModifiedSinceConstraint"`
	Others            []struct {
		XMLName xml.Name
	} `xml:",any"`
}

type updateOperation struct {
	KMSKeyARN string `xml:"ObjectEncryption>SSE-KMS>KMSKeyArn"`
	BucketKey bool   `xml:"ObjectEncryption>SSE-KMS>BucketKeyEnabled"`
}

type report struct {
	Bucket  string `xml:"Bucket"`
	Enabled bool   `xml:"Enabled"`
	Format  string `xml:"Format"`
	Prefix  string `xml:"Prefix"`
	Scope   string `xml:"ReportScope"`
	Owner   string `xml:"ExpectedBucketOwner"`
}

type createReply struct {
	XMLName xml.Name `xml:"http://awss3control.amazonaws.com/doc/2018-08-20/ CreateJobResult"`
	JobID   string   `xml:"JobId"`
}

type describeReply struct {
	XMLName xml.Name   `xml:"http://awss3control.amazonaws.com/doc/2018-08-20/ DescribeJobResult"`
	Job     descriptor `xml:"Job"`
}

type descriptor struct {
	JobID                string    `xml:"JobId"`
	ConfirmationRequired bool      `xml:"ConfirmationRequired"`
	Description          string    `xml:"Description"`
	JobARN               string    `xml:"JobArn"`
	Status               State     `xml:"Status"`
	Priority             int       `xml:"Priority"`
	Progress             *progress `xml:"ProgressSummary,omitempty"`
	StatusUpdateReason   string    `xml:"StatusUpdateReason,omitempty"`
	FailureReasons       []failure `xml:"FailureReasons>member,omitempty"`
	RoleARN              string    `xml:"RoleArn"`
	CreationTime         time.Time `xml:"CreationTime"`
	TerminationDate      string    `xml:"TerminationDate,omitempty"`
	SuspendedDate        string    `xml:"SuspendedDate,omitempty"`
	SuspendedCause       string    `xml:"SuspendedCause,omitempty"`
}

type progress struct {
	Total     int `xml:"TotalNumberOfTasks"`
	Succeeded int `xml:"NumberOfTasksSucceeded"`
	Failed    int `xml:"NumberOfTasksFailed"`
}

type failure struct {
	Code   string `xml:"FailureCode"`
	Reason string `xml:"FailureReason"`
}

type listReply struct {
	XMLName   xml.Name `xml:"http://awss3control.amazonaws.com/doc/2018-08-20/ ListJobsResult"`
	NextToken string   `xml:"NextToken,omitempty"`
	Jobs      []listed `xml:"Jobs>member"`
}

type listed struct {
	JobID        string    `xml:"JobId"`
	Description  string    `xml:"Description"`
	Operation    string    `xml:"Operation"`
	Priority     int       `xml:"Priority"`
	Progress     *progress `xml:"ProgressSummary,omitempty"`
	Status       State     `xml:"Status"`
	CreationTime time.Time `xml:"CreationTime"`
}

type statusReply struct {
	XMLName xml.Name `xml:"http://awss3control.amazonaws.com/doc/2018-08-20/ UpdateJobStatusResult"`
	JobID   string   `xml:"JobId"`
	Status  State    `xml:"Status"`
	Reason  string   `xml:"StatusUpdateReason,omitempty"`
}

type priorityReply struct {
	XMLName  xml.Name `xml:"http://awss3control.amazonaws.com/doc/2018-08-20/ UpdateJobPriorityResult"`
	JobID    string   `xml:"JobId"`
	Priority int      `xml:"Priority"`
}

type errorReply struct {
	XMLName   xml.Name `xml:"http://awss3control.amazonaws.com/doc/2018-08-20/ ErrorResponse"`
	Code      string   `xml:"Error>Code"`
	Message   string   `xml:"Error>Message"`
	RequestID string   `xml:"RequestId"`
}
