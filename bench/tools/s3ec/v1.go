package main

import (
	"bytes"
	"context"
	"io"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/credentials"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/aws/aws-sdk-go/service/kms"
	"github.com/aws/aws-sdk-go/service/s3"
	"github.com/aws/aws-sdk-go/service/s3/s3crypto"
)

// v1 is s3crypto of aws-sdk-go. It writes envelopes of version 2, of old and of
// late, into metadata or into an instruction file.
type v1 struct{}

func (v1) clients(j job) (*session.Session, *s3.S3, *kms.KMS, error) {
	sess, err := session.NewSession(&aws.Config{Region: &j.region, MaxRetries: aws.Int(0),
		Credentials: credentials.NewStaticCredentials(j.accessKey, j.secret, "")})
	if err != nil {
		return nil, nil, nil, err
	}
	return sess, s3.New(sess, &aws.Config{Endpoint: &j.s3, S3ForcePathStyle: aws.Bool(true)}), kms.New(sess, &aws.Config{Endpoint: &j.kms}), nil
}

func (c v1) put(ctx context.Context, j job, text []byte) error {
	sess, store, keys, err := c.clients(j)
	if err != nil {
		return err
	}
	var save s3crypto.SaveStrategy = s3crypto.HeaderV2SaveStrategy{}
	if j.instruction {
		save = s3crypto.S3SaveStrategy{Client: store}
	}
	in := &s3.PutObjectInput{Bucket: &j.bucket, Key: &j.key, Body: bytes.NewReader(text), Metadata: map[string]*string{"own": aws.String("value")}}
	entries := s3crypto.MaterialDescription(aws.StringMap(j.context))
	if j.wrap == "kms+context" {
		builder := s3crypto.AESGCMContentCipherBuilderV2(s3crypto.NewKMSContextKeyGenerator(keys, j.kmsKey, entries))
		cl, err := s3crypto.NewEncryptionClientV2(sess, builder, func(o *s3crypto.EncryptionClientOptions) { o.S3Client, o.SaveStrategy = store, save })
		if err != nil {
			return err
		}
		_, err = cl.PutObjectWithContext(ctx, in)
		return err
	}
	generator := s3crypto.NewKMSKeyGeneratorWithMatDesc(keys, j.kmsKey, entries)
	builder := s3crypto.AESGCMContentCipherBuilder(generator)
	if j.content == "cbc" {
		builder = s3crypto.AESCBCContentCipherBuilder(generator, s3crypto.AESCBCPadder)
	}
	cl := s3crypto.NewEncryptionClient(sess, builder, func(c *s3crypto.EncryptionClient) { c.S3Client, c.SaveStrategy = store, save })
	_, err = cl.PutObjectWithContext(ctx, in)
	return err
}

func (c v1) get(ctx context.Context, j job) ([]byte, error) {
	sess, store, keys, err := c.clients(j)
	if err != nil {
		return nil, err
	}
	registry := s3crypto.NewCryptoRegistry()
	for _, register := range []func() error{
		func() error { return s3crypto.RegisterKMSContextWrapWithAnyCMK(registry, keys) },
		func() error { return s3crypto.RegisterKMSWrapWithAnyCMK(registry, keys) },
		func() error { return s3crypto.RegisterAESGCMContentCipher(registry) },
		func() error { return s3crypto.RegisterAESCBCContentCipher(registry, s3crypto.AESCBCPadder) },
	} {
		if err := register(); err != nil {
			return nil, err
		}
	}
	cl, err := s3crypto.NewDecryptionClientV2(sess, registry, func(o *s3crypto.DecryptionClientOptions) { o.S3Client = store })
	if err != nil {
		return nil, err
	}
	out, err := cl.GetObjectWithContext(ctx, &s3.GetObjectInput{Bucket: &j.bucket, Key: &j.key})
	if err != nil {
		return nil, err
	}
	defer out.Body.Close()
	return io.ReadAll(out.Body)
}
