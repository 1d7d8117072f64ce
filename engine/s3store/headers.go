package s3store

import (
	"net/url"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

const metaPrefix = "X-Amz-Meta-"

// encrypt asks for the target's encryption.
func (r *request) encrypt(t *object.Target) {
	if t == nil {
		return
	}
	if t.SSE == object.SSEC {
		r.customerKey("", t.CustomerKey)
		return
	}
	h := t.SSE.Header()
	r.set("X-Amz-Server-Side-Encryption", h)
	if !t.SSE.KMS() {
		return
	}
	r.kmsKey = t.KMSKeyID
	if r.kmsKey == "" {
		r.kmsKey = "aws/s3"
	}
	r.set("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id", t.KMSKeyID)
	r.set("X-Amz-Server-Side-Encryption-Context", t.Context)
	if t.SSE == object.SSEKMS && t.BucketKey != object.Default {
		r.set("X-Amz-Server-Side-Encryption-Bucket-Key-Enabled", strconv.FormatBool(t.BucketKey == object.On))
	}
}

// customerKey sends a customer key; infix is "" or "Copy-Source-". The request is
// refused later if it would not travel over TLS.
func (r *request) customerKey(infix string, k object.CustomerKey) {
	if k.IsZero() {
		return
	}
	r.secret = true
	if infix == "" {
		r.customer = k
	}
	p := "X-Amz-" + infix + "Server-Side-Encryption-Customer-"
	r.header.Set(p+"Algorithm", "AES256")
	r.header.Set(p+"Key", k.Base64())
	r.header.Set(p+"Key-Md5", k.MD5())
}

// sourceKey sends the customer key that the source is under.
func (r *request) sourceKey(t *object.Target, ssec bool) {
	if ssec && t != nil {
		r.customerKey("Copy-Source-", t.SourceKey)
	}
}

// contentHeaders sends the headers and the user metadata of an object.
func (r *request) contentHeaders(a *object.Attributes) {
	if a == nil {
		return
	}
	r.set("Content-Type", a.ContentType)
	r.set("Cache-Control", a.CacheControl)
	r.set("Content-Disposition", a.ContentDisposition)
	r.set("Content-Encoding", a.ContentEncoding)
	r.set("Content-Language", a.ContentLanguage)
	r.set("Expires", a.Expires)
	for k, v := range object.SentMetadata(a.Metadata) {
		r.header.Set(metaPrefix+k, v) // an empty value is a value
	}
}

// destination sends what no copy carries by itself.
func (r *request) destination(c *object.CopyRequest) {
	r.set("X-Amz-Storage-Class", c.StorageClass)
	r.set("X-Amz-Website-Redirect-Location", c.WebsiteRedirect)
	if !c.LocksLater() {
		r.lock(c)
	}
	r.set("X-Amz-Checksum-Algorithm", c.ChecksumAlgorithm)
	r.grants(c.Grants)
}

func (r *request) lock(c *object.CopyRequest) {
	r.set("X-Amz-Object-Lock-Mode", c.LockMode)
	r.set("X-Amz-Object-Lock-Retain-Until-Date", c.RetainUntil)
	if c.LegalHold {
		r.set("X-Amz-Object-Lock-Legal-Hold", "ON")
	}
	if c.EventHold {
		r.set("X-Amz-Object-Lock-Event-Hold", "ON")
		r.count("X-Amz-Object-Lock-Event-Hold-Duration-Days", c.EventHoldDays)
		r.count("X-Amz-Object-Lock-Event-Hold-Duration-Years", c.EventHoldYears)
	}
}

// count sends a number, none for 0.
func (r *request) count(name string, n int) {
	if n > 0 {
		r.header.Set(name, strconv.Itoa(n))
	}
}

// grants sends an ACL as headers. WRITE means nothing on an object and has no
// header there.
func (r *request) grants(gs []object.Grant) {
	byPermission := map[string][]string{}
	for _, g := range gs {
		byPermission[g.Permission] = append(byPermission[g.Permission], grantee(g))
	}
	for permission, header := range map[string]string{
		"FULL_CONTROL": "X-Amz-Grant-Full-Control", "READ": "X-Amz-Grant-Read",
		"READ_ACP": "X-Amz-Grant-Read-Acp", "WRITE_ACP": "X-Amz-Grant-Write-Acp",
	} {
		r.set(header, strings.Join(byPermission[permission], ", "))
	}
}

func grantee(g object.Grant) string {
	switch {
	case g.URI != "":
		return `uri="` + g.URI + `"`
	case g.Email != "":
		return `emailAddress="` + g.Email + `"`
	}
	return `id="` + g.ID + `"`
}

// taggingHeader is the URL-encoded form that x-amz-tagging takes.
func taggingHeader(tags []object.Tag) string {
	var b strings.Builder
	for i, t := range tags {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(queryEscape(t.Key) + "=" + queryEscape(t.Value))
	}
	return b.String()
}

func queryEscape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// unquote gives an ETag without quotes, as all of the house has it.
func unquote(etag string) string { return strings.Trim(etag, `"`) }

// quote gives an ETag as conditions carry it.
func quote(etag string) string { return `"` + etag + `"` }

// EncryptionOf reads the encryption that a reply's headers show: SSENone on a
// HEAD without any, SSEUnknown on other replies, whose silence proves nothing.
func EncryptionOf(get func(string) string, head bool) object.Encryption {
	e := object.Encryption{
		KMSKeyID:       get("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id"),
		BucketKey:      get("X-Amz-Server-Side-Encryption-Bucket-Key-Enabled") == "true",
		CustomerKeyMD5: get("X-Amz-Server-Side-Encryption-Customer-Key-Md5"),
	}
	switch algorithm := get("X-Amz-Server-Side-Encryption"); {
	case get("X-Amz-Server-Side-Encryption-Customer-Algorithm") != "":
		e.Type = object.SSEC
	case algorithm == "AES256":
		e.Type = object.SSES3
	case algorithm == "aws:kms":
		e.Type = object.SSEKMS
	case algorithm == "aws:kms:dsse":
		e.Type = object.DSSEKMS
	case algorithm == "" && head:
		e.Type = object.SSENone
	}
	return e
}

// HeadOf reads the headers of a HEAD or GET reply. each calls back with every
// header, name in any case.
func HeadOf(ref object.Ref, get func(string) string, each func(func(name, value string))) object.Head {
	h := object.Head{RequestID: requestID(get)}
	h.Ref = ref
	h.Size = -1
	if n, err := strconv.ParseInt(get("Content-Length"), 10, 64); err == nil {
		h.Size = n
	}
	h.ETag = unquote(get("Etag"))
	h.LastModified, _ = time.Parse(time.RFC1123, get("Last-Modified"))
	h.LastModified = h.LastModified.UTC()
	h.StorageClass = get("X-Amz-Storage-Class")
	h.ArchiveTier = get("X-Amz-Archive-Status")
	h.Encryption = EncryptionOf(get, true)
	h.Settled = true
	h.DeleteMarker = get("X-Amz-Delete-Marker") == "true"
	h.MultipartUploaded = strings.Contains(h.ETag, "-")
	h.ShownVersionID = get("X-Amz-Version-Id")
	h.Replication = get("X-Amz-Replication-Status")
	h.LockMode = get("X-Amz-Object-Lock-Mode")
	h.RetainUntil, _ = time.Parse(time.RFC3339, get("X-Amz-Object-Lock-Retain-Until-Date"))
	h.LegalHold = get("X-Amz-Object-Lock-Legal-Hold") == "ON"
	h.Attributes = attributesOf(get, each)
	if h.Encryption.Type == object.SSEUnknown {
		h.UnknownEncryption = get("X-Amz-Server-Side-Encryption")
	}
	h.ChecksumAlgorithm = firstOf(h.Checksums)
	h.ChecksumType = get("X-Amz-Checksum-Type")
	h.ClientSide = object.ClientSideOf(h.Metadata)
	return h
}

// firstOf is the same algorithm each time.
func firstOf(checksums map[string]string) (first string) {
	for algorithm := range checksums {
		if first == "" || algorithm < first {
			first = algorithm
		}
	}
	return first
}

func attributesOf(get func(string) string, each func(func(name, value string))) object.Attributes {
	a := object.Attributes{
		ContentType:        get("Content-Type"),
		CacheControl:       get("Cache-Control"),
		ContentDisposition: get("Content-Disposition"),
		ContentEncoding:    get("Content-Encoding"),
		ContentLanguage:    get("Content-Language"),
		Expires:            get("Expires"),
		KMSContext:         get("X-Amz-Server-Side-Encryption-Context"),
		WebsiteRedirect:    get("X-Amz-Website-Redirect-Location"),
		EventHold:          get("X-Amz-Object-Lock-Event-Hold") == "ON",
		// ongoing-request="false", expiry-date="…": a restored copy is there now.
		Restored: strings.Contains(get("X-Amz-Restore"), `ongoing-request="false"`),
	}
	a.MissingMetadata, _ = strconv.Atoi(get("X-Amz-Missing-Meta"))
	a.EventHoldDays, _ = strconv.Atoi(get("X-Amz-Object-Lock-Event-Hold-Duration-Days"))
	a.EventHoldYears, _ = strconv.Atoi(get("X-Amz-Object-Lock-Event-Hold-Duration-Years"))
	a.TagCount, _ = strconv.Atoi(get("X-Amz-Tagging-Count"))
	a.PartsCount, _ = strconv.Atoi(get("X-Amz-Mp-Parts-Count"))
	each(func(name, value string) {
		lower := strings.ToLower(name)
		switch {
		case strings.HasPrefix(lower, "x-amz-meta-"):
			if a.Metadata == nil {
				a.Metadata = map[string]string{}
			}
			a.Metadata[lower[len("x-amz-meta-"):]] = value
		case strings.HasPrefix(lower, "x-amz-checksum-") && lower != "x-amz-checksum-type" && lower != "x-amz-checksum-mode" &&
			lower != "x-amz-checksum-algorithm":
			if a.Checksums == nil {
				a.Checksums = map[string]string{}
			}
			a.Checksums[strings.ToUpper(lower[len("x-amz-checksum-"):])] = value
		}
	})
	return a
}

// sortedTags orders tags by key, as S3 does not promise any order.
func sortedTags(tags []object.Tag) []object.Tag {
	sort.Slice(tags, func(i, j int) bool { return tags[i].Key < tags[j].Key })
	return tags
}
