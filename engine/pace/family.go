package pace

import "github.com/resealhq/reseal/engine/object"

// family are the limits of one kind of request to S3, which limits what changes something
// apart from what reads. Where a store limits both together, each finds its part.
type family struct {
	everything *limiter            // the limit for what has none of its own
	prefixes   map[string]*limiter // by prefix
}

// familyOf is the one that a request belongs to. REQUIRES: mu.
func (p *Pacer) familyOf(k object.RequestKind) *family {
	if k.Mutates() {
		return &p.mu.s3[0]
	}
	return &p.mu.s3[1]
}

// limitOf is S3's limit for a key: that of the longest prefix with its own.
func (f *family) limitOf(key string) *limiter {
	l := f.everything
	if len(f.prefixes) == 0 {
		return l
	}
	for i := range len(key) {
		if key[i] == '/' {
			if own := f.prefixes[key[:i+1]]; own != nil {
				l = own
			}
		}
	}
	return l
}
