package engine

import (
	"context"

	"github.com/resealhq/reseal/engine/object"
)

// partSizes are the boundaries to copy at: the source's own where its composite
// checksum and ETag shape are to survive, nil if they cannot be had or copied;
// else PartSize, enlarged until S3's 10,000 parts suffice. A zero-byte object is
// one empty part.
func (it *item) partSizes(ctx context.Context, c object.Choice) ([]int64, error) {
	if c.SourceParts {
		sizes, err := it.sourceParts(ctx)
		if !copyable(sizes, it.obj.Size) {
			sizes = nil
		}
		return sizes, err
	}
	return splitSizes(it.obj.Size, it.PartSize), nil
}

func (it *item) sourceParts(ctx context.Context) (sizes []int64, err error) {
	if it.attrs.PartSizes != nil {
		return it.attrs.PartSizes, nil
	}
	err = it.send(ctx, object.Call{Kind: object.ReqGetDetail, Key: it.obj.Key}, func(ctx context.Context) (err error) {
		var typ string
		sizes, typ, err = it.Source.Parts(ctx, it.obj.Ref, it.ssecKey())
		if typ != "" {
			it.obj.ChecksumType = typ
		}
		return err
	})
	return sizes, err
}

// copyable says whether the sizes make up the object and S3 takes them as parts.
func copyable(sizes []int64, size int64) bool {
	for i, s := range sizes {
		if s > MaxPartSize || s < MinPartSize && i < len(sizes)-1 {
			return false
		}
		size -= s
	}
	return size == 0 && len(sizes) > 0 && len(sizes) <= MaxParts
}

func (it *item) ssecKey() object.CustomerKey {
	if it.obj.Encryption.Type != object.SSEC {
		return object.CustomerKey{}
	}
	if it.obj.Encryption.CustomerKeyMD5 == it.Target.CustomerKey.MD5() {
		return it.Target.CustomerKey
	}
	return it.Target.SourceKey
}

func splitSizes(size, part int64) []int64 {
	if need := (size + MaxParts - 1) / MaxParts; part < need {
		part = (need + 1<<20 - 1) &^ (1<<20 - 1)
	}
	if size == 0 {
		return []int64{0}
	}
	sizes := make([]int64, 0, (size+part-1)/part)
	for ; size > 0; size -= part {
		sizes = append(sizes, min(size, part))
	}
	return sizes
}
