package conformance

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/resealhq/reseal/engine/object"
)

// OddKey is a key that S3 takes and that somebody's client gets wrong.
type OddKey struct{ Name, Key string }

// OddKeys are for everybody's tests. Not every server takes all of them:
// differences.go tells.
var OddKeys = []OddKey{
	{"plain", "plain.txt"},
	{"spaces", " a  b "},
	{"plus", "a+b"},
	{"percent", "100%"},
	{"percent 2F", "a%2Fb"},
	{"percent 20", "a%20b"},
	{"NFC", "caf\u00e9"},
	{"NFD", "cafe\u0301"},
	{"emoji", "🔐/🗝️"},
	{"CJK", "鍵"},
	{"double slash", "a//b"},
	{"leading slash", "/leading"},
	{"only a slash", "/"},
	{"trailing slash", "folder/"},
	{"quotes", `"double" 'single'`},
	{"markup", "<a>&amp;&</a>"},
	{"punctuation", "!-_.*'();:@&=$,?#[]{}|^~`"},
	{"backslash", `a\b`},
	{"question mark", "a?versionId=x"},
	{"hash", "a#b"},
	{"colon", "a:b"},
	{"comma and semicolon", "a,b;c=d"},
	{"1000 bytes", strings.Repeat("d/", 400) + strings.Repeat("k", 200)},
	{"1024 bytes", strings.Repeat("d/", 400) + strings.Repeat("k", 224)},
	{"a segment of 1000 bytes", strings.Repeat("k", 1000)},
	{"dot", "a/./b"},
	{"dot dot", "a/../b"},
	{"leading dot dot", "../b"},
	{"trailing dot", "a."},
	{"newline", "a\nb"},
	{"carriage return", "a\rb"},
	{"tab", "a\tb"},
	{"control character", "a\x01b"},
	{"delete character", "a\x7fb"},
	{"byte order mark", "\ufeffa"},
	{"non-character", "a\uffffb"},
	{"zero width joiner", "a\u200db"},
	{"beyond the BMP", "\U0010ffff"},
}

var keyChecks = []check{
	{name: "odd keys", run: oddKeys},
	{name: "odd keys, versioned", bucket: bucketOptions{versioned: true}, run: oddKeysVersioned},
	{name: "odd keys as listed", run: oddKeysListed},
}

// oddKeys takes every key through all that the engine does with an object, by
// each route.
func oddKeys(e *env) {
	for _, k := range OddKeys {
		body := "the body of " + k.Name
		s, err := e.tryPut(k.Key, body, func(in *s3.PutObjectInput) {
			in.Metadata = map[string]string{"name": "value"}
			in.Tagging = aws.String("tag=value")
		})
		taken := "taken"
		switch {
		case err != nil:
			taken = "refused"
		case !slices.Contains(e.listed(), k.Key):
			taken = "taken for another key"
		}
		e.fact(k.Name, "taken", taken)
		if taken == "taken" {
			e.oneKey(k, s.etag, body)
		}
	}
}

func (e *env) oneKey(k OddKey, etag, body string) {
	e.Helper()
	ref := e.ref(k.Key)
	if h := e.head(ref, noKey); h.ETag != etag || h.Size != int64(len(body)) || h.Metadata["name"] != "value" {
		e.Errorf("%s: Head shows %+v", k.Name, h)
	}
	if _, err := e.reseal(k.Key, etag, toSSES3); err != nil {
		e.Errorf("%s: Copy: %v", k.Name, err)
		return
	}
	h := e.head(ref, noKey)
	if h.Encryption.Type != object.SSES3 || h.Metadata["name"] != "value" {
		e.Errorf("%s: after the copy %+v, %v", k.Name, h.Encryption, h.Metadata)
	}
	e.holds(ref, noKey, body)
	if got, err := e.open(ref, noKey, ""); err != nil || got != body {
		e.Errorf("%s: Open gave %q, %v", k.Name, got, err)
	}
	tags, err := e.store.Tags(e.ctx(), ref)
	if err != nil || len(tags) != 1 || tags[0] != (object.Tag{Key: "tag", Value: "value"}) {
		e.Errorf("%s: tags %v, %v", k.Name, tags, err)
	}

	r := &object.CopyRequest{Source: ref, Dest: ref, SourceETag: h.ETag, Target: e.toKMS(0), Attributes: &h.Attributes}
	_, err = e.multipart(r, nil, h.Size)
	e.fact(k.Name+", multipart", "done", e.outcome(err))
	if err != nil {
		e.Log(err)
	} else if h := e.head(ref, noKey); !r.Target.MetBy(h.Encryption) || h.Metadata["name"] != "value" {
		e.Errorf("%s: after the multipart copy %+v, %v", k.Name, h.Encryption, h.Metadata)
	}
	e.holds(ref, noKey, body)
}

// oddKeysVersioned names each by its version, in the path and in the copy source.
func oddKeysVersioned(e *env) {
	for _, k := range OddKeys {
		first, err := e.tryPut(k.Key, "first")
		if err != nil || !slices.Contains(e.listed(), k.Key) {
			continue // oddKeys states it
		}
		e.put(k.Key, "second")
		old := e.version(k.Key, first.version)
		got := "kept"
		if h, err := e.store.Head(e.ctx(), old, noKey); err != nil || h.ETag != first.etag {
			got = "not kept"
		}
		e.fact(k.Name, "kept", got)
		if got != "kept" {
			continue
		}
		if _, err := e.store.Copy(e.ctx(), &object.CopyRequest{Source: old, Dest: e.ref(k.Key), SourceETag: first.etag, Target: toSSES3}); err != nil {
			e.Errorf("%s: Copy of the first version: %v", k.Name, err)
			continue
		}
		e.holds(e.ref(k.Key), noKey, "first")
	}
}

// oddKeysListed finds in the listings exactly the keys that are there, as bytes
// and in the order of bytes, through pages of three.
func oddKeysListed(e *env) {
	for _, k := range OddKeys {
		_, _ = e.tryPut(k.Key, "x") // oddKeys states which are refused
	}
	want := e.listed()
	if len(want) < 30 || !slices.IsSorted(want) {
		e.Fatalf("%d keys, sorted: %v", len(want), slices.IsSorted(want))
	}
	if got := e.listAll(object.ListRequest{Bucket: e.bucket, MaxKeys: 3}); !slices.Equal(got, want) {
		e.Errorf("ListPage:\n got %q\nwant %q", got, want)
	}
	if got := e.listAllVersions(object.ListRequest{Bucket: e.bucket, MaxKeys: 3}); !slices.Equal(got, want) {
		e.Errorf("ListVersionsPage:\n got %q\nwant %q", got, want)
	}
	for i, k := range want {
		got := e.listAll(object.ListRequest{Bucket: e.bucket, Prefix: k, MaxKeys: 3})
		if !slices.Contains(got, k) {
			e.Errorf("the prefix %q does not find its own key: %q", k, got)
		}
		if after := e.listAll(object.ListRequest{Bucket: e.bucket, StartAfter: k}); !slices.Equal(after, want[i+1:]) {
			e.Errorf("after %q come %q", k, after)
		}
	}
}

// listed are the keys of the bucket as the independent client sees them.
func (e *env) listed() (keys []string) {
	e.Helper()
	out, err := e.client.ListObjectsV2(e.ctx(), &s3.ListObjectsV2Input{Bucket: &e.bucket, EncodingType: types.EncodingTypeUrl})
	e.must(err)
	for _, o := range out.Contents {
		key, err := url.QueryUnescape(aws.ToString(o.Key))
		e.must(err)
		keys = append(keys, key)
	}
	return keys
}

// listAll reads a listing to its end and gives the keys as they came.
func (e *env) listAll(q object.ListRequest) (keys []string) {
	e.Helper()
	for range 1000 {
		page, err := e.store.ListPage(e.ctx(), q)
		e.must(err)
		for _, o := range page.Objects {
			keys = append(keys, o.Key)
		}
		if !page.Truncated {
			return keys
		}
		if page.NextToken == "" || page.NextToken == q.ContinuationToken {
			e.Fatalf("a truncated page leads to %q", page.NextToken)
		}
		q.ContinuationToken = page.NextToken
	}
	e.Fatal("the listing never ends")
	return nil
}

// listAllVersions is listAll for versions; delete markers stand as KEY!.
func (e *env) listAllVersions(q object.ListRequest) (keys []string) {
	e.Helper()
	for range 1000 {
		page, err := e.store.ListVersionsPage(e.ctx(), q)
		e.must(err)
		for _, o := range page.Objects {
			if o.DeleteMarker {
				keys = append(keys, o.Key+"!")
			} else {
				keys = append(keys, o.Key)
			}
		}
		if !page.Truncated {
			return keys
		}
		if page.NextKeyMarker == "" {
			e.Fatalf("a truncated page leads nowhere: %s", fmt.Sprint(q))
		}
		q.KeyMarker, q.VersionIDMarker = page.NextKeyMarker, page.NextVersionIDMarker
	}
	e.Fatal("the listing never ends")
	return nil
}
