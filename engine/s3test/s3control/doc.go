// Package s3control is an S3 Batch Operations over the embedded store: the five
// requests of S3 Control that jobs need, the thirteen states of a job, and tasks that
// really change the objects of an s3test.Server, by requests that it serves as any
// other client's.
//
// What AWS's pages say is done: a token makes CreateJob happen once; a manifest whose
// ETag is another one, that lies under SSE-KMS or mixes rows fails its job; a copy is of
// at most 5 GB, loses its ACL and goes into one class; a job of which more than half
// of the tasks failed, of a thousand at least, fails. What is not known for certain can
// be had in each of its forms: how keys are written in a report, and how late DescribeJob
// and the report are.
package s3control
