package main

import (
	"bytes"
	"context"
	"io"

	"github.com/aws/amazon-s3-encryption-client-go/v4/algorithms"
	"github.com/aws/amazon-s3-encryption-client-go/v4/client"
	"github.com/aws/amazon-s3-encryption-client-go/v4/commitment"
	"github.com/aws/amazon-s3-encryption-client-go/v4/materials"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// v4 is amazon-s3-encryption-client-go/v4.
type v4 struct{}

// open makes a client; only to write it needs the name of a key.
func (v4) open(j job, write bool) (*client.S3EncryptionClientV4, error) {
	legacy := func(o *materials.KeyringOptions) { o.EnableLegacyWrappingAlgorithms = j.legacy }
	var ring materials.Keyring = materials.NewKmsDecryptOnlyAnyKeyKeyring(j.kmsClient(), legacy)
	if j.kmsKey != "" {
		ring = materials.NewKmsKeyring(j.kmsClient(), j.kmsKey, legacy)
	}
	cmm, err := materials.NewCryptographicMaterialsManager(ring)
	if err != nil {
		return nil, err
	}
	return client.New(j.s3Client(), cmm, func(o *client.EncryptionClientOptions) {
		o.EnableLegacyUnauthenticatedModes = j.legacy
		o.CommitmentPolicy = commitment.REQUIRE_ENCRYPT_ALLOW_DECRYPT
		switch {
		case write && j.suite == "gcm":
			o.CommitmentPolicy = commitment.FORBID_ENCRYPT_ALLOW_DECRYPT
			o.EncryptionAlgorithmSuite = algorithms.AlgAES256GCMIV12Tag16NoKDF
		case j.strict:
			o.CommitmentPolicy = commitment.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
		}
	})
}

func (c v4) put(ctx context.Context, j job, text []byte) error {
	cl, err := c.open(j, true)
	if err != nil {
		return err
	}
	ctx = context.WithValue(ctx, client.EncryptionContext, j.context)
	_, err = cl.PutObject(ctx, &s3.PutObjectInput{Bucket: &j.bucket, Key: &j.key, Body: bytes.NewReader(text),
		Metadata: map[string]string{"own": "value"}, ContentType: aws.String("text/judged")})
	return err
}

func (c v4) get(ctx context.Context, j job) ([]byte, error) {
	cl, err := c.open(j, false)
	if err != nil {
		return nil, err
	}
	if len(j.context) > 0 { // the client then demands that it is the object's
		ctx = context.WithValue(ctx, client.EncryptionContext, j.context)
	}
	out, err := cl.GetObject(ctx, &s3.GetObjectInput{Bucket: &j.bucket, Key: &j.key})
	if err != nil {
		return nil, err
	}
	defer out.Body.Close()
	return io.ReadAll(out.Body)
}
