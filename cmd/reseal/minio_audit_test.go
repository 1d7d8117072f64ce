package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"github.com/resealhq/reseal/engine/s3test/realserver"
)

// auditRow is a row of audit --json, as the command line promises it.
type auditRow struct {
	Encryption   string `json:"encryption"`
	KMSKeyID     string `json:"kms_key_id"`
	BucketKey    bool   `json:"bucket_key"`
	ClientSide   bool   `json:"client_side"`
	StorageClass string `json:"storage_class"`
	Objects      int    `json:"objects"`
	Bytes        int64  `json:"bytes"`
}

// TestRealServerAudit counts six kinds of objects on MinIO with KES over TLS, and
// compares with an independent count by HEAD.
func TestRealServerAudit(t *testing.T) {
	t.Parallel()
	b := newBed(t, realserver.StartKES(t, realserver.Options{Keys: []string{"key-a", "key-b"}}), "audited")
	c := newCustomer(t, "audited")
	b.seedKinds(600, c)
	rows, objects, bytes := b.countByHead(c)
	if len(rows) != 6 {
		t.Fatalf("%d kinds of objects: %+v", len(rows), rows)
	}
	for name, args := range map[string][]string{"listing": {"s3://" + b.bucket}, "key": {"s3://" + b.bucket, "--source-sse-c-key-file", c.file}} {
		var got struct {
			Objects      int
			Bytes        int64
			ByEncryption []auditRow `json:"by_encryption"`
			Unanswered   int
		}
		if err := json.Unmarshal(b.reseal(0, append([]string{"audit", "--json"}, args...)...), &got); err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(got.ByEncryption, byKind)
		if got.Objects != objects || got.Bytes != bytes || got.Unanswered != 0 || !slices.Equal(got.ByEncryption, rows) {
			t.Errorf("%s:\n got %+v\nwant %d objects, %d bytes, %+v", name, got, objects, bytes, rows)
		}
	}
}

// seedKinds stores n objects of six kinds, unevenly.
func (b *bed) seedKinds(n int, c customer) {
	b.Helper()
	var g errgroup.Group
	g.SetLimit(16)
	for i := range n {
		key := fmt.Sprintf("dir-%d/object %04d", i%7, i)
		in := &s3.PutObjectInput{Bucket: &b.bucket, Key: &key, Body: strings.NewReader(strings.Repeat("x", i%97))}
		switch k := i % 13; {
		case k < 4: // none
		case k < 7:
			in.ServerSideEncryption = types.ServerSideEncryptionAes256
		case k < 9:
			in.ServerSideEncryption, in.SSEKMSKeyId = types.ServerSideEncryptionAwsKms, aws.String("key-a")
		case k < 10:
			in.ServerSideEncryption, in.SSEKMSKeyId = types.ServerSideEncryptionAwsKms, aws.String("key-b")
		case k < 11:
			in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5 = c.headers()
		default:
			in.ServerSideEncryption = types.ServerSideEncryptionAes256
			in.Metadata = map[string]string{"x-amz-key-v2": "d3JhcHBlZA==", "x-amz-iv": "aXY=", "x-amz-cek-alg": "AES/GCM/NoPadding", "x-amz-wrap-alg": "kms+context"}
		}
		g.Go(func() error {
			_, err := b.client.PutObject(b.Context(), in)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
}

// countByHead asks the AWS SDK about every object.
func (b *bed) countByHead(c customer) (rows []auditRow, objects int, bytes int64) {
	b.Helper()
	counts := map[auditRow]*auditRow{}
	for _, key := range b.list() {
		in := &s3.HeadObjectInput{Bucket: &b.bucket, Key: &key}
		h, err := b.client.HeadObject(b.Context(), in)
		if err != nil {
			in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5 = c.headers()
			if h, err = b.client.HeadObject(b.Context(), in); err != nil {
				b.Fatal(err)
			}
		}
		kind := auditRow{Encryption: "none", KMSKeyID: aws.ToString(h.SSEKMSKeyId), BucketKey: aws.ToBool(h.BucketKeyEnabled),
			StorageClass: cmp.Or(string(h.StorageClass), "STANDARD"), ClientSide: h.Metadata["x-amz-key-v2"] != ""}
		switch {
		case h.SSECustomerAlgorithm != nil:
			kind.Encryption = "sse-c"
		case h.ServerSideEncryption == types.ServerSideEncryptionAes256:
			kind.Encryption = "sse-s3"
		case h.ServerSideEncryption == types.ServerSideEncryptionAwsKms:
			kind.Encryption = "sse-kms"
		}
		if counts[kind] == nil {
			row := kind
			counts[kind] = &row
		}
		counts[kind].Objects++
		counts[kind].Bytes += *h.ContentLength
		objects, bytes = objects+1, bytes+*h.ContentLength
	}
	for _, r := range counts {
		rows = append(rows, *r)
	}
	slices.SortFunc(rows, byKind)
	return rows, objects, bytes
}

func byKind(a, b auditRow) int { return strings.Compare(fmt.Sprintf("%+v", a), fmt.Sprintf("%+v", b)) }
