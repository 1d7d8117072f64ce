package s3test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

func (s *Server) addBucket(name string, cfg BucketConfig) *bucket {
	if s.profile.ACLsUntilAsked {
		cfg.Ownership = cmp.Or(cfg.Ownership, unasked)
	}
	b := &bucket{name: name, created: s.now(), cfg: cfg, uploads: map[string]*upload{}}
	s.buckets[name] = b
	return b
}

// CreateBucket makes a bucket with these settings; an existing one of that name
// is emptied.
func (s *Server) CreateBucket(name string, cfg BucketConfig) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addBucket(name, cfg)
}

// ConfigureBucket changes the settings of a bucket.
func (s *Server) ConfigureBucket(name string, change func(c *BucketConfig)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.buckets[name]; b != nil {
		change(&b.cfg)
	}
}

// HasBucket says whether the bucket exists.
func (s *Server) HasBucket(name string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.buckets[name] != nil
}

// Put stores an object in exactly the state that is described, also one that no
// request leads to any more: unencrypted, archived, locked, of any date. It
// becomes the key's current version, as the bucket's versioning wants it. What
// Put finds empty it fills in: the version ID, the date, the ETag. It gives the
// version ID. It panics where the bucket does not exist, since the test is
// wrong then.
//
// An Encryption of type SSEUnknown is stored as SSENone. For an SSE-C object,
// CustomerKey gives the key.
func (s *Server) Put(bucketName string, o Object, with ...PutOption) (versionID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[bucketName]
	if b == nil {
		panic(fmt.Sprintf("s3test: Put into bucket %q, which does not exist", bucketName))
	}
	a := o.Attrs
	for _, f := range with {
		f(&a)
	}
	if a.Encryption.Type == object.SSEUnknown {
		a.Encryption.Type = object.SSENone
	}
	if a.Owner == "" {
		a.Owner = s.owner(b)
	}
	if a.ContentType == "" {
		a.ContentType = "binary/octet-stream"
	}
	if a.StorageClass == "STANDARD" {
		a.StorageClass = ""
	}
	v := &version{id: o.VersionID, modified: o.LastModified, etag: o.ETag, body: o.Body, marker: o.DeleteMarker, attrs: &a}
	s.fill(b, v)
	s.seal(o.Key, v)
	b.push(o.Key, v)
	return v.id
}

// PutBelow is Put of a version that comes to lie below the current one, as MinIO answers a write
// that it had dated and that then waited for another one's turn.
func (s *Server) PutBelow(bucketName string, o Object) (versionID string) {
	versionID = s.Put(bucketName, o)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.buckets[bucketName].keys.get(o.Key); len(e.vs) > 1 {
		e.vs[0], e.vs[1] = e.vs[1], e.vs[0]
		e.vs[1].modified = e.vs[0].modified // which are whole seconds here
	}
	return versionID
}

// fill completes a version that Put was given.
func (s *Server) fill(b *bucket, v *version) {
	if v.modified.IsZero() {
		v.modified = s.now()
	}
	if v.id == "" {
		v.id = "null"
		if b.cfg.Versioning == "Enabled" {
			v.id = s.ids.version()
		}
	}
	if v.marker {
		return
	}
	if v.body == nil {
		v.body = Bytes("")
	}
	if v.etag == "" {
		if len(v.attrs.Parts) > 0 {
			v.etag = s.multipartETag(v.attrs, v.attrs.Parts)
		} else {
			v.etag = s.etagFor(v.attrs, v.body)
		}
	}
}

// PutOption adds what Object cannot carry.
type PutOption func(a *Attrs)

// CustomerKey stores the object under SSE-C with this key.
func CustomerKey(k object.CustomerKey) PutOption {
	return func(a *Attrs) {
		a.customerKey = k.Base64()
		a.Encryption = object.Encryption{Type: object.SSEC, CustomerKeyMD5: k.MD5()}
	}
}

// Uploaded makes the object one that was uploaded in parts of these sizes, with
// a checksum of this algorithm and type (none where the algorithm is empty).
// The sizes must add up to that of the body.
func Uploaded(body *Content, algorithm, typ string, sizes ...int64) PutOption {
	return func(a *Attrs) {
		off := int64(0)
		for i, n := range sizes {
			c := body.Slice(off, n)
			p := Part{Number: i + 1, Size: n, ETag: c.MD5()}
			if algorithm != "" {
				p.Checksum = c.checksum(algorithm)
			}
			a.Parts, off = append(a.Parts, p), off+n
		}
		if off != body.size {
			panic("s3test: the sizes of the parts do not add up to that of the body")
		}
		switch {
		case algorithm == "":
		case typ == composite:
			a.Checksum = compositeOf(algorithm, a.Parts)
		default:
			a.Checksum = body.full(algorithm)
		}
	}
}

// Backup makes the object one that AWS Backup keeps: under its encryption, in one
// of its classes (AWS_BACKUP_WARM, AWS_BACKUP_LOW_COST_WARM), which no request
// leads to.
func Backup(class string) PutOption {
	return func(a *Attrs) { a.StorageClass, a.echo = class, [2]string{"aws:backup", ""} }
}

// Summed gives the object the full-object checksum of the algorithm.
func Summed(body *Content, algorithm string) PutOption {
	return func(a *Attrs) { a.Checksum = body.full(algorithm) }
}

// Fill stores n small objects at little cost, with keys by name(i) for i from 0.
// They share one body and one set of attributes. Keys in ascending order are the
// fastest.
func (s *Server) Fill(bucketName string, n int, name func(i int) string, body *Content, a Attrs) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[bucketName]
	if b == nil {
		panic(fmt.Sprintf("s3test: Fill of bucket %q, which does not exist", bucketName))
	}
	if a.Encryption.Type == object.SSEUnknown {
		a.Encryption.Type = object.SSENone
	}
	a.Owner, a.ContentType = s.owner(b), "binary/octet-stream"
	etag, at := s.etagFor(&a, body), s.now()
	for i := range n {
		v := &version{modified: at, etag: etag, body: body, attrs: &a}
		if b.cfg.Versioning == "Enabled" {
			v.id = s.ids.version()
		}
		b.push(name(i), v)
	}
}

// Remove deletes one version (the current one for an empty ID) without a trace,
// lock or not.
func (s *Server) Remove(bucketName, key, versionID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.buckets[bucketName]; b != nil {
		if e, v := b.find(key, versionID); v != nil {
			s.free(b, e, v)
		}
	}
}

// Modify changes one version (the current one for an empty ID) in place, as
// time or another client would: a restore that expires, a lock that is set.
func (s *Server) Modify(bucketName, key, versionID string, change func(a *Attrs)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.buckets[bucketName]; b != nil {
		if _, v := b.find(key, versionID); v != nil {
			v.with(change)
		}
	}
}

// BeginUpload begins a multipart upload under that ID, as another client would, with
// one part where there is a body. Nobody heard of it by a request.
func (s *Server) BeginUpload(bucketName, key, id string, part *Content) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[bucketName]
	if b == nil {
		return
	}
	if b.uploads == nil {
		b.uploads = map[string]*upload{}
	}
	u := &upload{id: id, key: key, initiated: s.now(), attrs: &Attrs{}, parts: map[int]*uploadedPart{}}
	b.uploads[id] = u
	if part != nil {
		s.keep(u, 1, part)
	}
}

// Get gives one version (the current one for an empty ID) with everything.
func (s *Server) Get(bucketName, key, versionID string) (Object, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b := s.buckets[bucketName]
	if b == nil {
		return Object{}, false
	}
	e, v := b.find(key, versionID)
	if v == nil {
		return Object{}, false
	}
	return v.object(key, v == e.current()), true
}

// Bucket is the state of a bucket at one moment.
type Bucket struct {
	Name string
	// Exists is false where the bucket is gone.
	Exists bool
	Config BucketConfig
	// Objects holds every version and delete marker by key, newest first within a
	// key.
	Objects []Object
	// Uploads in progress, as key and upload ID.
	Uploads []UploadState
}

// UploadState is a multipart upload in progress.
type UploadState struct {
	Key, ID string
	Parts   []Part
}

// Snapshot gives the whole state of a bucket. It shares the bytes with the
// server and costs no copy of them.
func (s *Server) Snapshot(name string) Bucket {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b := s.buckets[name]
	if b == nil {
		return Bucket{Name: name}
	}
	out := Bucket{Name: name, Exists: true, Config: b.cfg}
	b.keys.each(func(e *entry) {
		for i, v := range e.vs {
			out.Objects = append(out.Objects, v.object(e.key, i == 0))
		}
	})
	for _, u := range b.sortedUploads() {
		st := UploadState{Key: u.key, ID: u.id}
		for _, p := range u.sorted() {
			st.Parts = append(st.Parts, p.Part)
		}
		out.Uploads = append(out.Uploads, st)
	}
	return out
}

// Find gives the versions of a key, newest first.
func (b Bucket) Find(key string) []Object {
	i, ok := slices.BinarySearchFunc(b.Objects, key, func(o Object, k string) int { return strings.Compare(o.Key, k) })
	if !ok {
		return nil
	}
	j := i
	for j < len(b.Objects) && b.Objects[j].Key == key {
		j++
	}
	return b.Objects[i:j]
}
