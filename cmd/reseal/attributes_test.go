package main

import (
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/check"
)

// TestEveryAttribute takes objects that have everything an object can have from
// every encryption to every other, by every operation, in every kind of bucket,
// and compares all that the store holds with what it held: nothing differs but
// what the operation must change. What is to happen to each object is said by
// fate, from the facts of S3 and not from the chooser.
func TestEveryAttribute(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{TLS: true, Seed: 7})
	var changed, kept atomic.Int32
	atOnce := newPool(t, 4)
	for _, target := range attributeTargets(st) {
		for _, way := range attributeWays {
			for _, where := range attributeBuckets {
				atOnce.run(target.name+"/"+way.name+"/"+where.name, func(t *testing.T) {
					c := st.attributeRun(t, target, way, where)
					changed.Add(int32(c.Changed))
					kept.Add(int32(c.Kept))
				})
			}
		}
	}
	atOnce.wait()
	t.Logf("%d versions changed, %d kept, every attribute compared", changed.Load(), kept.Load())
}

type attributeTarget struct {
	name string
	args []string
	is   object.Target
}

func attributeTargets(st *stage) []attributeTarget {
	kms := object.Target{SSE: object.SSEKMS, KMSKeyID: st.keyB}
	bucketKey := kms
	bucketKey.BucketKey = object.On
	return []attributeTarget{
		{"AES256", []string{"--sse", "AES256"}, object.Target{SSE: object.SSES3}},
		{"kms", []string{"--sse", "aws:kms", "--sse-kms-key-id", st.keyB}, kms},
		{"kms-bucket-key", []string{"--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--bucket-key", "on"}, bucketKey},
		{"dsse", []string{"--sse", "aws:kms:dsse", "--sse-kms-key-id", st.keyB}, object.Target{SSE: object.DSSEKMS, KMSKeyID: st.keyB}},
		{"sse-c", []string{"--sse", "sse-c", "--sse-c-key-file", st.newFile}, object.Target{SSE: object.SSEC, CustomerKey: st.newKey}},
	}
}

// attributeWay is what the command line says about the operation.
type attributeWay struct {
	name string
	args []string
	// updates and copies are the operations that it allows.
	updates, copies bool
	// sends: the bytes go through this process, which needs another store than this one
	// for customer keys.
	sends bool
}

var attributeWays = []attributeWay{
	{"auto", nil, true, true, false},
	{"update", []string{"--operation", "update"}, true, false, false},
	{"copy", []string{"--operation", "copy"}, false, true, false},
	{"multipart", []string{"--operation", "copy", "--multipart-threshold", "1"}, false, true, false},
	{"sent", sentInParts, false, true, true},
}

type attributeBucket struct {
	name string
	cfg  s3test.BucketConfig
}

var attributeBuckets = []attributeBucket{
	{"off", s3test.BucketConfig{Ownership: "ObjectWriter", Documents: website}},
	{"enabled", s3test.BucketConfig{Versioning: "Enabled", Documents: website}},
	{"suspended", s3test.BucketConfig{Versioning: "Suspended", Ownership: "BucketOwnerPreferred", Documents: website}},
	{"locked", s3test.BucketConfig{Versioning: "Enabled", Ownership: "ObjectWriter", ObjectLock: true, Documents: website}},
}

var website = map[string]string{"website": "<WebsiteConfiguration><IndexDocument><Suffix>index.html</Suffix></IndexDocument></WebsiteConfiguration>"}

// attributeRun is one run of the binary over one bucket.
func (st *stage) attributeRun(t *testing.T, target attributeTarget, way attributeWay, where attributeBucket) check.Checked {
	bucket := strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-"))
	st.server.CreateBucket(bucket, where.cfg)
	if way.sends {
		st.everythingUpTo(1<<20, bucket, where.cfg) // the store keeps sent bytes in memory
	} else {
		st.everything(bucket, where.cfg)
	}
	before := st.server.Snapshot(bucket)
	job := filepath.Join(t.TempDir(), "job")
	args := append([]string{"run", "s3://" + bucket, "--job", job, "--no-progress", "--concurrency", "8", "--source-sse-c-key-file", st.oldFile}, target.args...)
	end := st.reseal(t, append(args, way.args...)...)
	if !way.copies && target.is.SSE != object.SSEKMS {
		if end.code != 2 {
			t.Errorf("exit code %d, want 2: no update leads there\n%s", end.code, end.stderr)
		}
		return st.differences(t, before, check.Expectation{Target: target.is, Intent: untouched})
	}
	if end.code != 0 && end.code != 3 {
		t.Fatalf("exit code %d\n%s", end.code, end.stderr)
	}
	changes := func(o s3test.Object) bool { return fate(o, target.is, way, where.cfg.Versioning, before) }
	operation := object.OpUndecided
	if !way.copies {
		operation = object.OpUpdate
	}
	checked := st.differences(t, before, check.Expectation{Target: target.is, Operation: operation, Intent: only(changes)})
	rows := st.rows(t, job)
	for _, o := range before.Objects {
		if !o.Latest || o.DeleteMarker {
			continue
		}
		want := "left"
		switch {
		case target.is.MetBy(o.Encryption):
			want = "already"
		case changes(o):
			want = "done"
		}
		if row := rows[o.Key]; row["state"] != want {
			t.Errorf("%q is %s (%s: %s %s), want %s", o.Key, row["state"], row["reason"], row["error_code"], row["message"], want)
		}
	}
	return checked
}

// fate says whether an object can and must be changed: what S3 allows for its
// encryption, class and lock, whichever program asks.
func fate(o s3test.Object, target object.Target, way attributeWay, versioning string, b s3test.Bucket) bool {
	locked := o.LegalHold || o.LockMode != ""
	updatable := target.SSE == object.SSEKMS && !locked && (o.Encryption.Type == object.SSES3 || o.Encryption.Type == object.SSEKMS)
	archived := (o.StorageClass == "GLACIER" || o.StorageClass == "DEEP_ARCHIVE" || o.ArchiveTier != "") && o.Restore == ""
	overNull := versioning == "Suspended" && o.VersionID != "null" && len(b.Find(o.Key)) > 1
	switch {
	case target.MetBy(o.Encryption):
		return false
	case way.updates && updatable:
		return true
	case !way.copies, archived, overNull, way.sends && (target.SSE == object.SSEC || o.Encryption.Type == object.SSEC):
		return false
	case o.MissingMetadata > 0:
		return !way.sends && o.Body.Size() <= 5<<30 // only a single copy takes along what HTTP cannot show
	}
	return true
}

// everything fills a bucket with one object of each kind under each encryption.
func (st *stage) everything(bucket string, cfg s3test.BucketConfig) {
	st.everythingUpTo(math.MaxInt64, bucket, cfg)
}

func (st *stage) everythingUpTo(most int64, bucket string, cfg s3test.BucketConfig) {
	n := 0
	for _, source := range []struct {
		name string
		is   object.Encryption
	}{
		{"none", object.Encryption{Type: object.SSENone}}, {"s3", object.Encryption{Type: object.SSES3}},
		{"kms-a", object.Encryption{Type: object.SSEKMS, KMSKeyID: st.keyA}}, {"kms-b", object.Encryption{Type: object.SSEKMS, KMSKeyID: st.keyB}},
		{"kms-b-bucket-key", object.Encryption{Type: object.SSEKMS, KMSKeyID: st.keyB, BucketKey: true}},
		{"dsse", object.Encryption{Type: object.DSSEKMS, KMSKeyID: st.keyA}}, {"sse-c", object.Encryption{Type: object.SSEC}},
	} {
		for _, kind := range attributeKinds {
			if kind.size > most || kind.lock && !cfg.ObjectLock || kind.older && cfg.Versioning == "" {
				continue
			}
			n++
			o := fullObject(n, kind.size)
			o.Key = kind.name + " é+%2F/" + source.name
			o.Encryption = source.is
			if source.is.Type == object.SSEKMS && n%2 == 0 {
				o.Context = "eyJwcm9qZWN0IjoicmVzZWFsIn0="
			}
			if cfg.Ownership == "" {
				o.Grants = nil
			}
			var with []s3test.PutOption
			if source.is.Type == object.SSEC {
				with = append(with, s3test.CustomerKey(st.oldKey))
			}
			with = append(with, kind.with(&o)...)
			if kind.older {
				st.older(bucket, o, with)
			}
			st.server.Put(bucket, o, with...)
		}
	}
}

// older stores a version from before versioning, and one in between, so that the
// current one is the third.
func (st *stage) older(bucket string, o s3test.Object, with []s3test.PutOption) {
	for _, id := range []string{"null", "an-older-version"} {
		o.VersionID, o.LastModified = id, o.LastModified.AddDate(-1, 0, 0)
		st.server.Put(bucket, o, with...)
	}
}

// fullBodies are made once for all tests, and so are their digests.
var fullBodies sync.Map

func fullBody(n int, size int64) *s3test.Content {
	body, _ := fullBodies.LoadOrStore([2]int64{int64(n), size}, s3test.Synthetic(uint64(n), size))
	return body.(*s3test.Content)
}

// fullObject has everything that an object can have but a lock, a class and a
// checksum.
func fullObject(n int, size int64) s3test.Object {
	o := s3test.Object{Body: fullBody(n, size), LastModified: time.Date(2022, 3, 1+n%28, 4, 5, 6, 0, time.UTC)}
	o.ContentType, o.CacheControl = "text/x-odd; charset=utf-8", "max-age=60, private"
	o.ContentDisposition, o.ContentEncoding = `attachment; filename="x y.txt"`, "gzip"
	o.ContentLanguage, o.Expires = "de, en", "Thu, 01 Jan 2032 00:00:00 GMT"
	o.Metadata = map[string]string{"number": fmt.Sprint(n), "note": "two words; a=b", "city": "München", "sign": "日本語", "empty": ""}
	o.Tags = []object.Tag{{Key: "team a", Value: "x+y & z"}, {Key: "ü", Value: "é"}, {Key: "empty"}}
	o.Redirect = "/another place?x=1"
	o.Grants = []object.Grant{{ID: strings.Repeat("ab", 32), Permission: "READ"}, {URI: "http://acs.amazonaws.com/groups/global/AllUsers", Permission: "READ"}}
	return o
}

// attributeKind is what is special about an object.
type attributeKind struct {
	name        string
	size        int64
	lock, older bool // only in buckets that can hold such
	with        func(o *s3test.Object) []s3test.PutOption
}

const mib = 1 << 20

var attributeKinds = []attributeKind{
	{name: "small", size: 700, with: plainly},
	{name: "empty", with: plainly},
	{name: "bare", size: 3, with: func(o *s3test.Object) []s3test.PutOption {
		*o = s3test.Object{Key: o.Key, Body: o.Body, LastModified: o.LastModified, Attrs: s3test.Attrs{Encryption: o.Encryption}}
		return nil
	}},
	{name: "summed", size: 900, with: summed("SHA256")},
	{name: "crc32c", size: 901, with: summed("CRC32C")},
	{name: "md5", size: 902, with: summed("MD5")}, // A6: kept by one CopyObject alone, as the next is
	{name: "xxhash", size: 903, with: summed("XXHASH128")},
	{name: "infrequent", size: 800, with: class("STANDARD_IA", "", "")},
	{name: "archived", size: 10, with: class("GLACIER", "", "")},
	{name: "restored", size: 11, with: class("DEEP_ARCHIVE", "", `ongoing-request="false", expiry-date="Fri, 21 Dec 2035 00:00:00 GMT"`)},
	{name: "tiered", size: 12, with: class("INTELLIGENT_TIERING", "", "")},
	{name: "deep tier", size: 13, with: class("INTELLIGENT_TIERING", "ARCHIVE_ACCESS", "")},
	{name: "composite", size: 130*mib + 1, with: inPieces("SHA256", "COMPOSITE", 65*mib, 65*mib, 1)},
	{name: "composite crc", size: 135 * mib, with: inPieces("CRC32", "COMPOSITE", 70*mib, 65*mib)},
	{name: "composite xxhash", size: 134 * mib, with: inPieces("XXHASH64", "COMPOSITE", 68*mib, 66*mib)},
	{name: "crc of the whole", size: 131 * mib, with: inPieces("CRC64NVME", "FULL_OBJECT", 66*mib, 65*mib)},
	{name: "parts without checksum", size: 132 * mib, with: inPieces("", "", 66*mib, 66*mib)},
	{name: "large", size: 6 << 30, with: plainly},
	{name: "hidden metadata", size: 20, with: hidden},
	{name: "large, hidden metadata", size: 7 << 30, with: hidden},
	{name: "retained", size: 30, lock: true, with: locked("COMPLIANCE", false)},
	{name: "governed", size: 31, lock: true, with: locked("GOVERNANCE", true)},
	{name: "held", size: 32, lock: true, with: locked("", true)},
	{name: "retained composite", size: 130 * mib, lock: true, with: func(o *s3test.Object) []s3test.PutOption {
		locked("COMPLIANCE", true)(o)
		return inPieces("SHA1", "COMPOSITE", 65*mib, 65*mib)(o)
	}},
	{name: "versions", size: 40, older: true, with: plainly},
}

func plainly(*s3test.Object) []s3test.PutOption { return nil }

func summed(algorithm string) func(*s3test.Object) []s3test.PutOption {
	return func(o *s3test.Object) []s3test.PutOption { return []s3test.PutOption{s3test.Summed(o.Body, algorithm)} }
}

func class(name, tier, restore string) func(*s3test.Object) []s3test.PutOption {
	return func(o *s3test.Object) []s3test.PutOption {
		o.StorageClass, o.ArchiveTier, o.Restore = name, tier, restore
		return nil
	}
}

func inPieces(algorithm, kind string, sizes ...int64) func(*s3test.Object) []s3test.PutOption {
	return func(o *s3test.Object) []s3test.PutOption {
		return []s3test.PutOption{s3test.Uploaded(o.Body, algorithm, kind, sizes...)}
	}
}

func hidden(o *s3test.Object) []s3test.PutOption {
	o.MissingMetadata, o.Metadata = 2, maps.Clone(o.Metadata)
	return nil
}

func locked(mode string, hold bool) func(*s3test.Object) []s3test.PutOption {
	return func(o *s3test.Object) []s3test.PutOption {
		o.LockMode, o.LegalHold = mode, hold
		if mode != "" {
			o.RetainUntil = time.Date(2040, 1, 2, 3, 4, 5, 0, time.UTC)
		}
		return nil
	}
}
