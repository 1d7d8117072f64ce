package object

import (
	"crypto/sha1" //nolint:gosec // S3's checksum of that name
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"hash/crc32"
	"hash/crc64"
)

// The types of an additional checksum.
const (
	FullObject = "FULL_OBJECT" // over the bytes of the whole object
	Composite  = "COMPOSITE"   // over the checksums of the parts it was uploaded in
)

// ComposedOfParts says whether an upload in parts can have a checksum of this
// algorithm only as a composite one. CRCs of parts can be joined to the CRC of the
// whole, which no digest can: SHA1, SHA256, SHA512, MD5, XXHASH64, XXHASH3 and
// XXHASH128 of the whole are made by an upload in one piece, and kept by one
// CopyObject. An algorithm that is not known here is taken for one of these.
func ComposedOfParts(algorithm string) bool {
	switch algorithm {
	case "", "CRC32", "CRC32C", "CRC64NVME":
		return false
	}
	return true
}

// Checksum is S3's over these bytes; empty where this one is not known here, so that
// the store chooses its own.
func Checksum(algorithm string, b []byte) string {
	h := NewChecksum(algorithm)
	if h == nil {
		return ""
	}
	h.Write(b)
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// KnowsChecksum says whether Checksum can make one.
func KnowsChecksum(algorithm string) bool { return NewChecksum(algorithm) != nil }

// SDKsName says whether SDKs name the algorithm of a checksum that goes with PutObject beside
// its value, so that every store has seen that.
func SDKsName(algorithm string) bool {
	switch algorithm {
	case "CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256":
		return true
	}
	return false
}

// NewChecksum makes one of what is written to it; nil where this one is not known here.
func NewChecksum(algorithm string) hash.Hash {
	switch algorithm {
	case "CRC32":
		return crc32.NewIEEE()
	case "CRC32C":
		return crc32.New(crc32.MakeTable(crc32.Castagnoli))
	case "CRC64NVME":
		return crc64.New(crc64.MakeTable(0x9a6c9329ac4bc9b5))
	case "SHA1":
		return sha1.New() //nolint:gosec // S3's checksum of that name
	case "SHA256":
		return sha256.New()
	}
	return nil
}
