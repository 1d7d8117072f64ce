package cse

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Changes are what a new wrap changes of an envelope, and nothing beside.
type Changes struct {
	set  map[string]string
	drop []string
	// was is the envelope that was read, want the one that has to come out.
	was, want Envelope
}

// MetadataSize is what counts against the 2 KB of user metadata.
func MetadataSize(metadata map[string]string) int {
	n := 0
	for name, value := range metadata {
		n += len(name) + len(value)
	}
	return n
}

func fits(metadata map[string]string) error {
	if n := MetadataSize(metadata); n > maxUserMetadata {
		return refuse(ReasonBigMetadata, fmt.Sprintf("the user metadata would have %d bytes, of %d that S3 takes; shorten it, or keep the envelope in an instruction file", n, maxUserMetadata))
	}
	return nil
}

// Metadata is the object's user metadata with the changes: a new map, which was
// parsed and found to be the same envelope under its new wrap.
func (c Changes) Metadata(old map[string]string) (map[string]string, error) {
	if c.want.InFile {
		return nil, errors.New("cse: this envelope is in an instruction file, not in the metadata")
	}
	if e, err := Parse(old); err != nil || !e.same(c.was) {
		return nil, errChanged
	}
	m := maps.Clone(old)
	for _, name := range c.drop {
		delete(m, name)
	}
	maps.Copy(m, c.set)
	if err := fits(m); err != nil {
		return nil, err
	}
	e, err := Parse(m)
	return m, c.proved(e, err)
}

// File is the instruction file with the changes: one value replaced, or where
// the wrap itself changes what names it, and every other byte as it was.
func (c Changes) File(old []byte) ([]byte, error) {
	if !c.want.InFile {
		return nil, errors.New("cse: this envelope is in the metadata, not in an instruction file")
	}
	if e, err := ParseFile(c.want.own, old); err != nil || !e.same(c.was) {
		return nil, errChanged
	}
	file, err := splice(old, c.set, c.drop)
	if err != nil {
		return nil, err
	}
	e, err := ParseFile(c.want.own, file)
	return file, c.proved(e, err)
}

var errChanged = errors.New("cse: this is not the envelope that was wrapped anew: somebody has changed it since")

// proved compares what was written with what was wanted.
func (c Changes) proved(e Envelope, err error) error {
	if err != nil {
		return fmt.Errorf("cse: the new envelope cannot be read: %w", err)
	}
	if !e.same(c.want) {
		return errors.New("cse: the new envelope is not the old one under a new wrap")
	}
	return nil
}

// rewrapped gives the changes that put the wrapped key into the envelope.
func (e Envelope) rewrapped(to Wrap, wrapped []byte, entries map[string]string) Changes {
	c := Changes{set: map[string]string{}, was: e, want: e}
	c.want.Wrap, c.want.wrapped = to, wrapped
	key, wrap, name := base64.StdEncoding.EncodeToString(wrapped), to.String(), nameDesc
	if e.Format == V3 {
		c.set[nameKeyV3] = key
		wrap, name = to.codeV3(), nameDescV3
		if to.KMS() {
			name = nameContextV3
		}
	} else {
		c.set[nameKeyV2] = key
	}
	if to != e.Wrap {
		c.set[e.wrapName()] = wrap
	}
	// A context that was encoded is written anew in ASCII; what was not changed
	// and reads the same everywhere stays as it is, byte for byte.
	if changed := !maps.Equal(entries, e.Description); changed || to.KMS() && (e.Encoded || to != e.Wrap) {
		c.set[name], c.want.Description = writeDescription(entries), entries
	}
	if e.Format == V3 && to.KMS() != e.Wrap.KMS() {
		c.moveDescription(entries, to)
	}
	return c
}

// moveDescription: version 3 has one name for contexts and one for descriptions,
// and empty ones are left out.
func (c *Changes) moveDescription(entries map[string]string, to Wrap) {
	if c.want.Description = entries; c.want.Description == nil {
		c.want.Description = map[string]string{}
	}
	if to.KMS() {
		c.drop = append(c.drop, nameDescV3)
		return
	}
	c.drop = append(c.drop, nameContextV3)
	delete(c.set, nameDescV3)
	if len(entries) > 0 {
		c.set[nameDescV3] = writeDescription(entries)
	} else {
		c.drop = append(c.drop, nameDescV3)
	}
}

func (e Envelope) wrapName() string {
	if e.Format == V3 {
		return nameWrapV3
	}
	return nameWrap
}

func sortedNames(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

// entries is a whole new envelope as metadata, without one empty value.
func (e Envelope) entries() map[string]string {
	b64 := base64.StdEncoding.EncodeToString
	if e.Format == V3 {
		m := map[string]string{nameSuite: cekCommitted, nameWrapV3: e.Wrap.codeV3(), nameKeyV3: b64(e.wrapped),
			nameCommit: b64(e.commitment), nameMessageID: b64(e.messageID)}
		switch {
		case e.Wrap.KMS():
			m[nameContextV3] = writeDescription(e.Description)
		case len(e.Description) > 0:
			m[nameDescV3] = writeDescription(e.Description)
		}
		return m
	}
	return map[string]string{nameKeyV2: b64(e.wrapped), nameIV: b64(e.iv), nameCEK: e.cek, nameWrap: e.Wrap.String(),
		nameTagLen: tagLengthBits, nameDesc: writeDescription(e.Description)}
}

// Without is user metadata without anything of an envelope of any version: what
// stays when an object leaves client-side encryption, or gets a new envelope.
func Without(metadata map[string]string) map[string]string {
	m := maps.Clone(metadata)
	for _, name := range every {
		delete(m, name)
	}
	delete(m, nameFile)
	return m
}
