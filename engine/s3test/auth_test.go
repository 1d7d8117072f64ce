package s3test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// The example of "Signature calculations for the Authorization header:
// transferring payload in multiple chunks" in the S3 API reference.
func TestChunkSignaturesAreThoseOfTheReference(t *testing.T) {
	c := Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
	a := newAuth(Config{Credentials: []Credentials{c}, Now: time.Now})
	g := &signed{key: c.AccessKeyID, date: "20130524", region: "us-east-1", service: "s3", amzDate: "20130524T000000Z", creds: c,
		signature: "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"}
	g.signingKey = a.signingKey(g)
	data := bytes.Repeat([]byte("a"), 65536+1024)
	var body bytes.Buffer
	for _, k := range []struct {
		from, to  int
		signature string
	}{
		{0, 65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"},
		{65536, 66560, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"},
		{66560, 66560, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"},
	} {
		fmt.Fprintf(&body, "%x;chunk-signature=%s\r\n%s\r\n", k.to-k.from, k.signature, data[k.from:k.to])
	}
	open := func(b []byte) (*request, *s3Error) {
		q := &request{body: b, signed: g, http: &http.Request{Header: http.Header{"X-Amz-Decoded-Content-Length": {"66560"}}}}
		return q, q.dechunk("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", a)
	}
	if q, err := open(body.Bytes()); err != nil || !bytes.Equal(q.body, data) {
		t.Errorf("%v", err)
	}
	broken := bytes.Replace(body.Bytes(), []byte("aaaa"), []byte("aaab"), 1)
	if _, err := open(broken); err == nil || err.code != "SignatureDoesNotMatch" {
		t.Errorf("changed data: %v", err)
	}
	if _, err := open(body.Bytes()[:70000]); err == nil || err.code != "IncompleteBody" {
		if _, err := open(body.Bytes()[:60000]); err == nil {
			t.Error("a cut body was taken")
		}
	}
}

func TestTrailersAreChecked(t *testing.T) {
	a := newAuth(Config{Now: time.Now})
	q := &request{body: []byte("5\r\nhello\r\n0\r\nx-amz-checksum-crc64nvme:M3eFcAZSQlc=\r\n\r\n"), http: &http.Request{Header: http.Header{}}}
	if err := q.dechunk("STREAMING-UNSIGNED-PAYLOAD-TRAILER", a); err != nil || string(q.body) != "hello" || q.h("x-amz-checksum-crc64nvme") == "" {
		t.Errorf("%v, body %q", err, q.body)
	}
	for _, bad := range []string{"", "5\r\nhell", "zz\r\nhello\r\n", "5\r\nhelloXX0\r\n\r\n", "-1\r\n"} {
		q := &request{body: []byte(bad), http: &http.Request{Header: http.Header{}}}
		if err := q.dechunk("STREAMING-UNSIGNED-PAYLOAD-TRAILER", a); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestCredentialsAreGivenOut(t *testing.T) {
	s := New(Config{})
	defer s.Close()
	get := func() (int, string) {
		resp, err := http.Get(s.CredentialsURL())
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var b bytes.Buffer
		b.ReadFrom(resp.Body)
		return resp.StatusCode, b.String()
	}
	if status, _ := get(); status != http.StatusNotFound {
		t.Errorf("before Issue: %d", status)
	}
	s.Issue(Credentials{AccessKeyID: "ONE", SecretAccessKey: "secret", SessionToken: "token"}, time.Unix(1e9, 0))
	if _, body := get(); !strings.Contains(body, `"Expiration":"2001-09-09T01:46:40Z"`) || !strings.Contains(body, `"AccessKeyId":"ONE"`) {
		t.Errorf("%s", body)
	}
}
