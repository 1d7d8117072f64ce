package s3test

import "net/http"

// bucketOps and objectOps name the operations behind sub-resources.
var bucketOps = map[string]string{
	"GET location": "GetBucketLocation", "GET versions": "ListObjectVersions", "GET uploads": "ListMultipartUploads",
	"POST delete": "DeleteObjects", "GET acl": "GetBucketAcl", "PUT acl": "PutBucketAcl",
	"GET versioning": "GetBucketVersioning", "PUT versioning": "PutBucketVersioning",
	"GET encryption": "GetBucketEncryption", "PUT encryption": "PutBucketEncryption", "DELETE encryption": "DeleteBucketEncryption",
	"GET object-lock": "GetObjectLockConfiguration", "PUT object-lock": "PutObjectLockConfiguration",
	"GET ownershipControls": "GetBucketOwnershipControls", "PUT ownershipControls": "PutBucketOwnershipControls", "DELETE ownershipControls": "DeleteBucketOwnershipControls",
	"GET requestPayment": "GetBucketRequestPayment", "PUT requestPayment": "PutBucketRequestPayment",
	"GET lifecycle": "GetBucketLifecycleConfiguration", "PUT lifecycle": "PutBucketLifecycleConfiguration", "DELETE lifecycle": "DeleteBucketLifecycle",
	"GET replication": "GetBucketReplication", "PUT replication": "PutBucketReplication", "DELETE replication": "DeleteBucketReplication",
	"GET notification": "GetBucketNotificationConfiguration", "PUT notification": "PutBucketNotificationConfiguration",
	"GET website": "GetBucketWebsite", "PUT website": "PutBucketWebsite", "DELETE website": "DeleteBucketWebsite",
	"GET policy": "GetBucketPolicy", "PUT policy": "PutBucketPolicy", "DELETE policy": "DeleteBucketPolicy", "GET policyStatus": "GetBucketPolicyStatus",
	"GET tagging": "GetBucketTagging", "PUT tagging": "PutBucketTagging", "DELETE tagging": "DeleteBucketTagging",
	"GET cors": "GetBucketCors", "PUT cors": "PutBucketCors", "DELETE cors": "DeleteBucketCors",
	"GET logging": "GetBucketLogging", "PUT logging": "PutBucketLogging",
	"GET publicAccessBlock": "GetPublicAccessBlock", "PUT publicAccessBlock": "PutPublicAccessBlock", "DELETE publicAccessBlock": "DeletePublicAccessBlock",
	"GET accelerate": "GetBucketAccelerateConfiguration", "PUT accelerate": "PutBucketAccelerateConfiguration",
	"GET inventory": "GetBucketInventoryConfiguration", "PUT inventory": "PutBucketInventoryConfiguration",
}

var objectOps = map[string]string{
	"GET acl": "GetObjectAcl", "PUT acl": "PutObjectAcl",
	"GET tagging": "GetObjectTagging", "PUT tagging": "PutObjectTagging", "DELETE tagging": "DeleteObjectTagging",
	"GET retention": "GetObjectRetention", "PUT retention": "PutObjectRetention",
	"GET legal-hold": "GetObjectLegalHold", "PUT legal-hold": "PutObjectLegalHold",
	"PUT annotation": "PutObjectAnnotation", "GET annotation": "GetObjectAnnotation", "DELETE annotation": "DeleteObjectAnnotation",
	"GET attributes": "GetObjectAttributes", "PUT encryption": "UpdateObjectEncryption",
	"POST uploads": "CreateMultipartUpload", "POST restore": "RestoreObject",
}

// aliases are the short names that fault rules may use for operations.
var aliases = map[string]string{
	"Copy": "CopyObject", "CopyPart": "UploadPartCopy", "Part": "UploadPart", "Head": "HeadObject", "Get": "GetObject", "Put": "PutObject",
	"Delete": "DeleteObject", "List": "ListObjectsV2", "ListVersions": "ListObjectVersions", "Update": "UpdateObjectEncryption",
	"CreateUpload": "CreateMultipartUpload", "Complete": "CompleteMultipartUpload", "Abort": "AbortMultipartUpload",
}

// operation is how one operation is served. Those that only read hold the lock
// of the state for reading.
type operation struct {
	do     func(s *Server, q *request) (*reply, *s3Error)
	writes bool
	// action is the IAM action that it needs.
	action string
}

func operations() map[string]operation {
	return map[string]operation{
		"ListBuckets":                   {(*Server).listBuckets, false, "s3:ListAllMyBuckets"},
		"CreateBucket":                  {(*Server).createBucket, true, "s3:CreateBucket"},
		"HeadBucket":                    {(*Server).headBucket, false, "s3:ListBucket"},
		"DeleteBucket":                  {(*Server).deleteBucket, true, "s3:DeleteBucket"},
		"GetBucketLocation":             {(*Server).bucketLocation, false, "s3:GetBucketLocation"},
		"ListObjects":                   {(*Server).listObjects, false, "s3:ListBucket"},
		"ListObjectsV2":                 {(*Server).listObjectsV2, false, "s3:ListBucket"},
		"ListObjectVersions":            {(*Server).listVersions, false, "s3:ListBucketVersions"},
		"ListMultipartUploads":          {(*Server).listUploads, false, "s3:ListBucketMultipartUploads"},
		"DeleteObjects":                 {(*Server).deleteObjects, true, ""},
		"GetObject":                     {(*Server).getObject, false, "s3:GetObject"},
		"HeadObject":                    {(*Server).getObject, false, "s3:GetObject"},
		"PutObject":                     {(*Server).putObject, true, "s3:PutObject"},
		"CopyObject":                    {(*Server).copyObject, true, "s3:PutObject"},
		"DeleteObject":                  {(*Server).deleteObject, true, "s3:DeleteObject"},
		"GetObjectTagging":              {(*Server).getTagging, false, "s3:GetObjectTagging"},
		"PutObjectTagging":              {(*Server).putTagging, true, "s3:PutObjectTagging"},
		"DeleteObjectTagging":           {(*Server).deleteTagging, true, "s3:DeleteObjectTagging"},
		"GetObjectAcl":                  {(*Server).getACL, false, "s3:GetObjectAcl"},
		"PutObjectAcl":                  {(*Server).putACL, true, "s3:PutObjectAcl"},
		"GetObjectRetention":            {(*Server).getRetention, false, "s3:GetObjectRetention"},
		"PutObjectRetention":            {(*Server).putRetention, true, "s3:PutObjectRetention"},
		"GetObjectLegalHold":            {(*Server).getLegalHold, false, "s3:GetObjectLegalHold"},
		"PutObjectLegalHold":            {(*Server).putLegalHold, true, "s3:PutObjectLegalHold"},
		"GetObjectAttributes":           {(*Server).getAttributes, false, ""},
		"PutObjectAnnotation":           {(*Server).putAnnotation, true, "s3:PutObjectAnnotation"},
		"GetObjectAnnotation":           {(*Server).getAnnotation, false, ""},
		"ListObjectAnnotations":         {(*Server).listAnnotations, false, ""},
		"DeleteObjectAnnotation":        {(*Server).deleteAnnotation, true, "s3:DeleteObjectAnnotation"},
		"UpdateObjectEncryption":        {(*Server).updateEncryption, true, "s3:UpdateObjectEncryption"},
		"RestoreObject":                 {(*Server).restoreObject, true, "s3:RestoreObject"},
		"CreateMultipartUpload":         {(*Server).createUpload, true, "s3:PutObject"},
		"UploadPart":                    {(*Server).uploadPart, true, "s3:PutObject"},
		"UploadPartCopy":                {(*Server).uploadPartCopy, true, "s3:PutObject"},
		"CompleteMultipartUpload":       {(*Server).completeUpload, true, "s3:PutObject"},
		"AbortMultipartUpload":          {(*Server).abortUpload, true, "s3:AbortMultipartUpload"},
		"ListParts":                     {(*Server).listParts, false, "s3:ListMultipartUploadParts"},
		"GetBucketVersioning":           {(*Server).getVersioning, false, "s3:GetBucketVersioning"},
		"PutBucketVersioning":           {(*Server).putVersioning, true, "s3:PutBucketVersioning"},
		"GetBucketEncryption":           {(*Server).getBucketEncryption, false, "s3:GetEncryptionConfiguration"},
		"PutBucketEncryption":           {(*Server).putBucketEncryption, true, "s3:PutEncryptionConfiguration"},
		"DeleteBucketEncryption":        {(*Server).deleteBucketEncryption, true, "s3:PutEncryptionConfiguration"},
		"GetObjectLockConfiguration":    {(*Server).getLockConfig, false, "s3:GetBucketObjectLockConfiguration"},
		"PutObjectLockConfiguration":    {(*Server).putLockConfig, true, "s3:PutBucketObjectLockConfiguration"},
		"GetBucketOwnershipControls":    {(*Server).getOwnership, false, "s3:GetBucketOwnershipControls"},
		"PutBucketOwnershipControls":    {(*Server).putOwnership, true, "s3:PutBucketOwnershipControls"},
		"DeleteBucketOwnershipControls": {(*Server).putOwnership, true, "s3:PutBucketOwnershipControls"},
		"GetBucketRequestPayment":       {(*Server).getPayment, false, "s3:GetBucketRequestPayment"},
		"PutBucketRequestPayment":       {(*Server).putPayment, true, "s3:PutBucketRequestPayment"},
		"GetBucketAcl":                  {(*Server).getBucketACL, false, "s3:GetBucketAcl"},
	}
}

// documents are the bucket sub-resources that are kept as they were sent, with
// the code and the message of their absence and the action that reads them.
// Those without a code answer with an empty document.
var documents = map[string]struct{ element, code, message, action string }{
	"lifecycle":         {"LifecycleConfiguration", "NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist", "LifecycleConfiguration"},
	"replication":       {"ReplicationConfiguration", "ReplicationConfigurationNotFoundError", "The replication configuration was not found", "ReplicationConfiguration"},
	"notification":      {"NotificationConfiguration", "", "", "BucketNotification"},
	"website":           {"WebsiteConfiguration", "NoSuchWebsiteConfiguration", "The specified bucket does not have a website configuration", "BucketWebsite"},
	"policy":            {"", "NoSuchBucketPolicy", "The bucket policy does not exist", "BucketPolicy"},
	"tagging":           {"Tagging", "NoSuchTagSet", "The TagSet does not exist", "BucketTagging"},
	"cors":              {"CORSConfiguration", "NoSuchCORSConfiguration", "The CORS configuration does not exist", "BucketCORS"},
	"logging":           {"BucketLoggingStatus", "", "", "BucketLogging"},
	"publicAccessBlock": {"PublicAccessBlockConfiguration", "NoSuchPublicAccessBlockConfiguration", "The public access block configuration was not found", "BucketPublicAccessBlock"},
	"accelerate":        {"AccelerateConfiguration", "", "", "AccelerateConfiguration"},
	"inventory":         {"InventoryConfiguration", "NoSuchConfiguration", "The specified configuration does not exist.", "InventoryConfiguration"},
}

// document serves one of documents.
func (s *Server) document(q *request) (*reply, *s3Error) {
	b, e := s.bucketOf(q)
	if e != nil {
		return nil, e
	}
	d := documents[q.sub]
	switch q.http.Method {
	case http.MethodPut:
		if b.cfg.Documents == nil {
			b.cfg.Documents = map[string]string{}
		}
		b.cfg.Documents[q.sub] = string(q.body)
		return &reply{}, nil
	case http.MethodDelete:
		delete(b.cfg.Documents, q.sub)
		return &reply{status: http.StatusNoContent}, nil
	}
	body, ok := b.cfg.Documents[q.sub]
	switch {
	case q.sub == "inventory" && len(q.query["id"]) == 0: // ListBucketInventoryConfigurations
		x := newXML("ListInventoryConfigurationsResult")
		x.buf.WriteString(body)
		x.bool("IsTruncated", false)
		return x.reply(), nil
	case ok:
		return &reply{body: []byte(body), xml: d.element != ""}, nil
	case d.code != "":
		return nil, fail(http.StatusNotFound, d.code, d.message)
	}
	x := newXML(d.element)
	return x.reply(), nil
}
