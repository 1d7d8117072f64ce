package upload

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// ErrWrongSource: the store has put other bytes into the part than the source has.
var ErrWrongSource = errors.New("the part does not hold the source's bytes")

// checkSource compares the part of an upload that has only one with its source,
// before Complete replaces the source by it. Ceph RGW decodes the name of the source
// twice, so that the copy of "xA" lands where "x%41" stood.
//
// The ETag of a plain object that was uploaded in one piece is the MD5 of its bytes.
// A part's is where the store was seen to show the same for both; until then, only
// the size is compared, which ListParts tells. AWS is known to copy what it is told.
func (m *Copy) checkSource(ctx context.Context, src Source, u *object.Upload, parts []object.Part) error {
	if len(parts) != 1 || src.Encryption.Type != object.SSENone || !isMD5(u.ETag) || m.c.Rules.Caps.Source == "aws" {
		return nil
	}
	if strings.EqualFold(parts[0].ETag, u.ETag) {
		m.c.partsShowMD5.Store(true)
		return nil
	}
	if m.c.partsShowMD5.Load() {
		return ErrWrongSource
	}
	listed, err := m.c.listParts(ctx, u)
	switch {
	case err != nil:
		return err
	case len(listed) == 1 && listed[0].Size != u.Size:
		return ErrWrongSource
	}
	return nil
}

func isMD5(etag string) bool {
	b, err := hex.DecodeString(etag)
	return err == nil && len(b) == 16
}
