package main

import (
	"github.com/spf13/pflag"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
)

// targetFlags reads the target.
type targetFlags struct {
	sse, kmsKey, context, keyFile, dest, class string
	sourceKeyFiles                             []string
	kmsDefault, stampMtime                     bool
	bucketKey                                  oneOf
	cse                                        job.ClientSide
	cseWrap, cseFormat                         oneOf
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
	f.StringVar(&t.dest, "dest", "", "write to s3://BUCKET[/FOLDER], or to files of the folder ./DIR, instead of in place; keys keep what follows the last / of SOURCE")
	f.StringVar(&t.class, "storage-class", "", "change the storage class too; kept by default")
	t.addClientSideFlags(f)
	f.BoolVar(&t.stampMtime, "stamp-mtime", false, "keep the original LastModified in the user metadata \"mtime\"")
}

// addClientSideFlags adds what --operation rewrap takes instead of --sse, and
// --client-side beside it.
func (t *targetFlags) addClientSideFlags(f *pflag.FlagSet) {
	t.cseFormat = oneOf{allowed: job.Formats[:]}
	f.Var(&t.cseFormat, "client-side", "bring objects into (v3, v2), up to (v3) or out of (none) client-side encryption; their bytes go through this client")
	f.StringVar(&t.cse.Context, "cse-context", "", "with --client-side: your entries of the encryption context, a JSON object of strings; an object's own by default")
	t.cseWrap = oneOf{value: job.Wraps[0], allowed: job.Wraps[:]}
	f.StringVar(&t.cse.KMSKeyID, "cse-kms-key-id", "", "the KMS key that is to wrap the data keys of client-side encryption")
	f.StringVar(&t.cse.SourceKMSKeyID, "source-cse-kms-key-id", "", "only objects whose data key this KMS key wraps")
	f.Var(&t.cseWrap, "cse-wrap", "how data keys are to be wrapped")
	t.addClientSideKeyFlags(f)
}

func (t *targetFlags) addClientSideKeyFlags(f *pflag.FlagSet) {
	f.StringVar(&t.cse.KeyFile, "cse-key-file", "", "the raw key that is to wrap: AES, or RSA in PEM")
	f.StringVar(&t.cse.SourceKeyFile, "source-cse-key-file", "", "the raw key that data keys are under now")
}

func (t *targetFlags) addSourceKeyFlag(f *pflag.FlagSet) {
	f.StringArrayVar(&t.sourceKeyFiles, "source-sse-c-key-file", nil, "a customer key that objects are under now (repeatable: each is opened with the one whose fingerprint it shows)")
}

// Target is what the flags say.
func (t *targetFlags) Target() (target job.Target, err error) {
	target = job.Target{KMSKeyID: t.kmsKey, KMSDefaultKey: t.kmsDefault, KMSContext: t.context, BucketKey: t.bucketKey.value,
		CustomerKeyFile: t.keyFile, StorageClass: t.class, StampMtime: t.stampMtime}
	if k := t.sourceKeyFiles; len(k) > 0 {
		target.SourceKeyFile, target.MoreSourceKeyFiles = k[0], k[1:]
	}
	target.ClientSide = t.cse
	target.ClientSide.Format = t.cseFormat.value
	if t.cseWrap.value != "" && t.cseWrap.value != job.Wraps[0] {
		target.ClientSide.Wrap = t.cseWrap.value
	}
	if t.sse != "" {
		target.SSE, err = object.ParseSSE(t.sse)
		if err != nil || target.SSE == object.SSENone || target.SSE == object.SSEUnknown {
			return target, unusablef("use AES256, aws:kms, aws:kms:dsse or sse-c", "--sse %q is no encryption to bring objects under", t.sse)
		}
	}
	switch {
	case destFolder(t.dest):
		target.DestFolder = t.dest
	case t.dest != "":
		target.DestBucket, target.DestPrefix, err = parseS3URI("--dest", t.dest)
	}
	return target, err
}

// fill takes from a frozen target what the command line did not say.
func (t *targetFlags) fill(spec *job.Target, given func(string) bool) {
	if given("sse") {
		if sse, err := object.ParseSSE(t.sse); err != nil || sse != spec.SSE {
			return // another encryption: nothing else of the old one applies
		}
	} else if spec.SSE != object.SSEUnknown {
		t.sse = spec.SSE.String()
	}
	if !given("client-side") {
		t.cseFormat.value = spec.ClientSide.Format
	}
	if !given("cse-wrap") && spec.ClientSide.Wrap != "" {
		t.cseWrap.value = spec.ClientSide.Wrap
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
	if !given("source-sse-c-key-file") && spec.SourceKeyFile != "" {
		t.sourceKeyFiles = append([]string{spec.SourceKeyFile}, spec.MoreSourceKeyFiles...)
	}
	dest := spec.DestFolder
	if spec.DestBucket != "" {
		dest = "s3://" + spec.DestBucket + "/" + spec.DestPrefix
	}
	for _, f := range []struct {
		flag   string
		value  *string
		frozen string
	}{{"sse-kms-context", &t.context, spec.KMSContext}, {"sse-c-key-file", &t.keyFile, spec.CustomerKeyFile},
		{"dest", &t.dest, dest}, {"storage-class", &t.class, spec.StorageClass},
		{"cse-kms-key-id", &t.cse.KMSKeyID, spec.ClientSide.KMSKeyID}, {"source-cse-kms-key-id", &t.cse.SourceKMSKeyID, spec.ClientSide.SourceKMSKeyID},
		{"cse-context", &t.cse.Context, spec.ClientSide.Context}, {"cse-key-file", &t.cse.KeyFile, spec.ClientSide.KeyFile}, {"source-cse-key-file", &t.cse.SourceKeyFile, spec.ClientSide.SourceKeyFile}} {
		if !given(f.flag) {
			*f.value = f.frozen
		}
	}
}
