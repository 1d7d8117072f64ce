package s3store

import (
	"context"
	"net/http"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/resealhq/reseal/engine/object"
)

// partHeads is how many parts are asked for at the same time where only HEAD
// tells their sizes.
const partHeads = 16

// maxParts is how many parts an object can have been uploaded in.
const maxParts = 10_000

// Parts are the sizes of the parts that an object was uploaded in, in order, and
// its checksum type. Sizes are nil for an object of one part, and where the store
// does not tell.
//
// GetObjectAttributes tells the sizes of an object with additional checksums;
// otherwise HEAD with partNumber does, once for each part.
func (s *Store) Parts(ctx context.Context, ref object.Ref, key object.CustomerKey) ([]int64, string, error) {
	sizes, count, checksumType, err := s.attributes(ctx, ref, key)
	switch {
	case err != nil && !canFallBack(err):
		return nil, "", err
	case err == nil && (count <= 1 || len(sizes) == count):
		return sizes, checksumType, nil
	}
	sizes, headType, err := s.partsByHead(ctx, ref, key)
	if checksumType == "" {
		checksumType = headType
	}
	return sizes, checksumType, err
}

// canFallBack: the store has no GetObjectAttributes, or does not let us use it,
// which its own permission guards.
func canFallBack(err error) bool {
	switch object.ClassOf(err) {
	case object.ClassUnsupported, object.ClassDenied, object.ClassInvalid:
		return true
	}
	return false
}

// attributes reads GetObjectAttributes; count is the number of parts, of which
// sizes hold none or all. MinIO tells the sizes of encrypted parts as they lie on
// its disk: sizes that do not add up to the object's are none.
func (s *Store) attributes(ctx context.Context, ref object.Ref, key object.CustomerKey) (sizes []int64, count int, checksumType string, err error) {
	var been object.Trail
	marker := ""
	for {
		r := newRequest("GetObjectAttributes", http.MethodGet, ref).version()
		r.query.Set("attributes", "")
		r.header.Set("X-Amz-Object-Attributes", "ETag,Checksum,ObjectParts,ObjectSize")
		r.header.Set("X-Amz-Max-Parts", "1000")
		r.set("X-Amz-Part-Number-Marker", marker)
		r.customerKey("", key)
		rep, err := s.call(ctx, r)
		if err != nil {
			return nil, 0, "", err
		}
		var doc struct {
			Checksum    struct{ ChecksumType string }
			ObjectSize  int64
			ObjectParts struct {
				TotalPartsCount      int `xml:"PartsCount"`
				IsTruncated          bool
				NextPartNumberMarker string
				Part                 []struct{ Size int64 }
			}
		}
		if err := decode(r, rep, "GetObjectAttributesResponse|GetObjectAttributesOutput", &doc); err != nil {
			return nil, 0, "", err
		}
		for _, p := range doc.ObjectParts.Part {
			sizes = append(sizes, p.Size)
		}
		next := doc.ObjectParts.NextPartNumberMarker
		if !doc.ObjectParts.IsTruncated || been.Back(next) {
			if sum(sizes) != doc.ObjectSize {
				sizes = nil
			}
			return sizes, doc.ObjectParts.TotalPartsCount, doc.Checksum.ChecksumType, nil
		}
		marker = next
	}
}

// partsByHead asks for the first part, which tells how many there are, and then
// for all others.
func (s *Store) partsByHead(ctx context.Context, ref object.Ref, key object.CustomerKey) ([]int64, string, error) {
	first, err := s.headPart(ctx, ref, key, 1)
	if err != nil {
		return nil, "", err
	}
	if first.PartsCount <= 1 || first.PartsCount > maxParts { // no store has so many: it tells nonsense
		return nil, first.ChecksumType, nil
	}
	sizes := make([]int64, first.PartsCount)
	sizes[0] = first.Size
	g, partCtx := errgroup.WithContext(ctx)
	g.SetLimit(partHeads)
	for i := 1; i < len(sizes); i++ {
		g.Go(func() error {
			h, err := s.headPart(partCtx, ref, key, i+1)
			if err == nil && h.ETag != first.ETag {
				err = &object.Error{Class: object.ClassChanged, Op: "HeadObject", Ref: ref,
					Message: "the object changed while its parts were read"}
			}
			sizes[i] = h.Size
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, "", err
	}
	if whole, err := s.Head(ctx, ref, key); err != nil || whole.ETag != first.ETag || sum(sizes) != whole.Size {
		return nil, first.ChecksumType, err // not the sizes of this object's parts
	}
	return sizes, first.ChecksumType, nil
}

func sum(sizes []int64) (n int64) {
	for _, s := range sizes {
		n += s
	}
	return n
}

func (s *Store) headPart(ctx context.Context, ref object.Ref, key object.CustomerKey, number int) (object.Head, error) {
	r := newRequest("HeadObject", http.MethodHead, ref).version()
	r.query.Set("partNumber", strconv.Itoa(number))
	r.set("X-Amz-Checksum-Mode", "ENABLED")
	r.customerKey("", key)
	resp, err := s.do(ctx, r)
	if err != nil {
		return object.Head{}, err
	}
	resp.Body.Close()
	return headOf(ref, resp.Header), nil
}
