package conformance

import "github.com/resealhq/reseal/engine/object"

var (
	customerOne    = customerHeaders("x-amz-server-side-encryption-customer-", customerKey(1))
	customerTwo    = customerHeaders("x-amz-server-side-encryption-customer-", customerKey(2))
	fromSelf       = "x-amz-copy-source: $at/k\n"
	underKMS       = "x-amz-server-side-encryption: aws:kms\nx-amz-server-side-encryption-aws-kms-key-id: $key\n"
	putCustomerOne = Ask{Do: "PUT /k", Headers: customerOne, Body: "test"}
	withSum        = "x-amz-checksum-mode: ENABLED\n"
)

// anotherVersion is an ID that S3 has given to another object.
const anotherVersion = "HPniJFCxqTsMuIH9KX8K8wEjNUgmABCD"

func customerHeaders(prefix string, k object.CustomerKey) string {
	return prefix + "algorithm: AES256\n" + prefix + "key: " + k.Base64() + "\n" + prefix + "key-md5: " + k.MD5() + "\n"
}

// The facts about objects and their copies.
var recordedObjects = []Recorded{
	// Copies onto themselves.
	{Name: "self-copy that changes nothing", Before: []Ask{putOne}, Ask: Ask{Do: "PUT /k", Headers: fromSelf},
		Status: 400, Code: "InvalidRequest", Source: snapshots},
	{Name: "self-copy with the class that it has", Before: []Ask{putOne}, Ask: Ask{Do: "PUT /k", Headers: fromSelf + "x-amz-storage-class: STANDARD"},
		Status: 200, Has: []string{"<ETag>"}, Source: snapshots},
	{Name: "self-copy with the encryption that it has", Before: []Ask{putOne}, Ask: Ask{Do: "PUT /k", Headers: fromSelf + "x-amz-server-side-encryption: AES256"},
		Status: 200, Has: []string{"x-amz-server-side-encryption: AES256"}, Source: snapshots},
	{Name: "self-copy of a KMS source without a word of encryption", KMS: true, Before: []Ask{{Do: "PUT /k", Headers: underKMS, Body: "test"}},
		Ask: Ask{Do: "PUT /k", Headers: fromSelf}, Status: 200, Has: []string{"x-amz-server-side-encryption: AES256"}, Source: snapshots},
	{Name: "self-copy with the right destination ETag", Before: []Ask{putOne},
		Ask: Ask{Do: "PUT /k", Headers: fromSelf + "If-Match: $a.etag\nx-amz-server-side-encryption: AES256"}, Status: 200, Source: snapshots},
	{Name: "copy with a wrong destination ETag", Before: []Ask{putOne},
		Ask:    Ask{Do: "PUT /k", Headers: fromSelf + "If-Match: wrong\nx-amz-server-side-encryption: AES256"},
		Status: 412, Code: "PreconditionFailed", Has: []string{"<Condition>If-Match<"}, Source: snapshots},
	{Name: "copy with a destination ETag to no object", Before: []Ask{putOne}, Ask: Ask{Do: "PUT /d", Headers: fromSelf + "If-Match: $a.etag"},
		Status: 404, Code: "NoSuchKey", Has: []string{"<Key>$prefix/d<"}, Source: snapshots},
	{Name: "copy with any destination ETag", Before: []Ask{putOne}, Ask: Ask{Do: "PUT /k", Headers: fromSelf + "If-Match: *"},
		Status: 501, Code: "NotImplemented", Has: []string{"<Header>If-Match<"}, Source: snapshots},
	{Name: "copy with both destination conditions", Before: []Ask{putOne}, Ask: Ask{Do: "PUT /d", Headers: fromSelf + "If-Match: $a.etag\nIf-None-Match: *"},
		Status: 501, Code: "NotImplemented", Has: []string{"<Header>If-Match,If-None-Match<"}, Source: snapshots},
	{Name: "copy if the source's ETag is wrong", Before: []Ask{putOne}, Ask: Ask{Do: "PUT /d", Headers: fromSelf + "x-amz-copy-source-if-match: wrong"},
		Status: 412, Code: "PreconditionFailed", Has: []string{"<Condition>x-amz-copy-source-If-Match<"}, Source: snapshots},
	{Name: "copy of no object", Ask: Ask{Do: "PUT /d", Headers: fromSelf}, Status: 404, Code: "NoSuchKey", Has: []string{"<Key>$prefix/k<"}, Source: snapshots},
	{Name: "copy of a delete marker by its ID", Kind: Versioned, Before: []Ask{putOne, {As: "m", Do: "DELETE /k"}},
		Ask:    Ask{Do: "PUT /d", Headers: "x-amz-copy-source: $at/k?versionId=$m.version"},
		Status: 400, Code: "InvalidRequest", Source: snapshots},
	{Name: "copy where versioning is suspended", Kind: Suspended, Before: []Ask{putOne},
		Ask:    Ask{Do: "PUT /k", Headers: fromSelf + "x-amz-server-side-encryption: AES256"},
		Status: 200, Has: []string{"x-amz-version-id: null"}, Lacks: []string{"x-amz-copy-source-version-id"}, Source: snapshots},
	{Name: "copy of a held version", Kind: Locking, Before: []Ask{{Do: "PUT /k", Headers: held, Body: "test"}, {Do: "PUT /d", Headers: fromSelf}},
		Ask: Ask{Do: "HEAD /d"}, Status: 200, Lacks: []string{"x-amz-object-lock-legal-hold"}, Source: snapshots},
	{Name: "tags of the source", Before: []Ask{{Do: "PUT /k", Headers: "x-amz-tagging: a=b", Body: "test"}, {Do: "PUT /d", Headers: fromSelf}},
		Ask: Ask{Do: "GET /d?tagging"}, Status: 200, Has: []string{"<Key>a<", "<Value>b<"}, Source: snapshots},

	// Conditions of writes.
	{Name: "PUT with any ETag", Before: []Ask{putOne}, Ask: Ask{Do: "PUT /k", Headers: "If-Match: *", Body: "x"},
		Status: 501, Code: "NotImplemented", Has: []string{"<Header>If-Match<"}, Source: snapshots},
	{Name: "PUT with a wrong ETag", Before: []Ask{putOne}, Ask: Ask{Do: "PUT /k", Headers: "If-Match: wrong", Body: "x"},
		Status: 412, Code: "PreconditionFailed", Has: []string{"<Condition>If-Match<"}, Source: snapshots},
	{Name: "PUT with an ETag where there is nothing", Ask: Ask{Do: "PUT /k", Headers: "If-Match: wrong", Body: "x"},
		Status: 404, Code: "NoSuchKey", Source: snapshots},
	{Name: "DELETE with a wrong ETag", Before: []Ask{putOne}, Ask: Ask{Do: "DELETE /k", Headers: "If-Match: wrong"},
		Status: 412, Code: "PreconditionFailed", Source: snapshots},
	{Name: "PUT where versioning is suspended", Kind: Suspended, Ask: putOne, Status: 200, Lacks: []string{"x-amz-version-id"}, Source: snapshots},
	{Name: "HEAD where versioning is suspended", Kind: Suspended, Before: []Ask{putOne}, Ask: Ask{Do: "HEAD /k"},
		Status: 200, Has: []string{"x-amz-version-id: null"}, Source: snapshots},
	{Name: "DELETE where versioning is suspended", Kind: Suspended, Before: []Ask{putOne}, Ask: deleteK,
		Status: 204, Has: []string{"x-amz-delete-marker: true", "x-amz-version-id: null"}, Source: snapshots},

	// Versions.
	{Name: "GET of a malformed version", Kind: Versioned, Before: []Ask{putOne}, Ask: Ask{Do: "GET /k?versionId=nope"},
		Status: 400, Code: "InvalidArgument", Has: []string{"<ArgumentName>versionId<", "<ArgumentValue>nope<"}, Source: snapshots},
	{Name: "GET of a version where there are none", Before: []Ask{putOne}, Ask: Ask{Do: "GET /k?versionId=" + anotherVersion},
		Status: 400, Code: "InvalidArgument", Source: snapshots},
	{Name: "GET of the null version where there are none", Before: []Ask{putOne}, Ask: Ask{Do: "GET /k?versionId=null"}, Status: 200, Source: snapshots},
	{Name: "HEAD of a malformed version", Kind: Versioned, Before: []Ask{putOne}, Ask: Ask{Do: "HEAD /k?versionId=nope"}, Status: 400, Source: snapshots},
	{Name: "DELETE of a malformed version", Kind: Versioned, Before: []Ask{putOne}, Ask: Ask{Do: "DELETE /k?versionId=nope"},
		Status: 400, Code: "InvalidArgument", Source: snapshots},
	{Name: "GET of a deleted version", Kind: Versioned, Before: []Ask{putOne, {Do: "DELETE /k?versionId=$a.version"}}, Ask: Ask{Do: "GET /k?versionId=$a.version"},
		Status: 404, Code: "NoSuchVersion", Has: []string{"<Key>$prefix/k<", "<VersionId>$a.version<"}, Source: snapshots},
	{Name: "DeleteObjects of a deleted version", Kind: Versioned, Before: []Ask{putOne, {Do: "DELETE /k?versionId=$a.version"}},
		Ask:    Ask{Do: "POST /?delete", Headers: "Content-MD5: $md5", Body: `<Delete><Object><Key>$prefix/k</Key><VersionId>$a.version</VersionId></Object></Delete>`},
		Status: 200, Code: "NoSuchVersion", Has: []string{"<Error>"}, Source: snapshots},
	{Name: "GET where a delete marker is current", Kind: Versioned, Before: []Ask{putOne, deleteK}, Ask: Ask{Do: "GET /k"},
		Status: 404, Code: "NoSuchKey", Has: []string{"<Key>$prefix/k<", "x-amz-delete-marker: true"}, Source: snapshots},
	{Name: "GET of a delete marker", Kind: Versioned, Before: []Ask{putOne, {As: "m", Do: "DELETE /k"}}, Ask: Ask{Do: "GET /k?versionId=$m.version"},
		Status: 405, Code: "MethodNotAllowed", Has: []string{"<Method>GET<", "<ResourceType>DeleteMarker<"}, Source: snapshots},
	{Name: "tags where a delete marker is current", Kind: Versioned, Before: []Ask{putOne, deleteK}, Ask: Ask{Do: "GET /k?tagging"},
		Status: 405, Code: "MethodNotAllowed", Has: []string{"<ResourceType>DeleteMarker<"}, Source: snapshots},
	{Name: "attributes where a delete marker is current", Kind: Versioned, Before: []Ask{putOne, deleteK},
		Ask: Ask{Do: "GET /k?attributes", Headers: "x-amz-object-attributes: ETag"}, Status: 404, Code: "NoSuchKey", Source: snapshots},

	// Ranges and checksums.
	{Name: "checksum of the whole", Before: []Ask{{Do: "PUT /k", Headers: "x-amz-sdk-checksum-algorithm: CRC32\nx-amz-checksum-crc32: 2H9+DA==", Body: "test"}},
		Ask: Ask{Do: "GET /k", Headers: withSum}, Status: 200, Has: []string{"x-amz-checksum-crc32: 2H9+DA==", "x-amz-checksum-type: FULL_OBJECT"}, Source: snapshots},
	{Name: "checksum of a range", Before: []Ask{putOne}, Ask: Ask{Do: "GET /k", Headers: withSum + "Range: bytes=0-1"},
		Status: 206, Lacks: []string{"x-amz-checksum-type", "x-amz-checksum-crc64nvme"}, Source: snapshots},
	{Name: "range and part number", Before: []Ask{putOne}, Ask: Ask{Do: "GET /k?partNumber=1", Headers: "Range: bytes=0-1"},
		Status: 400, Code: "InvalidRequest", Source: snapshots},

	// Customer keys.
	{Name: "PUT under a customer key with another algorithm", TLS: true,
		Ask:    Ask{Do: "PUT /k", Headers: customerOne + "x-amz-server-side-encryption-customer-algorithm: KMS", Body: "test"},
		Status: 400, Code: "InvalidEncryptionAlgorithmError", Has: []string{"<ArgumentValue>KMS<"}, Source: snapshots},
	{Name: "PUT under a customer key without its digest", TLS: true,
		Ask:    Ask{Do: "PUT /k", Headers: withoutMD5(customerKey(1)), Body: "test"},
		Status: 400, Code: "InvalidArgument", Source: snapshots},
	{Name: "GET with a customer key without its digest", TLS: true, Before: []Ask{putCustomerOne}, Ask: Ask{Do: "GET /k", Headers: withoutMD5(customerKey(1))},
		Status: 403, Code: "AccessDenied", Source: snapshots},
	{Name: "GET with another customer key", TLS: true, Before: []Ask{putCustomerOne}, Ask: Ask{Do: "GET /k", Headers: customerTwo},
		Status: 403, Code: "AccessDenied", Source: snapshots},
	{Name: "GET without the customer key", TLS: true, Before: []Ask{putCustomerOne}, Ask: Ask{Do: "GET /k"},
		Status: 400, Code: "InvalidRequest", Source: snapshots},

	// KMS keys.
	{Name: "key that is no ID", Ask: Ask{Do: "PUT /k", Headers: "x-amz-server-side-encryption: aws:kms\nx-amz-server-side-encryption-aws-kms-key-id: fake-key-id", Body: "x"},
		Status: 400, Code: "KMS.NotFoundException", Has: []string{"<Message>Invalid keyId 'fake-key-id'<"}, Source: snapshots},
	{Name: "key that is an ID of none", Ask: Ask{Do: "PUT /k", Headers: "x-amz-server-side-encryption: aws:kms\nx-amz-server-side-encryption-aws-kms-key-id: 134f2428-cec1-4b25-a1ae-9048164dba47", Body: "x"},
		Status: 400, Code: "KMS.NotFoundException", Has: []string{"<Message>Key 'arn:"}, Source: snapshots},
	{Name: "key of another region", Ask: Ask{Do: "PUT /k", Headers: "x-amz-server-side-encryption: aws:kms\nx-amz-server-side-encryption-aws-kms-key-id: arn:aws:kms:mx-central-1:111122223333:key/134f2428-cec1-4b25-a1ae-9048164dba47", Body: "x"},
		Status: 400, Code: "KMS.NotFoundException", Has: []string{"<Message>Invalid arn mx-central-1<"}, Source: snapshots},
}

func withoutMD5(k object.CustomerKey) string {
	const prefix = "x-amz-server-side-encryption-customer-"
	return prefix + "algorithm: AES256\n" + prefix + "key: " + k.Base64()
}
