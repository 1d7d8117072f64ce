package conformance

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/store"
)

var listingChecks = []check{
	{name: "list", run: listObjects},
	{name: "list versions", bucket: bucketOptions{versioned: true}, run: listVersions},
	{name: "list with metadata", run: listMetadata},
}

func listObjects(e *env) {
	page, err := e.store.ListPage(e.ctx(), object.ListRequest{Bucket: e.bucket})
	if err != nil || len(page.Objects) != 0 || page.Truncated {
		e.Errorf("an empty bucket: %+v, %v", page, err)
	}
	start := time.Now().Add(-time.Minute)
	keys := []string{"a-", "a/1", "a/2", "a0", "b/1/x", "b/2", "c", "d"} // "a-" < "a/" < "a0" in bytes
	for i, k := range keys {
		e.put(k, strings.Repeat("x", i), under(toSSES3), func(in *s3.PutObjectInput) {
			if k == "c" {
				in.StorageClass = types.StorageClass(rareClass)
			}
		})
	}
	for _, n := range []int{1, 2, 3, 4, 8, 1000, 0} {
		if got := e.listAll(object.ListRequest{Bucket: e.bucket, MaxKeys: n}); !slices.Equal(got, keys) {
			e.Errorf("pages of %d: %q", n, got)
		}
	}
	page, err = e.store.ListPage(e.ctx(), object.ListRequest{Bucket: e.bucket})
	e.must(err)
	for i, o := range page.Objects {
		head := e.look(o.Ref, noKey)
		if o.Bucket != e.bucket || o.Size != int64(i) || o.ETag != strings.Trim(*head.ETag, `"`) || o.LastModified.Before(start) ||
			!o.LastModified.Truncate(time.Second).Equal(head.LastModified.Truncate(time.Second)) || o.Noncurrent || o.DeleteMarker {
			e.Errorf("row %d: %+v", i, o)
		}
		want := ""
		if o.Key == "c" {
			want = rareClass
		}
		if !object.SameClass(o.StorageClass, want) {
			e.Errorf("%s: class %q", o.Key, o.StorageClass)
		}
		if o.Encryption.Type != object.SSEUnknown || o.Settled {
			e.Errorf("%s: a plain listing tells no encryption, yet %+v", o.Key, o.Encryption)
		}
	}
	e.fact("url-encoded as asked", "true", fmt.Sprint(page.EncodingHonoured))
	if got := e.listAll(object.ListRequest{Bucket: e.bucket, Prefix: "a/"}); !slices.Equal(got, keys[1:3]) {
		e.Errorf("prefix: %q", got)
	}
	if got := e.listAll(object.ListRequest{Bucket: e.bucket, Prefix: "a", StartAfter: "a/1", MaxKeys: 1}); !slices.Equal(got, keys[2:4]) {
		e.Errorf("prefix and start-after: %q", got)
	}
	if got := e.listAll(object.ListRequest{Bucket: e.bucket, StartAfter: "a/"}); !slices.Equal(got, keys[1:]) {
		e.Errorf("after a key that is not there: %q", got)
	}
	page, err = e.store.ListPage(e.ctx(), object.ListRequest{Bucket: e.bucket, Delimiter: "/"})
	e.must(err)
	var rolled []string
	for _, o := range page.Objects {
		rolled = append(rolled, o.Key)
	}
	if !slices.Equal(rolled, []string{"a-", "a0", "c", "d"}) || !slices.Equal(page.Prefixes, []string{"a/", "b/"}) {
		e.Errorf("delimiter: %q and %q", rolled, page.Prefixes)
	}

	e.put("n", "x")
	e.put("n/below", "x")
	below := "listed"
	if !slices.Contains(e.listAll(object.ListRequest{Bucket: e.bucket, Prefix: "n"}), "n/below") {
		below = "not listed"
	}
	e.fact("an object below the name of another", "listed", below)
}

func listVersions(e *env) {
	for _, k := range []string{"a", "b", "c"} {
		for range 3 {
			e.put(k, k)
		}
	}
	key := "b"
	_, err := e.client.DeleteObject(e.ctx(), &s3.DeleteObjectInput{Bucket: &e.bucket, Key: &key})
	e.must(err)
	want := []string{"a", "a", "a", "b!", "b", "b", "b", "c", "c", "c"}
	for _, n := range []int{1, 2, 3, 4, 1000} {
		if got := e.listAllVersions(object.ListRequest{Bucket: e.bucket, MaxKeys: n}); !slices.Equal(got, want) {
			e.Errorf("pages of %d: %q", n, got)
		}
	}
	seen, current := map[string]bool{}, map[string]int{}
	for _, o := range e.versionRows() {
		if o.VersionID == "" || seen[o.VersionID] {
			e.Errorf("version %q of %s", o.VersionID, o.Key)
		}
		seen[o.VersionID] = true
		if !o.Noncurrent {
			current[o.Key]++
		}
	}
	for _, k := range []string{"a", "b", "c"} {
		if current[k] != 1 {
			e.Errorf("%d current versions of %s", current[k], k)
		}
	}
	if got := e.listAllVersions(object.ListRequest{Bucket: e.bucket, Prefix: "b"}); len(got) != 4 {
		e.Errorf("prefix: %q", got)
	}
}

// listMetadata: MinIO's extension, which the canary looks for.
func listMetadata(e *env) {
	e.put("kms", "x", under(e.toKMS(0)), everything)
	e.put("plain", "x")
	page, err := e.store.ListPage(e.ctx(), object.ListRequest{Bucket: e.bucket, Metadata: true})
	e.must(err)
	if len(page.Objects) != 2 {
		e.Fatalf("%d rows", len(page.Objects))
	}
	e.fact("encryption of a KMS object", "unknown", page.Objects[0].Encryption.Type.String())
	if page.Objects[0].Encryption.Type == object.SSEKMS && !e.toKMS(0).MetBy(page.Objects[0].Encryption) {
		e.Errorf("under %+v", page.Objects[0].Encryption)
	}
	e.fact("encryption of a plain object", "unknown", page.Objects[1].Encryption.Type.String())
	bulk, ok := e.store.(store.BulkLister)
	if !ok || page.Objects[0].Encryption.Type == object.SSEUnknown {
		return
	}
	objs, more, err := bulk.ListInspected(e.ctx(), e.bucket, "", "", 1)
	if err != nil || len(objs) != 1 || !more || objs[0].Key != "kms" || !objs[0].Settled {
		e.Errorf("ListInspected: %+v, %v, %v", objs, more, err)
	}
	objs, more, err = bulk.ListInspected(e.ctx(), e.bucket, "", "kms", 1000)
	if err != nil || len(objs) != 1 || more || objs[0].Key != "plain" {
		e.Errorf("ListInspected after kms: %+v, %v, %v", objs, more, err)
	}
}
