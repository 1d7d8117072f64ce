package s3test

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"strconv"
	"strings"
	"sync"
)

// Checksum is the additional checksum of an object: Algorithm is one of the ten
// that S3 knows (CRC32, SHA256, XXHASH128 …), Type FULL_OBJECT or COMPOSITE, Value base64 (with
// "-N" for a composite one).
type Checksum struct{ Algorithm, Type, Value string }

const (
	fullObject = "FULL_OBJECT"
	composite  = "COMPOSITE"
)

// crc64NVME is the reversed polynomial of CRC-64/NVME.
const crc64NVMEPoly = 0x9a6c9329ac4bc9b5

var crc64NVME = sync.OnceValue(func() *crc64.Table { return crc64.MakeTable(crc64NVMEPoly) })

func newHash(algorithm string) hash.Hash {
	switch algorithm {
	case "CRC32":
		return crc32.NewIEEE()
	case "CRC32C":
		return crc32.New(crc32.MakeTable(crc32.Castagnoli))
	case "CRC64NVME":
		return crc64.New(crc64NVME())
	case "SHA1":
		return sha1.New()
	case "SHA256":
		return sha256.New()
	case "SHA512":
		return sha512.New()
	case "MD5":
		return md5.New()
	case "XXHASH64":
		return newXXH64()
	case "XXHASH3":
		return newXXH3()
	case "XXHASH128":
		return newXXH128()
	}
	return nil
}

var checksumAlgorithms = []string{"CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256", "SHA512", "MD5", "XXHASH64", "XXHASH3", "XXHASH128"}

// checksum is the base64 value over the content.
func (c *Content) checksum(algorithm string) string {
	return c.digest(algorithm, func() string {
		h := newHash(algorithm)
		c.hashInto(h)
		return base64.StdEncoding.EncodeToString(h.Sum(nil))
	})
}

// full is the FULL_OBJECT checksum of the content.
func (c *Content) full(algorithm string) Checksum {
	return Checksum{algorithm, fullObject, c.checksum(algorithm)}
}

// compositeOf is the checksum of the parts' checksums.
func compositeOf(algorithm string, parts []Part) Checksum {
	h := newHash(algorithm)
	for _, p := range parts {
		raw, _ := base64.StdEncoding.DecodeString(p.Checksum)
		h.Write(raw)
	}
	v := base64.StdEncoding.EncodeToString(h.Sum(nil)) + "-" + strconv.Itoa(len(parts))
	return Checksum{algorithm, composite, v}
}

func checksumHeader(algorithm string) string {
	return "x-amz-checksum-" + strings.ToLower(algorithm)
}

// checksumElement is the name in XML documents: ChecksumCRC32 …
func checksumElement(algorithm string) string { return "Checksum" + algorithm }

// typeFor is the type that a multipart upload with this algorithm gets; ok is
// false where the wanted one does not exist for it.
func typeFor(algorithm, wanted string) (typ string, ok bool) {
	switch algorithm {
	case "CRC64NVME":
		return fullObject, wanted != composite
	case "SHA1", "SHA256", "SHA512", "MD5", "XXHASH64", "XXHASH3", "XXHASH128":
		return composite, wanted != fullObject
	case "CRC32", "CRC32C":
		if wanted == "" {
			wanted = composite
		}
		return wanted, wanted == composite || wanted == fullObject
	}
	return "", false
}
