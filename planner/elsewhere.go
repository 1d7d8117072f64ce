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

// isDate says whether a header is a date in the one form that HTTP writes today.
func isDate(header string) bool {
	const form = "Mon, 02 Jan 2006 15:04:05 GMT"
	t, err := time.Parse(form, header)
	return err == nil && t.Format(form) == header
}
