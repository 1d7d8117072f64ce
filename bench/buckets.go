package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// benchBucket is a bucket of a real server with objects as the null server names
// them.
type benchBucket struct {
	srv  *realserver.Server
	name string
	set  set
	// versioned: it keeps versions, and begins each time with one of each object.
	versioned bool
}

func (b *benchBucket) create(ctx context.Context) error {
	client := b.srv.Client()
	if _, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &b.name}); err != nil || !b.versioned {
		return err
	}
	_, err := client.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: &b.name,
		VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}})
	return err
}

// remove deletes the bucket and what is in it, so that memory is there for the
// next one. Its errors would only be those of the end.
func (b *benchBucket) remove() {
	ctx := context.Background()
	_ = b.empty(ctx)
	_, _ = b.srv.Client().DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &b.name})
}

// empty deletes every version of every object.
func (b *benchBucket) empty(ctx context.Context) error {
	client := b.srv.Client()
	for {
		page, err := client.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: &b.name})
		if err != nil || len(page.Versions)+len(page.DeleteMarkers) == 0 {
			return err
		}
		var ids []types.ObjectIdentifier
		for _, o := range page.Versions {
			ids = append(ids, types.ObjectIdentifier{Key: o.Key, VersionId: o.VersionId})
		}
		for _, m := range page.DeleteMarkers {
			ids = append(ids, types.ObjectIdentifier{Key: m.Key, VersionId: m.VersionId})
		}
		if _, err := client.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &b.name, Delete: &types.Delete{Objects: ids, Quiet: aws.Bool(true)}}); err != nil {
			return err
		}
	}
}

// reset writes every object again under e.
func (b *benchBucket) reset(ctx context.Context, e encryption) error {
	client := b.srv.Client()
	if b.versioned {
		if err := b.empty(ctx); err != nil {
			return err
		}
	}
	put := func(ctx context.Context, key string) error {
		in := &s3.PutObjectInput{Bucket: &b.name, Key: &key, Body: bytes.NewReader(make([]byte, b.set.size)), ContentLength: &b.set.size,
			ServerSideEncryption: types.ServerSideEncryption(e.sse)}
		if e.key != "" {
			in.SSEKMSKeyId = &e.key
		}
		_, err := client.PutObject(ctx, in)
		return err
	}
	if b.set.size > 64<<20 {
		put = func(ctx context.Context, key string) error { return b.upload(ctx, client, key, e) }
	}
	return inParallel(ctx, 8, b.set.count, func(ctx context.Context, i int) (err error) {
		for range 3 { // MinIO ends an upload that stalls, as it may on a busy machine
			if err = put(ctx, nullKey(i)); err == nil {
				break
			}
		}
		return err
	})
}

// upload writes one large object in parts, so that it need not be in memory.
func (b *benchBucket) upload(ctx context.Context, client *s3.Client, key string, e encryption) error {
	const part = 64 << 20
	create := &s3.CreateMultipartUploadInput{Bucket: &b.name, Key: &key, ServerSideEncryption: types.ServerSideEncryption(e.sse)}
	if e.key != "" {
		create.SSEKMSKeyId = &e.key
	}
	up, err := client.CreateMultipartUpload(ctx, create)
	if err != nil {
		return err
	}
	zeros := make([]byte, part)
	var parts []types.CompletedPart
	for at, n := int64(0), int32(1); at < b.set.size; at, n = at+part, n+1 {
		p, err := client.UploadPart(ctx, &s3.UploadPartInput{Bucket: &b.name, Key: &key, UploadId: up.UploadId, PartNumber: &n,
			Body: bytes.NewReader(zeros[:min(part, b.set.size-at)])})
		if err != nil {
			return err
		}
		parts = append(parts, types.CompletedPart{ETag: p.ETag, PartNumber: &n})
	}
	_, err = client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: &b.name, Key: &key, UploadId: up.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}})
	return err
}

// check asks the store whether every object is under e.
func (b *benchBucket) check(ctx context.Context, e encryption) error {
	client := b.srv.Client()
	var wrong atomic.Int64
	err := inParallel(ctx, 8, b.set.count, func(ctx context.Context, i int) error {
		key := nullKey(i)
		h, err := client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.name, Key: &key})
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		shown := object.Encryption{Type: object.SSENone, KMSKeyID: aws.ToString(h.SSEKMSKeyId)}
		if h.ServerSideEncryption != "" {
			if shown.Type, err = object.ParseSSE(string(h.ServerSideEncryption)); err != nil {
				return err
			}
		}
		if !e.shows(shown) || aws.ToInt64(h.ContentLength) != b.set.size {
			wrong.Add(1)
		}
		return nil
	})
	if err == nil && wrong.Load() > 0 {
		err = fmt.Errorf("%d of %d objects are not under %s", wrong.Load(), b.set.count, e)
	}
	return err
}

// inParallel calls f for 0 … n-1 and stops at the first error.
func inParallel(ctx context.Context, workers, n int, f func(context.Context, int) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, workers)
	for w := range workers {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if errs[w] = f(ctx, i); errs[w] != nil {
					cancel()
					return
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
	}
	return errors.Join(errs...)
}
