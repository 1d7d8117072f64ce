// Package s3store is the store: every request to S3 that is not on the hot
// path, what an endpoint can do, and the one table that classifies errors. It is
// the only package that knows the AWS SDK.
//
// It promises:
//   - no request is sent twice by this package, so whoever retries sees every
//     attempt (the two exceptions ask, never change: see Store.Failure and the
//     region of a bucket);
//   - a success without its proof (a 200 that holds an error, nothing, or no
//     ETag) is an error;
//   - every error is an *object.Error with its class, and no error or log line
//     holds a secret;
//   - a sub-resource is written to a user's object only by a caller that has
//     seen the store do it to a throwaway object (see Probe).
//
// The SDK gives what is hard to get right: the credential chain and shared
// configuration, endpoint rules for every region and partition, and the v4
// signer. The requests themselves are built and read here, since the SDK's typed
// client hides what this job depends on: it sends CopySource as given, answers
// an empty 200 with success, parses Expires, reads any document as <Tagging>,
// and drops the rows' metadata that MinIO's listings carry.
package s3store
