package planner

import (
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// TestExpiresOfAnotherStore: S3 keeps any text as Expires, and MinIO, which answers 200, only
// a date. A copy to there lost "Expires: 0", and the object counted as done.
func TestExpiresOfAnotherStore(t *testing.T) {
	const date = "Thu, 01 Dec 2033 16:00:00 GMT"
	for name, c := range map[string]struct {
		expires string
		change  func(c *Chooser)
		left    bool
	}{
		"no date":                {"0", func(*Chooser) {}, true},
		"a date of another kind": {"2033-12-01T16:00:00Z", func(*Chooser) {}, true},
		"the wrong weekday":      {"Fri, 01 Dec 2033 16:00:00 GMT", func(*Chooser) {}, true},
		"a date":                 {date, func(*Chooser) {}, false},
		"none":                   {"", func(*Chooser) {}, false},
		"accepted":               {"0", func(c *Chooser) { c.Accept = []object.Reason{ReasonExpires} }, false},
		"to AWS":                 {"0", func(c *Chooser) { c.Caps = awsCaps(); c.Caps.PutIfMatch, c.Caps.SendIfMatch = object.Yes, object.Yes }, false},
		"of the same store":      {"0", func(c *Chooser) { c.Elsewhere = false }, false},
	} {
		for _, size := range []int64{10, 20 << 20} {
			facts := plainFacts()
			ch := &Chooser{Target: kms(keyB), Caps: minioCaps(), Facts: facts, Dest: &facts, Operation: RewriteOnly, Elsewhere: true}
			ch.Caps.PutIfMatch, ch.Caps.SendIfMatch = object.Yes, object.Yes
			c.change(ch)
			o := under(object.SSES3, "")
			o.Size = size
			got := ch.Choose(&o, &object.Attributes{Expires: c.expires})
			if c.left && got.Reason != ReasonExpires || !c.left && got.Operation != object.OpRewrite {
				t.Errorf("%s, %d bytes: %+v", name, size, got)
			}
		}
	}
}

// TestHeadersOfAnotherStore: what an object has of headers that PutObject of this store was seen to
// drop is not sent there to be lost.
func TestHeadersOfAnotherStore(t *testing.T) {
	for name, c := range map[string]struct {
		a     object.Attributes
		drops string
		why   object.Reason
	}{
		"Cache-Control":   {object.Attributes{CacheControl: "max-age=60"}, "Cache-Control", object.ReasonMetadata},
		"another header":  {object.Attributes{CacheControl: "max-age=60"}, "Content-Language", ""},
		"no header":       {object.Attributes{ContentType: "text/plain"}, "Cache-Control", ""},
		"a date":          {object.Attributes{Expires: "Thu, 01 Dec 2033 16:00:00 GMT"}, "Expires", ReasonExpires},
		"user metadata":   {object.Attributes{Metadata: map[string]string{"a": "b"}}, "user metadata", object.ReasonMetadata},
		"no metadata":     {object.Attributes{}, "user metadata", ""},
		"nothing dropped": {object.Attributes{CacheControl: "max-age=60", Metadata: map[string]string{"a": "b"}}, "", ""},
	} {
		for _, elsewhere := range []bool{true, false} {
			facts := plainFacts()
			ch := &Chooser{Target: kms(keyB), Caps: minioCaps(), Facts: facts, Dest: &facts, Operation: RewriteOnly, Elsewhere: elsewhere}
			ch.Caps.PutIfMatch, ch.Caps.SendIfMatch, ch.Caps.PutDrops = object.Yes, object.Yes, []string{c.drops}
			o := under(object.SSES3, "")
			o.Size = 10
			want := c.why
			if !elsewhere {
				want = ""
			}
			if got := ch.Choose(&o, &c.a); got.Reason != want {
				t.Errorf("%s, elsewhere %v: %+v", name, elsewhere, got)
			}
		}
	}
}

// TestChecksumsOfAnotherStore: what keeps no checksums, or none of AWS's later algorithms, takes none
// from an object in silence.
func TestChecksumsOfAnotherStore(t *testing.T) {
	for name, c := range map[string]struct {
		algorithm string
		keeps     object.Finding
		change    func(c *Chooser)
		left      bool
	}{
		"kept":              {"CRC32", object.Yes, func(*Chooser) {}, false},
		"none are":          {"CRC32", object.No, func(*Chooser) {}, true},
		"it has none":       {"", object.No, func(*Chooser) {}, false},
		"accepted":          {"CRC32", object.No, func(c *Chooser) { c.Accept = []object.Reason{object.ReasonComposite} }, false},
		"of the same store": {"CRC32", object.No, func(c *Chooser) { c.Elsewhere = false }, false},
		"a later algorithm": {"XXHASH64", object.Yes, func(*Chooser) {}, true},
		"to AWS":            {"XXHASH64", object.Yes, func(c *Chooser) { c.Caps.Source = "aws" }, false},
	} {
		facts := plainFacts()
		ch := &Chooser{Target: kms(keyB), Caps: minioCaps(), Facts: facts, Dest: &facts, Operation: RewriteOnly, Elsewhere: true}
		ch.Caps.PutIfMatch, ch.Caps.SendIfMatch, ch.Caps.Checksums = object.Yes, object.Yes, c.keeps
		c.change(ch)
		o := under(object.SSES3, "")
		o.Size, o.ChecksumAlgorithm, o.ChecksumType = 10, c.algorithm, object.FullObject
		a := &object.Attributes{}
		if c.algorithm == "" {
			o.ChecksumType = ""
		} else {
			a.Checksums = map[string]string{c.algorithm: "AAAA"}
		}
		if got := ch.Choose(&o, a); (got.Reason == object.ReasonComposite) != c.left {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
