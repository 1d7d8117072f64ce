package s3test_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/s3test"
)

// Ten algorithms: each is computed on a PUT, copied, and checked; by upload, only
// the CRCs can be of the whole, and CRC64NVME is of nothing else.
func TestTenChecksums(t *testing.T) {
	for algorithm, c := range map[string]struct {
		size            int
		full, composite bool
	}{
		"CRC32": {4, true, true}, "CRC32C": {4, true, true}, "CRC64NVME": {8, true, false}, "SHA1": {20, false, true}, "SHA256": {32, false, true},
		"SHA512": {64, false, true}, "MD5": {16, false, true}, "XXHASH64": {8, false, true}, "XXHASH3": {8, false, true}, "XXHASH128": {16, false, true},
	} {
		s := start(t, s3test.Config{})
		s.CreateBucket("b", s3test.BucketConfig{})
		header := "x-amz-checksum-" + strings.ToLower(algorithm)
		if got, body := raw(t, s, "PUT", "/b/k", "bytes", map[string]string{"X-Amz-Sdk-Checksum-Algorithm": algorithm}); got != 200 {
			t.Fatalf("%s: %d %s", algorithm, got, body)
		}
		o, _ := s.Get("b", "k", "")
		if raw, err := base64.StdEncoding.DecodeString(o.Checksum.Value); err != nil || len(raw) != c.size || o.Checksum.Algorithm != algorithm {
			t.Errorf("%s: %+v has %d bytes", algorithm, o.Checksum, len(raw))
		}
		if got, _ := raw(t, s, "PUT", "/b/k", "bytes", map[string]string{header: o.Checksum.Value}); got != 200 {
			t.Errorf("%s: the right one: %d", algorithm, got)
		}
		if got, body := raw(t, s, "PUT", "/b/k", "other", map[string]string{header: o.Checksum.Value}); got != 400 || !strings.Contains(body, "<Code>BadDigest<") {
			t.Errorf("%s: a wrong one: %d %s", algorithm, got, body)
		}
		if got, body := raw(t, s, "PUT", "/b/d", "", map[string]string{"X-Amz-Copy-Source": "b/k"}); got != 200 || !strings.Contains(body, fmt.Sprintf("<Checksum%s>%s<", algorithm, o.Checksum.Value)) {
			t.Errorf("%s: copied: %d %s", algorithm, got, body)
		}
		for typ, want := range map[string]bool{"FULL_OBJECT": c.full, "COMPOSITE": c.composite} {
			got, _ := raw(t, s, "POST", "/b/u?uploads", "", map[string]string{"X-Amz-Checksum-Algorithm": algorithm, "X-Amz-Checksum-Type": typ})
			if (got == 200) != want {
				t.Errorf("%s %s by upload: %d", algorithm, typ, got)
			}
		}
	}
}
