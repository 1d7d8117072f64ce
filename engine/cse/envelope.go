package cse

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

const (
	ivGCM           = 12
	ivCBC           = 16
	tagSize         = 16
	commitSize      = 28 // of the key commitment and of the message ID
	dataKeySize     = 32
	maxWrapped      = 6144 // a KMS blob; nothing else comes near
	maxText         = 68_719_476_704
	maxUserMetadata = 2048
)

// Envelope is what an object's metadata, and its instruction file where it has
// one, tell of its encryption. Nothing in it is secret.
type Envelope struct {
	Format  Format
	Wrap    Wrap
	Content Content
	// InFile is set where the wrapped key lies in the instruction file.
	InFile bool
	// NeedsFile is set by Parse where version 3 keeps the wrapped key in the
	// instruction file: read it, and call ParseFile.
	NeedsFile bool
	// Description is the encryption context of a KMS wrap, with the entries of
	// the client itself, or the material description of another wrap. It is nil
	// where a description is no JSON object of strings.
	Description map[string]string
	// Encoded is set where the store showed the description in words of RFC 2047.
	Encoded bool

	// second is another reading of the encoded description: which one the writer
	// meant, KMS knows.
	second                             map[string]string
	wrapped, iv, commitment, messageID []byte
	cek                                string            // the content algorithm as it is written
	own                                map[string]string // with InFile: the object's own entries
}

// String is what the report and the audit show.
func (e Envelope) String() string {
	switch {
	case e.Format == None:
		return "none"
	case e.NeedsFile:
		return e.Format.String() + " instruction"
	case e.InFile:
		return e.Format.String() + " " + e.Wrap.String() + " instruction"
	}
	return e.Format.String() + " " + e.Wrap.String()
}

// Parse reads the envelope out of user metadata (names in lower case). Format is
// None where nothing of one is there; a Refusal says what is wrong with one.
func Parse(metadata map[string]string) (Envelope, error) {
	own := pick(metadata)
	if err := conflicts(own); err != nil {
		return Envelope{}, err
	}
	switch {
	case has(own, nameKeyV1):
		return parseV1(own)
	case has(own, nameKeyV2):
		return parseV2(own)
	case has(own, nameKeyV3):
		return parseV3(own)
	case has(own, nameSuite) && has(own, nameCommit) && has(own, nameMessageID):
		e, err := parseSuite(own)
		e.NeedsFile = err == nil
		return e, err
	}
	for name := range own {
		if name != nameLength { // which stays on an object whose envelope is in a file
			return Envelope{}, refuse(ReasonEnvelope, "the metadata has "+name+", but no wrapped key to go with it")
		}
	}
	return Envelope{}, nil
}

// ParseFile reads the envelope of an object whose instruction file this is.
func ParseFile(metadata map[string]string, file []byte) (Envelope, error) {
	own := pick(metadata)
	above, err := Parse(own)
	if err != nil {
		return Envelope{}, err
	}
	if above.Format != None && !above.NeedsFile {
		return Envelope{}, refuse(ReasonEnvelope, "there is an envelope in the metadata and another in the instruction file")
	}
	members, err := readFile(file)
	if err != nil {
		return Envelope{}, err
	}
	all := map[string]string{}
	for _, m := range members {
		if _, known := own[m.name]; known && m.name != nameLength {
			return Envelope{}, refuse(ReasonEnvelope, m.name+" is in the metadata and in the instruction file")
		}
		if m.name == nameSuite || m.name == nameCommit || m.name == nameMessageID {
			return Envelope{}, refuse(ReasonEnvelope, m.name+" belongs into the metadata, not into the instruction file")
		}
		all[m.name] = m.value
	}
	all = pick(all)
	for name, value := range own {
		all[name] = value
	}
	if (above.Format == V3) != has(all, nameKeyV3) {
		return Envelope{}, refuse(ReasonEnvelope, "the metadata and the instruction file are of different versions")
	}
	e, err := Parse(all)
	if err != nil {
		return Envelope{}, err
	}
	if e.Format == None || e.NeedsFile {
		return Envelope{}, refuse(ReasonEnvelope, "the instruction file has no wrapped key")
	}
	e.InFile, e.own = true, own
	return e, nil
}

// ParseLoneFile reads an instruction file without its object: what wraps the data key, and
// whether a key opens it. Of version 3 the object has a part, in whose place nothing stands
// here, so that no data key fits.
func ParseLoneFile(file []byte) (Envelope, error) {
	members, err := readFile(file)
	if err != nil {
		return Envelope{}, err
	}
	var above map[string]string
	if slices.ContainsFunc(members, func(m member) bool { return m.name == nameKeyV3 }) {
		none := base64.StdEncoding.EncodeToString(make([]byte, commitSize))
		above = map[string]string{nameSuite: cekCommitted, nameCommit: none, nameMessageID: none}
	}
	return ParseFile(above, file)
}

// pick takes what belongs to an envelope.
func pick(metadata map[string]string) map[string]string {
	var own map[string]string
	for _, name := range every {
		if value, ok := metadata[name]; ok {
			if own == nil {
				own = map[string]string{}
			}
			own[name] = value
		}
	}
	return own
}

func has(m map[string]string, name string) bool {
	_, ok := m[name]
	return ok
}

// conflicts refuses what marks more than one version. A tag length and a text
// length are tolerated beside version 3, whose own Go client writes one, empty.
func conflicts(own map[string]string) error {
	groups := [...]struct {
		mark  string
		alien []string
	}{
		{nameKeyV1, []string{nameKeyV2, nameKeyV3, nameWrap, nameCEK, nameTagLen, nameSuite, nameWrapV3, nameCommit, nameMessageID, nameContextV3, nameDescV3}},
		{nameKeyV2, []string{nameKeyV1, nameKeyV3, nameSuite, nameWrapV3, nameCommit, nameMessageID, nameContextV3, nameDescV3}},
		{nameKeyV3, []string{nameKeyV1, nameKeyV2, nameIV, nameDesc, nameWrap, nameCEK}},
		{nameSuite, []string{nameIV, nameDesc, nameWrap, nameCEK}},
	}
	for _, g := range groups {
		if !has(own, g.mark) {
			continue
		}
		for _, name := range g.alien {
			if has(own, name) {
				return refuse(ReasonEnvelope, g.mark+" and "+name+" are of different versions; readers would disagree about this object")
			}
		}
	}
	return nil
}

func parseV1(own map[string]string) (Envelope, error) {
	e := Envelope{Format: V1, Content: CBC, cek: cekCBC5}
	var err error
	if e.iv, err = sized(own, nameIV, ivCBC); err != nil {
		return Envelope{}, err
	}
	if e.wrapped, err = decoded(own, nameKeyV1); err != nil {
		return Envelope{}, err
	}
	switch n := len(e.wrapped); {
	case n == 32 || n == 48:
		e.Wrap = AESECB
	case n >= 128 && n <= 2048:
		e.Wrap = RSAPKCS1
	default:
		return Envelope{}, refuse(ReasonAlgorithm, fmt.Sprintf("%s has %d bytes, which no wrap of version 1 gives", nameKeyV1, n))
	}
	return e.described(own, nameDesc)
}

func parseV2(own map[string]string) (Envelope, error) {
	e := Envelope{Format: V2, cek: own[nameCEK]}
	var ok bool
	if e.Content, ok = contentByName(own[nameCEK]); !ok {
		return Envelope{}, refuse(ReasonAlgorithm, fmt.Sprintf("%s is %q", nameCEK, own[nameCEK]))
	}
	if e.Wrap, ok = wrapByName(own[nameWrap]); !ok {
		return Envelope{}, refuse(ReasonAlgorithm, fmt.Sprintf("%s is %q", nameWrap, own[nameWrap]))
	}
	if e.Content == CBC && own[nameTagLen] != "" || e.Content == GCM && has(own, nameTagLen) && own[nameTagLen] != tagLengthBits {
		return Envelope{}, refuse(ReasonEnvelope, fmt.Sprintf("%s is %q with %s", nameTagLen, own[nameTagLen], e.cek))
	}
	size := ivGCM
	if e.Content == CBC {
		size = ivCBC
	}
	var err error
	if e.iv, err = sized(own, nameIV, size); err != nil {
		return Envelope{}, err
	}
	if e.wrapped, err = decoded(own, nameKeyV2); err != nil {
		return Envelope{}, err
	}
	if err := e.checkWrapped(); err != nil {
		return Envelope{}, err
	}
	return e.described(own, nameDesc)
}

func parseSuite(own map[string]string) (Envelope, error) {
	e := Envelope{Format: V3, Content: Committed, cek: cekCommitted}
	if own[nameSuite] != cekCommitted {
		return Envelope{}, refuse(ReasonAlgorithm, fmt.Sprintf("%s is %q", nameSuite, own[nameSuite]))
	}
	var err error
	if e.commitment, err = sized(own, nameCommit, commitSize); err != nil {
		return Envelope{}, err
	}
	if e.messageID, err = sized(own, nameMessageID, commitSize); err != nil {
		return Envelope{}, err
	}
	return e, nil
}

func parseV3(own map[string]string) (Envelope, error) {
	e, err := parseSuite(own)
	if err != nil {
		return Envelope{}, err
	}
	var ok bool
	if e.Wrap, ok = wrapByCode(own[nameWrapV3]); !ok {
		return Envelope{}, refuse(ReasonAlgorithm, fmt.Sprintf("%s is %q", nameWrapV3, own[nameWrapV3]))
	}
	if e.wrapped, err = decoded(own, nameKeyV3); err != nil {
		return Envelope{}, err
	}
	if err := e.checkWrapped(); err != nil {
		return Envelope{}, err
	}
	mine, other := nameDescV3, nameContextV3
	if e.Wrap == KMSContext {
		mine, other = other, mine
	}
	if own[other] != "" {
		return Envelope{}, refuse(ReasonEnvelope, other+" does not go with the wrap "+e.Wrap.String())
	}
	return e.described(own, mine)
}

// described reads the description, and holds a KMS context to what binds it.
func (e Envelope) described(own map[string]string, name string) (Envelope, error) {
	text := own[name]
	if text == "" {
		text = "{}"
	}
	d, err := readDescription(text)
	if err != nil && e.Wrap.KMS() {
		return Envelope{}, refuse(ReasonEnvelope, name+" is not an encryption context: "+err.Error())
	}
	if err == nil {
		e.Description, e.second, e.Encoded = d.entries, d.second, d.encoded
	}
	if e.Wrap == KMSContext && e.Description[contextCEK] != e.cek {
		return Envelope{}, refuse(ReasonEnvelope, fmt.Sprintf("the context is bound to %q, the object says %q", e.Description[contextCEK], e.cek))
	}
	return e, nil
}

// checkWrapped compares the size of the wrapped key with what its wrap gives.
func (e Envelope) checkWrapped() error {
	n, ok := len(e.wrapped), true
	switch e.Wrap {
	case AESGCM:
		n -= ivGCM + tagSize
		ok = n == dataKeySize || e.Format == V2 && (n == 16 || n == 24)
	case AESWrap:
		n -= 8
		ok = n == 16 || n == 24 || n == dataKeySize
	case RSAOAEP, RSAOAEP256:
		ok = n >= 128 && n <= 2048
	}
	if !ok {
		return refuse(ReasonEnvelope, fmt.Sprintf("the wrapped key has %d bytes, which %s does not give", len(e.wrapped), e.Wrap))
	}
	return nil
}

func decoded(own map[string]string, name string) ([]byte, error) {
	b, err := base64.StdEncoding.DecodeString(own[name])
	if err != nil || len(b) == 0 || len(b) > maxWrapped {
		return nil, refuse(ReasonEnvelope, name+" is missing, or not the base64 of what it should hold")
	}
	return b, nil
}

func sized(own map[string]string, name string, n int) ([]byte, error) {
	b, err := decoded(own, name)
	if err == nil && len(b) != n {
		err = refuse(ReasonEnvelope, name+" has "+strconv.Itoa(len(b))+" bytes, want "+strconv.Itoa(n))
	}
	return b, err
}

// same says whether two envelopes describe the same content under the same wrap,
// wrapped key and all.
func (e Envelope) same(f Envelope) bool {
	return e.Format == f.Format && e.Wrap == f.Wrap && e.Content == f.Content && e.InFile == f.InFile && e.cek == f.cek &&
		bytes.Equal(e.wrapped, f.wrapped) && bytes.Equal(e.iv, f.iv) && bytes.Equal(e.commitment, f.commitment) &&
		bytes.Equal(e.messageID, f.messageID) && maps.Equal(e.Description, f.Description)
}

// TextSize is the size of the text in an object of this size; -1 where only the
// padding tells (CBC).
func (e Envelope) TextSize(objectSize int64) (int64, error) {
	switch {
	case e.Content == CBC && (objectSize <= 0 || objectSize%16 != 0):
		return 0, refuse(ReasonEnvelope, fmt.Sprintf("%d bytes are not whole blocks of AES-CBC", objectSize))
	case e.Content == CBC:
		return -1, nil
	case objectSize < tagSize:
		return 0, refuse(ReasonEnvelope, fmt.Sprintf("%d bytes are too few for the tag of AES-GCM", objectSize))
	case objectSize-tagSize > maxText:
		return 0, tooLarge(objectSize - tagSize)
	}
	return objectSize - tagSize, nil
}
