package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/resealhq/reseal/engine/cse"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	testkms "github.com/resealhq/reseal/engine/s3test/kms"
)

// sealed are objects that a client encrypted, written straight into the store.
type sealed struct {
	*stage
	t        *testing.T
	kms      *kms.Client
	aes, rsa cse.Key
	aesFile  string
	rsaFile  string
	texts    map[string][]byte
	// sse is the KMS key of server-side encryption, which stays.
	sse string
	// asked is how many calls KMS had seen when the job began.
	asked int
}

const sealedBucket = "sealed"

func newSealed(t *testing.T, cfg s3test.Config, bucket s3test.BucketConfig) *sealed {
	t.Helper()
	w := &sealed{stage: newStage(t, cfg), t: t, texts: map[string][]byte{}}
	d := s3test.DefaultCredentials
	o := kms.Options{Region: "us-east-1", BaseEndpoint: aws.String(w.server.URL()), Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider(d.AccessKeyID, d.SecretAccessKey, "")}
	if cfg.TLS {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(w.server.CAPEM())
		o.HTTPClient = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	}
	w.kms = kms.New(o)
	w.sse = w.server.KMS.CreateKey()
	w.server.CreateBucket(sealedBucket, bucket)
	raw := bytes.Repeat([]byte{0xa1, 7}, 16)
	w.aesFile = w.file(t, "aes.key", raw)
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	data := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)})
	w.rsaFile = w.file(t, "rsa.pem", data)
	w.aes, w.rsa = w.parse(raw), w.parse(data)
	return w
}

func (w *sealed) parse(data []byte) cse.Key {
	w.t.Helper()
	k, err := cse.ParseKey(data)
	if err != nil {
		w.t.Fatal(err)
	}
	return k
}

// The sealed are a KMS for package cse: what a writer and a reader ask.
func (w *sealed) GenerateDataKey(ctx context.Context, r cse.GenerateRequest) (cse.DataKey, []byte, error) {
	out, err := w.kms.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: &r.KeyID, KeySpec: types.DataKeySpecAes256, EncryptionContext: r.Context})
	if err != nil {
		return cse.DataKey{}, nil, err
	}
	d, err := cse.NewDataKey(out.Plaintext)
	return d, out.CiphertextBlob, err
}

func (w *sealed) Decrypt(ctx context.Context, r cse.DecryptRequest) (cse.DataKey, error) {
	out, err := w.kms.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: r.Wrapped, EncryptionContext: r.Context})
	if err != nil {
		return cse.DataKey{}, err
	}
	return cse.NewDataKey(out.Plaintext)
}

func (w *sealed) Encrypt(context.Context, cse.EncryptRequest) ([]byte, error) {
	return nil, errors.New("nobody asks for this")
}

func (w *sealed) ReEncrypt(context.Context, cse.ReEncryptRequest) (cse.ReEncryptReply, error) {
	return cse.ReEncryptReply{}, errors.New("nobody asks for this")
}

// seal gives the bytes and the metadata of a text.
func (w *sealed) seal(format cse.Format, target cse.Target, text []byte, user map[string]string) ([]byte, map[string]string) {
	w.t.Helper()
	u, err := cse.NewUpload(w.t.Context(), w, format, target)
	if err != nil {
		w.t.Fatal(err)
	}
	body := make([]byte, len(text), len(text)+16)
	if err := u.Part(body, text, 0); err != nil {
		w.t.Fatal(err)
	}
	tag, err := u.Finish(cse.Unencrypted(int64(len(text))))
	if err != nil {
		w.t.Fatal(err)
	}
	metadata, err := u.Metadata(user)
	if err != nil {
		w.t.Fatal(err)
	}
	return append(body, tag...), metadata
}

// put stores an object with everything that one can have beside its envelope.
func (w *sealed) put(i int, key string, format cse.Format, target cse.Target, more func(*s3test.Object)) {
	w.t.Helper()
	o := w.full(i, key)
	o.Metadata = map[string]string{"number": fmt.Sprint(i), "city": "München"}
	text := bytes.Repeat([]byte(fmt.Sprintf("the text of %s. ", key)), 40+i)
	var body []byte
	body, o.Metadata = w.seal(format, target, text, o.Metadata)
	o.Body, w.texts[key] = s3test.Bytes(body), text
	if more != nil {
		more(&o)
	}
	w.server.Put(sealedBucket, o)
}

func (w *sealed) full(i int, key string) s3test.Object {
	o := s3test.Object{Key: key, LastModified: time.Date(2022, 1, 1+i, 0, 0, 0, 0, time.UTC)}
	o.ContentType, o.CacheControl, o.Expires = "text/x-sealed", "max-age=7", "Thu, 01 Jan 2032 00:00:00 GMT"
	o.Tags = []object.Tag{{Key: "team a", Value: "x+y"}}
	o.Encryption.Type = object.SSES3
	if i%2 == 1 {
		o.Encryption = object.Encryption{Type: object.SSEKMS, KMSKeyID: w.sse, BucketKey: i%4 == 1}
	}
	if i%4 == 2 {
		o.StorageClass = "STANDARD_IA"
	}
	return o
}

// legacy stores an object under the wrap `kms`, whose context names the key. Nobody
// decrypts its content here.
func (w *sealed) legacy(i int, key, content string) {
	w.t.Helper()
	o := w.full(i, key)
	context := map[string]string{"kms_cmk_id": w.keyA}
	out, err := w.kms.Encrypt(w.t.Context(), &kms.EncryptInput{KeyId: &w.keyA, Plaintext: bytes.Repeat([]byte{byte(i)}, 32), EncryptionContext: context})
	if err != nil {
		w.t.Fatal(err)
	}
	desc, _ := json.Marshal(context)
	iv := make([]byte, 12)
	if strings.Contains(content, "CBC") {
		iv = make([]byte, 16)
	}
	b64 := base64.StdEncoding.EncodeToString
	o.Metadata = map[string]string{"x-amz-key-v2": b64(out.CiphertextBlob), "x-amz-iv": b64(iv), "x-amz-cek-alg": content, "x-amz-wrap-alg": "kms",
		"x-amz-matdesc": string(desc), "number": fmt.Sprint(i)}
	if !strings.Contains(content, "CBC") {
		o.Metadata["x-amz-tag-len"] = "128"
	}
	o.Body = s3test.Synthetic(uint64(i), 48)
	w.server.Put(sealedBucket, o)
}

// inFile stores an object whose envelope is in an instruction file.
func (w *sealed) inFile(i int, key string, format cse.Format, target cse.Target) {
	w.t.Helper()
	text := []byte("a text whose envelope is in a file")
	body, metadata := w.seal(format, target, text, nil)
	o, f := w.full(i, key), w.full(i, key+cse.InstructionSuffix)
	o.Body, w.texts[key] = s3test.Bytes(body), text
	inObject := []string{}
	if format == cse.V3 {
		inObject = []string{"x-amz-c", "x-amz-d", "x-amz-i"}
	}
	o.Metadata = map[string]string{"number": fmt.Sprint(i)}
	for _, name := range inObject {
		o.Metadata[name] = metadata[name]
		delete(metadata, name)
	}
	file, err := json.Marshal(metadata)
	if err != nil {
		w.t.Fatal(err)
	}
	f.Body = s3test.Bytes(file)
	f.Metadata = map[string]string{"x-amz-crypto-instr-file": ""}
	w.server.Put(sealedBucket, o)
	w.server.Put(sealedBucket, f)
}

func (w *sealed) get(key string) s3test.Object {
	w.t.Helper()
	o, ok := w.server.Get(sealedBucket, key, "")
	if !ok {
		w.t.Fatalf("%s is not there", key)
	}
	return o
}

func (w *sealed) envelope(key string) cse.Envelope {
	w.t.Helper()
	o := w.get(key)
	e, err := cse.Parse(o.Metadata)
	if err == nil && (e.Format == cse.None || e.NeedsFile) {
		e, err = cse.ParseFile(o.Metadata, w.get(key+cse.InstructionSuffix).Body.ReadAll())
	}
	if err != nil {
		w.t.Fatalf("%s: %v", key, err)
	}
	return e
}

// opens wants the object to be read with this opener.
func (w *sealed) opens(key string, o cse.Opener) {
	w.t.Helper()
	e := w.envelope(key)
	d, err := e.Unwrap(w.t.Context(), o)
	if err != nil {
		w.t.Errorf("%s: %v", key, err)
		return
	}
	want, is := w.texts[key]
	if !is {
		return
	}
	body := w.get(key).Body.ReadAll()
	r, err := e.NewReader(d, bytes.NewReader(body), int64(len(body)))
	if err != nil {
		w.t.Fatal(err)
	}
	var text bytes.Buffer
	if _, err := text.ReadFrom(r); err != nil || !bytes.Equal(text.Bytes(), want) {
		w.t.Errorf("%s is read as another text: %v", key, err)
	}
}

// keptButFor wants everything of an object as it was, but these entries of metadata.
func (w *sealed) keptButFor(was s3test.Object, names ...string) {
	w.t.Helper()
	is := w.get(was.Key)
	a, b := maps.Clone(was.Metadata), maps.Clone(is.Metadata)
	for _, name := range names {
		if a[name] == b[name] {
			w.t.Errorf("%s of %s is as it was", name, was.Key)
		}
		delete(a, name)
		delete(b, name)
	}
	if !maps.Equal(a, b) {
		w.t.Errorf("the metadata of %s was %v and is %v", was.Key, was.Metadata, is.Metadata)
	}
	if !was.Body.Equal(is.Body) {
		w.t.Errorf("the bytes of %s changed", was.Key)
	}
	text := func(o s3test.Object) string {
		return fmt.Sprintf("%s|%s|%s|%v|%s|%v|%s|%v %v %v", o.ContentType, o.CacheControl, o.Expires, o.Tags, o.StorageClass, o.Encryption, o.Redirect, o.LockMode, o.RetainUntil, o.LegalHold)
	}
	if text(was) != text(is) {
		w.t.Errorf("%s was %s\nand is %s", was.Key, text(was), text(is))
	}
}

// rewrap runs a job and gives its summary.
func (w *sealed) rewrap(job string, code int, args ...string) runSummary {
	w.t.Helper()
	w.asked = len(w.server.KMS.Journal())
	s := w.reseal(w.t, append([]string{"run", "s3://" + sealedBucket, "--operation", "rewrap", "--job", filepath.Join(w.dir, job), "--json", "--no-progress"}, args...)...)
	if s.code != code {
		w.t.Fatalf("exit code %d, want %d\n%s%s", s.code, code, s.stdout, s.stderr)
	}
	var sum runSummary
	if s.stdout != "" {
		if err := json.Unmarshal([]byte(s.stdout), &sum); err != nil {
			w.t.Fatal(err)
		}
	}
	return sum
}

func (w *sealed) noDecrypt() {
	w.t.Helper()
	for _, c := range w.server.KMS.Journal()[w.asked:] {
		if !c.ByS3 && c.Op != "ReEncrypt" && c.Op != "DescribeKey" {
			w.t.Fatalf("KMS was asked to %s under %s", c.Op, c.Key)
		}
	}
}

// TestRewrap takes data keys from one KMS key to another: every form of envelope, with
// no permission to decrypt, everything else compared, and twice, which changes nothing.
func TestRewrap(t *testing.T) {
	t.Parallel()
	for _, where := range []struct {
		name string
		cfg  s3test.BucketConfig
	}{{"plain", s3test.BucketConfig{}}, {"versioned", s3test.BucketConfig{Versioning: "Enabled"}}} {
		t.Run(where.name, func(t *testing.T) {
			w := newSealed(t, s3test.Config{Seed: 3}, where.cfg)
			under := func(entries map[string]string) cse.Target {
				return cse.Target{Wrap: cse.KMSContext, KMSKeyID: w.keyA, Entries: entries}
			}
			w.put(0, "v3", cse.V3, under(nil), nil)
			w.put(1, "v3 context", cse.V3, under(map[string]string{"who": "Zoë"}), nil)
			w.put(2, "v2", cse.V2, under(map[string]string{"who": "me"}), nil)
			w.put(3, "v2 é+%2F", cse.V2, under(nil), nil)
			w.legacy(4, "legacy gcm", "AES/GCM/NoPadding")
			w.legacy(5, "legacy cbc", "AES/CBC/PKCS5Padding")
			w.inFile(6, "file v2", cse.V2, under(nil))
			w.inFile(7, "file v3", cse.V3, under(nil))
			w.server.Put(sealedBucket, s3test.Object{Key: "plain", Body: s3test.Bytes([]byte("plain"))})
			w.server.Put(sealedBucket, s3test.Object{Key: "orphan.instruction", Body: s3test.Bytes([]byte("{}")), Attrs: s3test.Attrs{Metadata: map[string]string{"x-amz-crypto-instr-file": ""}}})
			was := w.server.Snapshot(sealedBucket)
			w.server.KMS.Deny(w.keyA, "kms:Decrypt", "kms:Encrypt")
			w.server.KMS.Deny(w.keyB, "kms:Decrypt", "kms:Encrypt")

			sum := w.rewrap("job", 3, "--cse-kms-key-id", w.keyB)
			if sum.Planned != 12 || sum.Done != 8 || sum.Already != 2 || sum.Left != 2 || sum.Operations["rewrap"] != 8 {
				t.Errorf("%+v", sum)
				for key, r := range w.rows(t, filepath.Join(w.dir, "job")) {
					t.Log(key, r["state"], r["reason"], r["error_code"], r["message"])
				}
			}
			w.noDecrypt()
			rows := w.rows(t, filepath.Join(w.dir, "job"))
			for key, want := range map[string][3]string{"v3": {"done", "v3 kms+context", ""}, "legacy cbc": {"done", "v2 kms AES-CBC", ""},
				"plain": {"left", "", "no-envelope"}, "orphan.instruction": {"left", "", "orphan-instruction"}} {
				if r := rows[key]; r["state"] != want[0] || r["client_side_after"] != want[1] || r["reason"] != want[2] {
					t.Errorf("%s: %v", key, r)
				}
			}
			w.server.KMS.Deny(w.keyB)
			w.server.KMS.SetKeyState(w.keyA, testkms.Disabled)
			for _, o := range was.Objects {
				switch {
				case o.Key == "plain" || o.Key == "orphan.instruction":
					w.keptButFor(o)
				case strings.HasPrefix(o.Key, "file") && strings.HasSuffix(o.Key, cse.InstructionSuffix):
				case strings.HasPrefix(o.Key, "file"):
					w.keptButFor(o)
				case strings.HasPrefix(o.Key, "v3"):
					w.keptButFor(o, "x-amz-3")
				case strings.HasPrefix(o.Key, "legacy"):
					w.keptButFor(o, "x-amz-key-v2", "x-amz-matdesc")
				default:
					w.keptButFor(o, "x-amz-key-v2")
				}
				if o.Key != "plain" && !strings.HasSuffix(o.Key, cse.InstructionSuffix) {
					w.opens(o.Key, cse.Opener{KMS: w})
				}
			}
			w.server.KMS.SetKeyState(w.keyA, testkms.Enabled)

			now := w.server.Snapshot(sealedBucket)
			sum = w.rewrap("again", 3, "--cse-kms-key-id", w.keyB)
			if sum.Already != 10 || sum.Done != 0 || sum.Left != 2 {
				t.Errorf("the second job: %+v", sum)
			}
			if then := w.server.Snapshot(sealedBucket); len(then.Objects) != len(now.Objects) {
				t.Error("the second job wrote something")
			}
			if s := w.reseal(t, "verify", "--job", filepath.Join(w.dir, "job")); s.code != 3 && s.code != 0 || strings.Contains(s.stdout, "different: 1") {
				t.Errorf("verify: exit code %d\n%s%s", s.code, s.stdout, s.stderr)
			}
		})
	}
}
