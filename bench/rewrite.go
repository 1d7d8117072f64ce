package main

import (
	"context"
	"flag"
	"fmt"
	"io"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/engine/wire"
)

// RewriteConfig is the workload "rewrite": what each way to re-encrypt an object
// costs a real MinIO, by the object's size. Its CopyObject ignores If-Match; a
// PutObject and the end of an upload honour it.
type RewriteConfig struct {
	Rounds      int
	Concurrency int
	Sets        list
	Dir         string
}

func (c *RewriteConfig) flags(f *flag.FlagSet) {
	f.IntVar(&c.Rounds, "rounds", 3, "rounds; the participants take turns")
	f.IntVar(&c.Concurrency, "concurrency", 16, "requests in flight")
	f.Var(&c.Sets, "set", "objects, as COUNTxBYTES (repeatable; default 1 KiB to 4 MiB)")
	f.StringVar(&c.Dir, "dir", "", "where files are kept while it runs")
}

// RunRewrite makes a table for each size.
func RunRewrite(ctx context.Context, c RewriteConfig, log io.Writer) ([]*Table, error) {
	if len(c.Sets) == 0 {
		c.Sets = list{"2000x1024", "2000x16384", "2000x65536", "1500x100000", "1000x262144", "500x1048576", "200x4194304"}
	}
	return RunMinIO(ctx, MinIOConfig{Rounds: c.Rounds, Concurrency: c.Concurrency, Sets: c.Sets, Moves: list{"none-s3"}, Dir: c.Dir,
		loops: []*participant{bare("wire", false), bare("wire", true), guardedBy("rewrite", "GET+PUT, If-Match"),
			guardedBy("multipart", "one-part upload, If-Match")}}, log)
}

// guardedBy is a loop that loses nobody's write.
func guardedBy(by, name string) *participant {
	return &participant{name: name, share: 1, find: ourselves, args: func(t *task) []string {
		return []string{"-loop", "-by", by, "-bucket", t.bucket, "-n", fmt.Sprint(t.objects), "-concurrency", fmt.Sprint(t.concurrency),
			"-sse", t.sse, "-sse-kms-key-id", t.kmsKey}
	}}
}

// rewriter reads an object and writes it again.
func rewriter(c *wire.Client, bucket string, target *object.Target) func(context.Context, string) error {
	return func(ctx context.Context, key string) error {
		ref := object.Ref{Bucket: bucket, Key: key}
		g, err := c.Get(ctx, &object.GetRequest{Ref: ref, Max: 64 << 20})
		if err != nil {
			return err
		}
		_, err = c.Put(ctx, &object.PutRequest{Body: g.Body, Checksum: g.Checksums[g.ChecksumAlgorithm], CopyRequest: object.CopyRequest{
			Dest: ref, DestETag: g.ETag, Target: target, Attributes: &g.Attributes, ChecksumAlgorithm: g.ChecksumAlgorithm}})
		return err
	}
}

// inOnePart looks at an object and copies it by an upload of one part.
func inOnePart(c *wire.Client, store *s3store.Store, bucket string, target *object.Target) func(context.Context, string) error {
	return func(ctx context.Context, key string) error {
		ref := object.Ref{Bucket: bucket, Key: key}
		h, err := c.Head(ctx, ref, object.CustomerKey{})
		if err != nil {
			return err
		}
		id, _, err := store.CreateUpload(ctx, &object.CopyRequest{Source: ref, Dest: ref, Target: target, Attributes: &h.Attributes})
		if err != nil {
			return err
		}
		part, err := c.CopyPart(ctx, &object.PartRequest{Source: ref, SourceETag: h.ETag, Dest: ref, UploadID: id, Number: 1, Last: -1, Target: target})
		if err != nil {
			return err
		}
		_, err = store.CompleteUpload(ctx, &object.CompleteRequest{Dest: ref, UploadID: id, Size: h.Size, Target: target, DestETag: h.ETag,
			Parts: []object.Part{{Number: 1, ETag: part.ETag, Size: h.Size}}})
		return err
	}
}
