package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/resealhq/reseal/engine/cse"
	"github.com/resealhq/reseal/engine/s3test"
)

// newRewrapCell is a cell whose objects have envelopes, in their metadata or in files
// beside them.
func newRewrapCell(t *testing.T, binary string, files bool, args []string) *matrixCell {
	s := s3test.New(s3test.Config{Seed: 1})
	t.Cleanup(s.Close)
	sse, old, key := s.KMS.CreateKey(), s.KMS.CreateKey(), s.KMS.CreateKey()
	c := &matrixCell{T: t, server: s, binary: binary, key: key, job: filepath.Join(t.TempDir(), "job"), dying: matrixWorkers, rewrap: true, was: map[string][]byte{}}
	s.CreateBucket(matrixBucket, s3test.BucketConfig{Versioning: "Enabled"})
	for i := range matrixObjects {
		o := matrixObject(i, sse)
		c.was[o.Key] = bytes.Repeat([]byte{byte(i + 1)}, 32)
		envelope := c.sealed(old, i, c.was[o.Key])
		if !files {
			for name, value := range envelope {
				o.Metadata[name] = value
			}
			s.Put(matrixBucket, o)
			continue
		}
		text, _ := json.Marshal(envelope)
		f := matrixObject(i, sse)
		f.Key, f.Body = o.Key+cse.InstructionSuffix, s3test.Bytes(text)
		s.Put(matrixBucket, o)
		s.Put(matrixBucket, f)
	}
	c.args = append([]string{"run", "s3://" + matrixBucket, "--operation", "rewrap", "--cse-kms-key-id", key, "--job", c.job,
		"--json", "--no-progress", "--concurrency", fmt.Sprint(matrixWorkers)}, args...)
	c.before = s.Snapshot(matrixBucket)
	return c
}

func (c *matrixCell) kms() *kms.Client {
	d := s3test.DefaultCredentials
	return kms.New(kms.Options{Region: "us-east-1", BaseEndpoint: aws.String(c.server.URL()), Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider(d.AccessKeyID, d.SecretAccessKey, "")})
}

var sealedContext = map[string]string{"aws:x-amz-cek-alg": "AES/GCM/NoPadding", "who": "me"}

// sealed is an envelope of version 2.
func (c *matrixCell) sealed(key string, i int, dataKey []byte) map[string]string {
	out, err := c.kms().Encrypt(c.Context(), &kms.EncryptInput{KeyId: &key, Plaintext: dataKey, EncryptionContext: sealedContext})
	if err != nil {
		c.Fatal(err)
	}
	b64 := base64.StdEncoding.EncodeToString
	return map[string]string{"x-amz-key-v2": b64(out.CiphertextBlob), "x-amz-iv": b64(bytes.Repeat([]byte{byte(i)}, 12)), "x-amz-wrap-alg": "kms+context",
		"x-amz-cek-alg": "AES/GCM/NoPadding", "x-amz-tag-len": "128", "x-amz-matdesc": `{"aws:x-amz-cek-alg":"AES/GCM/NoPadding","who":"me"}`}
}

// checkRewrapped wants every data key under the new key, and everything else as it was.
func (c *matrixCell) checkRewrapped(died bool) {
	now := c.server.Snapshot(matrixBucket)
	c.uploadsAreNamed(now.Uploads)
	rows := c.report()
	if len(rows) != len(c.before.Objects) {
		c.Errorf("%d rows, want %d", len(rows), len(c.before.Objects))
	}
	extra := 0
	for _, was := range c.before.Objects {
		versions := now.Find(was.Key)
		is := versions[0]
		base, isFile := strings.CutSuffix(was.Key, cse.InstructionSuffix)
		envelope, written := is.Metadata, len(versions) > 1
		switch {
		case isFile:
			if err := json.Unmarshal(is.Body.ReadAll(), &envelope); err != nil {
				c.Fatal(err)
			}
		case was.Metadata["x-amz-key-v2"] == "": // its file has the envelope
			if written {
				c.Errorf("%q was written, and its envelope is in a file", was.Key)
			}
			continue
		}
		if !written {
			c.Errorf("%q has one version", was.Key)
		}
		extra += len(versions) - 2
		c.unwraps(base, envelope)
		if !isFile && !was.Body.Equal(is.Body) {
			c.Errorf("the bytes of %q changed", was.Key)
		}
		for _, o := range []*s3test.Object{&was, &is} {
			o.Metadata = cse.Without(o.Metadata)
		}
		of := func(o s3test.Object) string {
			return fmt.Sprint(o.ContentType, o.CacheControl, o.Expires, o.StorageClass, o.Tags, o.Metadata, o.Encryption)
		}
		if of(was) != of(is) {
			c.Errorf("%q was %s and is %s", was.Key, of(was), of(is))
		}
		if row := rows[was.Key]; row["state"] != "done" && row["state"] != "already" || row["etag_after"] != is.ETag || row["client_side_after"] == "" {
			c.Errorf("the row of %q is %v, the object's ETag %s", was.Key, row, is.ETag)
		}
	}
	if extra > 0 && !died {
		c.Errorf("%d objects were written twice by a process that lived", extra)
	}
	for _, call := range c.server.KMS.Journal("Decrypt") {
		if !call.ByS3 && call.Key != c.key {
			c.Errorf("KMS was asked to decrypt under %s", call.Key)
		}
	}
}

// unwraps wants the data key that was there before, from the new key alone.
func (c *matrixCell) unwraps(base string, envelope map[string]string) {
	blob, err := base64.StdEncoding.DecodeString(envelope["x-amz-key-v2"])
	if err != nil {
		c.Fatal(err)
	}
	out, err := c.kms().Decrypt(c.Context(), &kms.DecryptInput{CiphertextBlob: blob, KeyId: &c.key, EncryptionContext: sealedContext})
	if err != nil {
		c.Errorf("%q: %v", base, err)
		return
	}
	if !bytes.Equal(out.Plaintext, c.was[base]) {
		c.Errorf("%q has the data key of another object", base)
	}
}

// TestRewrapKMSFaults: what KMS answers late, not at all or not whole is asked again,
// and nothing is written because of it.
func TestRewrapKMSFaults(t *testing.T) {
	t.Parallel()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range []string{"Failed", "ReplyLost", "Throttled", `(Error 400 ThrottlingException "Rate exceeded")`, "Stalled", "Truncated", "EmptyBody", "(Unapplied EmptyBody)"} {
		t.Run(cell(fault), func(t *testing.T) {
			c := newRewrapCell(t, binary, false, nil)
			c.hurry(fault)
			if err := c.server.SetRules("(If (And KMS.ReEncrypt (First 5)) " + fault + ")"); err != nil {
				t.Fatal(err)
			}
			c.finish()
			c.checkRewrapped(false)
		})
	}
}
