package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"time"
)

const (
	algorithm   = "AWS4-HMAC-SHA256"
	emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// signingKey is the derived key of one credential and one day, in the form in
// which HMAC wants it: both pads already applied.
type signingKey struct {
	creds   Credentials
	expires time.Time
	// from and until bound the UTC day in Unix seconds.
	from, until int64
	// scope is day/region/s3/aws4_request; prefix opens the Authorization header.
	scope, prefix string
	inner, outer  [sha256.BlockSize]byte
}

func newSigningKey(c Credentials, region, service string, now time.Time) *signingKey {
	now = now.UTC()
	day := now.Format("20060102")
	from := now.Truncate(24 * time.Hour).Unix()
	k := &signingKey{creds: c, expires: c.Expires, from: from, until: from + 86400}
	k.scope = day + "/" + region + "/" + service + "/aws4_request"
	k.prefix = algorithm + " Credential=" + c.AccessKeyID + "/" + k.scope + ", SignedHeaders="
	key := []byte("AWS4" + c.SecretAccessKey)
	for _, part := range []string{day, region, service, "aws4_request"} {
		sum := hmacSHA256(key, part)
		key = sum[:]
	}
	k.inner, k.outer = pads(key)
	return k
}

func (k *signingKey) coversDay(now time.Time) bool {
	s := now.Unix()
	return s >= k.from && s < k.until
}

func hmacSHA256(key []byte, data string) [sha256.Size]byte {
	if len(key) > sha256.BlockSize {
		sum := sha256.Sum256(key)
		key = sum[:]
	}
	inner, outer := pads(key)
	var scratch []byte
	return finishHMAC(&inner, &outer, append(append(scratch, inner[:]...), data...))
}

// pads is the key under HMAC's two paddings; it is at most one block long.
func pads(key []byte) (inner, outer [sha256.BlockSize]byte) {
	copy(inner[:], key)
	copy(outer[:], key)
	for i := range inner {
		inner[i] ^= 0x36
		outer[i] ^= 0x5c
	}
	return inner, outer
}

// finishHMAC takes the inner pad followed by the data. Two whole sums over
// prepared pads allocate nothing, where hash.Hash would.
func finishHMAC(inner, outer *[sha256.BlockSize]byte, padded []byte) [sha256.Size]byte {
	var last [sha256.BlockSize + sha256.Size]byte
	copy(last[:], outer[:])
	sum := sha256.Sum256(padded)
	copy(last[sha256.BlockSize:], sum[:])
	return sha256.Sum256(last[:])
}

// appendSignature signs a canonical request and appends the hex signature. The
// scratch buffer is returned for reuse.
func (k *signingKey) appendSignature(dst []byte, amzDate []byte, canonical, scratch []byte) (signed, reuse []byte) {
	sum := sha256.Sum256(canonical)
	s := append(scratch[:0], k.inner[:]...)
	s = append(s, algorithm...)
	s = append(s, '\n')
	s = append(s, amzDate...)
	s = append(s, '\n')
	s = append(s, k.scope...)
	s = append(s, '\n')
	s = hex.AppendEncode(s, sum[:])
	mac := finishHMAC(&k.inner, &k.outer, s)
	return hex.AppendEncode(dst, mac[:]), s
}
