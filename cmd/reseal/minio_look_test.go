package main

import (
	"fmt"
	"io"
	"iter"
	"net/url"
	"reflect"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"
)

// thing is everything of an object that must survive, and its encryption.
type thing struct {
	Body     string
	Headers  [6]string
	Metadata map[string]string
	Tags     map[string]string
	Class    string
	SSE, Key string
}

// look reads every object with an independent client.
func (b *bed) look(keys []string) map[string]thing {
	b.Helper()
	var mu sync.Mutex
	things := make(map[string]thing, len(keys))
	var g errgroup.Group
	g.SetLimit(16)
	for _, key := range keys {
		g.Go(func() error {
			t, err := b.lookAt(key)
			mu.Lock()
			defer mu.Unlock()
			things[key] = t
			return err
		})
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
	tagged := 0
	for _, t := range things {
		tagged += len(t.Tags)
	}
	if len(keys) > 100 && tagged == 0 {
		b.Fatalf("none of %d objects has a tag: the test shows too little", len(keys))
	}
	return things
}

func (b *bed) lookAt(key string) (t thing, err error) {
	ctx := b.Context()
	got, err := b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.bucket, Key: &key})
	if err != nil {
		return t, fmt.Errorf("GET %q: %w", key, err)
	}
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	if err != nil {
		return t, err
	}
	if aws.ToInt32(got.TagCount) == 0 { // MinIO counts them
		return thingOf(string(body), got, nil), nil
	}
	tags, err := b.client.GetObjectTagging(ctx, &s3.GetObjectTaggingInput{Bucket: &b.bucket, Key: &key})
	if err != nil {
		return t, fmt.Errorf("tags of %q: %w", key, err)
	}
	return thingOf(string(body), got, tags.TagSet), nil
}

func thingOf(body string, got *s3.GetObjectOutput, tags []types.Tag) thing {
	t := thing{Body: body, Metadata: got.Metadata, Tags: map[string]string{}, Class: string(got.StorageClass),
		SSE: string(got.ServerSideEncryption), Key: aws.ToString(got.SSEKMSKeyId),
		Headers: [6]string{aws.ToString(got.ContentType), aws.ToString(got.CacheControl), aws.ToString(got.ContentDisposition),
			aws.ToString(got.ContentEncoding), aws.ToString(got.ContentLanguage), aws.ToString(got.ExpiresString)}}
	for _, tag := range tags {
		t.Tags[*tag.Key] = *tag.Value
	}
	return t
}

// sameBut compares two looks: everything but the encryption has to be equal, and
// the encryption as wanted.
func (b *bed) sameBut(before, after map[string]thing, sse, key string) {
	b.Helper()
	wrong := 0
	for k, was := range before {
		is := after[k]
		if is.SSE != sse || is.Key != key {
			b.Errorf("%q is under %s %s, want %s %s", k, is.SSE, is.Key, sse, key)
			wrong++
		}
		was.SSE, was.Key, is.SSE, is.Key = "", "", "", ""
		if !reflect.DeepEqual(was, is) {
			b.Errorf("%q changed:\n was %.300q\n is  %.300q", k, fmt.Sprint(was), fmt.Sprint(is))
			wrong++
		}
		if wrong > 10 {
			b.Fatal("and more")
		}
	}
}

// nothingElse checks that the bucket holds the keys and nothing besides: no
// probe object, no version or marker of one, no unfinished upload. It returns
// the versions by key, the newest first.
func (b *bed) nothingElse(keys []string) map[string][]types.ObjectVersion {
	b.Helper()
	known := map[string]bool{}
	for _, k := range keys {
		known[k] = true
	}
	versions := map[string][]types.ObjectVersion{}
	for page := range b.versionPages() {
		for _, v := range page.Versions {
			key := b.decoded(*v.Key, page.EncodingType)
			if !known[key] {
				b.Errorf("the bucket holds %q, which nobody put there", key)
			}
			versions[key] = append(versions[key], v)
		}
		for _, m := range page.DeleteMarkers {
			if key, err := url.QueryUnescape(*m.Key); err != nil || !b.mayDelete || !known[key] {
				b.Errorf("the bucket holds a delete marker of %q", *m.Key)
			}
		}
	}
	uploads, err := b.client.ListMultipartUploads(b.Context(), &s3.ListMultipartUploadsInput{Bucket: &b.bucket})
	if err != nil {
		b.Fatal(err)
	}
	for _, u := range uploads.Uploads {
		b.Errorf("an upload of %q was left unfinished", *u.Key)
	}
	return versions
}

// versionPages lists all versions, page by page. The SDK's own pages would send the
// marker back as it came, URL-encoded, and MinIO then goes on at the next key.
func (b *bed) versionPages() iter.Seq[*s3.ListObjectVersionsOutput] {
	return func(yield func(*s3.ListObjectVersionsOutput) bool) {
		in := &s3.ListObjectVersionsInput{Bucket: &b.bucket, EncodingType: types.EncodingTypeUrl}
		for {
			page, err := b.client.ListObjectVersions(b.Context(), in)
			if err != nil {
				b.Fatal(err)
			}
			if !yield(page) || !aws.ToBool(page.IsTruncated) {
				return
			}
			marker, err := url.QueryUnescape(aws.ToString(page.NextKeyMarker))
			if err != nil {
				b.Fatal(err)
			}
			in.KeyMarker, in.VersionIdMarker = &marker, page.NextVersionIdMarker
		}
	}
}
