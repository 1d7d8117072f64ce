package wire

const upperHex = "0123456789ABCDEF"

// plain marks the bytes that SigV4 leaves as they are: RFC 3986's unreserved.
var plain = func() (t [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~") {
		t[c] = true
	}
	return t
}()

// appendPath percent-encodes a bucket or a key for the path and for
// x-amz-copy-source: every byte but the unreserved ones and the slash. S3 does
// not normalise paths, so "a//b" and "a/../b" stay as they are.
func appendPath(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; plain[c] || c == '/' {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return dst
}

// appendQuery percent-encodes a query component, slashes too.
func appendQuery(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; plain[c] {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return dst
}
