package wire

import (
	"bytes"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

var (
	errNoETag  = errors.New("the reply says success and shows no ETag")
	errNoProof = errors.New("the reply says success and is empty")
)

// rootError is a success with a document that belongs to another request.
type rootError struct{ got, want string }

func (e *rootError) Error() string {
	return "the store answered with a <" + e.got + "> document instead of <" + e.want + ">"
}

// interned remembers the last value of headers that are mostly the same from
// object to object, so that they cost no allocation each.
type interned struct {
	contentType, class, key, keyMD5, checksumType string
}

func (*interned) same(last *string, v []byte) string {
	if string(v) != *last {
		*last = string(v)
	}
	return *last
}

// pieces puts the strings that differ from reply to reply into one allocation.
type pieces struct {
	buf []byte
	at  [3]int
	n   int
}

func (p *pieces) add(v []byte) {
	p.buf = append(p.buf, v...)
	p.at[p.n] = len(p.buf)
	p.n++
}

func (p *pieces) strings() (a, b, c string) {
	s := string(p.buf)
	return s[:p.at[0]], s[p.at[0]:p.at[1]], s[p.at[1]:]
}

// unquote strips the quotes of an ETag; some stores send none.
func unquote(v []byte) []byte {
	v = bytes.TrimPrefix(v, []byte("W/"))
	if len(v) >= 2 && v[0] == '"' && v[len(v)-1] == '"' {
		return v[1 : len(v)-1]
	}
	return v
}

// parseCopy reads the reply to a copy or to a part: the proof is the ETag in a
// complete document.
func (k *conn) parseCopy(r *reply, want string, out *object.CopyReply) error {
	root, rest := rootElement(r.body)
	switch {
	case root == nil:
		return errNoProof
	case string(root) != want:
		return &rootError{got: string(root), want: want}
	}
	etag, checksum := k.body[:0:0], []byte(nil)
	for done := false; !done; {
		var e element
		var err error
		if e, rest, done, err = next(rest); err != nil {
			return err
		}
		switch {
		case done:
		case string(e.name) == "ETag":
			if etag, err = appendText(k.req.scratch[:0], e.content); err != nil {
				return err
			}
			k.req.scratch = etag
		case bytes.HasPrefix(e.name, []byte("Checksum")) && string(e.name) != "ChecksumType":
			checksum = bytes.TrimSpace(e.content)
		}
	}
	if err := k.written(r, etag, out); err != nil {
		return err
	}
	out.Checksum = string(checksum)
	for _, f := range r.fields {
		k.encryption(f, &out.Encryption)
	}
	return nil
}

// written takes the ETag, the version and the request's ID of what was written from a
// reply, in one piece of memory.
func (k *conn) written(r *reply, etag []byte, out *object.CopyReply) error {
	if etag = unquote(etag); len(etag) == 0 {
		return errNoETag
	}
	p := pieces{buf: k.req.vals[:0]}
	p.add(etag)
	p.add(r.get("x-amz-version-id"))
	p.add(r.id())
	k.req.vals = p.buf
	out.ETag, out.VersionID, out.RequestID = p.strings()
	return nil
}

// encryption notes what a header tells about it, and whether it does.
func (k *conn) encryption(f replyField, e *object.Encryption) bool {
	const prefix = "x-amz-server-side-encryption"
	if !bytes.HasPrefix(f.name, []byte(prefix)) {
		return false
	}
	switch string(f.name[len(prefix):]) {
	case "":
		e.Type = sseOf(f.value)
	case "-aws-kms-key-id":
		e.KMSKeyID = k.words.same(&k.words.key, f.value)
	case "-bucket-key-enabled":
		e.BucketKey = string(f.value) == "true"
	case "-customer-algorithm":
		e.Type = object.SSEC
	case "-customer-key-md5":
		e.CustomerKeyMD5 = k.words.same(&k.words.keyMD5, f.value)
	case "-context":
		return false // an attribute: no part of what makes two encryptions the same
	}
	return true
}

// sseOf knows the values that S3 has; a store that shows another one has shown
// nothing that can be relied on.
func sseOf(v []byte) object.SSE {
	switch string(v) {
	case "AES256":
		return object.SSES3
	case "aws:kms":
		return object.SSEKMS
	case "aws:kms:dsse":
		return object.DSSEKMS
	}
	return object.SSEUnknown
}

// parseHead reads the reply to a HEAD.
func (k *conn) parseHead(r *reply, ref object.Ref, h *object.Head) error {
	h.Ref, h.Settled = ref, true
	h.Encryption.Type = object.SSENone
	p := pieces{buf: k.req.vals[:0]}
	p.add(unquote(r.get("etag")))
	if p.at[0] == 0 {
		return errNoETag
	}
	p.add(r.get("x-amz-version-id"))
	p.add(r.id())
	k.req.vals = p.buf
	h.ETag, h.ShownVersionID, h.RequestID = p.strings()
	h.Size = r.length
	h.MultipartUploaded = strings.Contains(h.ETag, "-")
	for _, f := range r.fields {
		if !k.encryption(f, &h.Encryption) {
			k.attribute(f, h)
		}
	}
	if h.Encryption.Type == object.SSEUnknown {
		h.UnknownEncryption = string(r.get("x-amz-server-side-encryption"))
	}
	h.ClientSide = object.ClientSideOf(h.Metadata)
	return nil
}

// attribute notes one header of a HEAD reply.
func (k *conn) attribute(f replyField, h *object.Head) {
	switch v := f.value; string(f.name) {
	case "content-type":
		h.ContentType = k.words.same(&k.words.contentType, v)
	case "last-modified":
		h.LastModified = parseDate(v)
	case "cache-control":
		h.CacheControl = string(v)
	case "content-disposition":
		h.ContentDisposition = string(v)
	case "content-encoding":
		h.ContentEncoding = string(v)
	case "content-language":
		h.ContentLanguage = string(v)
	case "expires":
		h.Expires = string(v)
	default:
		if name, ok := bytes.CutPrefix(f.name, []byte("x-amz-")); ok {
			k.amzAttribute(name, v, h)
		}
	}
}

func (k *conn) amzAttribute(name, v []byte, h *object.Head) {
	switch string(name) {
	case "storage-class":
		h.StorageClass = k.words.same(&k.words.class, v)
	case "archive-status":
		h.ArchiveTier = string(v)
	case "replication-status":
		h.Replication = string(v)
	case "delete-marker":
		h.DeleteMarker = string(v) == "true"
	case "restore":
		h.Restored = bytes.Contains(v, []byte(`ongoing-request="false"`))
	case "object-lock-mode":
		h.LockMode = string(v)
	case "object-lock-retain-until-date":
		h.RetainUntil, _ = time.Parse(time.RFC3339, string(v))
	case "object-lock-legal-hold":
		h.LegalHold = string(v) == "ON"
	case "object-lock-event-hold":
		h.EventHold = string(v) == "ON"
	case "object-lock-event-hold-duration-days":
		h.EventHoldDays, _ = strconv.Atoi(string(v))
	case "object-lock-event-hold-duration-years":
		h.EventHoldYears, _ = strconv.Atoi(string(v))
	case "server-side-encryption-context":
		h.KMSContext = string(v)
	case "website-redirect-location":
		h.WebsiteRedirect = string(v)
	case "tagging-count":
		h.TagCount, _ = strconv.Atoi(string(v))
	case "missing-meta":
		h.MissingMetadata, _ = strconv.Atoi(string(v))
	case "mp-parts-count":
		h.PartsCount, _ = strconv.Atoi(string(v))
	case "checksum-type":
		h.ChecksumType = k.words.same(&k.words.checksumType, v)
	case "checksum-mode", "checksum-algorithm": // of the request, or in words: no value
	default:
		if meta, ok := bytes.CutPrefix(name, []byte("meta-")); ok {
			addMetadata(h, string(meta), string(v))
		} else if algorithm, ok := bytes.CutPrefix(name, []byte("checksum-")); ok {
			addChecksum(h, strings.ToUpper(string(algorithm)), string(v))
		}
	}
}

// addMetadata joins repeated headers with a comma, as HTTP does.
func addMetadata(h *object.Head, name, value string) {
	if h.Metadata == nil {
		h.Metadata = make(map[string]string, 4)
	}
	if old, ok := h.Metadata[name]; ok {
		value = old + "," + value
	}
	h.Metadata[name] = value
}

func addChecksum(h *object.Head, algorithm, value string) {
	if h.Checksums == nil {
		h.Checksums = make(map[string]string, 1)
	}
	h.Checksums[algorithm] = value
	if h.ChecksumAlgorithm == "" || algorithm < h.ChecksumAlgorithm {
		h.ChecksumAlgorithm = algorithm // the same one each time
	}
}

// parseDate reads HTTP's preferred date by hand, the other two as net/http does.
func parseDate(v []byte) time.Time {
	// Mon, 02 Jan 2006 15:04:05 GMT
	if len(v) == 29 && v[3] == ',' && string(v[25:]) == " GMT" {
		if i := strings.Index(months, string(v[8:11])); i >= 0 && i%3 == 0 {
			day, d := two(v[5:])
			century, c := two(v[12:])
			year, y := two(v[14:])
			hour, h := two(v[17:])
			minute, m := two(v[20:])
			second, s := two(v[23:])
			if d && c && y && h && m && s {
				return time.Date(century*100+year, time.Month(i/3+1), day, hour, minute, second, 0, time.UTC)
			}
		}
	}
	t, err := http.ParseTime(string(v))
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}

const months = "JanFebMarAprMayJunJulAugSepOctNovDec"

func two(v []byte) (int, bool) {
	a, b := v[0]-'0', v[1]-'0'
	return int(a)*10 + int(b), a <= 9 && b <= 9
}
