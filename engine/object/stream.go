package object

// RangeRequest asks for some of an object's bytes.
type RangeRequest struct {
	Ref Ref
	// Key reads an SSE-C object.
	Key CustomerKey
	// ETag and Size are those of the whole object. Of another one nothing is taken.
	ETag string
	Size int64
	// First is where the bytes begin that are put into Into, all of it.
	First int64
	Into  []byte
}

// SendRequest is one part of a multipart upload from bytes that this client holds.
type SendRequest struct {
	Dest     Ref
	UploadID string
	Number   int
	// First is where the part begins in the new object; parts of a store are put in the
	// order of their numbers, those of a file where they belong.
	First  int64
	Target *Target
	Body   []byte
	// Checksum is the value of ChecksumAlgorithm over Body, base64: the store refuses
	// bytes that do not have it. Without a value none is sent.
	ChecksumAlgorithm, Checksum string
}
