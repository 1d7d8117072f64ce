package object

// ClientSide says whether user metadata shows that the bytes were encrypted by
// an S3 encryption client (envelopes of version 1, 2 and 3) before they were
// sent. Server-side encryption leaves that layer as it is.
func ClientSide(metadata map[string]string) bool {
	if len(metadata) == 0 {
		return false
	}
	for _, mark := range [...]string{"x-amz-key", "x-amz-key-v2", "x-amz-3", "x-amz-c", "x-amz-crypto-instr-file", "x-amz-cek-alg"} {
		if _, ok := metadata[mark]; ok {
			return true
		}
	}
	return false
}
