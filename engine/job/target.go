package job

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// Target is what every object is to be like. Of customer keys a job records where
// they are and their fingerprints, nothing else.
type Target struct {
	SSE object.SSE `json:"sse"`
	// KMSKeyID is an ID, an ARN or an alias; KMSDefaultKey asks for the store's own.
	KMSKeyID      string `json:"kms_key_id,omitempty"`
	KMSDefaultKey bool   `json:"kms_default_key,omitempty"`
	// KMSContext is the extra encryption context, a JSON object of strings.
	KMSContext string `json:"kms_context,omitempty"`
	// BucketKey is on, off, or empty for on with SSE-KMS on AWS.
	BucketKey string `json:"bucket_key,omitempty"`
	// CustomerKeyFile holds the new customer key, SourceKeyFile the one that objects
	// are under now: 32 bytes or their base64. Validate reads them, and sets the
	// fingerprints CustomerKey and SourceKey.
	CustomerKeyFile string `json:"sse_c_key_file,omitempty"`
	CustomerKey     string `json:"sse_c_key_fingerprint,omitempty"`
	SourceKeyFile   string `json:"source_sse_c_key_file,omitempty"`
	SourceKey       string `json:"source_sse_c_key_fingerprint,omitempty"`
	// MoreSourceKeyFiles hold others that objects may be under, MoreSourceKeys are their
	// fingerprints.
	MoreSourceKeyFiles []string `json:"more_source_sse_c_key_files,omitempty"`
	MoreSourceKeys     []string `json:"more_source_sse_c_key_fingerprints,omitempty"`
	// DestBucket and DestPrefix write to another place; in place where empty.
	DestBucket string `json:"dest_bucket,omitempty"`
	DestPrefix string `json:"dest_prefix,omitempty"`
	// DestFolder writes to files of a local folder, by its full path. Nothing is encrypted
	// there: SSE is left out.
	DestFolder string `json:"dest_folder,omitempty"`
	// StorageClass to change to; kept where empty.
	StorageClass string `json:"storage_class,omitempty"`
	// StampMtime keeps LastModified in the user metadata "mtime".
	StampMtime bool `json:"stamp_mtime,omitempty"`
	// ClientSide is what client-side encryption is to be. SSE may be left out with it:
	// an object then keeps its own.
	ClientSide ClientSide `json:"client_side,omitzero"`

	customer, sourceOnly object.CustomerKey
	moreSources          []object.CustomerKey
}

// Validate reads the key files and settles every question that the target alone
// can settle.
func (t *Target) Validate(c *Connection) error {
	if t.DestPrefix != "" && !strings.HasSuffix(t.DestPrefix, "/") {
		t.DestPrefix += "/" // a folder, as for the AWS CLI
	}
	if t.DestPrefix != "" && t.DestBucket == "" {
		return unusable("Target.Dest names no bucket", "name one")
	}
	if t.DestBucket != "" && !object.MayBeBucket(t.DestBucket) {
		return unusablef("name the bucket alone, without s3:// and without a key", "Target.Dest: no bucket can have the name %q", t.DestBucket)
	}
	switch {
	case t.DestFolder != "": // validateFolders has seen the rest
		return cmp.Or(t.readKeys(), t.refusePlaintext(c), t.ClientSide.validateGiven())
	case t.SSE == object.SSEUnknown && t.ClientSide.Given():
		return t.validateClientSide(c)
	}
	if t.SSE == object.SSENone || t.SSE == object.SSEUnknown {
		return unusable("Target.SSE is missing", "say what to encrypt with: AES256, aws:kms, aws:kms:dsse or sse-c")
	}
	if t.ClientSide.Given() {
		if err := t.ClientSide.validate(); err != nil {
			return err
		}
	}
	if err := t.checkKMS(); err != nil {
		return err
	}
	if err := oneOf("Target.BucketKey", t.BucketKey, "", "on", "off"); err != nil {
		return err
	}
	if err := t.readKeys(); err != nil {
		return err
	}
	if err := t.refusePlaintext(c); err != nil {
		return err
	}
	if strings.ToUpper(t.StorageClass) != t.StorageClass {
		return unusablef("write it as S3 does, for example STANDARD_IA", "Target.StorageClass %q is unknown", t.StorageClass)
	}
	return nil
}

// validateClientSide is for a target that leaves server-side encryption as it is.
func (t *Target) validateClientSide(c *Connection) error {
	if t.ClientSide.remakes() {
		if t.CustomerKeyFile != "" {
			return unusable("Target.CustomerKeyFile has no meaning without Target.SSE sse-c", "leave it out, or use Target.SSE sse-c")
		}
	} else if err := t.refuseBesideRewrap(); err != nil {
		return err
	}
	for _, check := range []func() error{t.checkKMS, t.readKeys, func() error { return t.refusePlaintext(c) }, t.ClientSide.validate} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (t *Target) refuseBesideRewrap() error {
	for _, f := range []struct {
		set  bool
		name string
	}{{t.DestBucket != "", "Target.Dest"}, {t.StorageClass != "", "Target.StorageClass"}, {t.StampMtime, "Target.StampMtime"}, {t.CustomerKeyFile != "", "Target.CustomerKeyFile"}} {
		if f.set {
			return unusablef("leave it out: a rewrap works in place, and changes nothing but the envelope", "%s has no meaning with Policy.Operation rewrap", f.name)
		}
	}
	return nil
}

func (t *Target) checkKMS() error {
	if !t.SSE.KMS() {
		for _, f := range []struct {
			set  bool
			name string
		}{{t.KMSKeyID != "", "Target.KMSKeyID"}, {t.KMSDefaultKey, "Target.KMSDefaultKey"}, {t.KMSContext != "", "Target.KMSContext"}, {t.BucketKey != "", "Target.BucketKey"}} {
			if f.set {
				return unusablef("leave it out, or use Target.SSE aws:kms", "%s has no meaning with Target.SSE %s", f.name, t.SSE)
			}
		}
		return nil
	}
	switch {
	case t.KMSKeyID == "" && !t.KMSDefaultKey:
		return unusablef("name the key with Target.KMSKeyID, or ask for the store's own with Target.KMSDefaultKey", "Target.SSE %s names no key", t.SSE)
	case t.KMSKeyID != "" && t.KMSDefaultKey:
		return unusable("Target.KMSKeyID and Target.KMSDefaultKey were both given", "name one of them")
	case t.SSE == object.DSSEKMS && t.BucketKey == "on":
		return unusablef("S3 has no bucket keys for DSSE; leave it out", "Target.BucketKey on has no meaning with Target.SSE %s", t.SSE)
	}
	if t.KMSContext == "" {
		return nil
	}
	if _, err := textsOf("Target.KMSContext", t.KMSContext); err != nil {
		return err
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(t.KMSContext)); err != nil {
		return unusableBecause(err, "Target.KMSContext", `write it as '{"name":"value"}'`)
	}
	t.KMSContext = compact.String()
	return nil
}

// readKeys reads the key files, and insists on the fingerprints that are known.
func (t *Target) readKeys() error {
	switch {
	case t.SSE == object.SSEC && t.CustomerKeyFile == "":
		return unusablef("name the file that holds it with Target.CustomerKeyFile", "Target.SSE %s names no key", t.SSE)
	case t.SSE != object.SSEC && t.CustomerKeyFile != "":
		return unusablef("leave it out, or use Target.SSE sse-c", "Target.CustomerKeyFile has no meaning with Target.SSE %s", t.SSE)
	}
	if t.CustomerKeyFile != "" {
		const field = "Target.CustomerKeyFile"
		abs, key, err := readCustomerKey(field, t.CustomerKeyFile)
		if err != nil {
			return err
		}
		if t.CustomerKey != "" && t.CustomerKey != key.Fingerprint() {
			return unusablef("give the key file that the job was begun with", "the keys are others: %s", Difference{field, t.CustomerKey, key.Fingerprint()})
		}
		t.CustomerKeyFile, t.customer, t.CustomerKey = abs, key, key.Fingerprint()
	}
	return t.readSourceKeys()
}

// readSourceKeys reads the keys that objects may be under, and puts them in the order
// of their fingerprints, since that of the files means nothing.
func (t *Target) readSourceKeys() error {
	if t.SourceKeyFile == "" {
		return nil
	}
	type source struct {
		file, fingerprint string
		key               object.CustomerKey
	}
	var all []source
	for _, file := range append([]string{t.SourceKeyFile}, t.MoreSourceKeyFiles...) {
		abs, key, err := readCustomerKey("Target.SourceKeyFile", file)
		if err != nil {
			return err
		}
		all = append(all, source{abs, key.Fingerprint(), key})
	}
	slices.SortFunc(all, func(a, b source) int { return cmp.Compare(a.fingerprint, b.fingerprint) })
	known := t.sourceKeys()
	var fingerprints, files []string
	var keys []object.CustomerKey
	for _, s := range all {
		fingerprints, files, keys = append(fingerprints, s.fingerprint), append(files, s.file), append(keys, s.key)
	}
	if len(known) > 0 && !slices.Equal(known, fingerprints) {
		return unusablef("give the key file that the job was begun with", "the keys are others: %s",
			Difference{"Target.SourceKeyFile", strings.Join(known, ", "), strings.Join(fingerprints, ", ")})
	}
	t.SourceKeyFile, t.SourceKey, t.sourceOnly = files[0], fingerprints[0], keys[0]
	t.MoreSourceKeyFiles, t.MoreSourceKeys, t.moreSources = files[1:], fingerprints[1:], keys[1:]
	if len(t.MoreSourceKeys) == 0 {
		t.MoreSourceKeyFiles, t.MoreSourceKeys = nil, nil
	}
	return nil
}

// sourceKeys are the fingerprints of the keys that objects may be under.
func (t *Target) sourceKeys() []string {
	if t.SourceKey == "" {
		return nil
	}
	return append([]string{t.SourceKey}, t.MoreSourceKeys...)
}

// refusePlaintext keeps customer keys off unencrypted connections.
func (t *Target) refusePlaintext(c *Connection) error {
	if (t.CustomerKey != "" || t.SourceKey != "") && c.plaintext() {
		return unusablef("use an https endpoint; a customer key that travelled in clear has to be counted as known to others",
			"%s would carry a customer key unencrypted", c.EndpointURL)
	}
	return nil
}

// maxKeyFile is far more than any key has, in whatever form.
const maxKeyFile = 64 << 10

// readKeyFile reads a file that should hold a key, and of another no more than shows that it
// is none: a name that was mistyped may be that of an image of a disk.
func readKeyFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data := make([]byte, 0, maxKeyFile+1) // never copied, so that whoever clears it clears all
	for len(data) < cap(data) {
		n, err := f.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case errors.Is(err, io.EOF):
			return data, nil
		case err != nil:
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s has more than %d bytes, which no key has", path, maxKeyFile)
}

// readCustomerKey reads one; field names in errors what named the file.
func readCustomerKey(field, path string) (abs string, key object.CustomerKey, err error) {
	data, err := readKeyFile(path)
	if err != nil && looksLikeKey(path) {
		return "", key, unusable(field+" was given what looks like a key, not the name of a file",
			"put it into a file and name that; a key on a command line is seen by every process of the machine, so better make a new one")
	}
	if err != nil {
		return "", key, unusableBecause(err, field, "name a readable file with 32 raw bytes or their base64")
	}
	defer clear(data)
	if key, err = object.ParseCustomerKey(data); err != nil {
		return "", key, unusableBecause(err, field+" "+path, "`openssl rand 32 > FILE` makes one")
	}
	if abs, err = filepath.Abs(path); err != nil {
		return "", key, unusableBecause(err, field, "name the file by its full path")
	}
	return abs, key, nil
}

// warnOfKeys tells where a customer key may become known to others.
func (t *Target) warnOfKeys(c *Connection, log *slog.Logger) {
	if c.NoVerifySSL && (t.CustomerKey != "" || t.SourceKey != "") {
		log.Warn("customer keys go to whoever answers at the endpoint: Connection.NoVerifySSL lets nobody look at its certificate. Name its authority with Connection.CABundle")
	}
	for _, path := range append([]string{t.CustomerKeyFile, t.SourceKeyFile, t.ClientSide.KeyFile, t.ClientSide.SourceKeyFile}, t.MoreSourceKeyFiles...) {
		if path == "" {
			continue
		}
		if info, err := os.Stat(path); err == nil && !private(info) {
			log.Warn("others of this machine may read the key; `chmod 600` its file", "file", path, "mode", info.Mode().String())
		}
	}
}

// looksLikeKey says whether a word is a key in base64 or hex, which no message may
// repeat.
func looksLikeKey(word string) bool {
	_, err := object.ParseCustomerKey([]byte(word))
	_, notHex := hex.DecodeString(word)
	return err == nil || notHex == nil && len(word) == 64
}

// Object is the target as engine and planner know it. aws says whether the
// endpoint is AWS, where bucket keys are on by default.
func (t *Target) Object(aws bool) *object.Target {
	out := &object.Target{SSE: t.SSE, KMSKeyID: t.KMSKeyID, StorageClass: t.StorageClass, StampMtime: t.StampMtime,
		CustomerKey: t.customer, SourceKey: t.sourceOnly, MoreSourceKeys: t.moreSources}
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

// String is the target in a few words.
func (t *Target) String() string {
	if t.DestFolder != "" {
		return "files in " + t.DestFolder
	}
	if c := &t.ClientSide; c.Given() {
		s := c.String()
		if t.SSE != object.SSEUnknown {
			s += ", and " + t.sseString()
		}
		return s
	}
	return t.sseString()
}

func (t *Target) sseString() string {
	s := t.SSE.String()
	switch {
	case t.KMSKeyID != "":
		s += " under " + t.KMSKeyID
	case t.KMSDefaultKey:
		s += " under the store's default key"
	case t.CustomerKey != "":
		s += " under " + t.CustomerKey
	}
	if t.DestBucket != "" {
		s += ", to s3://" + t.DestBucket + "/" + t.DestPrefix
	}
	return s
}
