package conformance

const (
	snapshots = "recorded on AWS, 2026-02 (LocalStack snapshots)"
	verified  = "verified on AWS (moto's aws_verified tests)"
)

const completeOne = `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>$p.etag</ETag></Part></CompleteMultipartUpload>`

var (
	putOne    = Ask{As: "a", Do: "PUT /k", Body: "test"}
	create    = Ask{As: "u", Do: "POST /k?uploads"}
	partOne   = Ask{As: "p", Do: "PUT /k?partNumber=1&uploadId=$u.upload", Body: "test content 123"}
	putAgain  = Ask{As: "b", Do: "PUT /k", Body: "test"}
	putOther  = Ask{As: "b", Do: "PUT /k", Body: "another"}
	deleteK   = Ask{Do: "DELETE /k"}
	complete  = Ask{As: "c", Do: "POST /k?uploadId=$u.upload", Body: completeOne}
	createSum = func(algorithm, typ string) Ask {
		return Ask{As: "u", Do: "POST /k?uploads", Headers: "x-amz-checksum-algorithm: " + algorithm + "\nx-amz-checksum-type: " + typ}
	}
	completeIf = func(condition string) Ask {
		return Ask{Do: "POST /k?uploadId=$u.upload", Headers: condition, Body: completeOne}
	}
)

// The facts about multipart uploads.
var recordedUploads = []Recorded{
	{Name: "Complete with the ETag that there was and is", Before: []Ask{putOne, create, partOne}, Ask: completeIf("If-Match: $a.etag"),
		Status: 200, Has: []string{"<ETag>"}, Source: snapshots},
	{Name: "Complete with the ETag before a PUT of other bytes", Before: []Ask{putOne, create, partOne, putOther}, Ask: completeIf("If-Match: $a.etag"),
		Status: 412, Code: "PreconditionFailed", Has: []string{"<Condition>If-Match<"}, Source: snapshots},
	{Name: "Complete with the ETag of a PUT since Create", Before: []Ask{putOne, create, partOne, putOther}, Ask: completeIf("If-Match: $b.etag"),
		Status: 409, Code: "ConditionalRequestConflict", Has: []string{"<Condition>If-Match<", "<Key>$prefix/k<"}, Source: snapshots},
	{Name: "Complete after a PUT of equal bytes since Create", Before: []Ask{putOne, create, partOne, putAgain}, Ask: completeIf("If-Match: $a.etag"),
		Status: 409, Code: "ConditionalRequestConflict", Source: snapshots},
	{Name: "Complete with an ETag after a DELETE since Create", Before: []Ask{putOne, create, partOne, deleteK}, Ask: completeIf("If-Match: $a.etag"),
		Status: 404, Code: "NoSuchKey", Has: []string{"<Key>$prefix/k<"}, Source: snapshots},
	{Name: "Complete after DELETE and an equal PUT since Create", Before: []Ask{putOne, create, partOne, deleteK, putAgain}, Ask: completeIf("If-Match: $a.etag"),
		Status: 409, Code: "ConditionalRequestConflict", Source: snapshots},
	{Name: "Complete if absent, and it is there", Before: []Ask{create, partOne, putOne}, Ask: completeIf("If-None-Match: *"),
		Status: 412, Code: "PreconditionFailed", Has: []string{"<Condition>If-None-Match<"}, Source: snapshots},
	{Name: "Complete if absent, deleted since Create", Before: []Ask{putOne, create, partOne, deleteK}, Ask: completeIf("If-None-Match: *"),
		Status: 409, Code: "ConditionalRequestConflict", Has: []string{"<Condition>If-None-Match<"}, Source: snapshots},
	{Name: "Complete a second time", Before: []Ask{create, partOne, complete}, Ask: Ask{Do: "POST /k?uploadId=$u.upload", Body: completeOne},
		Status: 200, Has: []string{"<ETag>&quot;$c.etag&quot;<"}, Source: verified},
	{Name: "Complete a second time, if absent", Before: []Ask{create, partOne, complete}, Ask: completeIf("If-None-Match: *"),
		Status: 200, Source: verified},
	{Name: "ListParts of a completed upload", Before: []Ask{create, partOne, complete}, Ask: Ask{Do: "GET /k?uploadId=$u.upload"},
		Status: 404, Code: "NoSuchUpload", Source: verified},
	{Name: "Complete of an upload that never was", Ask: Ask{Do: "POST /k?uploadId=fakeid", Body: `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>`},
		Status: 404, Code: "NoSuchUpload", Has: []string{"<UploadId>fakeid<"}, Source: snapshots},
	{Name: "Complete where versioning is suspended", Kind: Suspended, Before: []Ask{create, partOne}, Ask: complete,
		Status: 200, Lacks: []string{"x-amz-version-id"}, Source: snapshots},
	{Name: "Complete under KMS shows no checksum", KMS: true,
		Before: []Ask{{As: "u", Do: "POST /k?uploads", Headers: "x-amz-server-side-encryption: aws:kms\nx-amz-server-side-encryption-aws-kms-key-id: $key"}, partOne},
		Ask:    complete, Status: 200, Lacks: []string{"<ChecksumCRC64NVME>"}, Source: snapshots},
	{Name: "HEAD of an upload under KMS shows one", KMS: true,
		Before: []Ask{{As: "u", Do: "POST /k?uploads", Headers: "x-amz-server-side-encryption: aws:kms\nx-amz-server-side-encryption-aws-kms-key-id: $key"}, partOne, complete},
		Ask:    Ask{Do: "HEAD /k", Headers: "x-amz-checksum-mode: ENABLED"}, Status: 200, Has: []string{"x-amz-checksum-crc64nvme"}, Source: snapshots},
	{Name: "Complete under SSE-S3 shows the checksum", Before: []Ask{create, partOne}, Ask: complete,
		Status: 200, Has: []string{"<ChecksumCRC64NVME>", "<ChecksumType>FULL_OBJECT<"}, Source: snapshots},
	{Name: "upload under SSE-C has no checksum", TLS: true,
		Before: []Ask{{As: "u", Do: "POST /k?uploads", Headers: customerOne},
			{As: "p", Do: "PUT /k?partNumber=1&uploadId=$u.upload", Headers: customerOne, Body: "test"},
			{Do: "POST /k?uploadId=$u.upload", Headers: customerOne, Body: completeOne}},
		Ask: Ask{Do: "HEAD /k", Headers: customerOne + "x-amz-checksum-mode: ENABLED"}, Status: 200,
		Lacks: []string{"x-amz-checksum-crc64nvme", "x-amz-checksum-type"}, Source: snapshots},
	{Name: "part with a customer key of an upload without", TLS: true, Before: []Ask{create},
		Ask:    Ask{Do: "PUT /k?partNumber=1&uploadId=$u.upload", Headers: customerOne, Body: "test"},
		Status: 400, Code: "InvalidRequest", Source: snapshots},
	{Name: "part without the customer key of its upload", TLS: true, Before: []Ask{{As: "u", Do: "POST /k?uploads", Headers: customerOne}},
		Ask:    Ask{Do: "PUT /k?partNumber=1&uploadId=$u.upload", Body: "test"},
		Status: 400, Code: "InvalidRequest", Source: snapshots},
	{Name: "checksum type without an algorithm", Ask: Ask{Do: "POST /k?uploads", Headers: "x-amz-checksum-type: COMPOSITE"},
		Status: 400, Code: "InvalidRequest", Source: snapshots},
	{Name: "CRC64NVME of the parts' checksums", Ask: createSum("CRC64NVME", "COMPOSITE"), Status: 400, Code: "InvalidRequest", Source: snapshots},
	{Name: "SHA256 of the whole by upload", Ask: createSum("SHA256", "FULL_OBJECT"), Status: 400, Code: "InvalidRequest", Source: snapshots},
	{Name: "CRC32 of an upload is composite unless asked", Ask: Ask{Do: "POST /k?uploads", Headers: "x-amz-checksum-algorithm: CRC32"},
		Status: 200, Has: []string{"x-amz-checksum-type: COMPOSITE"}, Source: snapshots},
	{Name: "parts of a composite upload are listed", Before: []Ask{createSum("CRC32C", "COMPOSITE"), copiedPart(""), completeSum("CRC32C")},
		Ask: Ask{Do: "GET /k?attributes", Headers: "x-amz-object-attributes: ObjectParts"}, Status: 200,
		Has: []string{"<PartsCount>1<", "<PartNumber>1<", "<MaxParts>"}, Source: snapshots},
	{Name: "parts of a full-object upload are counted", Before: []Ask{createSum("CRC32C", "FULL_OBJECT"), copiedPart(""), completeSum("CRC32C")},
		Ask: Ask{Do: "GET /k?attributes", Headers: "x-amz-object-attributes: ObjectParts"}, Status: 200,
		Has: []string{"<PartsCount>1<"}, Lacks: []string{"<PartNumber>", "<MaxParts>"}, Source: snapshots},
	{Name: "part of a composite upload shows its own checksum", Before: []Ask{createSum("CRC32C", "COMPOSITE"), copiedPart(""), completeSum("CRC32C")},
		Ask:    Ask{Do: "HEAD /k?partNumber=1", Headers: "x-amz-checksum-mode: ENABLED"},
		Status: 206, Has: []string{"x-amz-checksum-crc32c: iqJrOQ==", "x-amz-mp-parts-count: 1"}, Source: snapshots},
	{Name: "part that is copied from a small source by range", Before: []Ask{source, create},
		Ask:    copiedPart("bytes=0-8"),
		Status: 200, Has: []string{"<ETag>"}, Source: snapshots},
	{Name: "range past the end of the source", Before: []Ask{source, create}, Ask: copiedPart("bytes=0-100"),
		Status: 400, Code: "InvalidArgument", Source: snapshots},
	{Name: "range beyond the source", Before: []Ask{source, create}, Ask: copiedPart("bytes=100-200"),
		Status: 400, Code: "InvalidRequest", Source: snapshots},
	{Name: "wrong size told to Complete", Before: []Ask{create, partOne}, Ask: completeIf("x-amz-mp-object-size: 5"),
		Status: 400, Code: "InvalidRequest", Source: snapshots},
}

var source = Ask{Do: "PUT /s", Body: "this is a part"}

// copiedPart copies part 1, or a range of it, from s, which a row without a range
// may leave to it: an object of its own is put there by a step before.
func copiedPart(bytes string) Ask {
	a := Ask{As: "p", Do: "PUT /k?partNumber=1&uploadId=$u.upload", Body: "this is a part"}
	if bytes != "" {
		a.Headers, a.Body = "x-amz-copy-source: $at/s\nx-amz-copy-source-range: "+bytes, ""
	}
	return a
}

// completeSum completes an upload of the part "this is a part" with its checksum.
func completeSum(algorithm string) Ask {
	return Ask{Do: "POST /k?uploadId=$u.upload", Body: `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>$p.etag</ETag><Checksum` +
		algorithm + `>iqJrOQ==</Checksum` + algorithm + `></Part></CompleteMultipartUpload>`}
}
