package s3test_test

import (
	"crypto/md5"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/kms"
)

// GetObjectAttributes needs the right to read as well, and the rights to
// versions where one is named.
func TestAttributesNeedReading(t *testing.T) {
	s := start(t, s3test.Config{})
	s.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled"})
	id := s.Put("b", s3test.Object{Key: "k"})
	for _, c := range []struct {
		denied, query string
		want          int
	}{
		{"s3:GetObject", "", http.StatusForbidden},
		{"s3:GetObjectAttributes", "", http.StatusForbidden},
		{"s3:GetObjectVersion", "", http.StatusOK},
		{"s3:GetObjectVersion", "&versionId=" + id, http.StatusForbidden},
		{"s3:GetObjectVersionAttributes", "&versionId=" + id, http.StatusForbidden},
		{"s3:GetObjectAttributes", "&versionId=" + id, http.StatusOK},
	} {
		s.ConfigureBucket("b", func(b *s3test.BucketConfig) { b.Deny = []s3test.Deny{{Action: c.denied}} })
		got, _ := raw(t, s, "GET", "/b/k?attributes"+c.query, "", map[string]string{"X-Amz-Object-Attributes": "ETag"})
		if got != c.want {
			t.Errorf("without %s, attributes%s: %d, want %d", c.denied, c.query, got, c.want)
		}
	}
}

// UpdateObjectEncryption takes key ARNs of every partition.
func TestUpdateInOtherPartitions(t *testing.T) {
	for region, partition := range map[string]string{"us-gov-west-1": "aws-us-gov", "cn-north-1": "aws-cn", "eusc-de-east-1": "aws-eusc", "us-isob-east-1": "aws-iso-b"} {
		s := start(t, s3test.Config{Region: region, NoAuth: true})
		s.CreateBucket("b", s3test.BucketConfig{})
		s.Put("b", s3test.Object{Key: "k", Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSES3}}})
		arn := s.KMS.CreateKey()
		if !strings.HasPrefix(arn, "arn:"+partition+":kms:"+region+":") {
			t.Errorf("%s: a key is called %s", region, arn)
		}
		body := `<ObjectEncryption><SSE-KMS><KMSKeyArn>` + arn + `</KMSKeyArn></SSE-KMS></ObjectEncryption>`
		if got, reply := raw(t, s, "PUT", "/b/k?encryption", body, map[string]string{"Content-MD5": md5Of(body)}); got != http.StatusOK {
			t.Errorf("%s: %d %s", region, got, reply)
		}
		if o, _ := s.Get("b", "k", ""); o.Encryption.KMSKeyID != arn {
			t.Errorf("%s: the object is under %q", region, o.Encryption.KMSKeyID)
		}
	}
}

func TestHeadersHaveALimit(t *testing.T) {
	for _, c := range []struct {
		profile s3test.Profile
		want    string
	}{{s3test.AWS(), "RequestHeaderSectionTooLarge"}, {s3test.MinIO(), "MetadataTooLarge"}} {
		s := start(t, s3test.Config{Profile: c.profile})
		s.CreateBucket("b", s3test.BucketConfig{})
		tag := func(n int) map[string]string {
			return map[string]string{"X-Amz-Tagging": "k=" + strings.Repeat("%41", n)}
		}
		if got, body := raw(t, s, "PUT", "/b/k", "x", tag(250)); got != http.StatusOK {
			t.Errorf("%s: a small tag: %d %s", c.profile.Name, got, body)
		}
		if got, body := raw(t, s, "PUT", "/b/k", "x", tag(2700)); got != http.StatusBadRequest || !strings.Contains(body, "<Code>"+c.want+"<") {
			t.Errorf("%s: 8 KB of headers: %d %s", c.profile.Name, got, body)
		}
	}
}

func TestArchivedTellsItsClass(t *testing.T) {
	s := start(t, s3test.Config{})
	s.CreateBucket("b", s3test.BucketConfig{})
	s.Put("b", s3test.Object{Key: "cold", Attrs: s3test.Attrs{StorageClass: "DEEP_ARCHIVE"}})
	s.Put("b", s3test.Object{Key: "tier", Attrs: s3test.Attrs{StorageClass: "INTELLIGENT_TIERING", ArchiveTier: "ARCHIVE_ACCESS"}})
	for key, want := range map[string]string{"cold": "<StorageClass>DEEP_ARCHIVE<", "tier": "<AccessTier>ARCHIVE_ACCESS<"} {
		if got, body := raw(t, s, "GET", "/b/"+key, "", nil); got != http.StatusForbidden || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", key, got, body)
		}
	}
}

func md5Of(body string) string {
	sum := md5.Sum([]byte(body))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// The checksum of an object under KMS is shown by HEAD to whoever may decrypt.
func TestChecksumNeedsTheKey(t *testing.T) {
	s := start(t, s3test.Config{})
	s.CreateBucket("b", s3test.BucketConfig{})
	key, body := s.KMS.CreateKey(), s3test.Bytes("x")
	s.Put("b", s3test.Object{Key: "k", Body: body, Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSEKMS, KMSKeyID: key}}}, s3test.Summed(body, "SHA256"))
	mode := map[string]string{"X-Amz-Checksum-Mode": "ENABLED"}
	if got, _ := raw(t, s, "HEAD", "/b/k", "", mode); got != http.StatusOK || s.KMS.Calls()[key] != 1 {
		t.Errorf("with the checksum: %d, KMS calls %v", got, s.KMS.Calls())
	}
	s.KMS.SetKeyState(key, kms.Denied)
	if got, _ := raw(t, s, "HEAD", "/b/k", "", mode); got != http.StatusForbidden {
		t.Errorf("with the checksum, denied: %d", got)
	}
	if got, _ := raw(t, s, "HEAD", "/b/k", "", nil); got != http.StatusOK {
		t.Errorf("without the checksum, denied: %d", got)
	}
}
