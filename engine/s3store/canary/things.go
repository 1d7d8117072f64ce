package canary

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// thing is one throwaway object: where it is, what it holds, and how the last write
// to it that was answered left it.
type thing struct {
	ref           object.Ref
	body          string
	etag, version string
	shown         object.Encryption // by the last reply
	// twice: its key was seen to be found as a source only if it is encoded twice.
	twice bool
}

// wrote takes over what a reply told of a write.
func (t *thing) wrote(rep object.CopyReply) {
	t.etag, t.version, t.shown = rep.ETag, rep.VersionID, rep.Encryption
}

// maxBody is more than any throwaway object holds, also one that was replaced by
// the request that should have changed it.
const maxBody = 64 << 10

// put makes a throwaway object.
func (c *canary) put(ctx context.Context, purpose string, more func(*object.PutRequest)) (*thing, object.CopyReply, error) {
	t, p := c.throwaway(purpose, more)
	var rep object.CopyReply
	err := c.try(ctx, func() (err error) { rep, err = c.s.Put(ctx, p); return err })
	if err == nil {
		t.wrote(rep)
		c.litter.object(t.ref, rep.VersionID)
	}
	return t, rep, err
}

// throwaway is the request that makes a new object of that purpose. From then on it
// is litter.
func (c *canary) throwaway(purpose string, more func(*object.PutRequest)) (*thing, *object.PutRequest) {
	ref := c.ref(purpose)
	t := &thing{ref: ref, body: "a throwaway object of reseal, which asks what this store can do; it may be deleted: " + ref.Key + "\n"}
	c.litter.object(ref, "")
	p := c.putRequest(ref, t.body)
	if more != nil {
		more(p)
	}
	return t, p
}

func (c *canary) putRequest(ref object.Ref, body string) *object.PutRequest {
	p := &object.PutRequest{CopyRequest: object.CopyRequest{Dest: ref}, Body: []byte(body)}
	if c.lockAll {
		p.LockMode, p.RetainUntil = "GOVERNANCE", c.until().Format(time.RFC3339)
	}
	return p
}

func (c *canary) get(ctx context.Context, ref object.Ref, key object.CustomerKey) (got object.GetReply, err error) {
	err = c.try(ctx, func() error {
		got, err = c.s.Get(ctx, &object.GetRequest{Ref: ref, Key: key, Max: maxBody})
		return err
	})
	return got, err
}

// getShown is get, asked a second time where no checksum is shown: they may have been refused for
// this once, or left out for a KMS that did not answer at that moment (MinIO). Who takes that for a
// store that shows none, or whose copies keep none, plans all objects by it.
func (c *canary) getShown(ctx context.Context, ref object.Ref, key object.CustomerKey) (object.GetReply, error) {
	got, err := c.get(ctx, ref, key)
	switch {
	case err != nil, !c.dress.checksum, c.caps.Checksums == object.No, got.Checksums["CRC32"] != "":
		return got, err
	case !got.ChecksumsUntold && !c.met(got.Encryption):
		return got, nil // nothing comes of it
	}
	if again, err := c.get(ctx, ref, key); err == nil {
		return again, nil
	}
	return got, nil
}

// intact says whether the object's bytes are those that were put there.
func (c *canary) intact(ctx context.Context, t *thing, key object.CustomerKey) (bool, error) {
	got, err := c.get(ctx, t.ref, key)
	return err == nil && string(got.Body) == t.body, err
}

// dress is what an object can have on beside its bytes, as far as PutObject was seen
// to take it.
type dress struct {
	tags, checksum, redirect bool
	class                    string
}

// plainAttributes are what a throwaway object has, so that a copy can be seen to
// keep it.
var plainAttributes = object.Attributes{
	ContentType:        "text/x-reseal",
	CacheControl:       "max-age=61",
	ContentDisposition: `attachment; filename="re seal.txt"`,
	ContentEncoding:    "x-reseal",
	ContentLanguage:    "en, de",
	Expires:            "Thu, 01 Jan 2037 00:00:00 GMT",
	Metadata:           map[string]string{"reseal-canary": "a b+c%20d", "reseal-empty": ""},
}

var (
	canaryTags = []object.Tag{{Key: "reseal canary", Value: "a b+c=d/e"}}
	otherTags  = []object.Tag{{Key: "reseal canary", Value: "again"}}
)

const canaryRedirect = "/reseal-canary"

// on puts the dress on a request, all but the class and the redirect: those make a
// copy of an object onto itself legal that would not be so for other objects.
func (d *dress) on(p *object.PutRequest) {
	a := plainAttributes
	if d.tags {
		a.Tags = canaryTags
	}
	p.Attributes = &a
	if d.checksum {
		p.ChecksumAlgorithm, p.Checksum = "CRC32", crc32Of(p.Body)
	}
}

// wholly puts all of it on.
func (d *dress) wholly(p *object.PutRequest) {
	d.on(p)
	p.StorageClass = d.class
	if d.redirect {
		p.WebsiteRedirect = canaryRedirect
	}
}

// and is one dress over another.
func (d dress) and(more dress) dress {
	return dress{d.tags || more.tags, d.checksum || more.checksum, d.redirect || more.redirect, cmp.Or(d.class, more.class)}
}

// dressed makes an object under t, or a plain one.
func (c *canary) dressed(ctx context.Context, purpose string, under *object.Target) (*thing, object.CopyReply, error) {
	return c.put(ctx, purpose, func(p *object.PutRequest) {
		c.dress.on(p)
		p.Target = under
	})
}

// crc32Of is a checksum as S3 writes it.
func crc32Of(b []byte) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(b)))
}
