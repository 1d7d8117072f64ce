package s3test_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	testkms "github.com/resealhq/reseal/engine/s3test/kms"
)

func kmsClient(s *s3test.Server) *kms.Client {
	d := s3test.DefaultCredentials
	return kms.New(kms.Options{Region: "us-east-1", BaseEndpoint: aws.String(s.URL()), Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider(d.AccessKeyID, d.SecretAccessKey, "")})
}

// What is sealed under one key and context is opened with them alone, over
// rotations and re-encryptions.
func TestKMSSealsAndOpens(t *testing.T) {
	s := start(t, s3test.Config{})
	one, two := s.KMS.CreateKey(), s.KMS.CreateKey()
	c, ctx := kmsClient(s), context.Background()
	about, other := map[string]string{"a": "b", "c": "d"}, map[string]string{"a": "b"}
	sealed := must[*kms.EncryptOutput](t)(c.Encrypt(ctx, &kms.EncryptInput{KeyId: &one, Plaintext: []byte("secret"), EncryptionContext: about}))
	must[*kms.RotateKeyOnDemandOutput](t)(c.RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: &one}))
	opened := must[*kms.DecryptOutput](t)(c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: sealed.CiphertextBlob, EncryptionContext: about}))
	if string(opened.Plaintext) != "secret" || *opened.KeyId != one {
		t.Errorf("opened %q under %s", opened.Plaintext, *opened.KeyId)
	}
	again := must[*kms.ReEncryptOutput](t)(c.ReEncrypt(ctx, &kms.ReEncryptInput{CiphertextBlob: sealed.CiphertextBlob, SourceKeyId: &one,
		SourceEncryptionContext: about, DestinationKeyId: &two, DestinationEncryptionContext: other}))
	if *again.SourceKeyMaterialId != *opened.KeyMaterialId || *again.SourceKeyId != one || *again.KeyId != two {
		t.Errorf("re-encrypted from %s %s to %s", *again.SourceKeyId, *again.SourceKeyMaterialId, *again.KeyId)
	}
	opened = must[*kms.DecryptOutput](t)(c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: again.CiphertextBlob, EncryptionContext: other}))
	if string(opened.Plaintext) != "secret" || *opened.KeyMaterialId != *again.DestinationKeyMaterialId {
		t.Errorf("opened %q with material %s", opened.Plaintext, *opened.KeyMaterialId)
	}
	key := must[*kms.GenerateDataKeyOutput](t)(c.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: &one, KeySpec: types.DataKeySpecAes256}))
	back := must[*kms.DecryptOutput](t)(c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: key.CiphertextBlob, KeyId: &one}))
	if len(key.Plaintext) != 32 || !bytes.Equal(key.Plaintext, back.Plaintext) || *key.KeyMaterialId == *again.SourceKeyMaterialId {
		t.Errorf("a data key of %d bytes, under material %s", len(key.Plaintext), *key.KeyMaterialId)
	}
	rotations := must[*kms.ListKeyRotationsOutput](t)(c.ListKeyRotations(ctx, &kms.ListKeyRotationsInput{KeyId: &one}))
	if len(rotations.Rotations) != 1 || *rotations.Rotations[0].KeyMaterialId != *key.KeyMaterialId {
		t.Errorf("rotations: %+v", rotations.Rotations)
	}
}

// Each error under its name, and each call in the journal.
func TestKMSErrors(t *testing.T) {
	s := start(t, s3test.Config{})
	one, two := s.KMS.CreateKey("alias/one"), s.KMS.CreateKey()
	c, ctx := kmsClient(s), context.Background()
	sealed := must[*kms.EncryptOutput](t)(c.Encrypt(ctx, &kms.EncryptInput{KeyId: aws.String("alias/one"), Plaintext: []byte("x")})).CiphertextBlob
	type in = kms.DecryptInput
	bad := append(bytes.Clone(sealed[:len(sealed)-1]), sealed[len(sealed)-1]^1)
	for _, q := range []struct {
		name  string
		state testkms.State
		deny  string
		in    in
		want  string
	}{
		{name: "right", in: in{CiphertextBlob: sealed}},
		{name: "right, named", in: in{CiphertextBlob: sealed, KeyId: &one}},
		{name: "another key", in: in{CiphertextBlob: sealed, KeyId: &two}, want: "IncorrectKeyException"},
		{name: "no such key", in: in{CiphertextBlob: sealed, KeyId: aws.String("nope")}, want: "NotFoundException"},
		{name: "another context", in: in{CiphertextBlob: sealed, EncryptionContext: map[string]string{"a": "b"}}, want: "InvalidCiphertextException"},
		{name: "a bit flipped", in: in{CiphertextBlob: bad}, want: "InvalidCiphertextException"},
		{name: "no ciphertext of ours", in: in{CiphertextBlob: []byte("x")}, want: "InvalidCiphertextException"},
		{name: "disabled", state: testkms.Disabled, in: in{CiphertextBlob: sealed}, want: "DisabledException"},
		{name: "pending deletion", state: testkms.PendingDeletion, in: in{CiphertextBlob: sealed}, want: "KMSInvalidStateException"},
		{name: "denied", deny: "kms:Decrypt", in: in{CiphertextBlob: sealed}, want: "AccessDeniedException"},
		{name: "another action denied", deny: "kms:Encrypt", in: in{CiphertextBlob: sealed}},
		{name: "dry run", in: in{CiphertextBlob: sealed, DryRun: aws.Bool(true)}, want: "DryRunOperationException"},
		{name: "dry run, denied", deny: "kms:Decrypt", in: in{CiphertextBlob: sealed, DryRun: aws.Bool(true)}, want: "AccessDeniedException"},
		{name: "dry run without a ciphertext", in: in{KeyId: &one, DryRun: aws.Bool(true), DryRunModifiers: []types.DryRunModifierType{"IGNORE_CIPHERTEXT"}}, want: "DryRunOperationException"},
		{name: "the same, denied", deny: "kms:Decrypt", in: in{KeyId: &one, DryRun: aws.Bool(true), DryRunModifiers: []types.DryRunModifierType{"IGNORE_CIPHERTEXT"}}, want: "AccessDeniedException"},
		{name: "dry run of nothing", in: in{DryRun: aws.Bool(true), DryRunModifiers: []types.DryRunModifierType{"IGNORE_CIPHERTEXT"}}, want: "ValidationException"},
	} {
		if q.state == "" {
			q.state = testkms.Enabled
		}
		s.KMS.SetKeyState(one, q.state)
		s.KMS.Deny(one, q.deny)
		before := len(s.KMS.Journal("Decrypt"))
		if _, err := c.Decrypt(ctx, &q.in); code(err) != q.want {
			t.Errorf("%s: %q, want %q", q.name, code(err), q.want)
		}
		calls := s.KMS.Journal("Decrypt")
		if len(calls) != before+1 || calls[before].ByS3 || q.want != "DryRunOperationException" && calls[before].Code != q.want {
			t.Errorf("%s: journal %+v", q.name, calls[before:])
		}
	}
	s.KMS.SetKeyState(one, testkms.Enabled)
	s.KMS.Deny(one, "kms:ReEncrypt*")
	if _, err := c.ReEncrypt(ctx, &kms.ReEncryptInput{CiphertextBlob: sealed, DestinationKeyId: &two}); code(err) != "AccessDeniedException" {
		t.Errorf("re-encryption that is denied: %v", err)
	}
}

// A key's last use counts S3's own, and failures do not.
func TestKMSLastUsage(t *testing.T) {
	s := start(t, s3test.Config{})
	key := s.KMS.CreateKey()
	c, ctx := kmsClient(s), context.Background()
	usage := func() *types.KeyLastUsageData {
		out := must[*kms.GetKeyLastUsageOutput](t)(c.GetKeyLastUsage(ctx, &kms.GetKeyLastUsageInput{KeyId: &key}))
		if out.TrackingStartDate == nil || out.KeyCreationDate == nil {
			t.Error("without the dates")
		}
		return out.KeyLastUsage
	}
	if u := usage(); u == nil || u.Operation != "" || u.Timestamp != nil {
		t.Errorf("an unused key: %+v", u)
	}
	s.CreateBucket("b", s3test.BucketConfig{})
	s.Put("b", s3test.Object{Key: "k", Body: s3test.Bytes("x")})
	must[*s3.CopyObjectOutput](t)(client(t, s).CopyObject(ctx, &s3.CopyObjectInput{Bucket: aws.String("b"), Key: aws.String("k"), CopySource: aws.String("b/k"),
		ServerSideEncryption: "aws:kms", SSEKMSKeyId: &key}))
	if u := usage(); u.Operation != "GenerateDataKey" || u.Timestamp == nil {
		t.Errorf("after a copy under it: %+v", u)
	}
	if calls := s.KMS.Journal(); len(calls) != 1 || !calls[0].ByS3 || calls[0].Key != key || len(s.KMS.Journal("Decrypt")) != 0 {
		t.Errorf("a copy of a plain source: %+v", calls)
	}
	if _, err := c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: []byte("x"), KeyId: &key}); err == nil || usage().Operation != "GenerateDataKey" {
		t.Errorf("after a failure: %+v, %v", usage(), err)
	}
}

// What DescribeKey tells of keys that are not ordinary.
func TestKMSDescribesKeys(t *testing.T) {
	s := start(t, s3test.Config{})
	c, ctx := kmsClient(s), context.Background()
	describe := func(key string) *types.KeyMetadata {
		t.Helper()
		return must[*kms.DescribeKeyOutput](t)(c.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &key})).KeyMetadata
	}
	if m := describe(s.KMS.CreateKeyWith(testkms.KeyOptions{Origin: "EXTERNAL_KEY_STORE", CustomKeyStoreID: "cks-1"})); m.Origin != "EXTERNAL_KEY_STORE" || *m.CustomKeyStoreId != "cks-1" {
		t.Errorf("a key in a store: %+v", m)
	}
	multi := s.KMS.CreateKeyWith(testkms.KeyOptions{MultiRegion: true})
	if m := describe(multi); !*m.MultiRegion || *m.MultiRegionConfiguration.PrimaryKey.Arn != multi || (*m.KeyId)[:4] != "mrk-" {
		t.Errorf("a multi-Region key: %+v", m)
	}
	foreign := s.KMS.CreateKeyWith(testkms.KeyOptions{Account: "999999999999"})
	if m := describe(foreign); *m.AWSAccountId != "999999999999" {
		t.Errorf("a key of another account: %+v", m)
	}
	far := s.KMS.CreateKeyWith(testkms.KeyOptions{Region: "eu-west-1"})
	if _, err := c.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &far}); code(err) != "NotFoundException" {
		t.Errorf("a key of another region: %v", err)
	}

	s.CreateBucket("b", s3test.BucketConfig{})
	for key, want := range map[string]string{foreign: "", far: "KMS.NotFoundException"} {
		s.Put("b", s3test.Object{Key: "k", Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSES3}}})
		_, err := client(t, s).CopyObject(ctx, &s3.CopyObjectInput{Bucket: aws.String("b"), Key: aws.String("k"), CopySource: aws.String("b/k"),
			ServerSideEncryption: "aws:kms", SSEKMSKeyId: &key})
		if code(err) != want {
			t.Errorf("a copy under %s: %v, want %q", key, err, want)
		}
	}
}
