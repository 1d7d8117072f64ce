package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/resealhq/reseal/engine/hot"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
)

// A loop is a process that does nothing but send requests for keys that it knows
// already: no listing, no checkpoint, no pace, no proof. It is what a tool around
// it can come near to.
type loop struct {
	client      string // wire, nethttp or sdk
	bucket      string
	n           int
	concurrency int
	head        bool // HEAD before every COPY
	by          string
	sse, kmsKey string
}

// runLoop is the loop's process; the environment says where the store is.
func runLoop(ctx context.Context, args []string) error {
	var l loop
	f := flag.NewFlagSet("loop", flag.ContinueOnError)
	f.StringVar(&l.client, "client", "wire", "wire, nethttp or sdk")
	f.StringVar(&l.bucket, "bucket", "", "bucket of objects named as the null server's are")
	f.IntVar(&l.n, "n", 0, "how many objects")
	f.IntVar(&l.concurrency, "concurrency", 64, "requests in flight")
	f.BoolVar(&l.head, "head", false, "HEAD before every COPY")
	f.StringVar(&l.by, "by", "copy", "copy; or, guarded by If-Match and with the wire client: rewrite, multipart")
	f.StringVar(&l.sse, "sse", "AES256", "the header's value")
	f.StringVar(&l.kmsKey, "sse-kms-key-id", "", "the header's value")
	if err := f.Parse(args); err != nil {
		return err
	}
	one, err := l.sender(ctx)
	if err != nil {
		return err
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, l.concurrency)
	for w := range l.concurrency {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= l.n || errs[w] != nil {
					return
				}
				errs[w] = one(ctx, nullKey(i))
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// sender makes the function that does one object.
func (l *loop) sender(ctx context.Context) (func(context.Context, string) error, error) {
	switch l.client {
	case "wire":
		return l.overWire(ctx)
	case "nethttp":
		return l.overNetHTTP()
	case "sdk":
		return l.overSDK(ctx)
	}
	return nil, fmt.Errorf("no client is named %q", l.client)
}

func (l *loop) overWire(ctx context.Context) (func(context.Context, string) error, error) {
	store, err := s3store.Open(ctx, s3store.Options{})
	if err != nil {
		return nil, err
	}
	c, err := hot.Client(store)
	if err != nil {
		return nil, err
	}
	sse, err := object.ParseSSE(l.sse)
	if err != nil {
		return nil, err
	}
	target := &object.Target{SSE: sse, KMSKeyID: l.kmsKey}
	switch l.by {
	case "rewrite":
		return rewriter(c, l.bucket, target), nil
	case "multipart":
		return inOnePart(c, store, l.bucket, target), nil
	}
	return func(ctx context.Context, key string) error {
		ref := object.Ref{Bucket: l.bucket, Key: key}
		r := object.CopyRequest{Source: ref, Dest: ref, Target: target}
		if l.head {
			h, err := c.Head(ctx, ref, object.CustomerKey{})
			if err != nil {
				return err
			}
			r.SourceETag = h.ETag
		}
		_, err := c.Copy(ctx, &r)
		return err
	}, nil
}

// overNetHTTP is what a careful hand makes of net/http and the SDK's signer.
func (l *loop) overNetHTTP() (func(context.Context, string) error, error) {
	endpoint, err := url.Parse(os.Getenv("AWS_ENDPOINT_URL_S3"))
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy, transport.MaxIdleConnsPerHost, transport.DisableCompression = nil, l.concurrency, true
	if bundle := os.Getenv("AWS_CA_BUNDLE"); bundle != "" {
		if transport.TLSClientConfig, err = trust(bundle); err != nil {
			return nil, err
		}
	}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	creds := aws.Credentials{AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY")}
	send := func(ctx context.Context, method, key string, header http.Header) error {
		const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
		req := (&http.Request{Method: method, URL: &url.URL{Scheme: endpoint.Scheme, Host: endpoint.Host, Path: "/" + l.bucket + "/" + key},
			Header: header}).WithContext(ctx)
		header.Set("X-Amz-Content-Sha256", empty)
		if err := signer.SignHTTP(ctx, creds, req, empty, "s3", "us-east-1", time.Now()); err != nil {
			return err
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if _, err := io.ReadAll(resp.Body); err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	}
	return func(ctx context.Context, key string) error {
		if l.head {
			if err := send(ctx, "HEAD", key, http.Header{}); err != nil {
				return err
			}
		}
		h := http.Header{"X-Amz-Copy-Source": {l.bucket + "/" + key}, "X-Amz-Server-Side-Encryption": {l.sse}}
		if l.kmsKey != "" {
			h.Set("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id", l.kmsKey)
		}
		return send(ctx, "PUT", key, h)
	}, nil
}

// overSDK is the stock client, as its documentation shows it.
func (l *loop) overSDK(ctx context.Context) (func(context.Context, string) error, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, err
	}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
	return func(ctx context.Context, key string) error {
		in := &s3.CopyObjectInput{Bucket: &l.bucket, Key: &key, CopySource: aws.String(l.bucket + "/" + key),
			ServerSideEncryption: types.ServerSideEncryption(l.sse)}
		if l.kmsKey != "" {
			in.SSEKMSKeyId = &l.kmsKey
		}
		if l.head {
			h, err := client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &l.bucket, Key: &key})
			if err != nil {
				return err
			}
			in.CopySourceIfMatch = h.ETag
		}
		_, err := client.CopyObject(ctx, in)
		return err
	}, nil
}
