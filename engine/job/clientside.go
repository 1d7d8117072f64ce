package job

import (
	"cmp"
	"encoding/base64"
	"path/filepath"
	"strings"

	"github.com/resealhq/reseal/engine/cse"
	"github.com/resealhq/reseal/engine/object"
)

// ClientSide is what client-side encryption is to be. Without a Format only the data
// keys come under another key: that goes with Policy.Operation rewrap, and with no target
// of server-side encryption. With one the bytes go through this process, and an object
// keeps its server-side encryption unless Target.SSE names another. Of raw keys a job
// records where they are and their fingerprints, nothing else.
type ClientSide struct {
	// Format is v3 or v2, to bring objects into or up to client-side encryption, none
	// to end it, or empty.
	Format string `json:"format,omitempty"`
	// Context are the user's own entries in the KMS encryption context, or the material
	// description of a raw key: a JSON object of strings. Empty keeps an object's.
	Context string `json:"context,omitempty"`
	// Wrap is keep, kms+context, aes-gcm or rsa-oaep.
	Wrap string `json:"wrap,omitempty"`
	// KMSKeyID wraps; SourceKMSKeyID is the only key whose wraps are taken.
	KMSKeyID       string `json:"kms_key_id,omitempty"`
	SourceKMSKeyID string `json:"source_kms_key_id,omitempty"`
	// KeyFile holds the raw key that wraps, SourceKeyFile the one that data keys are
	// under now: an AES key, raw or in base64, or a PEM file with an RSA key. Validate
	// reads them, and sets the fingerprints Key and SourceKey.
	KeyFile       string `json:"key_file,omitempty"`
	Key           string `json:"key_fingerprint,omitempty"`
	SourceKeyFile string `json:"source_key_file,omitempty"`
	SourceKey     string `json:"source_key_fingerprint,omitempty"`

	key, source cse.Key
}

// Formats are the words of ClientSide.Format.
var Formats = [...]string{"v3", "v2", "none"}

var formats = map[string]cse.Format{"v3": cse.V3, "v2": cse.V2, "none": cse.None}

// remakes says whether objects get another layer of client-side encryption, or none.
func (c *ClientSide) remakes() bool { return c.Format != "" }

// Wraps are the words of ClientSide.Wrap, the default first.
var Wraps = [...]string{"keep", "kms+context", "aes-gcm", "rsa-oaep"}

var wraps = map[string]cse.Wrap{"": cse.Keep, "keep": cse.Keep, "kms+context": cse.KMSContext, "aes-gcm": cse.AESGCM, "rsa-oaep": cse.RSAOAEP}

// Given says whether anything is asked of client-side encryption.
func (c *ClientSide) Given() bool { return *c != ClientSide{} }

// String is the target in a few words.
func (c *ClientSide) String() string {
	if c.Format == "none" {
		return "no client-side encryption"
	}
	s := "client-side encryption"
	if c.remakes() {
		s += " " + c.Format
	}
	return s + " under " + firstNonEmpty(c.KMSKeyID, c.Key)
}

func (c *ClientSide) validateGiven() error {
	if !c.Given() {
		return nil
	}
	return c.validate()
}

func (c *ClientSide) validate() error {
	if err := oneOf("ClientSide.Wrap", c.Wrap, Wraps[:]...); c.Wrap != "" && err != nil {
		return err
	}
	if err := c.readKeys(); err != nil {
		return err
	}
	if c.remakes() {
		return c.validateFormat()
	}
	to := wraps[c.Wrap]
	switch {
	case c.Context != "":
		return unusablef("leave it out: a rewrap changes no context", "ClientSide.Context has no meaning with Policy.Operation rewrap")
	case c.KMSKeyID == "" && c.KeyFile == "":
		return unusable("Policy.Operation rewrap names no key that is to wrap", "name it with ClientSide.KMSKeyID, or with ClientSide.KeyFile")
	case to == cse.KMSContext && c.KMSKeyID == "":
		return unusable("ClientSide.Wrap kms+context names no KMS key", "name it with ClientSide.KMSKeyID")
	case (to == cse.AESGCM || to == cse.RSAOAEP) && c.key.Wrap() != to:
		return unusablef("name a file with a key of that kind: 16, 24 or 32 bytes for aes-gcm, RSA in PEM for rsa-oaep", "ClientSide.Wrap %s has no such key in ClientSide.KeyFile", c.Wrap)
	case (to == cse.AESGCM || to == cse.RSAOAEP) && c.KMSKeyID != "":
		return unusablef("leave it out", "ClientSide.KMSKeyID has no meaning with ClientSide.Wrap %s", c.Wrap)
	}
	return nil
}

// validateFormat is for objects that are written again.
func (c *ClientSide) validateFormat() error {
	if err := oneOf("ClientSide.Format", c.Format, Formats[:]...); err != nil {
		return err
	}
	if c.Format == "none" {
		for _, f := range []Field{{"ClientSide.KMSKeyID", c.KMSKeyID}, {"ClientSide.KeyFile", c.KeyFile}, {"ClientSide.Wrap", c.Wrap}, {"ClientSide.Context", c.Context}} {
			if f.Value != "" {
				return unusablef("leave it out; the keys that open are ClientSide.SourceKMSKeyID and ClientSide.SourceKeyFile", "%s has no meaning with ClientSide.Format none", f.Name)
			}
		}
		return nil
	}
	if _, err := c.entries(); err != nil {
		return err
	}
	to := c.wrap()
	switch {
	case c.KMSKeyID == "" && c.KeyFile == "":
		return unusablef("name it with ClientSide.KMSKeyID, or with ClientSide.KeyFile", "ClientSide.Format %s names no key that is to wrap", c.Format)
	case c.KMSKeyID != "" && c.KeyFile != "":
		return unusable("ClientSide.KMSKeyID and ClientSide.KeyFile were both given", "name the one that is to wrap; a raw key that opens is ClientSide.SourceKeyFile")
	case to == cse.KMSContext && c.KMSKeyID == "":
		return unusable("ClientSide.Wrap kms+context names no KMS key", "name it with ClientSide.KMSKeyID")
	case to != cse.KMSContext && c.key.Wrap() != to:
		return unusablef("name a file with a key of that kind: 16, 24 or 32 bytes for aes-gcm, RSA in PEM for rsa-oaep", "ClientSide.Wrap %s has no such key in ClientSide.KeyFile", c.Wrap)
	}
	return nil
}

// wrap is that of new envelopes: the key's own where no word names it.
func (c *ClientSide) wrap() cse.Wrap {
	switch to := wraps[c.Wrap]; {
	case !c.remakes() || c.Format == "none" || to != cse.Keep:
		return to
	case c.KMSKeyID != "":
		return cse.KMSContext
	}
	return c.key.Wrap()
}

// entries are those of Context; nil where it is not given.
func (c *ClientSide) entries() (map[string]string, error) {
	if c.Context == "" {
		return nil, nil
	}
	entries, err := textsOf("ClientSide.Context", c.Context)
	if err != nil {
		return nil, err
	}
	for name := range entries {
		if name == "kms_cmk_id" || strings.HasPrefix(name, "aws:") {
			return nil, unusablef("leave it out", "ClientSide.Context has the entry %q, which the clients write themselves", name)
		}
	}
	return entries, nil
}

// readKeys reads the key files, and insists on the fingerprints that are known.
func (c *ClientSide) readKeys() error {
	for _, k := range []struct {
		field             string
		file, fingerprint *string
		key               *cse.Key
	}{{"ClientSide.KeyFile", &c.KeyFile, &c.Key, &c.key}, {"ClientSide.SourceKeyFile", &c.SourceKeyFile, &c.SourceKey, &c.source}} {
		if *k.file == "" {
			continue
		}
		abs, key, err := readWrappingKey(k.field, *k.file)
		if err != nil {
			return err
		}
		if *k.fingerprint != "" && *k.fingerprint != key.Fingerprint() {
			return unusablef("give the key file that the job was begun with", "the keys are others: %s", Difference{k.field, *k.fingerprint, key.Fingerprint()})
		}
		*k.file, *k.key, *k.fingerprint = abs, key, key.Fingerprint()
	}
	return nil
}

// readWrappingKey reads one; field names in errors what named the file.
func readWrappingKey(field, path string) (abs string, key cse.Key, err error) {
	data, err := readKeyFile(path)
	if err != nil && looksLikeWrappingKey(path) {
		return "", key, unusable(field+" was given what looks like a key, not the name of a file",
			"put it into a file and name that; a key on a command line is seen by every process of the machine, so better make a new one")
	}
	if err != nil {
		return "", key, unusableBecause(err, field, "name a readable file with an AES key or an RSA key in PEM")
	}
	defer clear(data)
	if key, err = cse.ParseKey(data); err != nil {
		return "", key, unusableBecause(err, field+" "+path, "`openssl rand 32 > FILE` makes an AES key")
	}
	if abs, err = filepath.Abs(path); err != nil {
		return "", key, unusableBecause(err, field, "name the file by its full path")
	}
	return abs, key, nil
}

// looksLikeWrappingKey says whether a word is a key, which no message may repeat.
func looksLikeWrappingKey(word string) bool {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(word))
	return looksLikeKey(word) || strings.Contains(word, "-----BEGIN ") || err == nil && (len(raw) == 16 || len(raw) == 24)
}

// target is what package cse is told.
func (c *ClientSide) target() cse.Target {
	entries, _ := c.entries() // validate has read it
	return cse.Target{Wrap: c.wrap(), KMSKeyID: c.KMSKeyID, Key: c.key, SourceKMSKeyID: c.SourceKMSKeyID, SourceKey: c.source, Entries: entries}
}

// asksKMS says whether a KMS key is named.
func (c *ClientSide) asksKMS() bool { return c.KMSKeyID != "" || c.SourceKMSKeyID != "" }

func (c *ClientSide) fields() []Field {
	return []Field{{"ClientSide.Format", c.Format}, {"ClientSide.Context", c.Context}, {"ClientSide.Wrap", c.Wrap}, {"ClientSide.KMSKeyID", c.KMSKeyID}, {"ClientSide.SourceKMSKeyID", c.SourceKMSKeyID},
		{"ClientSide.KeyFile", c.Key}, {"ClientSide.SourceKeyFile", c.SourceKey}}
}

// CheckRewrap insists that the operation and the target mean the same work.
func CheckRewrap(s *Spec, p *Policy) error {
	c := &s.Target.ClientSide
	switch operation := cmp.Or(p.Operation, OperationAuto); {
	case c.remakes() && operation != OperationAuto && operation != RewriteOnly:
		return unusablef("leave it out: the bytes go through this process, which is Policy.Operation rewrite", "ClientSide.Format has no meaning with Policy.Operation %s", operation)
	case c.remakes() && c.Format != "none":
		return nil
	case c.remakes() && p.Verify == VerifyUnwrap:
		return unusable("Policy.Verify unwrap has no meaning with ClientSide.Format none", "use Policy.Verify head or read")
	case c.remakes():
		return nil
	case c.Given() && operation != RewrapOnly:
		return unusablef("add Policy.Operation rewrap, or leave it out", "%s has no meaning with Policy.Operation %s", c.first(), operation)
	case operation == RewrapOnly && s.Target.SSE != object.SSEUnknown:
		return unusablef("leave Target.SSE out: an object keeps its server-side encryption, which a job of its own changes", "Target.SSE %s has no meaning with Policy.Operation rewrap", s.Target.SSE)
	case operation == RewrapOnly && !c.Given():
		return unusable("Policy.Operation rewrap names no key that is to wrap", "name it with ClientSide.KMSKeyID, or with ClientSide.KeyFile")
	case p.Verify == VerifyUnwrap && operation != RewrapOnly:
		return unusablef("use Policy.Verify head or read", "Policy.Verify unwrap has no meaning with Policy.Operation %s", operation)
	}
	return nil
}

// first is a field that was given.
func (c *ClientSide) first() string {
	for _, f := range c.fields() {
		if f.Value != "" {
			return f.Name
		}
	}
	return "ClientSide"
}
