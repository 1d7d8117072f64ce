package s3store

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// clean keeps the machine's own configuration out of a test.
func clean(t *testing.T) {
	t.Helper()
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "SECRET", "AWS_SESSION_TOKEN": "", "AWS_REGION": "",
		"AWS_DEFAULT_REGION": "", "AWS_PROFILE": "", "AWS_ENDPOINT_URL": "", "AWS_ENDPOINT_URL_S3": "", "AWS_CA_BUNDLE": "",
		"AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "AWS_EC2_METADATA_DISABLED": "true"} {
		t.Setenv(name, value)
	}
}

// play answers requests in place of the network.
type play struct {
	mu     sync.Mutex
	seen   []*http.Request
	answer func(*http.Request) *http.Response
}

func (p *play) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, r)
	resp := p.answer(r)
	resp.Request = r
	if resp.Body == nil {
		resp.Body = http.NoBody
	}
	if resp.Header == nil {
		resp.Header = http.Header{}
	}
	return resp, nil
}

func answered(status int, body string, headers ...string) *http.Response {
	h := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}
}

func opened(t *testing.T, o Options, answer func(*http.Request) *http.Response) (*Store, *play) {
	t.Helper()
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	p := &play{answer: answer}
	s.client.Transport = p
	return s, p
}

func TestAddress(t *testing.T) {
	clean(t)
	inFrankfurt := func(r *http.Request) *http.Response {
		return answered(403, "", "X-Amz-Bucket-Region", "eu-central-1")
	}
	for _, tc := range []struct {
		name   string
		o      Options
		env    map[string]string
		bucket string
		want   Address
		aws    bool
	}{
		{"AWS, region unknown", Options{}, nil, "bkt", Address{"https", "bkt.s3.eu-central-1.amazonaws.com", "", "eu-central-1", "s3"}, true},
		{"AWS, region wrong", Options{Region: "us-west-2"}, nil, "bkt", Address{"https", "bkt.s3.eu-central-1.amazonaws.com", "", "eu-central-1", "s3"}, true},
		{"AWS, region of the environment", Options{}, map[string]string{"AWS_REGION": "eu-central-1"}, "bkt", Address{"https", "bkt.s3.eu-central-1.amazonaws.com", "", "eu-central-1", "s3"}, true},
		{"a bucket with dots", Options{Region: "eu-central-1"}, nil, "a.b.c", Address{"https", "s3.eu-central-1.amazonaws.com", "/a.b.c", "eu-central-1", "s3"}, true},
		{"path style", Options{Region: "eu-central-1", PathStyle: object.On}, nil, "b", Address{"https", "s3.eu-central-1.amazonaws.com", "/b", "eu-central-1", "s3"}, true},
		{"endpoint", Options{EndpointURL: "http://127.0.0.1:9000"}, nil, "b", Address{"http", "127.0.0.1:9000", "/b", "us-east-1", "s3"}, false},
		{"endpoint by name", Options{EndpointURL: "https://minio.example.com/", Region: "r"}, nil, "b", Address{"https", "minio.example.com", "/b", "r", "s3"}, false},
		{"endpoint, virtual", Options{EndpointURL: "https://minio.example.com", PathStyle: object.Off}, nil, "bkt", Address{"https", "bkt.minio.example.com", "", "us-east-1", "s3"}, false},
		{"endpoint with a path", Options{EndpointURL: "https://h.example/s3"}, nil, "b", Address{"https", "h.example", "/s3/b", "us-east-1", "s3"}, false},
		{"endpoint of the environment", Options{}, map[string]string{"AWS_ENDPOINT_URL": "http://localhost:1"}, "b", Address{"http", "localhost:1", "/b", "us-east-1", "s3"}, false},
		{"endpoint of S3", Options{}, map[string]string{"AWS_ENDPOINT_URL": "http://localhost:1", "AWS_ENDPOINT_URL_S3": "http://localhost:2"}, "b", Address{"http", "localhost:2", "/b", "us-east-1", "s3"}, false},
		{"VPC endpoint", Options{EndpointURL: "https://bucket.vpce-1-2.s3.eu-central-1.vpce.amazonaws.com", Region: "eu-central-1"}, nil, "bkt",
			Address{"https", "bkt.bucket.vpce-1-2.s3.eu-central-1.vpce.amazonaws.com", "", "eu-central-1", "s3"}, true},
		{"looks like AWS", Options{EndpointURL: "https://amazonaws.com.evil.example"}, nil, "b", Address{"https", "amazonaws.com.evil.example", "/b", "us-east-1", "s3"}, false},
		{"access point", Options{Region: "eu-central-1"}, nil, "arn:aws:s3:eu-central-1:111122223333:accesspoint/ap",
			Address{"https", "ap-111122223333.s3-accesspoint.eu-central-1.amazonaws.com", "", "eu-central-1", "s3"}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for k, v := range tc.env {
				t.Setenv(k, v)
			}
			s, p := opened(t, tc.o, inFrankfurt)
			for range 2 { // the second time from memory
				got, err := s.Address(t.Context(), tc.bucket)
				if err != nil || got != tc.want {
					t.Errorf("%+v, %v; want %+v", got, err, tc.want)
				}
			}
			if s.IsAWS() != tc.aws || len(p.seen) > 1 || !tc.aws && len(p.seen) > 0 {
				t.Errorf("IsAWS %v, %d requests", s.IsAWS(), len(p.seen))
			}
		})
	}
}

// Only what nobody but AWS can answer under is taken for S3: on any other store an
// UpdateObjectEncryption would replace the object.
func TestWhatIsS3Itself(t *testing.T) {
	clean(t)
	for endpoint, s3 := range map[string]bool{
		"":                                                                 true,
		"https://s3.amazonaws.com":                                         true,
		"https://S3.EU-West-1.amazonaws.com:443":                           true,
		"https://bkt.s3.eu-west-1.amazonaws.com":                           true,
		"https://s3-us-west-2.amazonaws.com":                               true,
		"https://s3.dualstack.us-east-2.amazonaws.com":                     true,
		"https://s3-fips.us-gov-west-1.amazonaws.com":                      true,
		"https://s3-fips.dualstack.us-east-1.amazonaws.com":                true,
		"https://s3-accelerate.dualstack.amazonaws.com":                    true,
		"https://s3.cn-north-1.amazonaws.com.cn":                           true,
		"https://s3.eusc-de-east-1.amazonaws.eu":                           true,
		"https://s3.us-iso-east-1.c2s.ic.gov":                              true,
		"https://ap-111122223333.s3-accesspoint.eu-west-1.amazonaws.com":   true,
		"https://bucket.vpce-0a-1b.s3.eu-west-1.vpce.amazonaws.com":        true,
		"http://s3.eu-west-1.amazonaws.com":                                false, // anybody can answer here
		"https://ec2-3-4-5-6.eu-west-1.compute.amazonaws.com":              false,
		"https://ec2-3-4-5-6.compute-1.amazonaws.com":                      false,
		"https://s3-gateway-123.eu-west-1.elb.amazonaws.com":               false,
		"https://s3.eu-west-1.elb.amazonaws.com":                           false,
		"https://s3.execute-api.eu-west-1.amazonaws.com":                   false,
		"https://vpce-0a-1b.vpce-svc-2c.eu-west-1.vpce.amazonaws.com":      false,
		"https://s3express-use1-az4.us-east-1.amazonaws.com":               false,
		"https://op-1.s3-outposts.eu-west-1.amazonaws.com":                 false,
		"https://ol-111122223333.s3-object-lambda.eu-west-1.amazonaws.com": false,
		"https://s3.amazonaws.com.evil.example":                            false,
		"https://evil.example/s3.amazonaws.com":                            false,
		"https://s3.amazonaws.com@evil.example":                            false,
		"https://evils3.amazonaws.com":                                     false,
		"https://amazonaws.com":                                            false,
		"https://127.0.0.1:9000":                                           false,
	} {
		s, err := Open(t.Context(), Options{EndpointURL: endpoint})
		if err != nil {
			t.Fatal(err)
		}
		if got := s.isProvedAWS(); got != s3 {
			t.Errorf("%q is S3: %v", endpoint, got)
		}
	}
	s, err := Open(t.Context(), Options{EndpointURL: "https://s3.eu-west-1.amazonaws.com", NoVerifySSL: true})
	if err != nil || s.isProvedAWS() {
		t.Errorf("without a certificate that is verified: %v", err)
	}
	t.Setenv("AWS_ENDPOINT_URL", "http://ec2-3-4-5-6.compute-1.amazonaws.com:9000")
	if s, err = Open(t.Context(), Options{}); err != nil || s.isProvedAWS() {
		t.Errorf("an endpoint of the environment: %v", err)
	}
}

func TestAddressRefusals(t *testing.T) {
	clean(t)
	s, _ := opened(t, Options{}, func(*http.Request) *http.Response { return answered(404, "") })
	if _, err := s.Address(t.Context(), "missing"); object.ClassOf(err) != object.ClassNoBucket {
		t.Errorf("missing bucket: %v", err)
	}
	if _, err := s.Address(t.Context(), "b--use1-az4--x-s3"); object.ClassOf(err) != object.ClassUnsupported {
		t.Errorf("directory bucket: %v", err)
	}
	if _, err := s.Address(t.Context(), "ap-aqfqprnstn7aefdfbarligizwgyfouse1a-ext-s3alias"); object.ClassOf(err) != object.ClassUnsupported {
		t.Errorf("an access point of FSx: %v", err)
	}
	for _, arn := range []string{"arn:aws:s3-outposts:eu-west-1:111122223333:outpost:op-01234567890123456:accesspoint:ap",
		"arn:aws:s3-object-lambda:eu-west-1:111122223333:accesspoint/ol"} {
		if a, err := s.Address(t.Context(), arn); object.ClassOf(err) != object.ClassUnsupported {
			t.Errorf("%s: %+v, %v", arn, a, err)
		}
	}
	for _, o := range []Options{{EndpointURL: "127.0.0.1:9000"}, {EndpointURL: "ftp://h"}, {RequestPayer: "me"}, {MaxConnections: -1}, {CABundle: "/nonexistent"}, {Profile: "nobody"}} {
		if _, err := Open(t.Context(), o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}

func TestCopySource(t *testing.T) {
	for _, tc := range []struct{ key, version, want string }{
		{"plain/key.txt", "", "b/plain/key.txt"},
		{"sp ace", "", "b/sp%20ace"},
		{"a+b", "", "b/a%2Bb"},
		{"100%", "", "b/100%25"},
		{"%2F", "", "b/%252F"},
		{"/lead//double/", "", "b//lead//double/"},
		{"q?v#f&g=h", "", "b/q%3Fv%23f%26g%3Dh"},
		{"ü", "", "b/%C3%BC"},
		{"\x01\xff", "", "b/%01%FF"},
		{"~-._", "", "b/~-._"},
		{"../..", "", "b/../.."},
		{"k", "v.1_2", "b/k?versionId=v.1_2"},
		{"k?versionId=x", "null", "b/k%3FversionId%3Dx?versionId=null"},
	} {
		ref := object.Ref{Bucket: "b", Key: tc.key, VersionID: tc.version}
		if got := CopySource(ref); got != tc.want {
			t.Errorf("%q: %s, want %s", tc.key, got, tc.want)
		}
		if back, err := url.PathUnescape(EscapeKey(tc.key)); err != nil || back != tc.key {
			t.Errorf("%q comes back as %q, %v", tc.key, back, err)
		}
	}
	if got := CopySource(object.Ref{Bucket: "arn:aws:s3:r:1:accesspoint/ap", Key: "k"}); got != "arn:aws:s3:r:1:accesspoint/ap/object/k" {
		t.Error(got)
	}
}

// TestCommonHeaders: payer and owner go with every request, the source's owner
// with every copy, and no key over http.
func TestCommonHeaders(t *testing.T) {
	clean(t)
	s, p := opened(t, Options{EndpointURL: "http://127.0.0.1:9", RequestPayer: "requester", ExpectedBucketOwner: "111122223333", UserAgent: "reseal/t"},
		func(r *http.Request) *http.Response {
			if r.Method == http.MethodHead {
				return answered(200, "", "ETag", `"e"`)
			}
			return answered(200, `<CopyObjectResult><ETag>&quot;e&quot;</ETag></CopyObjectResult>`)
		})
	ref := object.Ref{Bucket: "b", Key: "k ü"}
	if _, err := s.Head(t.Context(), ref, object.CustomerKey{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Copy(t.Context(), &object.CopyRequest{Source: ref, Dest: ref}); err != nil {
		t.Fatal(err)
	}
	for _, r := range p.seen {
		if r.Header.Get("X-Amz-Request-Payer") != "requester" || r.Header.Get("X-Amz-Expected-Bucket-Owner") != "111122223333" ||
			r.Header.Get("User-Agent") != "reseal/t" || r.URL.EscapedPath() != "/b/k%20%C3%BC" {
			t.Errorf("%s %s: %v", r.Method, r.URL, r.Header)
		}
		if (r.Header.Get("X-Amz-Source-Expected-Bucket-Owner") != "") != (r.Method == http.MethodPut) {
			t.Errorf("source owner: %v", r.Header)
		}
	}
	key, _ := object.ParseCustomerKey([]byte("0123456789abcdef0123456789abcdef"))
	n := len(p.seen)
	_, headErr := s.Head(t.Context(), ref, key)
	_, copyErr := s.Copy(t.Context(), &object.CopyRequest{Source: ref, Dest: ref, SourceSSEC: true, Target: &object.Target{SSE: object.SSES3, SourceKey: key}})
	_, probeErr := s.Probe(t.Context(), ProbeOptions{Bucket: "b", Target: object.Target{SSE: object.SSEC, CustomerKey: key}})
	for _, err := range []error{headErr, copyErr, probeErr} {
		if object.ClassOf(err) != object.ClassInvalid || !strings.Contains(err.Error(), "https") || strings.Contains(err.Error(), key.Base64()) {
			t.Errorf("a key over http: %v", err)
		}
	}
	if len(p.seen) != n {
		t.Errorf("%d requests were sent with a key over http", len(p.seen)-n)
	}
}

// TestUntrustedSuccess: a 200 without its proof is an error.
func TestUntrustedSuccess(t *testing.T) {
	clean(t)
	body := ""
	s, _ := opened(t, Options{EndpointURL: "http://127.0.0.1:9"}, func(*http.Request) *http.Response { return answered(200, body) })
	ref := object.Ref{Bucket: "b", Key: "k"}
	ops := map[string]func(context.Context) error{
		"CopyObjectResult": func(ctx context.Context) error {
			_, err := s.Copy(ctx, &object.CopyRequest{Source: ref, Dest: ref})
			return err
		},
		"CopyPartResult": func(ctx context.Context) error {
			_, err := s.CopyPart(ctx, &object.PartRequest{Source: ref, Dest: ref, UploadID: "u", Number: 1})
			return err
		},
		"CompleteMultipartUploadResult": func(ctx context.Context) error {
			_, err := s.CompleteUpload(ctx, &object.CompleteRequest{Dest: ref, UploadID: "u"})
			return err
		},
	}
	for root, send := range ops {
		for _, tc := range []struct {
			body string
			want object.Class
		}{
			{"", object.ClassTransient},
			{`<?xml version="1.0" encoding="UTF-8"?>`, object.ClassTransient},
			{"   \n\n", object.ClassTransient},
			{errorXML("InternalError", ""), object.ClassTransient},
			{errorXML("AccessDenied", ""), object.ClassDenied},
			{"<" + root + "><ETag>", object.ClassTransient},
			{"<" + root + "></" + root + ">", object.ClassTransient},
			{"<ListBucketResult></ListBucketResult>", object.ClassUnsupported},
			{"the object's own bytes", object.ClassUnsupported},
			{"<" + root + ">\n<ETag>\"e\"</ETag></" + root + ">", object.ClassOther},
			{"<" + root + "><ETag>e</ETag></" + root + ">", object.ClassOther},
		} {
			body = tc.body
			err := send(t.Context())
			if object.ClassOf(err) != tc.want || (err == nil) != (tc.want == object.ClassOther) {
				t.Errorf("%s, %q: %v", root, tc.body, err)
			}
		}
	}
}
