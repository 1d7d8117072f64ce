package awsface_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/awsface"
)

// TestAWSFace does in one process what a job does: find the bucket's region,
// believe the host name, ask KMS for the key, and copy.
func TestAWSFace(t *testing.T) {
	f, err := awsface.Start(s3test.Config{Region: "eu-west-1"}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Setenv(t.Setenv); err != nil {
		t.Fatal(err)
	}
	f.Store.CreateBucket("bucket", s3test.BucketConfig{})
	f.Store.Put("bucket", s3test.Object{Key: "k", Body: s3test.Bytes("bytes"), Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSES3}}})
	key := f.Store.KMS.CreateKey()

	s, err := s3store.Open(t.Context(), s3store.Options{}) // the region is not told: us-east-1 is asked first
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	target := object.Target{SSE: object.SSEKMS, KMSKeyID: key}
	caps, err := s.Probe(t.Context(), s3store.ProbeOptions{Bucket: "bucket", Target: target})
	if err != nil || caps.Update != object.Yes || f.Store.Count("PutObject") != 0 {
		t.Errorf("S3 was not known by its name: %+v, %v, %d canaries", caps, err, f.Store.Count("PutObject"))
	}
	ref := object.Ref{Bucket: "bucket", Key: "k"}
	reply, err := s.Copy(t.Context(), &object.CopyRequest{Source: ref, Dest: ref, Target: &target})
	if err != nil || !target.MetBy(reply.Encryption) {
		t.Errorf("copy: %+v, %v", reply, err)
	}
	hosts := f.Asked()
	slices.Sort(hosts)
	hosts = slices.Compact(hosts)
	want := []string{"bucket.s3.eu-west-1.amazonaws.com:443", "bucket.s3.us-east-1.amazonaws.com:443"}
	if !slices.Equal(hosts, want) {
		t.Errorf("hosts %q, want %q", hosts, want)
	}
	for _, r := range f.Store.Requests("CopyObject") {
		if r.Host != "bucket.s3.eu-west-1.amazonaws.com" {
			t.Errorf("a copy went to %s", r.Host)
		}
	}
}

// client goes through the proxy, whatever the environment says.
func client(t *testing.T, f *awsface.Face) *http.Client {
	t.Helper()
	pem, err := os.ReadFile(f.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{Proxy: http.ProxyURL(f.ProxyURL()), TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestHosts(t *testing.T) {
	f, err := awsface.Start(s3test.Config{NoAuth: true}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.Store.CreateBucket("bucket", s3test.BucketConfig{})
	f.Store.CreateBucket("dotted.bucket", s3test.BucketConfig{})
	f.Store.Put("bucket", s3test.Object{Key: "k", Body: s3test.Bytes("bytes")})
	c := client(t, f)
	for _, h := range []struct {
		url  string
		want int // 0: no connection
	}{
		{"https://bucket.s3.us-east-1.amazonaws.com/k", 200},
		{"https://s3.us-east-1.amazonaws.com/bucket/k", 200},
		{"https://bucket.s3.dualstack.us-east-1.amazonaws.com/k", 200},
		{"https://bucket.s3-fips.us-east-1.amazonaws.com/k", 200},
		{"https://bucket.s3.amazonaws.com/k", 200},
		{"https://bucket.s3.eu-west-1.amazonaws.com/k", 301},
		{"https://dotted.bucket.s3.us-east-1.amazonaws.com/k", 0}, // AWS's certificate does not fit it either
		{"https://s3.us-east-1.amazonaws.com/dotted.bucket/k", 404},
		{"https://example.com/", 0},
		{"https://ec2.us-east-1.amazonaws.com/", 0},
		{"https://lb-1.elb.us-east-1.amazonaws.com/", 0},
	} {
		resp, err := c.Get(h.url)
		got := 0
		if err == nil {
			resp.Body.Close()
			got = resp.StatusCode
		}
		if got != h.want {
			t.Errorf("%s: %d, want %d (%v)", h.url, got, h.want, err)
		}
	}
}

// KMS and STS answer at their endpoints, and only about their region.
func TestKMSAndSTS(t *testing.T) {
	f, err := awsface.Start(s3test.Config{NoAuth: true}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	key := f.Store.KMS.CreateKey()
	c := client(t, f)
	for _, q := range []struct{ host, target, body, want string }{
		{"kms.us-east-1.amazonaws.com", "TrentService.DescribeKey", `{"KeyId":"` + key + `"}`, `"Arn":"` + key + `"`},
		{"kms.eu-west-1.amazonaws.com", "TrentService.DescribeKey", `{"KeyId":"` + key + `"}`, "Invalid arn us-east-1"},
		{"sts.us-east-1.amazonaws.com", "", "Action=GetCallerIdentity&Version=2011-06-15", "<Account>111122223333<"},
	} {
		req, err := http.NewRequest("POST", "https://"+q.host+"/", strings.NewReader(q.body))
		if err != nil {
			t.Fatal(err)
		}
		if q.target != "" {
			req.Header.Set("X-Amz-Target", q.target)
		}
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := resp.Write(&b); err != nil || !strings.Contains(b.String(), q.want) {
			t.Errorf("%s: %s, want %s", q.host, b.String(), q.want)
		}
	}
}

func TestEnv(t *testing.T) {
	f, err := awsface.Start(s3test.Config{}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	env := f.Env([]string{"HOME=/h", "AWS_PROFILE=mine", "AWS_ENDPOINT_URL=http://elsewhere", "https_proxy=http://other"})
	for _, want := range []string{"HOME=/h", "HTTPS_PROXY=" + f.ProxyURL().String(), "AWS_CA_BUNDLE=" + f.CAFile()} {
		if !slices.Contains(env, want) {
			t.Errorf("without %s", want)
		}
	}
	for _, kv := range env {
		if strings.HasPrefix(kv, "AWS_PROFILE") || strings.HasPrefix(kv, "AWS_ENDPOINT_URL") || strings.HasPrefix(kv, "https_proxy") {
			t.Errorf("with %s", kv)
		}
	}
}
