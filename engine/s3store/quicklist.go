package s3store

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"github.com/resealhq/reseal/engine/object"
)

// A listing is by far the longest document that a job reads, and encoding/xml
// spends more on one of its rows than the whole rest of the job on the object.
// So a page in the form in which stores write it is read by hand here, without
// copying its strings. The promise is that of a fast path: whatever is unusual
// (an attribute, a comment, a character that XML does not allow, a tag that does
// not fit) is left to encoding/xml, which then decides what it is. A fuzz test
// holds the two against each other.

// page is the memory that reading one page of a listing takes beside what comes
// of it. Pages are read many at a time, so it is used again.
type page struct {
	body bytes.Buffer
	row  row
	meta userMetadata
	// columns are the elements of the row before, in their order: rows are alike.
	columns []string
}

// keepPage is the largest body whose memory is kept: that of a page of a thousand
// long keys.
const keepPage = 1 << 20

// usualRows is how many rows there is room for before they were read, and the most whose
// memory is kept: no store that keeps to S3 gives more than a thousand at a time.
const usualRows = 4096

// reset forgets everything but the memory.
func (p *page) reset() {
	if p.body.Cap() > keepPage {
		*p = page{}
	}
	p.body.Reset()
	p.clear()
}

// clear makes room for the next row.
func (p *page) clear() {
	clear(p.meta.Items)
	p.meta.Items = p.meta.Items[:0]
	clear(p.row.ChecksumAlgorithm)
	p.row = row{ChecksumAlgorithm: p.row.ChecksumAlgorithm[:0]}
}

// quickReply is the page by hand; not ok where it has to be read by encoding/xml.
// rows is memory for them, where somebody gave some back.
func (p *page) quickReply(r *request, rep *reply, q object.ListRequest, root string, rows []object.Object) (out object.ListReply, ok bool, err error) {
	body := textOf(rep.body)
	if rows == nil {
		rows = make([]object.Object, 0, min(usualRows, strings.Count(body, "<Key>")))
	}
	g := gathered{q: q, versions: r.op == "ListObjectVersions", objects: rows[:0]}
	var doc listing
	if !quickListing(body, root, p, &doc, g.add) {
		return out, false, nil
	}
	out, err = g.reply(&doc, r, rep)
	detach(&out)
	return out, true, err
}

// textOf is a body as a string without a copy of it, which of a page is a quarter of
// a megabyte. It is only good until the body's memory is used again: detach must have
// copied every string that goes on from here. A test writes over it to see that.
func textOf(body []byte) string { return unsafe.String(unsafe.SliceData(body), len(body)) }

// quickListing reads body: each row is given to add and forgotten, the rest goes
// into doc. False means: nothing is known, ask encoding/xml.
func quickListing(body, root string, p *page, doc *listing, add func(*row)) bool {
	if !plainXML(body) {
		return false
	}
	p.columns = p.columns[:0]
	q := quick{s: strings.TrimRight(body, " \t\n"), ok: true, p: p}
	q.prolog()
	if !q.open(root) {
		return false
	}
	isRow := map[string]bool{"Contents": root == "ListBucketResult", "Version": root == "ListVersionsResult", "DeleteMarker": root == "ListVersionsResult"}
	for q.ok {
		name, empty := q.child(root)
		if name == "" {
			return q.ok && q.s == ""
		}
		switch row, known := isRow[name]; {
		case known && (!row || empty):
			return false
		case row:
			p.clear()
			q.row(&p.row, name)
			if q.ok {
				add(&p.row)
			}
		case name == "CommonPrefixes" && !empty:
			q.prefix(doc)
		default:
			text := ""
			if !empty {
				text = q.leaf(name)
			}
			q.page(doc, name, text)
		}
	}
	return false
}

// page takes one of the document's own elements.
func (q *quick) page(doc *listing, name, text string) {
	switch name {
	case "EncodingType":
		doc.EncodingType = text
	case "IsTruncated":
		doc.IsTruncated = q.bool(text)
	case "NextContinuationToken":
		doc.NextContinuationToken = text
	case "NextKeyMarker":
		doc.NextKeyMarker = text
	case "NextVersionIdMarker":
		doc.NextVersionIDMarker = text
	}
}

func (q *quick) prefix(doc *listing) {
	var p struct{ Prefix string }
	for q.ok {
		name, empty := q.child("CommonPrefixes")
		if name == "" {
			doc.CommonPrefixes = append(doc.CommonPrefixes, p)
			return
		}
		text := ""
		if !empty {
			text = q.leaf(name)
		}
		if name == "Prefix" {
			p.Prefix = text
		}
	}
}

// row reads the children of one row up to its end tag.
func (q *quick) row(w *row, element string) {
	w.XMLName.Local = element
	for i := 0; q.ok; i++ {
		name, empty := q.as(i), false
		if name == "" {
			name, empty = q.child(element)
			q.learn(i, name)
		}
		switch {
		case name == "":
			return
		case name == "UserMetadata":
			q.metadata(w, empty)
		case name == "Owner" || name == "RestoreStatus" || name == "Internal": // MinIO's
			if !empty {
				q.skip(name) // nobody asks for them
			}
		default:
			text := ""
			if !empty {
				text = q.leaf(name)
			}
			q.column(w, name, text)
		}
	}
}

// columnNames are those that are looked for at the place where the row before had them.
var columnNames = [...]string{"Key", "VersionId", "IsLatest", "LastModified", "ETag", "Size", "StorageClass", "ChecksumAlgorithm", "ChecksumType", "Owner"}

// learn remembers that the row has this name as its i-th; from an unknown one on the
// rows that follow are read without.
func (q *quick) learn(i int, name string) {
	if i > len(q.p.columns) {
		return
	}
	q.p.columns = q.p.columns[:i]
	for _, known := range columnNames {
		if name == known {
			q.p.columns = append(q.p.columns, known)
		}
	}
}

// as takes the start tag that the row before had at the same place; empty where there
// is another one.
func (q *quick) as(i int) string {
	if i >= len(q.p.columns) {
		return ""
	}
	name := q.p.columns[i]
	n := len(name)
	if len(q.s) < n+2 || q.s[0] != '<' || q.s[n+1] != '>' || q.s[1:n+1] != name {
		return ""
	}
	q.s = q.s[n+2:]
	return name
}

func (q *quick) column(w *row, name, text string) {
	switch name {
	case "Key":
		w.Key = text
	case "VersionId":
		w.VersionID = text
	case "IsLatest":
		w.IsLatest = q.bool(text)
	case "LastModified":
		w.LastModified = text
	case "ETag":
		w.ETag = text
	case "Size":
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			q.ok = false
		}
		q.size = n
		w.Size = &q.size
	case "StorageClass":
		w.StorageClass = text
	case "ChecksumAlgorithm":
		w.ChecksumAlgorithm = append(w.ChecksumAlgorithm, text)
	case "ChecksumType":
		w.ChecksumType = text
	case "UserTags":
		w.UserTags = text
	}
}

func (q *quick) metadata(w *row, empty bool) {
	if w.UserMetadata != nil {
		q.ok = false
		return
	}
	w.UserMetadata = &q.p.meta
	for q.ok && !empty {
		name, none := q.child("UserMetadata")
		if name == "" {
			return
		}
		item := metadataItem{}
		item.XMLName.Local = name
		if !none {
			item.Value = q.leaf(name)
		}
		w.UserMetadata.Items = append(w.UserMetadata.Items, item)
	}
}

// quick is what is left of the document. ok turns false at the first thing that
// this reader leaves to encoding/xml.
type quick struct {
	s  string
	ok bool
	p  *page
	// size is what the row's Size points to.
	size int64
}

// together is how many rows share one piece of memory for their names: so many are
// kept by whoever remembers the key of one.
const together = 16

// detach gives the strings of a reply memory of their own. As they come from
// quickListing they are parts of the whole page, and a planner that remembers one
// key of each page would keep every page.
func detach(r *object.ListReply) {
	for rows := range slices.Chunk(r.Objects, together) {
		own := namesOf(rows)
		take := func(s *string) {
			n := len(*s)
			*s, own = own[:n], own[n:]
		}
		for i := range rows {
			take(&rows[i].Key)
			take(&rows[i].ETag)
			take(&rows[i].VersionID)
		}
	}
	var last struct{ class, tier, algorithm, kind, key, lock string }
	for i := range r.Objects {
		o := &r.Objects[i]
		o.StorageClass, o.ArchiveTier = again(&last.class, o.StorageClass), again(&last.tier, o.ArchiveTier)
		o.ChecksumAlgorithm, o.ChecksumType = again(&last.algorithm, o.ChecksumAlgorithm), again(&last.kind, o.ChecksumType)
		o.Encryption.KMSKeyID, o.LockMode = again(&last.key, o.Encryption.KMSKeyID), again(&last.lock, o.LockMode)
		o.Encryption.CustomerKeyMD5 = strings.Clone(o.Encryption.CustomerKeyMD5)
	}
	for i := range r.Prefixes {
		r.Prefixes[i] = strings.Clone(r.Prefixes[i])
	}
	r.NextToken, r.NextKeyMarker, r.NextVersionIDMarker = strings.Clone(r.NextToken), strings.Clone(r.NextKeyMarker), strings.Clone(r.NextVersionIDMarker)
}

// namesOf are the keys, ETags and versions of rows, one after the other.
func namesOf(rows []object.Object) string {
	var b strings.Builder
	n := 0
	for i := range rows {
		n += len(rows[i].Key) + len(rows[i].ETag) + len(rows[i].VersionID)
	}
	b.Grow(n)
	for i := range rows {
		b.WriteString(rows[i].Key)
		b.WriteString(rows[i].ETag)
		b.WriteString(rows[i].VersionID)
	}
	return b.String()
}

// again gives a copy of s, the same one for the same value: most rows of a page
// have the same class and key.
func again(last *string, s string) string {
	if s != *last {
		*last = strings.Clone(s)
	}
	return *last
}

// etag is the text of an ETag, which stands in quotes in every row: it is given
// without them, which costs no copy and is what becomes of it in any case.
func (q *quick) etag(text string) string {
	for _, quote := range [...]string{"&quot;", "&#34;", `"`} {
		inner, opened := strings.CutPrefix(text, quote)
		inner, closed := strings.CutSuffix(inner, quote)
		if opened && closed && strings.IndexByte(inner, '&') < 0 && strings.IndexByte(inner, '"') < 0 {
			return inner
		}
	}
	return q.resolve(text)
}
