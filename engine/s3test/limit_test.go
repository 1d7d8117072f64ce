package s3test

import (
	"net/http"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// The bucket's clock is given, so that the test needs none.
func TestTokens(t *testing.T) {
	now := time.Unix(0, 0)
	b := newTokens(100, 0, now)
	taken := 0
	for range 1000 { // 10 s, a request every 10 ms, then 5 at once
		now = now.Add(10 * time.Millisecond)
		for range 5 {
			if b.take(now) {
				taken++
			}
		}
	}
	if taken < 1000 || taken > 1000+10 {
		t.Errorf("%d taken of 5000 in 10 s at 100/s", taken)
	}
}

func TestLimitsAnswerSlowDown(t *testing.T) {
	s := New(Config{NoAuth: true})
	defer s.Close()
	kms := Attrs{Encryption: object.Encryption{Type: object.SSEKMS, KMSKeyID: s.KMS.DefaultKeyARN()}}
	s.CreateBucket("b", BucketConfig{})
	s.Put("b", Object{Key: "p/kms", Attrs: kms})
	s.Put("b", Object{Key: "q/plain"})
	get := func(key string) (int, string) {
		resp, err := http.Get(s.URL() + "/b/" + key)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode, resp.Header.Get("Retry-After")
	}
	const rare = 1e-6 // so that the bucket holds its burst and nothing comes after
	s.SetLimits(Limits{Requests: rare, Burst: 2, RetryAfter: 7})
	for i, want := range []int{200, 200, 503, 503} {
		status, retry := get("q/plain")
		if status != want || (retry == "7") != (want == 503) {
			t.Errorf("request %d: %d, Retry-After %q", i, status, retry)
		}
	}
	s.SetLimits(Limits{Requests: rare, Burst: 1, PerPrefix: true})
	for _, c := range []struct {
		key  string
		want int
	}{{"p/kms", 200}, {"q/plain", 200}, {"p/kms", 503}, {"q/plain", 503}} {
		if status, _ := get(c.key); status != c.want {
			t.Errorf("%s: %d, want %d", c.key, status, c.want)
		}
	}
	s.SetLimits(Limits{KMS: rare, Burst: 1})
	for _, c := range []struct {
		key  string
		want int
	}{{"p/kms", 200}, {"p/kms", 503}, {"q/plain", 200}, {"q/plain", 200}} {
		if status, _ := get(c.key); status != c.want {
			t.Errorf("KMS limit, %s: %d, want %d", c.key, status, c.want)
		}
	}
	s.SetLimits(Limits{})
	if status, _ := get("p/kms"); status != 200 {
		t.Errorf("without limits: %d", status)
	}
}

func TestKMSUseIsKnownBeforehand(t *testing.T) {
	s := New(Config{NoAuth: true})
	defer s.Close()
	s.CreateBucket("b", BucketConfig{})
	s.CreateBucket("d", BucketConfig{DefaultEncryption: object.Encryption{Type: object.SSEKMS}})
	s.Put("b", Object{Key: "k", Attrs: Attrs{Encryption: object.Encryption{Type: object.SSEKMS, KMSKeyID: s.KMS.DefaultKeyARN()}}})
	s.Put("b", Object{Key: "plain"})
	for _, c := range []struct {
		op, bucket, key string
		headers         map[string]string
		want            bool
	}{
		{"GetObject", "b", "k", nil, true},
		{"HeadObject", "b", "k", nil, false},
		{"GetObject", "b", "plain", nil, false},
		{"CopyObject", "b", "plain", map[string]string{hCopySource: "b/plain", hSSE: "AES256"}, false},
		{"CopyObject", "b", "plain", map[string]string{hCopySource: "b/k", hSSE: "AES256"}, true},
		{"CopyObject", "b", "plain", map[string]string{hCopySource: "b/plain", hSSE: "aws:kms"}, true},
		{"PutObject", "d", "new", nil, true},
		{"PutObject", "b", "new", nil, false},
		{"UpdateObjectEncryption", "b", "k", nil, true},
	} {
		h := http.Header{}
		for k, v := range c.headers {
			h.Set(k, v)
		}
		q := &request{op: c.op, bucket: c.bucket, key: c.key, http: &http.Request{Header: h}}
		if got := s.usesKMS(q); got != c.want {
			t.Errorf("%s of %s/%s %v: %t", c.op, c.bucket, c.key, c.headers, got)
		}
	}
}
