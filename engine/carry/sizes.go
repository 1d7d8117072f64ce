package carry

// Part sizes that S3 takes.
const (
	MinPartSize = 5 << 20
	MaxPartSize = 5 << 30
	MaxParts    = 10000
	// DefaultPartSize lies in the range in which published and own measurements
	// were fastest, and is all that a crash can cost.
	DefaultPartSize = 64 << 20
)

// Split cuts an object into parts of that size, enlarged until 10,000 parts suffice.
// A zero-byte object is one empty part.
func Split(size, part int64) []int64 {
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

// Copyable says whether the sizes make up the object and S3 takes them as parts.
func Copyable(sizes []int64, size int64) bool {
	for i, s := range sizes {
		if s > MaxPartSize || s < MinPartSize && i < len(sizes)-1 {
			return false
		}
		size -= s
	}
	return size == 0 && len(sizes) > 0 && len(sizes) <= MaxParts
}
