package engine

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/resealhq/reseal/engine/look"
	"github.com/resealhq/reseal/engine/object"
)

// versionInKey is what stands between a key and a version in the name of a copy's source.
var versionInKey = regexp.MustCompile(`(?i)\?versionid=`)

// misread leaves an object whose key can be read as a version of another object. Ceph,
// of up to 2026 at least, decodes the name of a copied part's source before it looks for
// a version in it: from "a?versionId=null" it copies the bytes of "a". No canary asks for
// so rare a key. Where no such version is, the store copies the right object or finds none.
func (it *item) misread(ctx context.Context) (*object.Outcome, error) {
	if it.run.rules.Caps.IsAWS() || strings.IndexByte(it.obj.Key, '?') < 0 {
		return nil, nil
	}
	for _, at := range versionInKey.FindAllStringIndex(it.obj.Key, -1) {
		rest := it.obj.Key[at[1]:]
		version, _, _ := strings.Cut(rest, "&")
		for _, v := range slices.Compact([]string{version, rest}) {
			ref := object.Ref{Bucket: it.obj.Bucket, Key: it.obj.Key[:at[0]], VersionID: v}
			if ref.Key == "" {
				continue
			}
			switch _, err := it.run.look.Head(ctx, it.run.cfg.Source.Hot, ref); object.ClassOf(err) {
			case object.ClassGone, object.ClassInvalid:
				continue
			default:
				if err != nil && !errors.Is(err, look.ErrMissingKey) {
					return nil, err
				}
			}
			return it.left(object.ReasonSource, fmt.Sprintf("the store may read its key as %s in a copy, which would take that one's bytes; give it another name, or take that one away", ref)), nil
		}
	}
	return nil, nil
}
