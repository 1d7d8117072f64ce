package wire

import (
	"crypto/md5"
	"encoding/base64"
	"sort"
	"strconv"
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// buildRead fills q with a HeadObject or a GetObject.
func (c *Client) buildRead(q *request, h *host, method string, ref object.Ref, key object.CustomerKey, checksums bool) {
	q.reset(method)
	q.setPath(h, ref.Key)
	if ref.VersionID != "" {
		q.param("versionId", ref.VersionID)
	}
	if checksums {
		q.add("x-amz-checksum-mode", "ENABLED")
	}
	q.addCustomerKey("x-amz-server-side-encryption-customer-", key)
	c.addBucketHeaders(q, ref.Bucket, "")
}

// buildCopy fills q with a CopyObject.
func (c *Client) buildCopy(q *request, h *host, r *object.CopyRequest) {
	q.reset("PUT")
	q.setPath(h, r.Dest.Key)
	q.addSource(r.Source, r.SourceETag, r.SourceTwice)
	if r.Target != nil && r.SourceSSEC {
		q.addCustomerKey("x-amz-copy-source-server-side-encryption-customer-", r.Target.SourceKey)
	}
	q.addDirectives(r)
	q.addDest(r)
	q.addSet("x-amz-checksum-algorithm", r.ChecksumAlgorithm)
	c.addBucketHeaders(q, r.Dest.Bucket, r.Source.Bucket)
}

// addDest writes what a copy and a PutObject have in common: the conditions on what
// is there now, the encryption, and what is sent along beside headers and tags.
func (q *request) addDest(r *object.CopyRequest) {
	if r.DestETag != "" {
		q.addETag("if-match", r.DestETag)
	}
	if r.DestAbsent {
		q.add("if-none-match", "*")
	}
	if r.Target != nil {
		q.addTarget(r.Target)
	}
	q.addSet("x-amz-storage-class", r.StorageClass)
	q.addGrants(r.Grants)
	if !r.LocksLater() {
		q.addLock(r)
	}
	q.addSet("x-amz-website-redirect-location", r.WebsiteRedirect)
}

func (q *request) addLock(r *object.CopyRequest) {
	q.addSet("x-amz-object-lock-mode", r.LockMode)
	q.addSet("x-amz-object-lock-retain-until-date", r.RetainUntil)
	if r.LegalHold {
		q.add("x-amz-object-lock-legal-hold", "ON")
	}
	if r.EventHold {
		q.add("x-amz-object-lock-event-hold", "ON")
		q.addCount("x-amz-object-lock-event-hold-duration-days", r.EventHoldDays)
		q.addCount("x-amz-object-lock-event-hold-duration-years", r.EventHoldYears)
	}
}

// addCount writes a number, none for 0.
func (q *request) addCount(name string, n int) {
	if n > 0 {
		q.add(name, strconv.Itoa(n))
	}
}

// buildPart fills q with an UploadPartCopy.
func (c *Client) buildPart(q *request, h *host, r *object.PartRequest) {
	q.reset("PUT")
	q.setPath(h, r.Dest.Key)
	q.param("partNumber", strconv.Itoa(r.Number))
	q.param("uploadId", r.UploadID)
	q.addSource(r.Source, r.SourceETag, r.SourceTwice)
	if r.Last >= r.First {
		q.begin("x-amz-copy-source-range")
		q.vals = append(q.vals, "bytes="...)
		q.vals = strconv.AppendInt(q.vals, r.First, 10)
		q.vals = append(q.vals, '-')
		q.vals = strconv.AppendInt(q.vals, r.Last, 10)
		q.end()
	}
	if t := r.Target; t != nil {
		if r.SourceSSEC {
			q.addCustomerKey("x-amz-copy-source-server-side-encryption-customer-", t.SourceKey)
		}
		if t.SSE == object.SSEC {
			q.addCustomerKey("x-amz-server-side-encryption-customer-", t.CustomerKey)
		}
	}
	c.addBucketHeaders(q, r.Dest.Bucket, r.Source.Bucket)
}

// buildUpdate fills q with an UpdateObjectEncryption. The operation wants a
// checksum of its body; Content-MD5 is the one that every version of it takes.
func (c *Client) buildUpdate(q *request, h *host, ref object.Ref, t *object.Target) {
	q.reset("PUT")
	q.setPath(h, ref.Key)
	q.param("encryption", "")
	if ref.VersionID != "" {
		q.param("versionId", ref.VersionID)
	}
	key := t.KMSKeyID
	if !strings.HasPrefix(key, "arn:") && strings.HasPrefix(t.ShownKeyID, "arn:") {
		key = t.ShownKeyID // only a full ARN is accepted
	}
	b := append(q.body, `<ObjectEncryption xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><SSE-KMS><KMSKeyArn>`...)
	b = appendXMLText(b, key)
	b = append(b, "</KMSKeyArn>"...)
	b = append(b, "<BucketKeyEnabled>"...) // always told: S3's default is false, not the bucket's
	b = strconv.AppendBool(b, t.BucketKey == object.On)
	q.body = append(b, "</BucketKeyEnabled></SSE-KMS></ObjectEncryption>"...)
	sum := md5.Sum(q.body)
	q.begin("content-md5")
	q.vals = base64.StdEncoding.AppendEncode(q.vals, sum[:])
	q.end()
	q.add("content-type", "application/xml")
	c.addBucketHeaders(q, ref.Bucket, "")
}

func (q *request) setPath(h *host, key string) {
	q.path = append(q.path, h.prefix...)
	q.path = appendPath(q.path, key)
}

// addSource writes x-amz-copy-source as S3 decodes it: percent-encoded, with the
// version appended as a query; the key twice, for a store that decodes it twice.
func (q *request) addSource(ref object.Ref, etag string, twice bool) {
	q.begin("x-amz-copy-source")
	if strings.HasPrefix(ref.Bucket, "arn:") { // of an access point
		q.vals = append(q.vals, ref.Bucket...)
		q.vals = append(q.vals, "/object/"...)
	} else {
		q.vals = appendPath(q.vals, ref.Bucket)
		q.vals = append(q.vals, '/')
	}
	if twice {
		q.vals = appendPath(q.vals, string(appendPath(nil, ref.Key)))
	} else {
		q.vals = appendPath(q.vals, ref.Key)
	}
	if ref.VersionID != "" {
		q.vals = append(q.vals, "?versionId="...)
		q.vals = appendQuery(q.vals, ref.VersionID)
	}
	q.end()
	if etag != "" {
		q.addETag("x-amz-copy-source-if-match", etag)
	}
}

// addETag quotes the ETag, as HTTP wants it.
func (q *request) addETag(name, etag string) {
	q.begin(name)
	q.vals = append(q.vals, '"')
	q.vals = append(q.vals, etag...)
	q.vals = append(q.vals, '"')
	q.end()
}

// addTarget writes the encryption that is asked for.
func (q *request) addTarget(t *object.Target) {
	q.addSet("x-amz-server-side-encryption", t.SSE.Header())
	if t.SSE.KMS() {
		q.addSet("x-amz-server-side-encryption-aws-kms-key-id", t.KMSKeyID)
		q.addSet("x-amz-server-side-encryption-context", t.Context)
	}
	if t.SSE == object.SSEKMS && t.BucketKey != object.Default {
		q.add("x-amz-server-side-encryption-bucket-key-enabled", strconv.FormatBool(t.BucketKey == object.On))
	}
	if t.SSE == object.SSEC {
		q.addCustomerKey("x-amz-server-side-encryption-customer-", t.CustomerKey)
	}
}

func (q *request) addCustomerKey(prefix string, key object.CustomerKey) {
	if key.IsZero() {
		return
	}
	q.secret = true
	q.add(prefix+"algorithm", "AES256")
	q.add(prefix+"key", key.Base64())
	q.add(prefix+"key-md5", key.MD5())
}

// addDirectives resends what the directives REPLACE drop.
func (q *request) addDirectives(r *object.CopyRequest) {
	if r.Replace {
		q.add("x-amz-metadata-directive", "REPLACE")
		q.addHeaders(r.Attributes)
	}
	if r.ReplaceTags {
		q.add("x-amz-tagging-directive", "REPLACE")
		q.addTags(r.Attributes)
	}
}

// addHeaders writes the object's own headers and its user metadata.
func (q *request) addHeaders(a *object.Attributes) {
	if a == nil {
		return
	}
	q.addSet("content-type", a.ContentType)
	q.addSet("cache-control", a.CacheControl)
	q.addSet("content-disposition", a.ContentDisposition)
	q.addSet("content-encoding", a.ContentEncoding)
	q.addSet("content-language", a.ContentLanguage)
	q.addSet("expires", a.Expires)
	for name, value := range object.SentMetadata(a.Metadata) {
		q.add("x-amz-meta-"+strings.ToLower(name), value)
		if !tokenName(name) && q.err == nil {
			q.err = &badValueError{"x-amz-meta-"}
		}
	}
}

func (q *request) addTags(a *object.Attributes) {
	if a == nil || len(a.Tags) == 0 {
		return
	}
	q.begin("x-amz-tagging")
	for i, t := range a.Tags {
		if i > 0 {
			q.vals = append(q.vals, '&')
		}
		q.vals = appendQuery(q.vals, t.Key)
		q.vals = append(q.vals, '=')
		q.vals = appendQuery(q.vals, t.Value)
	}
	q.end()
}

// addGrants writes one header a permission, in a stable order of grantees. WRITE
// means nothing on an object and has no header there.
func (q *request) addGrants(grants []object.Grant) {
	if len(grants) == 0 {
		return
	}
	by := map[string][]string{}
	for _, g := range grants {
		grantee := `id="` + g.ID + `"`
		switch {
		case g.URI != "":
			grantee = `uri="` + g.URI + `"`
		case g.Email != "":
			grantee = `emailAddress="` + g.Email + `"`
		}
		if g.Permission != "WRITE" {
			by[g.Permission] = append(by[g.Permission], grantee)
		}
	}
	for permission, grantees := range by {
		sort.Strings(grantees)
		name := "x-amz-grant-" + strings.ReplaceAll(strings.ToLower(permission), "_", "-")
		q.add(name, strings.Join(grantees, ", "))
	}
}

// addBucketHeaders names the payer and the owner. The one expected owner is that
// of every bucket of the request.
func (c *Client) addBucketHeaders(q *request, bucket, source string) {
	if c.opt.RequestPayer {
		q.add("x-amz-request-payer", "requester")
	}
	if owner := c.opt.ExpectedBucketOwner; owner != "" {
		q.add("x-amz-expected-bucket-owner", owner)
		if source != "" {
			q.add("x-amz-source-expected-bucket-owner", owner)
		}
	}
}

func appendXMLText(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '<':
			dst = append(dst, "&lt;"...)
		case '>':
			dst = append(dst, "&gt;"...)
		case '&':
			dst = append(dst, "&amp;"...)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
