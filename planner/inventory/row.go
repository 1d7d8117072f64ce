package inventory

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// column is what a column of a report tells.
type column uint8

const (
	colIgnored column = iota
	colBucket
	colKey
	colVersionID
	colIsLatest
	colIsDeleteMarker
	colSize
	colLastModified
	colETag
	colStorageClass
	colMultipart
	colEncryption
	colBucketKey
	colRetainUntil
	colLockMode
	colLegalHold
	colTier
	colChecksum
	colKMSKey
	numColumns
)

// columns by their names without case and underscores: CSV says
// LastModifiedDate, Parquet and ORC say last_modified_date.
var columns = map[string]column{
	"bucket": colBucket, "key": colKey, "versionid": colVersionID, "islatest": colIsLatest,
	"isdeletemarker": colIsDeleteMarker, "size": colSize, "lastmodifieddate": colLastModified, "etag": colETag,
	"storageclass": colStorageClass, "ismultipartuploaded": colMultipart, "encryptionstatus": colEncryption,
	"bucketkeystatus": colBucketKey, "objectlockretainuntildate": colRetainUntil, "objectlockmode": colLockMode,
	"objectlocklegalholdstatus": colLegalHold, "intelligenttieringaccesstier": colTier, "checksumalgorithm": colChecksum,
	"replicationstatus": colIgnored, "objectaccesscontrollist": colIgnored, "objectowner": colIgnored,
	"lifecycleexpirationdate": colIgnored,
	// Those of the live inventory of S3 Metadata that have other names, or no like.
	"ismultipart": colMultipart, "isbucketkeyenabled": colBucketKey, "kmskeyarn": colKMSKey,
	"sequencenumber": colIgnored, "objecttags": colIgnored, "usermetadata": colIgnored,
}

func columnOf(name string) (col column, known bool) {
	col, known = columns[strings.ToLower(strings.ReplaceAll(name, "_", ""))]
	return col, known
}

// ignored says whether a column is known, and of no use.
func ignored(name string) bool {
	col, known := columnOf(name)
	return known && col == colIgnored
}

const schemaFix = "leave the column out of the inventory configuration, or use a newer reseal"

// schema is the order of a report's columns.
type schema struct {
	cols []column
	has  [numColumns]bool
}

// dropped stands for a column that a table had once: nobody asks for it any more.
const dropped = "\x00"

func newSchema(names []string) (*schema, error) {
	s := &schema{}
	for _, name := range names {
		if name == dropped {
			s.cols = append(s.cols, colIgnored)
			continue
		}
		name = strings.TrimSpace(name)
		col, known := columnOf(name)
		switch {
		case !known:
			return nil, fmt.Errorf("the column %q is not known", object.Cut(name, 100))
		case col != colIgnored && s.has[col]:
			return nil, fmt.Errorf("the column %q is there twice", name)
		}
		s.cols = append(s.cols, col)
		s.has[col] = true
	}
	if !s.has[colBucket] || !s.has[colKey] {
		return nil, errors.New("the columns Bucket and Key are not both there")
	}
	return s, nil
}

// rower makes objects of rows. One goroutine uses it.
type rower struct {
	schema *schema
	bucket string
	// encoded: keys are URL-encoded, as in CSV.
	encoded bool
	// versions keeps the version ID of current versions.
	versions bool
	// table: of the live inventory, where no version ID means the current version.
	table  bool
	words  map[string]string // interned: there are few, and rows many
	latest bool              // of the row at hand, where told
	told   bool              // whether it is the latest version
	seen   bool              // the bucket of the row at hand
}

// foreignError is a row of another bucket.
type foreignError struct{ bucket, want string }

func (e *foreignError) Error() string {
	return fmt.Sprintf("the row is of bucket %q, and the manifest of %q", e.bucket, e.want)
}

// object makes one object of the texts of a row, in the order of the schema. The
// texts are not kept. ok is false for delete markers, which hold no data.
func (r *rower) object(texts [][]byte, o *object.Object) (ok bool, err error) {
	if len(texts) != len(r.schema.cols) {
		return false, fmt.Errorf("the row has %d columns, and the schema %d", len(texts), len(r.schema.cols))
	}
	r.begin(o)
	for i, col := range r.schema.cols {
		if err := r.set(o, col, texts[i]); err != nil {
			return false, err
		}
	}
	return r.finish(o)
}

// begin starts a row.
func (r *rower) begin(o *object.Object) {
	*o = object.Object{Size: -1}
	o.Bucket = r.bucket
	r.seen, r.told = false, false
	r.latest = !r.schema.has[colVersionID] // a report of current versions has no such column
}

// set takes in the text of one column.
func (r *rower) set(o *object.Object, col column, text []byte) (err error) {
	if err := bounded(col, len(text)); err != nil {
		return err
	}
	switch col {
	case colIgnored:
	case colBucket:
		if string(text) != r.bucket || len(text) == 0 { // else without an allocation
			return r.setBucket(o, string(text))
		}
		r.seen = true
	case colKey:
		o.Key, err = r.key(text)
	case colVersionID:
		o.VersionID = string(text)
	case colIsLatest:
		r.latest, err = boolean(text)
		r.told = len(text) > 0
	case colIsDeleteMarker:
		o.DeleteMarker, err = boolean(text)
	case colSize:
		if len(text) > 0 {
			if o.Size, err = strconv.ParseInt(string(text), 10, 64); err == nil && o.Size < 0 {
				err = errors.New("negative")
			}
			if err != nil {
				return fmt.Errorf("the size %q is no number of bytes", text)
			}
		}
	case colLastModified:
		o.LastModified, err = date(text)
	case colETag:
		o.ETag = string(bytes.Trim(text, `"`))
	case colStorageClass:
		o.StorageClass = r.intern(text)
	case colMultipart:
		o.MultipartUploaded, err = boolean(text)
	case colEncryption:
		o.Encryption.Type, err = encryption(text)
	case colBucketKey:
		o.Encryption.BucketKey = string(text) == "ENABLED" || string(text) == "true"
	case colRetainUntil:
		o.RetainUntil, err = date(text)
	case colLockMode:
		o.LockMode = r.intern(text)
	case colLegalHold:
		o.LegalHold = bytes.EqualFold(text, []byte("ON")) || string(text) == "true"
	case colTier:
		o.ArchiveTier = r.tier(text)
	case colChecksum:
		o.ChecksumAlgorithm = r.intern(text)
	case colKMSKey:
		o.Encryption.KMSKeyID = r.intern(text)
	}
	return err
}

// setBucket compares the row's bucket. The first row of a table tells it.
func (r *rower) setBucket(o *object.Object, bucket string) error {
	if r.bucket == "" && bucket != "" {
		o.Bucket, r.bucket = bucket, bucket
	}
	if bucket != r.bucket || bucket == "" {
		return &foreignError{bucket, r.bucket}
	}
	r.seen = true
	return nil
}

// setString is set for decoders that make strings.
func (r *rower) setString(o *object.Object, col column, text string) error {
	if err := bounded(col, len(text)); err != nil {
		return err
	}
	switch col {
	case colIgnored:
	case colBucket:
		return r.setBucket(o, text)
	case colKey:
		o.Key = text
	case colVersionID:
		o.VersionID = text
	default:
		return r.set(o, col, []byte(text))
	}
	return nil
}

// setBool takes in a column that is a boolean.
func (r *rower) setBool(o *object.Object, col column, v bool) error {
	switch col {
	case colIgnored:
	case colIsLatest:
		r.latest, r.told = v, true
	case colIsDeleteMarker:
		o.DeleteMarker = v
	case colMultipart:
		o.MultipartUploaded = v
	case colBucketKey:
		o.Encryption.BucketKey = v
	case colLegalHold:
		o.LegalHold = v
	default:
		return errType
	}
	return nil
}

// setInt takes in a column that is an integer: the size.
func (r *rower) setInt(o *object.Object, col column, v int64) error {
	switch {
	case col == colIgnored:
	case col != colSize:
		return errType
	case v < 0:
		return fmt.Errorf("the size %d is negative", v)
	default:
		o.Size = v
	}
	return nil
}

// setTime takes in a column that is a time.
func (r *rower) setTime(o *object.Object, col column, v time.Time) error {
	switch col {
	case colIgnored:
	case colLastModified:
		o.LastModified = v.UTC()
	case colRetainUntil:
		o.RetainUntil = v.UTC()
	default:
		return errType
	}
	return nil
}

var errType = errors.New("a column has another type than in an inventory")

// finish draws the conclusions that take more than one column. ok is false for a
// delete marker.
func (r *rower) finish(o *object.Object) (ok bool, err error) {
	switch {
	case o.Key == "":
		return false, errors.New("the key is empty")
	case len(o.Key) > object.MaxKey:
		return false, fmt.Errorf("the key has %d bytes, and S3 takes %d", len(o.Key), object.MaxKey)
	case o.DeleteMarker:
		return false, nil
	}
	s := r.schema
	if s.has[colVersionID] && o.VersionID == "" && !r.table {
		o.VersionID = object.NullVersion // how reports write the null version
	}
	switch {
	case !r.told && s.has[colVersionID]:
		// Not told: the worker finds out, since no copy is made but of the current
		// version on the condition that it is this one.
	case r.latest && !r.versions:
		o.VersionID = ""
	default:
		o.Noncurrent = r.told && !r.latest
	}
	o.MultipartUploaded = o.MultipartUploaded || strings.Contains(o.ETag, "-")
	if !s.has[colStorageClass] {
		// Without the class no row can settle a copy, which would reset it; without
		// an ETag every operation inspects first.
		o.ETag = ""
	}
	switch o.Encryption.Type {
	case object.SSENone, object.SSES3:
		o.Encryption.KMSKeyID, o.Encryption.BucketKey = "", false
		o.Settled = o.ETag != "" && o.Size >= 0
	case object.SSEKMS, object.DSSEKMS:
		o.Settled = o.Encryption.KMSKeyID != "" && s.has[colBucketKey] && o.ETag != "" && o.Size >= 0
	}
	return true, nil
}

func (r *rower) key(text []byte) (string, error) {
	if !r.encoded {
		return string(text), nil
	}
	if bytes.IndexByte(text, '%') < 0 && bytes.IndexByte(text, '+') < 0 {
		return string(text), nil
	}
	key, err := url.QueryUnescape(string(text)) // a space is + in a report
	if err != nil {
		return "", fmt.Errorf("the key %q is not URL-encoded", text)
	}
	return key, nil
}

func (r *rower) intern(text []byte) string {
	if s, ok := r.words[string(text)]; ok {
		return s
	}
	s := string(text)
	if s == "STANDARD" {
		s = ""
	}
	if r.words == nil {
		r.words = make(map[string]string)
	}
	if len(r.words) < 1000 {
		r.words[string(text)] = s
	}
	return s
}

// tier is the archive tier; the other tiers are no reason to treat an object
// differently.
func (r *rower) tier(text []byte) string {
	switch string(text) {
	case "ARCHIVE", "ARCHIVE_ACCESS":
		return "ARCHIVE_ACCESS"
	case "DEEP_ARCHIVE", "DEEP_ARCHIVE_ACCESS":
		return "DEEP_ARCHIVE_ACCESS"
	}
	return "" // FREQUENT, INFREQUENT, ARCHIVE_INSTANT_ACCESS: readable at once
}

func boolean(text []byte) (bool, error) {
	switch string(text) {
	case "true", "TRUE", "True":
		return true, nil
	case "false", "FALSE", "False", "":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither true nor false", text)
}

func encryption(text []byte) (object.SSE, error) {
	switch string(text) { // without an allocation
	case "SSE-S3":
		return object.SSES3, nil
	case "SSE-KMS":
		return object.SSEKMS, nil
	case "NOT-SSE":
		return object.SSENone, nil
	case "":
		return object.SSEUnknown, nil
	}
	e, err := object.ParseSSE(string(text))
	if err != nil {
		return object.SSEUnknown, nil // a kind of tomorrow: it is inspected
	}
	return e, nil
}
