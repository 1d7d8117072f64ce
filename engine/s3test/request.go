package s3test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// request is one request as the operations see it.
type request struct {
	http   *http.Request
	id     string
	op     string
	path   string // decoded, as it was sent
	query  map[string][]string
	bucket string
	key    string
	// sub is the sub-resource, empty for none.
	sub    string
	body   []byte
	signed *signed
	tls    bool
}

func (q *request) h(name string) string { return q.http.Header.Get(name) }

func (q *request) has(name string) bool { return len(q.http.Header[http.CanonicalHeaderKey(name)]) > 0 }

func (q *request) q(name string) string {
	if v := q.query[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

func (q *request) hasQuery(name string) bool { _, ok := q.query[name]; return ok }

func (q *request) account(own string) string {
	if q.signed == nil {
		return own
	}
	return q.signed.creds.Account
}

func itoa[T int | int64](n T) string { return strconv.FormatInt(int64(n), 10) }

// parse takes the request apart: path or virtual host, query, operation.
func (s *Server) parse(r *http.Request) (*request, *s3Error) {
	q := &request{http: r, id: s.profile.requestID(&s.calls), tls: r.TLS != nil, op: "Unknown"}
	raw, rawQuery, _ := strings.Cut(r.RequestURI, "?")
	if !strings.HasPrefix(raw, "/") { // absolute form, as proxies send it
		if _, rest, ok := strings.Cut(raw, "://"); ok {
			_, rest, _ = strings.Cut(rest, "/")
			raw = "/" + rest
		}
	}
	path, err := url.PathUnescape(raw)
	if err != nil {
		return q, fail(http.StatusBadRequest, "InvalidURI", "Couldn't parse the specified URI.")
	}
	q.path = path
	if q.query, err = url.ParseQuery(rawQuery); err != nil {
		return q, fail(http.StatusBadRequest, "InvalidURI", "Couldn't parse the specified URI.")
	}
	if b := s.virtualBucket(r.Host); b != "" {
		q.bucket, q.key = b, path[1:]
	} else {
		q.bucket, q.key, _ = strings.Cut(path[1:], "/")
	}
	if r.Header.Get("X-Amz-Target") != "" && path == "/" {
		q.op = kmsOperation + afterDot(r.Header.Get("X-Amz-Target"))
		return q, nil
	}
	if r.Method == http.MethodPost && path == "/" {
		q.op = "STS"
		return q, nil
	}
	q.classify()
	if h, ok := ParseAWSHost(r.Host); ok && h.Service == "s3-accesspoint" {
		return q, s.enterAccessPoint(q)
	}
	return q, nil
}

func afterDot(s string) string {
	if i := strings.LastIndexByte(s, '.'); i >= 0 {
		return s[i+1:]
	}
	return s
}

func (s *Server) virtualBucket(host string) string {
	if h, ok := ParseAWSHost(host); ok {
		return h.Bucket
	}
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if b, ok := strings.CutSuffix(host, ".localhost"); ok {
		return b
	}
	if s.cfg.Domain != "" {
		if b, ok := strings.CutSuffix(host, "."+s.cfg.Domain); ok {
			return b
		}
	}
	return ""
}

// plainQuery are the query parameters that name no sub-resource.
var plainQuery = []string{"x-id", "versionId", "partNumber", "uploadId", "list-type", "prefix", "delimiter",
	"marker", "max-keys", "start-after", "continuation-token", "encoding-type", "fetch-owner", "key-marker",
	"version-id-marker", "metadata", "max-parts", "part-number-marker", "max-uploads", "upload-id-marker",
	"response-content-type", "response-content-language", "response-expires", "response-cache-control",
	"response-content-disposition", "response-content-encoding", "max-buckets", "bucket-region", "id",
	"annotationName", "annotation-prefix", "max-annotation-results"}

func (q *request) subresource() string {
	sub := ""
	for name := range q.query {
		if !slices.Contains(plainQuery, name) && (sub == "" || name < sub) {
			sub = name
		}
	}
	return sub
}

// classify names the operation by method and sub-resource.
func (q *request) classify() {
	q.sub = q.subresource()
	m := q.http.Method
	switch {
	case q.bucket == "":
		if m == http.MethodGet {
			q.op = "ListBuckets"
		}
	case q.key == "":
		q.op = q.bucketOp(m)
	default:
		q.op = q.objectOp(m)
	}
}

func (q *request) bucketOp(m string) string {
	if q.sub != "" {
		if op, ok := bucketOps[m+" "+q.sub]; ok {
			return op
		}
		return "Unknown"
	}
	switch m {
	case http.MethodPut:
		return "CreateBucket"
	case http.MethodHead:
		return "HeadBucket"
	case http.MethodDelete:
		return "DeleteBucket"
	case http.MethodGet:
		if q.q("list-type") == "2" {
			return "ListObjectsV2"
		}
		return "ListObjects"
	}
	return "Unknown"
}

func (q *request) objectOp(m string) string {
	if q.sub != "" {
		if q.sub == "annotation" && m == http.MethodGet && !q.hasQuery("annotationName") {
			return "ListObjectAnnotations"
		}
		if op, ok := objectOps[m+" "+q.sub]; ok {
			return op
		}
		return "Unknown"
	}
	upload := q.hasQuery("uploadId")
	switch m {
	case http.MethodGet:
		if upload {
			return "ListParts"
		}
		return "GetObject"
	case http.MethodHead:
		return "HeadObject"
	case http.MethodPut:
		copies := q.has("x-amz-copy-source")
		switch {
		case upload && copies:
			return "UploadPartCopy"
		case upload:
			return "UploadPart"
		case copies:
			return "CopyObject"
		}
		return "PutObject"
	case http.MethodPost:
		if upload {
			return "CompleteMultipartUpload"
		}
	case http.MethodDelete:
		if upload {
			return "AbortMultipartUpload"
		}
		return "DeleteObject"
	}
	return "Unknown"
}

// readBody reads the whole body, undoes aws-chunked framing and checks the
// digests that came with it.
func (s *Server) readBody(q *request) *s3Error {
	if q.http.Body == nil || q.http.ContentLength == 0 {
		return nil
	}
	var buf bytes.Buffer
	if n := q.http.ContentLength; n > 0 {
		buf.Grow(int(n))
	}
	if _, err := io.Copy(&buf, q.http.Body); err != nil {
		return fail(http.StatusBadRequest, "IncompleteBody", "The request body terminated unexpectedly.")
	}
	q.body = buf.Bytes()
	return nil
}

// checkBody checks the payload against the signature and the digests.
func (s *Server) checkBody(q *request) *s3Error {
	payload := q.h("x-amz-content-sha256")
	if strings.HasPrefix(payload, "STREAMING-") {
		if e := q.dechunk(payload, s.auth); e != nil {
			return e
		}
	} else if payload != "" && payload != "UNSIGNED-PAYLOAD" {
		if sum := sha256.Sum256(q.body); hex.EncodeToString(sum[:]) != payload {
			return fail(http.StatusBadRequest, "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed.")
		}
	}
	if want := q.h("Content-MD5"); want != "" {
		if sum := md5.Sum(q.body); base64.StdEncoding.EncodeToString(sum[:]) != want {
			return fail(http.StatusBadRequest, "BadDigest", "The Content-MD5 you specified did not match what we received.")
		}
	}
	if q.op == "CompleteMultipartUpload" {
		return nil // its x-amz-checksum- headers are the object's
	}
	for _, a := range checksumAlgorithms {
		if want := q.h(checksumHeader(a)); want != "" {
			h := newHash(a)
			h.Write(q.body)
			if base64.StdEncoding.EncodeToString(h.Sum(nil)) != want {
				return fail(http.StatusBadRequest, "BadDigest", "The "+a+" you specified did not match the calculated checksum.")
			}
		}
	}
	return nil
}

// dechunk undoes aws-chunked framing: size;extensions CRLF data CRLF … and the
// trailers, which become headers. Chunk signatures are checked where they are.
func (q *request) dechunk(payload string, a *auth) *s3Error {
	bad := fail(http.StatusBadRequest, "IncompleteBody", "The request body is not well-formed aws-chunked data.")
	var out []byte
	rest := q.body
	prev := ""
	if q.signed != nil {
		prev = q.signed.signature
	}
	isSigned := strings.HasPrefix(payload, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD") && q.signed != nil
	for {
		line, after, ok := bytes.Cut(rest, []byte("\r\n"))
		if !ok {
			return bad
		}
		size, ext, _ := strings.Cut(string(line), ";")
		n, err := strconv.ParseInt(strings.TrimSpace(size), 16, 64)
		if err != nil || n < 0 || int64(len(after)) < n {
			return bad
		}
		data := after[:n]
		if isSigned {
			got := strings.TrimPrefix(ext, "chunk-signature=")
			if a.chunkSignature(q.signed, prev, data) != got {
				return fail(http.StatusForbidden, "SignatureDoesNotMatch", "The chunk signature does not match.")
			}
			prev = got
		}
		if n == 0 {
			q.trailers(after)
			break
		}
		out = append(out, data...)
		var crlf bool
		if rest, crlf = bytes.CutPrefix(after[n:], []byte("\r\n")); !crlf {
			return bad
		}
	}
	if want := q.h("x-amz-decoded-content-length"); want != "" && want != itoa(len(out)) {
		return bad
	}
	q.body = out
	return nil
}

func (q *request) trailers(b []byte) {
	for line := range strings.SplitSeq(string(b), "\r\n") {
		name, v, ok := strings.Cut(line, ":")
		if ok && strings.HasPrefix(strings.ToLower(name), "x-amz-checksum-") {
			q.http.Header.Set(name, strings.TrimSpace(v))
		}
	}
}

func (a *auth) chunkSignature(g *signed, prev string, data []byte) string {
	empty, sum := sha256.Sum256(nil), sha256.Sum256(data)
	return hex.EncodeToString(mac(g.signingKey, "AWS4-HMAC-SHA256-PAYLOAD\n"+g.amzDate+"\n"+g.scope()+"\n"+
		prev+"\n"+hex.EncodeToString(empty[:])+"\n"+hex.EncodeToString(sum[:])))
}
