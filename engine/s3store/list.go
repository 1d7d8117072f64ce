package s3store

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// listing is the document of both listings. Rows of versions come as <Version>
// and <DeleteMarker>, mixed, in an order that matters.
type listing struct {
	EncodingType          string
	IsTruncated           bool
	NextContinuationToken string
	NextKeyMarker         string
	NextVersionIDMarker   string `xml:"NextVersionIdMarker"`
	CommonPrefixes        []struct{ Prefix string }
	Contents              []row
	Versions              []row `xml:",any"`
}

type row struct {
	XMLName           xml.Name
	Key               string
	VersionID         string `xml:"VersionId"`
	IsLatest          bool
	LastModified      string
	ETag              string
	Size              *int64
	StorageClass      string
	ChecksumAlgorithm []string
	ChecksumType      string
	RestoreStatus     *struct{ IsRestoreInProgress bool }
	UserTags          string
	UserMetadata      *userMetadata
}

type userMetadata struct {
	Items []metadataItem `xml:",any"`
}

type metadataItem struct {
	XMLName xml.Name
	Value   string `xml:",chardata"`
}

// ListPage asks for one page of current objects (ListObjectsV2). With an error that
// is ErrUnreadable come the rows whose keys could be read; others are missing.
func (s *Store) ListPage(ctx context.Context, q object.ListRequest) (object.ListReply, error) {
	r := newRequest("ListObjectsV2", http.MethodGet, object.Ref{Bucket: q.Bucket})
	r.query.Set("list-type", "2")
	if q.ContinuationToken != "" {
		r.query.Set("continuation-token", q.ContinuationToken)
	} else if q.StartAfter != "" {
		r.query.Set("start-after", q.StartAfter)
	}
	return s.list(ctx, r, q, "ListBucketResult")
}

// ListVersionsPage asks for one page of all versions and delete markers. With an
// error that is ErrUnreadable come the rows whose keys could be read; others are
// missing.
func (s *Store) ListVersionsPage(ctx context.Context, q object.ListRequest) (object.ListReply, error) {
	r := newRequest("ListObjectVersions", http.MethodGet, object.Ref{Bucket: q.Bucket})
	r.query.Set("versions", "")
	if q.KeyMarker != "" {
		r.query.Set("key-marker", q.KeyMarker)
	}
	if q.VersionIDMarker != "" {
		r.query.Set("version-id-marker", q.VersionIDMarker)
	}
	return s.list(ctx, r, q, "ListVersionsResult")
}

func (s *Store) list(ctx context.Context, r *request, q object.ListRequest, root string) (object.ListReply, error) {
	r.max = maxListing
	r.query.Set("encoding-type", "url")
	r.query.Set("prefix", q.Prefix)
	if q.Delimiter != "" {
		r.query.Set("delimiter", q.Delimiter)
	}
	if q.MaxKeys > 0 {
		r.query.Set("max-keys", strconv.Itoa(q.MaxKeys))
	}
	if q.Metadata {
		r.query.Set("metadata", "true")
	}
	var p *page
	r.into = func() *bytes.Buffer {
		if p, _ = s.pages.Get().(*page); p == nil {
			p = new(page)
		}
		return &p.body
	}
	defer func() {
		if p != nil {
			p.reset()
			s.pages.Put(p)
		}
	}()
	rep, err := s.call(ctx, r)
	if err != nil {
		return object.ListReply{}, err
	}
	rows, _ := s.rows.Get().(*[]object.Object)
	if rows == nil {
		rows = new([]object.Object)
	}
	if out, ok, err := p.quickReply(r, rep, q, root, *rows); ok {
		return out, err
	}
	var doc listing
	err = decode(r, rep, root, &doc)
	if errors.Is(err, ErrUnreadable) {
		// What XML cannot carry is replaced, and the keys without such a character are
		// read. A key that held one is named in the error of the reply.
		doc = listing{}
		if again := (&reply{status: rep.status, header: rep.header, id: rep.id, body: legible(rep.body)}); decode(r, again, root, &doc) == nil {
			err = nil
		}
	}
	if err != nil {
		return object.ListReply{}, err
	}
	return doc.reply(r, rep, q)
}

// TakeBack takes the rows of a page that nobody looks at any more; the next page is
// read into their memory.
func (s *Store) TakeBack(rows []object.Object) {
	if cap(rows) > 0 && cap(rows) <= usualRows {
		rows = rows[:0]
		s.rows.Put(&rows)
	}
}

// reply makes rows the reply that the house speaks of.
func (doc *listing) reply(r *request, rep *reply, q object.ListRequest) (object.ListReply, error) {
	rows := doc.Contents
	if r.op == "ListObjectVersions" {
		rows = doc.Versions
	}
	g := gathered{q: q, versions: r.op == "ListObjectVersions", objects: make([]object.Object, 0, len(rows))}
	for i := range rows {
		g.add(&rows[i])
	}
	return g.reply(doc, r, rep)
}

// gathered is a page as its rows come in.
type gathered struct {
	q        object.ListRequest
	versions bool
	objects  []object.Object
	stamps   stamps
}

func (g *gathered) add(w *row) {
	marker := w.XMLName.Local == "DeleteMarker"
	if g.versions && !marker && w.XMLName.Local != "Version" {
		return // Name, Prefix, MaxKeys … are elements of the same document
	}
	g.objects = append(g.objects, object.Object{Ref: object.Ref{Bucket: g.q.Bucket, Key: w.Key}, Size: -1, DeleteMarker: marker})
	o := &g.objects[len(g.objects)-1]
	if g.versions {
		o.VersionID, o.Noncurrent = w.VersionID, !w.IsLatest
	}
	o.LastModified = g.stamps.parse(w.LastModified)
	w.describe(o)
	if g.q.Metadata {
		w.inspect(o)
	}
}

// reply decodes the keys; only the end of the page tells whether they are encoded.
func (g *gathered) reply(doc *listing, r *request, rep *reply) (object.ListReply, error) {
	g.pastFreed()
	c := codec{on: doc.EncodingType == "url"}
	out := object.ListReply{Objects: g.objects, Truncated: doc.IsTruncated, NextToken: doc.NextContinuationToken,
		NextVersionIDMarker: doc.NextVersionIDMarker, EncodingHonoured: c.on, RequestID: rep.id}
	out.NextKeyMarker = c.decode(doc.NextKeyMarker)
	out.OneWalk = namesWalk(out.NextToken) || namesWalk(out.NextKeyMarker)
	for _, p := range doc.CommonPrefixes {
		out.Prefixes = append(out.Prefixes, c.decode(p.Prefix))
	}
	lost, before := g.decodeKeys(&c, &out)
	if c.err != nil {
		e := r.fail(rep, object.ClassInvalid, c.err.Error())
		if lost > 0 {
			e = r.fail(rep, object.ClassInvalid, fmt.Sprintf("%d of the page's %d rows have a key that cannot be read, the first of them behind the key %q: %v",
				lost, lost+len(out.Objects), before, c.err))
		}
		e.Code, e.Err = "UnreadableXML", c.err
		e.Hint = "this store's listing cannot be trusted for every key; give the keys as a list (--manifest)"
		return out, e
	}
	out.NextVersionIDMarker = behind(&out)
	return out, nil
}

// behind is the version behind which a page goes on. OpenStack Swift says "null" of each page
// whatever it ends with, and has nothing behind that, so that the rest would not be seen: what
// is meant is the last row.
func behind(page *object.ListReply) string {
	told := page.NextVersionIDMarker
	if n := len(page.Objects); n > 0 && told == object.NullVersion {
		if last := &page.Objects[n-1]; last.Key == page.NextKeyMarker && last.VersionID != "" {
			return last.VersionID
		}
	}
	return told
}

// decodeKeys keeps the rows whose keys can be read. It counts the others, and says
// which key the first of them stands behind.
func (g *gathered) decodeKeys(c *codec, out *object.ListReply) (lost int, behind string) {
	kept := out.Objects[:0]
	for i := range out.Objects {
		o := &out.Objects[i]
		before := c.err
		c.err = nil
		o.Key = c.decode(o.Key)
		if c.err == nil {
			if c.err = before; lost == 0 {
				kept = out.Objects[:i+1]
			} else {
				kept = append(kept, *o)
			}
			continue
		}
		if lost++; lost == 1 {
			if len(kept) > 0 {
				behind = kept[len(kept)-1].Key
			}
			continue
		}
		c.err = before
	}
	out.Objects = kept
	return lost, behind
}

// namesWalk: MinIO's positions, in Base64 where they are tokens, name the walk that
// the page came from: key[minio_cache:v2,id:…].
func namesWalk(position string) bool {
	if plain, err := base64.StdEncoding.DecodeString(position); err == nil {
		position = string(plain)
	}
	return strings.Contains(position, "[minio_cache:")
}

// codec decodes keys where the page says that they are encoded. Where it does
// not, U+FFFD stands for a character that the store lost, and the key cannot be
// reached under that name.
type codec struct {
	on  bool
	err error
}

func (c *codec) decode(s string) string {
	if c.on && !strings.ContainsRune(s, '\uFFFD') {
		if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
			return s
		}
		d, err := url.QueryUnescape(s)
		if err != nil && c.err == nil {
			c.err = fmt.Errorf("%w: key %q is not URL-encoded as the page says", ErrUnreadable, s)
		}
		return d
	}
	if strings.ContainsRune(s, '\uFFFD') && c.err == nil {
		c.err = fmt.Errorf("%w: key %q came unencoded, with a character replaced", ErrUnreadable, s)
	}
	return s
}

// describe takes over what the row tells in any listing.
func (w *row) describe(o *object.Object) {
	if w.Size != nil {
		o.Size = *w.Size
	}
	if w.StorageClass != "STANDARD" {
		o.StorageClass = w.StorageClass
	}
	o.ETag = unquote(w.ETag)
	o.MultipartUploaded = strings.Contains(o.ETag, "-")
	if len(w.ChecksumAlgorithm) > 0 {
		o.ChecksumAlgorithm = w.ChecksumAlgorithm[0]
	}
	o.ChecksumType = w.ChecksumType
}

// inspect takes over what metadata=true adds to a row. A row without it is left
// as it is: not inspected.
func (w *row) inspect(o *object.Object) {
	if w.UserMetadata == nil {
		return
	}
	header := http.Header{}
	user := map[string]string{}
	for _, item := range w.UserMetadata.Items {
		name := strings.ToLower(item.XMLName.Local)
		header.Set(name, item.Value)
		if m, ok := strings.CutPrefix(name, "x-amz-meta-"); ok {
			user[m] = item.Value
		}
	}
	o.Encryption = EncryptionOf(header.Get, true)
	o.ClientSide = object.ClientSideOf(user)
	o.LockMode = header.Get("X-Amz-Object-Lock-Mode")
	o.RetainUntil, _ = time.Parse(time.RFC3339, header.Get("X-Amz-Object-Lock-Retain-Until-Date"))
	o.LegalHold = header.Get("X-Amz-Object-Lock-Legal-Hold") == "ON"
	// SSE-C shows no key MD5 here, so such a row cannot settle what key it is.
	o.Settled = o.Encryption.Type != object.SSEUnknown && o.Encryption.Type != object.SSEC
	composite := o.ChecksumType == object.Composite || o.ChecksumAlgorithm != "" && o.ChecksumType == "" && o.MultipartUploaded
	o.Plain = o.Settled && !o.Locked() && !composite &&
		header.Get("Expires") == "" && header.Get("X-Amz-Website-Redirect-Location") == "" &&
		header.Get("X-Amz-Server-Side-Encryption-Context") == ""
}

// ListInspected lists up to max current objects after startAfter with their
// encryption. Where a row comes without it, that row is not Settled.
func (s *Store) ListInspected(ctx context.Context, bucket, prefix, startAfter string, max int) ([]object.Object, bool, error) {
	rep, err := s.ListPage(ctx, object.ListRequest{Bucket: bucket, Prefix: prefix, StartAfter: startAfter, MaxKeys: max, Metadata: true})
	if err != nil {
		return nil, false, err
	}
	return rep.Objects, rep.Truncated, nil
}

// ListUploads lists the open multipart uploads of one key. When each was initiated
// is told by this machine's clock, also where the store's own is another.
func (s *Store) ListUploads(ctx context.Context, dest object.Ref) ([]object.PendingUpload, error) {
	var out []object.PendingUpload
	_, err := s.eachUpload(ctx, dest, func(u object.PendingUpload) {
		if u.Key == dest.Key {
			out = append(out, u)
		}
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// eachUpload is told of the open uploads whose keys begin with the one of from. whole is
// false where the store says that there are more, and not where to go on.
func (s *Store) eachUpload(ctx context.Context, from object.Ref, visit func(object.PendingUpload)) (whole bool, err error) {
	keyMarker, idMarker := "", ""
	var been object.Trail
	for {
		r := newRequest("ListMultipartUploads", http.MethodGet, from)
		r.bucket = true
		r.query.Set("uploads", "")
		r.query.Set("encoding-type", "url")
		r.query.Set("prefix", from.Key)
		if keyMarker != "" {
			r.query.Set("key-marker", keyMarker)
			r.query.Set("upload-id-marker", idMarker)
		}
		rep, err := s.call(ctx, r)
		if err != nil {
			return false, err
		}
		var doc struct {
			EncodingType       string
			IsTruncated        bool
			NextKeyMarker      string
			NextUploadIDMarker string `xml:"NextUploadIdMarker"`
			Upload             []struct{ Key, UploadId, Initiated string }
		}
		if err := decode(r, rep, "ListMultipartUploadsResult", &doc); err != nil {
			return false, err
		}
		ahead := time.Duration(0) // of the store's clock
		if date, err := http.ParseTime(rep.header.Get("Date")); err == nil {
			ahead = time.Until(date)
		}
		c := codec{on: doc.EncodingType == "url"}
		for _, u := range doc.Upload {
			t, _ := time.Parse(time.RFC3339Nano, u.Initiated)
			visit(object.PendingUpload{Key: c.decode(u.Key), ID: u.UploadId, Initiated: t.Add(-ahead).UTC()})
		}
		next := c.decode(doc.NextKeyMarker)
		if !doc.IsTruncated || been.Back(strings.TrimPrefix(next+"\x00"+doc.NextUploadIDMarker, "\x00")) {
			return !doc.IsTruncated, nil
		}
		keyMarker, idMarker = next, doc.NextUploadIDMarker
	}
}
