package cse_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/resealhq/reseal/bench/tools"
	"github.com/resealhq/reseal/engine/cse"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// court is a store, a KMS with two keys, and the clients that judge us.
type court struct {
	t    *testing.T
	s    *s3test.Server
	s3   *s3.Client
	kms  sdkKMS
	a, b string // ARNs of the keys
	n    int
}

const bucket = "judged"

func newCourt(t *testing.T) *court {
	t.Helper()
	if _, err := rubyJudge(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err) // make test says so too
	}
	s := s3test.New(s3test.Config{})
	t.Cleanup(s.Close)
	s.CreateBucket(bucket, s3test.BucketConfig{})
	d := s3test.DefaultCredentials
	account := credentials.NewStaticCredentialsProvider(d.AccessKeyID, d.SecretAccessKey, "")
	return &court{t: t, s: s, a: s.KMS.CreateKey(), b: s.KMS.CreateKey(),
		s3:  s3.New(s3.Options{Region: "us-east-1", BaseEndpoint: aws.String(s.URL()), UsePathStyle: true, Credentials: account, Retryer: aws.NopRetryer{}}),
		kms: sdkKMS{kms.New(kms.Options{Region: "us-east-1", BaseEndpoint: aws.String(s.URL()), Credentials: account, Retryer: aws.NopRetryer{}})}}
}

// goJudge is built once, of the module that pins the clients.
var goJudge = sync.OnceValues(func() (string, error) { return tools.Build(context.Background(), "s3ec") })

// rubyJudge looks for the client that Debian has.
var rubyJudge = sync.OnceValues(func() (string, error) {
	path, err := exec.LookPath("ruby")
	if err == nil {
		err = exec.Command(path, "-e", "require 'aws-sdk-s3'; require 'aws-sdk-kms'").Run()
	}
	if err != nil {
		return "", fmt.Errorf("the judge in Ruby is not here (%w): apt-get install ruby ruby-aws-sdk-s3 ruby-aws-sdk-kms", err)
	}
	return path, nil
})

// client is one of the judges, set up to write or to read.
type client struct {
	name  string
	flags []string       // of the judge in Go
	ruby  map[string]any // or the job of the one in Ruby
}

func golang(name string, flags ...string) client { return client{name: name, flags: flags} }

func ruby(name string, job map[string]any) client { return client{name: name, ruby: job} }

// run lets the judge do its work and gives its output.
func (c *court) run(do string, j client, key string, text []byte) ([]byte, error) {
	d := s3test.DefaultCredentials
	var cmd *exec.Cmd
	if j.ruby == nil {
		path, err := goJudge()
		if err != nil {
			return nil, err
		}
		args := []string{do, "-s3", c.s.URL(), "-kms", c.s.URL(), "-bucket", bucket, "-key", key, "-access-key", d.AccessKeyID, "-secret", d.SecretAccessKey}
		cmd = exec.Command(path, append(args, j.flags...)...)
	} else {
		path, err := rubyJudge()
		if err != nil {
			return nil, err
		}
		job := maps.Clone(j.ruby)
		maps.Copy(job, map[string]any{"do": do, "s3": c.s.URL(), "bucket": bucket, "key": key, "region": "us-east-1",
			"access_key": d.AccessKeyID, "secret": d.SecretAccessKey})
		b, err := json.Marshal(job)
		if err != nil {
			return nil, err
		}
		cmd = exec.Command(path, "testdata/judge.rb", string(b))
	}
	// Where a judge makes clients of its own, they go to the same place.
	cmd.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+c.s.URL(), "AWS_EC2_METADATA_DISABLED=true", "AWS_REGION=us-east-1",
		"AWS_ACCESS_KEY_ID="+d.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+d.SecretAccessKey)
	cmd.Stdin = bytes.NewReader(text)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s, %s: %w\n%s", j.name, do, err, stderr.Bytes())
	}
	return out.Bytes(), nil
}

// put lets a judge write and gives the key.
func (c *court) put(j client, text []byte) string {
	c.t.Helper()
	c.n++
	key := fmt.Sprintf("%03d", c.n)
	if _, err := c.run("put", j, key, text); err != nil {
		c.t.Fatal(err)
	}
	return key
}

// reads has a judge read, which has to give the text.
func (c *court) reads(j client, key string, text []byte) {
	c.t.Helper()
	got, err := c.run("get", j, key, nil)
	if err != nil {
		c.t.Error(err)
	} else if !bytes.Equal(got, text) {
		c.t.Errorf("%s read %d bytes that are not the text", j.name, len(got))
	}
}

// head is the user metadata as the store shows it.
func (c *court) head(key string) map[string]string {
	c.t.Helper()
	out, err := c.s3.HeadObject(c.t.Context(), &s3.HeadObjectInput{Bucket: aws.String(bucket), Key: &key})
	if err != nil {
		c.t.Fatal(err)
	}
	return out.Metadata
}

func (c *court) body(key string) []byte {
	c.t.Helper()
	o, ok := c.s.Get(bucket, key, "")
	if !ok {
		return nil
	}
	return o.Body.ReadAll()
}

// envelope parses what a judge wrote.
func (c *court) envelope(key string) cse.Envelope {
	c.t.Helper()
	m := c.head(key)
	e, err := cse.Parse(m)
	if file := c.body(key + cse.InstructionSuffix); file != nil && err == nil {
		e, err = cse.ParseFile(m, file)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return e
}

// text decrypts an object with this package.
func (c *court) text(key string, o cse.Opener) []byte {
	c.t.Helper()
	e, body := c.envelope(key), c.body(key)
	d, err := e.Unwrap(c.t.Context(), o)
	if err != nil {
		c.t.Fatal(err)
	}
	r, err := e.NewReader(d, bytes.NewReader(body), int64(len(body)))
	if err != nil {
		c.t.Fatal(err)
	}
	var text bytes.Buffer
	if _, err := text.ReadFrom(r); err != nil {
		c.t.Fatal(err)
	}
	if _, err := r.Verified(); err != nil {
		c.t.Fatal(err)
	}
	return text.Bytes()
}

// rewrap brings an object under the target, as an engine would, and says whether
// it was there already.
func (c *court) rewrap(key string, target cse.Target) (already bool) {
	c.t.Helper()
	d, err := cse.Decide(c.envelope(key), target)
	if err != nil {
		c.t.Fatal(err)
	}
	before := c.s.Count("KMS.Decrypt")
	r, err := d.Do(c.t.Context(), c.kms)
	if err != nil {
		c.t.Fatal(err)
	}
	if !d.Decrypt && c.s.Count("KMS.Decrypt") != before {
		c.t.Error("KMS was asked to decrypt")
	}
	if r.Already {
		return true
	}
	if file := c.body(key + cse.InstructionSuffix); file != nil {
		after, err := r.Changes.File(file)
		if err != nil {
			c.t.Fatal(err)
		}
		c.s.Put(bucket, s3test.Object{Key: key + cse.InstructionSuffix, Body: s3test.Bytes(after)})
		return false
	}
	m, err := r.Changes.Metadata(c.head(key))
	if err != nil {
		c.t.Fatal(err)
	}
	body := c.body(key)
	_, err = c.s3.CopyObject(c.t.Context(), &s3.CopyObjectInput{Bucket: aws.String(bucket), Key: &key, CopySource: aws.String(bucket + "/" + key),
		MetadataDirective: "REPLACE", Metadata: m})
	if err != nil {
		c.t.Fatal(err)
	}
	if shown := c.head(key); !maps.Equal(shown, m) {
		c.t.Errorf("the store shows %v\nof %v", shown, m)
	}
	if !bytes.Equal(body, c.body(key)) {
		c.t.Error("the bytes have changed")
	}
	return false
}

// sdkKMS is KMS over its own protocol.
type sdkKMS struct{ c *kms.Client }

func named(err error) error {
	var wrong *types.IncorrectKeyException
	var invalid *types.InvalidCiphertextException
	switch {
	case errors.As(err, &wrong):
		return fmt.Errorf("%w: %w", cse.ErrIncorrectKey, err)
	case errors.As(err, &invalid):
		return fmt.Errorf("%w: %w", cse.ErrInvalidCiphertext, err)
	}
	return err
}

func given(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func (k sdkKMS) ReEncrypt(ctx context.Context, r cse.ReEncryptRequest) (cse.ReEncryptReply, error) {
	out, err := k.c.ReEncrypt(ctx, &kms.ReEncryptInput{CiphertextBlob: r.Wrapped, SourceKeyId: given(r.SourceKeyID), DestinationKeyId: &r.KeyID,
		SourceEncryptionContext: r.SourceContext, DestinationEncryptionContext: r.DestContext})
	if err != nil {
		return cse.ReEncryptReply{}, named(err)
	}
	return cse.ReEncryptReply{Wrapped: out.CiphertextBlob, SourceKeyID: aws.ToString(out.SourceKeyId), KeyID: aws.ToString(out.KeyId),
		SourceKeyMaterialID: aws.ToString(out.SourceKeyMaterialId), KeyMaterialID: aws.ToString(out.DestinationKeyMaterialId)}, nil
}

func (k sdkKMS) Decrypt(ctx context.Context, r cse.DecryptRequest) (cse.DataKey, error) {
	out, err := k.c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: r.Wrapped, KeyId: given(r.KeyID), EncryptionContext: r.Context})
	if err != nil {
		return cse.DataKey{}, named(err)
	}
	return cse.NewDataKey(out.Plaintext)
}

func (k sdkKMS) Encrypt(ctx context.Context, r cse.EncryptRequest) ([]byte, error) {
	out, err := k.c.Encrypt(ctx, &kms.EncryptInput{Plaintext: r.Key.Bytes(), KeyId: &r.KeyID, EncryptionContext: r.Context})
	if err != nil {
		return nil, named(err)
	}
	return out.CiphertextBlob, nil
}

func (k sdkKMS) GenerateDataKey(ctx context.Context, r cse.GenerateRequest) (cse.DataKey, []byte, error) {
	out, err := k.c.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: &r.KeyID, KeySpec: types.DataKeySpecAes256, EncryptionContext: r.Context})
	if err != nil {
		return cse.DataKey{}, nil, named(err)
	}
	d, err := cse.NewDataKey(out.Plaintext)
	return d, out.CiphertextBlob, err
}

func randomText(t *testing.T, n int) []byte {
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return b
}

// rawKeys are the keys of the judge in Ruby, and ours.
type rawKeys struct {
	aes, aes2, rsa cse.Key
	aes64, aes264  string // base64
	aesBytes       []byte
	pem, pemText   string // path and content
}

func newRawKeys(t *testing.T) rawKeys {
	t.Helper()
	var k rawKeys
	parse := func(b []byte) cse.Key {
		key, err := cse.ParseKey(b)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	a, b := bytes.Repeat([]byte{0xa1, 7}, 16), bytes.Repeat([]byte{0xb2, 9}, 16)
	k.aesBytes, k.aes, k.aes64 = a, parse(a), base64.StdEncoding.EncodeToString(a)
	k.aes2, k.aes264 = parse(b), base64.StdEncoding.EncodeToString(b)
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	data := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)})
	k.pem = filepath.Join(t.TempDir(), "rsa.pem")
	if err := os.WriteFile(k.pem, data, 0o600); err != nil {
		t.Fatal(err)
	}
	k.rsa, k.pemText = parse(data), string(data)
	return k
}

// rotate gives a key new material.
func (c *court) rotate(key string) {
	c.t.Helper()
	if _, err := c.kms.c.RotateKeyOnDemand(c.t.Context(), &kms.RotateKeyOnDemandInput{KeyId: &key}); err != nil {
		c.t.Fatal(err)
	}
}

func isReason(err error, reason object.Reason) bool {
	var r *cse.Refusal
	return errors.As(err, &r) && r.Reason == reason
}
