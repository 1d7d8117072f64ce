package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/resealhq/reseal/engine/object"
)

// targetSpec is what every object is to be like, as a job freezes it. Of
// customer keys it holds where they are and their fingerprint, nothing else.
type targetSpec struct {
	SSE           object.SSE `json:"sse"`
	KMSKeyID      string     `json:"kms_key_id,omitempty"`
	KMSDefaultKey bool       `json:"kms_default_key,omitempty"`
	// KMSContext is the compact JSON of the extra encryption context.
	KMSContext           string `json:"kms_context,omitempty"`
	BucketKey            string `json:"bucket_key,omitempty"`
	CustomerKeyFile      string `json:"sse_c_key_file,omitempty"`
	CustomerKey          string `json:"sse_c_key_fingerprint,omitempty"`
	SourceKeyFile        string `json:"source_sse_c_key_file,omitempty"`
	SourceKey            string `json:"source_sse_c_key_fingerprint,omitempty"`
	DestBucket           string `json:"dest_bucket,omitempty"`
	DestPrefix           string `json:"dest_prefix,omitempty"`
	StorageClass         string `json:"storage_class,omitempty"`
	StampMtime           bool   `json:"stamp_mtime,omitempty"`
	customer, sourceOnly object.CustomerKey
}

// targetFlags reads the target.
type targetFlags struct {
	sse, kmsKey, context, keyFile, sourceKeyFile, dest, class string
	kmsDefault, stampMtime                                    bool
	bucketKey                                                 oneOf
}

func (t *targetFlags) AddFlags(f *pflag.FlagSet) {
	t.bucketKey = oneOf{allowed: []string{"on", "off"}}
	f.StringVar(&t.sse, "sse", "", "the encryption to bring objects under: AES256, aws:kms, aws:kms:dsse or sse-c")
	f.StringVar(&t.kmsKey, "sse-kms-key-id", "", "the KMS key: ID, ARN or alias")
	f.BoolVar(&t.kmsDefault, "sse-kms-default-key", false, "use the store's default KMS key")
	f.StringVar(&t.context, "sse-kms-context", "", "extra KMS encryption context, a JSON object of strings")
	f.Var(&t.bucketKey, "bucket-key", "S3 Bucket Key; on by default for aws:kms on AWS")
	f.StringVar(&t.keyFile, "sse-c-key-file", "", "the new customer key: 32 raw bytes or their base64")
	t.addSourceKeyFlag(f)
	f.StringVar(&t.dest, "dest", "", "write to s3://BUCKET[/FOLDER] instead of in place; keys keep what follows the last / of SOURCE")
	f.StringVar(&t.class, "storage-class", "", "change the storage class too; kept by default")
	f.BoolVar(&t.stampMtime, "stamp-mtime", false, "keep the original LastModified in the user metadata \"mtime\"")
}

func (t *targetFlags) addSourceKeyFlag(f *pflag.FlagSet) {
	f.StringVar(&t.sourceKeyFile, "source-sse-c-key-file", "", "the customer key that objects are under now")
}

// Validate reads the key files and settles every question that the command
// line alone can settle.
func (t *targetFlags) Validate(c *connection) (targetSpec, error) {
	var spec targetSpec
	if t.sse == "" {
		return spec, unusable("--sse is missing", "say what to encrypt with: AES256, aws:kms, aws:kms:dsse or sse-c")
	}
	sse, err := object.ParseSSE(t.sse)
	if err != nil || sse == object.SSENone || sse == object.SSEUnknown {
		return spec, unusablef("use AES256, aws:kms, aws:kms:dsse or sse-c", "--sse %q is no encryption to bring objects under", t.sse)
	}
	spec = targetSpec{SSE: sse, KMSKeyID: t.kmsKey, KMSDefaultKey: t.kmsDefault, BucketKey: t.bucketKey.value,
		StorageClass: t.class, StampMtime: t.stampMtime}
	if err := t.checkKMS(&spec); err != nil {
		return spec, err
	}
	if err := t.readKeys(&spec, c); err != nil {
		return spec, err
	}
	if t.dest != "" {
		if spec.DestBucket, spec.DestPrefix, err = parseS3URI("--dest", t.dest); err != nil {
			return spec, err
		}
		if spec.DestPrefix != "" && !strings.HasSuffix(spec.DestPrefix, "/") {
			spec.DestPrefix += "/" // a folder, as for the AWS CLI
		}
	}
	if spec.StorageClass != "" && strings.ToUpper(spec.StorageClass) != spec.StorageClass {
		return spec, unusablef("write it as S3 does, for example STANDARD_IA", "--storage-class %q is unknown", t.class)
	}
	return spec, nil
}

func (t *targetFlags) checkKMS(spec *targetSpec) error {
	if !spec.SSE.KMS() {
		for _, f := range []struct {
			set  bool
			name string
		}{{t.kmsKey != "", "--sse-kms-key-id"}, {t.kmsDefault, "--sse-kms-default-key"}, {t.context != "", "--sse-kms-context"}, {t.bucketKey.value != "", "--bucket-key"}} {
			if f.set {
				return unusablef("leave it out, or use --sse aws:kms", "%s has no meaning with --sse %s", f.name, t.sse)
			}
		}
		return nil
	}
	switch {
	case t.kmsKey == "" && !t.kmsDefault:
		return unusablef("name the key with --sse-kms-key-id, or ask for the store's own with --sse-kms-default-key", "--sse %s names no key", t.sse)
	case t.kmsKey != "" && t.kmsDefault:
		return unusable("--sse-kms-key-id and --sse-kms-default-key were both given", "name one of them")
	case spec.SSE == object.DSSEKMS && t.bucketKey.value == "on":
		return unusable("--bucket-key on has no meaning with --sse aws:kms:dsse", "S3 has no bucket keys for DSSE; leave it out")
	}
	if t.context == "" {
		return nil
	}
	var pairs map[string]*string // nil is a null, which is no string
	if err := json.Unmarshal([]byte(t.context), &pairs); err != nil || pairs == nil || slices.Contains(slices.Collect(maps.Values(pairs)), nil) {
		return unusable("--sse-kms-context is no JSON object of strings", `write it as '{"name":"value"}'`)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(t.context)); err != nil {
		return unusableBecause(err, "--sse-kms-context", `write it as '{"name":"value"}'`)
	}
	spec.KMSContext = compact.String()
	return nil
}

func (t *targetFlags) readKeys(spec *targetSpec, c *connection) (err error) {
	switch {
	case spec.SSE == object.SSEC && t.keyFile == "":
		return unusable("--sse sse-c names no key", "name the file that holds it with --sse-c-key-file")
	case spec.SSE != object.SSEC && t.keyFile != "":
		return unusablef("leave it out, or use --sse sse-c", "--sse-c-key-file has no meaning with --sse %s", t.sse)
	}
	if t.keyFile != "" {
		spec.CustomerKeyFile, spec.customer, err = readCustomerKey("--sse-c-key-file", t.keyFile)
		if err != nil {
			return err
		}
		spec.CustomerKey = spec.customer.Fingerprint()
	}
	if t.sourceKeyFile != "" {
		spec.SourceKeyFile, spec.sourceOnly, err = readCustomerKey("--source-sse-c-key-file", t.sourceKeyFile)
		if err != nil {
			return err
		}
		spec.SourceKey = spec.sourceOnly.Fingerprint()
	}
	return spec.refusePlaintext(c)
}

// refusePlaintext keeps customer keys off unencrypted connections.
func (t *targetSpec) refusePlaintext(c *connection) error {
	if (t.CustomerKey != "" || t.SourceKey != "") && c.plaintext() {
		return unusablef("use an https endpoint; a customer key that travelled in clear has to be counted as known to others",
			"%s would carry a customer key unencrypted", c.EndpointURL)
	}
	return nil
}

func readCustomerKey(flag, path string) (abs string, key object.CustomerKey, err error) {
	data, err := os.ReadFile(path)
	if err != nil && looksLikeKey(path) {
		return "", key, unusable(flag+" was given what looks like a key, not the name of a file",
			"put it into a file and name that; a key on a command line is seen by every process of the machine, so better make a new one")
	}
	if err != nil {
		return "", key, unusableBecause(err, flag, "name a readable file with 32 raw bytes or their base64")
	}
	defer clear(data)
	if key, err = object.ParseCustomerKey(data); err != nil {
		return "", key, unusableBecause(err, flag+" "+path, "`openssl rand 32 > FILE` makes one")
	}
	if abs, err = filepath.Abs(path); err != nil {
		return "", key, unusableBecause(err, flag, "name the file by its full path")
	}
	return abs, key, nil
}

// looksLikeKey says whether a word is a key in base64 or hex, which no message may
// repeat.
func looksLikeKey(word string) bool {
	_, err := object.ParseCustomerKey([]byte(word))
	_, notHex := hex.DecodeString(word)
	return err == nil || notHex == nil && len(word) == 64
}

// fill takes from a frozen target what the command line did not say.
func (t *targetFlags) fill(spec *targetSpec, given func(string) bool) {
	if given("sse") {
		if sse, err := object.ParseSSE(t.sse); err != nil || sse != spec.SSE {
			return // another encryption: nothing else of the old one applies
		}
	} else {
		t.sse = spec.SSE.String()
	}
	if !given("sse-kms-key-id") && !given("sse-kms-default-key") {
		t.kmsKey, t.kmsDefault = spec.KMSKeyID, spec.KMSDefaultKey
	}
	if !given("bucket-key") {
		t.bucketKey.value = spec.BucketKey
	}
	if !given("stamp-mtime") {
		t.stampMtime = spec.StampMtime
	}
	dest := ""
	if spec.DestBucket != "" {
		dest = "s3://" + spec.DestBucket + "/" + spec.DestPrefix
	}
	for _, f := range []struct {
		flag   string
		value  *string
		frozen string
	}{{"sse-kms-context", &t.context, spec.KMSContext}, {"sse-c-key-file", &t.keyFile, spec.CustomerKeyFile},
		{"source-sse-c-key-file", &t.sourceKeyFile, spec.SourceKeyFile}, {"dest", &t.dest, dest}, {"storage-class", &t.class, spec.StorageClass}} {
		if !given(f.flag) {
			*f.value = f.frozen
		}
	}
}

// Target is what the packages are told. aws says whether the endpoint is AWS,
// where bucket keys are on by default.
func (t *targetSpec) Target(aws bool) *object.Target {
	out := &object.Target{SSE: t.SSE, KMSKeyID: t.KMSKeyID, StorageClass: t.StorageClass, StampMtime: t.StampMtime,
		CustomerKey: t.customer, SourceKey: t.sourceOnly}
	if t.KMSContext != "" {
		out.Context = base64.StdEncoding.EncodeToString([]byte(t.KMSContext))
	}
	switch {
	case t.BucketKey == "on", t.BucketKey == "" && aws && t.SSE == object.SSEKMS:
		out.BucketKey = object.On
	case t.BucketKey == "off":
		out.BucketKey = object.Off
	}
	return out
}
