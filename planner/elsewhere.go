package planner

import (
	"slices"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// loseElsewhere covers what the source's store took, and this one does not keep.
func (c *Chooser) loseElsewhere(a *object.Attributes, lost *lossList) {
	drops := func(name string) bool { return slices.Contains(c.Caps.PutDrops, name) }
	switch {
	case a.Expires == "":
	case drops("Expires"):
		lost.add(ReasonExpires, "it has an Expires header, which this store was not seen to keep; --accept expires lets it go")
	case !isDate(a.Expires):
		lost.add(ReasonExpires, "it has an Expires header that is no date as HTTP writes it, and this store was not seen to keep such a one; --accept expires lets it go")
	}
	for _, h := range []struct{ name, value string }{
		{"Content-Type", a.ContentType}, {"Cache-Control", a.CacheControl}, {"Content-Disposition", a.ContentDisposition},
		{"Content-Encoding", a.ContentEncoding}, {"Content-Language", a.ContentLanguage},
	} {
		if h.value != "" && drops(h.name) {
			lost.add(object.ReasonMetadata, "it has a "+h.name+" header, which this store was not seen to keep; see `reseal doctor`")
		}
	}
	if len(a.Metadata) > 0 && drops("user metadata") {
		lost.add(object.ReasonMetadata, "it has user metadata, which this store was not seen to keep; see `reseal doctor`")
	}
}

// keepsNoneElsewhere says whether this store, which is another one than the source's, keeps no checksum
// as the object's, as far as is known: none at all, none by its algorithm, or by one that few stores have.
func (c *Chooser) keepsNoneElsewhere(o *object.Object) bool {
	if !c.Elsewhere || c.Caps.IsAWS() || c.accepts(object.ReasonComposite) || object.IsFolder(o.Bucket) {
		return false
	}
	return c.Caps.Checksums == object.No || slices.Contains(c.Caps.PutDrops, o.ChecksumAlgorithm) ||
		o.ChecksumAlgorithm != "" && !object.SDKsName(o.ChecksumAlgorithm)
}

// loseChecksumElsewhere is loseChecksum there, whatever the source's store shows.
func (c *Chooser) loseChecksumElsewhere(o *object.Object, a *object.Attributes, lost *lossList) (untold bool) {
	switch {
	case o.ChecksumAlgorithm != "":
		lost.add(object.ReasonComposite, "it has a "+o.ChecksumAlgorithm+", and this store was not seen to keep such; --accept composite-checksum lets it go (the data does not change)")
	case a == nil:
		return true
	case a.ChecksumsUntold:
		lost.add(object.ReasonComposite, "its store did not show whether it has a checksum, and this one was not seen to keep any; --accept composite-checksum lets it go (the data does not change)")
	}
	return false
}

// isDate says whether a header is a date in the one form that HTTP writes today.
func isDate(header string) bool {
	const form = "Mon, 02 Jan 2006 15:04:05 GMT"
	t, err := time.Parse(form, header)
	return err == nil && t.Format(form) == header
}
