package planner

import (
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// TestWhyAgreesWithChoose: an object that is not updated has a reason for it, and one
// that could be has none.
func TestWhyAgreesWithChoose(t *testing.T) {
	cases := 0
	for _, key := range []string{keyB, "alias/b", ""} {
		for _, sse := range []object.SSE{object.SSES3, object.SSEKMS, object.DSSEKMS} {
			for _, context := range []string{"", `{"a":"b"}`} {
				for _, class := range []string{"", "STANDARD", "STANDARD_IA"} {
					for _, update := range []object.Finding{object.Unknown, object.No, object.Yes} {
						for _, op := range []Restriction{Auto, CopyOnly, RewriteOnly} {
							for _, source := range []object.SSE{object.SSENone, object.SSES3, object.SSEKMS, object.DSSEKMS, object.SSEC} {
								c := &Chooser{Target: object.Target{SSE: sse, KMSKeyID: key, Context: context, StorageClass: class}, Caps: awsCaps(), Facts: plainFacts(), Operation: op}
								c.Caps.Update = update
								o := under(source, "")
								why, cheaper := c.whyNoUpdate(c.kindred(&o, object.OpCopy), KeyDenied)
								if c.updatable(&o) == (why != "") {
									t.Errorf("target %+v, source %s, %s, update %s: updatable %v, and why not: %q", c.Target, source, op, update, c.updatable(&o), why)
								}
								if why == "" && cheaper != "" {
									t.Errorf("%q is cheaper than an update", cheaper)
								}
								cases++
							}
						}
					}
				}
			}
		}
	}
	if cases < 1000 {
		t.Errorf("only %d cases", cases)
	}
}

// TestWhyNamesWhatIsCheaper: each ground that somebody can do something about says what.
func TestWhyNamesWhatIsCheaper(t *testing.T) {
	large := under(object.SSES3, "")
	large.Size = MaxCopySize + 1
	for _, tc := range []struct {
		name         string
		change       func(*Chooser)
		o            object.Object
		op           object.Operation
		key          KeyUnresolved
		why, cheaper string // parts; "" for none
	}{
		{"an update", func(*Chooser) {}, under(object.SSES3, ""), object.OpUpdate, "", "no bytes move", ""},
		{"DescribeKey denied", func(c *Chooser) { c.Target.KMSKeyID = "alias/b" }, under(object.SSES3, ""), object.OpCopy, KeyDenied, "kms:DescribeKey is denied", "kms:DescribeKey is granted"},
		{"no KMS", func(c *Chooser) { c.Target.KMSKeyID = "alias/b" }, under(object.SSES3, ""), object.OpCopy, KeyNoKMS, "no KMS to ask", "AWS_ENDPOINT_URL_KMS"},
		{"unknown", func(c *Chooser) { c.Caps.Update = object.Unknown }, under(object.SSES3, ""), object.OpCopy, "", "was not seen", ""},
		{"unencrypted", func(*Chooser) {}, under(object.SSENone, ""), object.OpCopy, "", "SSE-S3 and SSE-KMS only", ""},
		{"large and excluded", func(c *Chooser) { c.Operation = CopyOnly }, large, object.OpMultipart, "", "above 5 GiB", "--operation auto"},
		{"threshold", func(c *Chooser) { c.MultipartThreshold, c.Operation = 1, CopyOnly }, under(object.SSES3, ""), object.OpMultipart, "", "--multipart-threshold", "higher --multipart-threshold"},
		{"no condition", func(c *Chooser) {
			c.Caps.CopyIfMatch, c.Caps.PutIfMatch, c.Caps.Update = object.No, object.Yes, object.No
		}, under(object.SSES3, ""), object.OpRewrite, "", "honours no condition", "--accept concurrent-writes"},
	} {
		c := &Chooser{Target: kms(keyB), Caps: awsCaps(), Facts: plainFacts()}
		tc.change(c)
		g, is := c.Why(&tc.o, tc.op, tc.key)
		if !is || !strings.Contains(g.Why, tc.why) || !strings.Contains(g.Cheaper, tc.cheaper) || tc.cheaper == "" && g.Cheaper != "" {
			t.Errorf("%s: %+v", tc.name, g)
		}
	}
}
