package s3test

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// throughAccessPoint are the operations that S3 takes through an access point: by the
// user guide's list, by the API reference of UpdateObjectEncryption, and annotations,
// which the API reference excludes elsewhere and not here. The settings of the bucket
// behind it are not among them.
var throughAccessPoint = []string{"AbortMultipartUpload", "CompleteMultipartUpload", "CopyObject", "CreateMultipartUpload", "DeleteObjectAnnotation",
	"DeleteObject", "DeleteObjects", "DeleteObjectTagging", "GetBucketAcl", "GetBucketLocation", "GetObject", "GetObjectAcl", "GetObjectAnnotation",
	"GetObjectAttributes", "GetObjectLegalHold", "GetObjectRetention", "GetObjectTagging", "HeadBucket", "HeadObject",
	"ListMultipartUploads", "ListObjectAnnotations", "ListObjects", "ListObjectsV2", "ListObjectVersions", "ListParts", "PutObject", "PutObjectAcl", "PutObjectAnnotation",
	"PutObjectLegalHold", "PutObjectRetention", "PutObjectTagging", "RestoreObject", "UpdateObjectEncryption", "UploadPart", "UploadPartCopy"}

// accessPointDocuments are the settings of a bucket that its access points do tell.
var accessPointDocuments = []string{"cors", "notification", "policy"}

// accessPointSource is the form of an access point in x-amz-copy-source.
var accessPointSource = regexp.MustCompile(`^arn:aws[a-z-]*:s3:[a-z0-9-]+:([0-9]{12}):accesspoint/([a-z0-9-]+)/object/(.+)$`)

// accessPoint is the bucket behind the access point NAME-ACCOUNT, as it stands in a
// host's name; nil where there is none.
func (s *Server) accessPoint(label string) *bucket {
	for _, b := range s.buckets {
		for _, name := range b.cfg.AccessPoints {
			if label == name+"-"+s.owner(b) {
				return b
			}
		}
	}
	return nil
}

// enterAccessPoint makes of a request to an access point one to its bucket.
func (s *Server) enterAccessPoint(q *request) *s3Error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b := s.accessPoint(q.bucket)
	if b == nil {
		return fail(http.StatusNotFound, "NoSuchAccessPoint", "The specified accesspoint does not exist")
	}
	q.bucket = b.name
	if !slices.Contains(throughAccessPoint, q.op) && !(q.key == "" && q.http.Method == http.MethodGet && slices.Contains(accessPointDocuments, q.sub)) {
		return fail(http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed against this resource.")
	}
	return nil
}

// sourceName is the bucket and the key of an unescaped x-amz-copy-source. The state
// is locked.
func (s *Server) sourceName(path string) (bucket, key string, ok bool) {
	if part := accessPointSource.FindStringSubmatch(path); part != nil {
		b := s.accessPoint(part[2] + "-" + part[1])
		if b == nil {
			return part[2], part[3], true
		}
		return b.name, part[3], true
	}
	bucket, key, ok = strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return bucket, key, ok && bucket != "" && key != ""
}
