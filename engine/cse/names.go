package cse

import "github.com/resealhq/reseal/engine/object"

// The names of user metadata (without x-amz-meta-), which are those of an
// instruction file as well.
const (
	nameKeyV1  = "x-amz-key"
	nameKeyV2  = "x-amz-key-v2"
	nameIV     = "x-amz-iv"
	nameDesc   = "x-amz-matdesc"
	nameWrap   = "x-amz-wrap-alg"
	nameCEK    = "x-amz-cek-alg"
	nameTagLen = "x-amz-tag-len"
	nameLength = "x-amz-unencrypted-content-length"

	nameKeyV3     = "x-amz-3"
	nameSuite     = "x-amz-c"
	nameWrapV3    = "x-amz-w"
	nameCommit    = "x-amz-d"
	nameMessageID = "x-amz-i"
	nameContextV3 = "x-amz-t"
	nameDescV3    = "x-amz-m"

	nameFile = "x-amz-crypto-instr-file"
)

// Entries that the clients put into a KMS encryption context themselves.
const (
	contextCEK    = "aws:x-amz-cek-alg"
	contextKeyID  = "kms_cmk_id"
	tagLengthBits = "128"
)

// every is all that an envelope of any version may hold.
var every = [...]string{nameKeyV1, nameKeyV2, nameIV, nameDesc, nameWrap, nameCEK, nameTagLen, nameLength,
	nameKeyV3, nameSuite, nameWrapV3, nameCommit, nameMessageID, nameContextV3, nameDescV3}

// InstructionSuffix is what the key of an instruction file has beyond that of
// its object.
const InstructionSuffix = object.InstructionSuffix

// IsInstructionFile says whether this is the metadata of an instruction file.
// Some clients leave theirs unmarked.
func IsInstructionFile(metadata map[string]string) bool {
	_, ok := metadata[nameFile]
	return ok
}

// Format is the version of an envelope.
type Format uint8

// The formats. None is an object whose metadata shows no envelope; it may still
// have an instruction file.
const (
	None Format = iota
	V1
	V2
	V3
)

// String is none, v1, v2 or v3.
func (f Format) String() string { return [...]string{"none", "v1", "v2", "v3"}[f] }

// Wrap is how a data key is wrapped.
type Wrap uint8

// The wraps. The first, in a target, keeps an object's own.
const (
	Keep       Wrap = iota
	KMSContext      // KMS, bound to the content algorithm by the context
	AESGCM          // a raw AES key
	RSAOAEP         // a raw RSA key
	KMSLegacy       // KMS, bound to the key's ID by the context
	AESECB          // version 1: a raw AES key
	RSAPKCS1        // version 1: a raw RSA key
	AESWrap         // RFC 3394
	RSAOAEP256      // OAEP with SHA-256
)

var wrapNames = [...]string{"keep", "kms+context", "AES/GCM", "RSA-OAEP-SHA1", "kms", "AES", "RSA",
	"AESWrap", "RSA/ECB/OAEPWithSHA-256AndMGF1Padding"}

// String is the name of the format, or the one that people use for version 1.
func (w Wrap) String() string { return wrapNames[w] }

// KMS says whether a KMS key wraps.
func (w Wrap) KMS() bool { return w == KMSContext || w == KMSLegacy }

// Current says whether today's clients still write this wrap.
func (w Wrap) Current() bool { return w == KMSContext || w == AESGCM || w == RSAOAEP }

// codeV3 is the wrap's number in version 3; empty for one that it lacks.
func (w Wrap) codeV3() string {
	return [...]string{KMSContext: "12", AESGCM: "02", RSAOAEP: "22", RSAOAEP256: ""}[w]
}

func wrapByName(name string) (Wrap, bool) {
	for _, w := range [...]Wrap{KMSContext, AESGCM, RSAOAEP, KMSLegacy, AESWrap, RSAOAEP256} {
		if wrapNames[w] == name {
			return w, true
		}
	}
	return Keep, false
}

func wrapByCode(code string) (Wrap, bool) {
	for _, w := range [...]Wrap{KMSContext, AESGCM, RSAOAEP} {
		if w.codeV3() == code {
			return w, true
		}
	}
	return Keep, false
}

// Content is the algorithm of the bytes.
type Content uint8

// The content algorithms.
const (
	NoContent Content = iota
	CBC               // no tag: whoever can write can change it
	GCM
	Committed // GCM under a key that the metadata commits to
)

// String is a short name for people.
func (c Content) String() string {
	return [...]string{"", "AES-CBC", "AES-GCM", "AES-GCM, committed"}[c]
}

const (
	cekGCM       = "AES/GCM/NoPadding"
	cekCBC5      = "AES/CBC/PKCS5Padding"
	cekCBC7      = "AES/CBC/PKCS7Padding"
	cekCommitted = "115"
)

func contentByName(name string) (Content, bool) {
	switch name {
	case cekGCM:
		return GCM, true
	case cekCBC5, cekCBC7:
		return CBC, true
	}
	return NoContent, false
}

// Why an object is left that an operation on envelopes was asked for.
const (
	ReasonNoEnvelope  object.Reason = "no-envelope"      // not encrypted by a client, or its instruction file is gone
	ReasonEnvelope    object.Reason = "envelope"         // conflicting, incomplete or unreadable
	ReasonAlgorithm   object.Reason = "unknown-envelope" // a wrap or content algorithm that no client documents
	ReasonLegacyWrap  object.Reason = "legacy-wrap"      // bring it to version 3 instead
	ReasonCBC         object.Reason = "cbc-content"      // its wrap cannot change without its bytes
	ReasonOtherWrap   object.Reason = "other-wrap"       // the given key is not of this kind
	ReasonOtherKey    object.Reason = "other-key"        // wrapped by a key that was not asked for
	ReasonContextKept object.Reason = "context-kept"     // a KMS context is never changed
	ReasonBigMetadata object.Reason = "metadata-size"    // would pass 2 KB
	ReasonInstruction object.Reason = "instruction-gap"  // re-upload would leave its instruction file behind
)

// Refusal is an error that leaves the object as it is: the report names the
// reason, a person reads the message.
type Refusal struct {
	Reason  object.Reason
	Message string
}

// Error is the message.
func (r *Refusal) Error() string { return r.Message }

func refuse(reason object.Reason, message string) error { return &Refusal{reason, message} }
