package object

import (
	"encoding/base64"
	"strings"
)

// ClientSide is what the user metadata of an object shows of client-side encryption
// by the Amazon S3 Encryption Client, in the words of the report: none, or the version
// of the envelope and how the data key is wrapped: "v2 kms+context", "v1 RSA",
// "v2 kms AES-CBC", "v3 kms+context instruction". Empty is that nobody has looked.
// Server-side encryption leaves that layer as it is.
//
// It is for people and for selecting. Whoever is to change an envelope reads it with
// package cse, which refuses what is only like one.
type ClientSide string

// What is no description of one envelope.
const (
	// NoEnvelope: the metadata shows none. Envelopes of versions 1 and 2 that lie in an
	// instruction file leave no mark on their object, and most clients none at all.
	NoEnvelope ClientSide = "none"
	// SomeEnvelope is one of which no more is known: an older reseal noted it, or the
	// metadata holds marks that make no envelope, or those of two.
	SomeEnvelope ClientSide = "unknown"
	// InstructionFile is the small object that holds the envelope of another.
	InstructionFile ClientSide = "instruction-file"
)

// Encrypted says whether the metadata showed that a client has encrypted the object.
func (c ClientSide) Encrypted() bool {
	return c != "" && c != NoEnvelope && c != InstructionFile
}

// InFile says whether the envelope, or the wrapped key of it, was seen in an instruction
// file.
func (c ClientSide) InFile() bool { return strings.HasSuffix(string(c), " instruction") }

// InstructionSuffix is what the key of an instruction file has beyond that of its object,
// unless a client is told otherwise.
const InstructionSuffix = ".instruction"

// MayWrap says whether the object may hold a wrapped data key: its own, or as an
// instruction file, which most clients do not mark, that of another object.
func (o *Object) MayWrap() bool {
	return o.ClientSide.Encrypted() || o.ClientSide == InstructionFile || strings.HasSuffix(o.Key, InstructionSuffix)
}

// Content is the algorithm of the bytes; empty where the envelope does not show it.
func (c ClientSide) Content() string {
	version, rest, _ := strings.Cut(string(c), " ")
	switch {
	case version == "v1", version == "v2" && strings.Contains(rest, " AES-CBC"):
		return "AES-CBC"
	case version == "v2":
		return "AES-GCM"
	case version == "v3":
		return "AES-GCM, committed"
	}
	return ""
}

// ClientSideOf reads user metadata (names in lower case, without x-amz-meta-).
func ClientSideOf(metadata map[string]string) ClientSide {
	v1, v2, v3 := metadata["x-amz-key"], metadata["x-amz-key-v2"], metadata["x-amz-3"]
	switch {
	case v1 == "" && v2 == "" && v3 == "":
		return withoutKey(metadata)
	case v1 != "" && v2+v3 != "", v2 != "" && v3 != "":
		return SomeEnvelope
	case v3 != "":
		return wrapsV3[metadata["x-amz-w"]].or(SomeEnvelope)
	case v2 != "":
		switch metadata["x-amz-cek-alg"] {
		case "AES/GCM/NoPadding":
			return wrapsV2[metadata["x-amz-wrap-alg"]].or(SomeEnvelope)
		case "AES/CBC/PKCS5Padding", "AES/CBC/PKCS7Padding":
			return wrapsCBC[metadata["x-amz-wrap-alg"]].or(SomeEnvelope)
		}
		return SomeEnvelope
	}
	if n := base64.StdEncoding.DecodedLen(len(v1)); n >= 128 {
		return "v1 RSA"
	}
	return "v1 AES"
}

// withoutKey is where no wrapped key is in the metadata.
func withoutKey(metadata map[string]string) ClientSide {
	if _, is := metadata["x-amz-crypto-instr-file"]; is {
		return InstructionFile
	}
	for _, mark := range [...]string{"x-amz-key", "x-amz-key-v2", "x-amz-3", "x-amz-c", "x-amz-cek-alg"} {
		if _, is := metadata[mark]; !is {
			continue
		}
		if metadata["x-amz-c"] != "" && metadata["x-amz-d"] != "" && metadata["x-amz-i"] != "" {
			return "v3 instruction"
		}
		return SomeEnvelope
	}
	return NoEnvelope
}

func (c ClientSide) or(otherwise ClientSide) ClientSide {
	if c == "" {
		return otherwise
	}
	return c
}

// The words are whole, so that reading a page of a listing makes none.
var (
	wrapsV3 = map[string]ClientSide{"02": "v3 AES/GCM", "12": "v3 kms+context", "22": "v3 RSA-OAEP-SHA1"}
	wrapsV2 = map[string]ClientSide{"kms+context": "v2 kms+context", "kms": "v2 kms", "AES/GCM": "v2 AES/GCM", "RSA-OAEP-SHA1": "v2 RSA-OAEP-SHA1",
		"AESWrap": "v2 AESWrap", "RSA/ECB/OAEPWithSHA-256AndMGF1Padding": "v2 RSA/ECB/OAEPWithSHA-256AndMGF1Padding"}
	wrapsCBC = map[string]ClientSide{"kms+context": "v2 kms+context AES-CBC", "kms": "v2 kms AES-CBC", "AES/GCM": "v2 AES/GCM AES-CBC",
		"RSA-OAEP-SHA1": "v2 RSA-OAEP-SHA1 AES-CBC", "AESWrap": "v2 AESWrap AES-CBC",
		"RSA/ECB/OAEPWithSHA-256AndMGF1Padding": "v2 RSA/ECB/OAEPWithSHA-256AndMGF1Padding AES-CBC"}
)
