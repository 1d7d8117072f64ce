package s3test_test

import (
	"context"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/check"
)

func put(t *testing.T, c *s3.Client, key, name, text string, change ...func(*s3.PutObjectAnnotationInput)) error {
	t.Helper()
	in := &s3.PutObjectAnnotationInput{Bucket: aws.String("b"), Key: &key, AnnotationName: &name, AnnotationPayload: strings.NewReader(text)}
	for _, f := range change {
		f(in)
	}
	_, err := c.PutObjectAnnotation(context.Background(), in)
	return err
}

// names lists the annotations of an object, two a page.
func names(t *testing.T, c *s3.Client, key string) []string {
	t.Helper()
	var out []string
	in := &s3.ListObjectAnnotationsInput{Bucket: aws.String("b"), Key: &key, MaxAnnotationResults: aws.Int32(2)}
	for {
		page := must[*s3.ListObjectAnnotationsOutput](t)(c.ListObjectAnnotations(context.Background(), in))
		for _, a := range page.Annotations {
			out = append(out, aws.ToString(a.AnnotationName)+" "+strconv.FormatInt(aws.ToInt64(a.Size), 10))
		}
		if in.ContinuationToken = page.NextContinuationToken; in.ContinuationToken == nil {
			return out
		}
	}
}

func TestAnnotations(t *testing.T) {
	s := start(t, s3test.Config{})
	s.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true})
	s.Put("b", s3test.Object{Key: "k", Body: s3test.Bytes("x")})
	o, _ := s.Get("b", "k", "")
	c, ctx := client(t, s), context.Background()
	ifMatch := func(etag string) func(*s3.PutObjectAnnotationInput) {
		return func(in *s3.PutObjectAnnotationInput) { in.ObjectIfMatch = &etag }
	}
	for _, q := range []struct {
		key, name, text string
		change          func(*s3.PutObjectAnnotationInput)
		want            string
	}{
		{"k", "one", "text", nil, ""},
		{"k", "one", "other", nil, ""},
		{"k", "two", strings.Repeat("x", 1<<20), nil, ""},
		{"k", "three", "žluť", ifMatch(o.ETag), ""},
		{"k", "three", "x", ifMatch("wrong"), "PreconditionFailed"},
		{"k", "empty", "", nil, "InvalidRequest"},
		{"k", "big", strings.Repeat("x", 1<<20+1), nil, "EntityTooLarge"},
		{"k", "binary", "\xff", nil, "UnsupportedMediaType"},
		{"k", "aws-own", "x", nil, "InvalidAnnotationName"},
		{"k", "S3thing", "x", nil, "InvalidAnnotationName"},
		{"k", strings.Repeat("n", 513), "x", nil, "AnnotationNameTooLong"},
		{"nobody", "one", "x", nil, "NoSuchKey"},
	} {
		change := q.change
		if change == nil {
			change = func(*s3.PutObjectAnnotationInput) {}
		}
		if err := put(t, c, q.key, q.name, q.text, change); code(err) != q.want {
			t.Errorf("%.20q of %s: %q, want %q", q.name, q.key, code(err), q.want)
		}
	}
	if got := strings.Join(names(t, c, "k"), ", "); got != "one 5, three 6, two 1048576" {
		t.Errorf("there are %s", got)
	}
	got := must[*s3.GetObjectAnnotationOutput](t)(c.GetObjectAnnotation(ctx, &s3.GetObjectAnnotationInput{Bucket: aws.String("b"), Key: aws.String("k"), AnnotationName: aws.String("one")}))
	if text, err := io.ReadAll(got.AnnotationPayload); err != nil || string(text) != "other" {
		t.Errorf("one is %q, %v", text, err)
	}
	must[*s3.DeleteObjectAnnotationOutput](t)(c.DeleteObjectAnnotation(ctx, &s3.DeleteObjectAnnotationInput{Bucket: aws.String("b"), Key: aws.String("k"), AnnotationName: aws.String("two")}))
	if _, err := c.GetObjectAnnotation(ctx, &s3.GetObjectAnnotationInput{Bucket: aws.String("b"), Key: aws.String("k"), AnnotationName: aws.String("two")}); code(err) != "NoSuchAnnotation" {
		t.Errorf("after its deletion: %v", err)
	}
	s.Modify("b", "k", "", func(a *s3test.Attrs) { a.LegalHold = true })
	if err := put(t, c, "k", "four", "x"); code(err) != "AccessDenied" {
		t.Errorf("on a held object: %v", err)
	}
	for i := range 1000 {
		s.Modify("b", "k", "", func(a *s3test.Attrs) {
			a.LegalHold, a.Annotations = false, maps.Clone(a.Annotations)
			a.Annotations[strconv.Itoa(i)] = "x"
		})
	}
	if err := put(t, c, "k", "more", "x"); code(err) != "AnnotationLimitExceeded" {
		t.Errorf("one too many: %v", err)
	}
	s.Put("b", s3test.Object{Key: "c", Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSEC}}})
	if err := put(t, c, "c", "one", "x"); code(err) != "InvalidRequest" {
		t.Errorf("on an SSE-C object: %v", err)
	}
}

// A copy keeps annotations unless they are excluded, an upload never does, and
// check.Bucket sees it.
func TestAnnotationsOfCopies(t *testing.T) {
	for name, c := range map[string]struct {
		copy func(p *probe) string
		kept bool
	}{
		"copy": {func(p *probe) string { return p.copy(nil) }, true},
		"exclude": {func(p *probe) string {
			return p.copy(func(in *s3.CopyObjectInput) { in.AnnotationDirective = types.AnnotationDirectiveExclude })
		}, false},
		"replace":  {func(p *probe) string { return p.copy(replace) }, true},
		"multiple": {func(p *probe) string { return p.multipart(nil) }, false},
	} {
		p := newProbe(t, s3test.AWS())
		p.key = p.s.KMS.CreateKey()
		p.plain()
		p.s.Modify("b", "k", "", func(a *s3test.Attrs) { a.Annotations, a.Expires = map[string]string{"n": "text"}, "" })
		before := p.s.Snapshot("b")
		if e := c.copy(p); e != "" {
			t.Fatalf("%s: %s", name, e)
		}
		lost := false
		for _, d := range check.Bucket(p.s, before, check.Expectation{Target: object.Target{SSE: object.SSEKMS, KMSKeyID: p.key}, Operation: object.OpCopy}).Differences {
			if d.Field != "Annotations" {
				t.Errorf("%s: %v", name, d)
			}
			lost = true
		}
		if kept := p.now().Annotations["n"] == "text"; kept != c.kept || lost == c.kept {
			t.Errorf("%s: kept %t, seen as lost %t", name, kept, lost)
		}
	}
	p := newProbe(t, s3test.AWS())
	p.plain()
	p.s.Modify("b", "k", "", func(a *s3test.Attrs) { a.Annotations = map[string]string{"n": "text"} })
	p.s.ConfigureBucket("b", func(b *s3test.BucketConfig) { b.Deny = []s3test.Deny{{Action: "s3:PutObjectAnnotation"}} })
	if e := p.copy(nil); e != "AccessDenied" {
		t.Errorf("without the right to write them: %q", e)
	}
}

// A store that does not know annotations takes them for the object.
func TestAnnotationsAreForeignElsewhere(t *testing.T) {
	for _, profile := range s3test.Stores()[1:] {
		s := start(t, s3test.Config{Profile: profile})
		s.CreateBucket("b", s3test.BucketConfig{})
		s.Put("b", s3test.Object{Key: "k", Body: s3test.Bytes("the object")})
		raw(t, s, "PUT", "/b/k?annotation&annotationName=n", "text", nil)
		if o, _ := s.Get("b", "k", ""); string(o.Body.ReadAll()) != "text" {
			t.Errorf("%s: the object holds %q", profile.Name, o.Body.ReadAll())
		}
	}
}

// An event hold moves its date along, is not copied, and is seen by check.Bucket.
func TestEventHold(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second)
	s := start(t, s3test.Config{NoAuth: true, Now: func() time.Time { return now }})
	s.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true})
	c, ctx := client(t, s), context.Background()
	in := &s3.PutObjectInput{Bucket: aws.String("b"), Key: aws.String("k"), Body: strings.NewReader("x"), ContentMD5: aws.String(md5Of("x")),
		ObjectLockMode: "GOVERNANCE", ObjectLockEventHold: types.ObjectLockEventHoldOn, ObjectLockEventHoldDurationDays: aws.Int32(30)}
	first := must[*s3.PutObjectOutput](t)(c.PutObject(ctx, in))
	head := func() *s3.HeadObjectOutput {
		return must[*s3.HeadObjectOutput](t)(c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String("b"), Key: aws.String("k")}))
	}
	now = now.AddDate(0, 0, 100)
	h := head()
	if h.ObjectLockEventHold != "ON" || *h.ObjectLockEventHoldDurationDays != 30 || !h.ObjectLockRetainUntilDate.Equal(now.AddDate(0, 0, 30)) {
		t.Errorf("after 100 days: %s, %v days, until %v", h.ObjectLockEventHold, h.ObjectLockEventHoldDurationDays, h.ObjectLockRetainUntilDate)
	}
	_, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String("b"), Key: aws.String("k"), VersionId: first.VersionId})
	if code(err) != "AccessDenied" {
		t.Errorf("a held version was deleted: %v", err)
	}
	s.ConfigureBucket("b", func(b *s3test.BucketConfig) { b.Deny = []s3test.Deny{{Action: "s3:GetObjectRetention"}} })
	if h := head(); h.ObjectLockEventHold != "" || h.ObjectLockRetainUntilDate != nil {
		t.Errorf("without the right to see it: %+v", h)
	}
	s.ConfigureBucket("b", func(b *s3test.BucketConfig) { b.Deny = nil })

	before := s.Snapshot("b")
	copyHeld := func(change func(in *s3.CopyObjectInput)) []check.Difference {
		in := &s3.CopyObjectInput{Bucket: aws.String("b"), Key: aws.String("k"), CopySource: aws.String("b/k?versionId=" + *first.VersionId), ServerSideEncryption: "aws:kms"}
		change(in)
		must[*s3.CopyObjectOutput](t)(c.CopyObject(ctx, in))
		vs := s.Snapshot("b").Find("k")
		after := s.Snapshot("b")
		after.Objects = []s3test.Object{vs[0], before.Objects[0]}
		after.Objects[1].Latest = false
		before.Objects[0].Latest = true
		return check.Compare(before, after, check.Expectation{Target: object.Target{SSE: object.SSEKMS, KMSKeyID: s.KMS.DefaultKeyARN()}}).Differences
	}
	weaker := copyHeld(func(in *s3.CopyObjectInput) {
		in.ObjectLockMode, in.ObjectLockRetainUntilDate = "GOVERNANCE", h.ObjectLockRetainUntilDate
	})
	if o, _ := s.Get("b", "k", ""); o.EventHold.On {
		t.Errorf("a copy carried the hold: %+v", o.EventHold)
	}
	if !slices.ContainsFunc(weaker, func(d check.Difference) bool { return d.Field == "EventHold" }) {
		t.Errorf("that the copy's lock is weaker was not seen: %v", weaker)
	}
	same := copyHeld(func(in *s3.CopyObjectInput) {
		in.ObjectLockMode, in.ObjectLockEventHold, in.ObjectLockEventHoldDurationDays = "GOVERNANCE", "ON", aws.Int32(30)
	})
	if o, _ := s.Get("b", "k", ""); !o.EventHold.On || len(same) != 0 {
		t.Errorf("a copy that sends it again: %+v, %v", o.EventHold, same)
	}

	body := `<Retention><Mode>GOVERNANCE</Mode><EventHold>OFF</EventHold></Retention>`
	if got, reply := raw(t, s, "PUT", "/b/k?retention", body, map[string]string{"Content-MD5": md5Of(body)}); got != http.StatusOK {
		t.Fatalf("releasing: %d %s", got, reply)
	}
	if h := head(); h.ObjectLockEventHold != "" || !h.ObjectLockRetainUntilDate.Equal(now.AddDate(0, 0, 30)) {
		t.Errorf("released: %s until %v", h.ObjectLockEventHold, h.ObjectLockRetainUntilDate)
	}
	s.ConfigureBucket("b", func(b *s3test.BucketConfig) {
		b.DefaultLockMode, b.DefaultLockDays, b.DefaultEventHold = "COMPLIANCE", 1, s3test.EventHold{On: true, Years: 2}
	})
	s.Put("b", s3test.Object{Key: "k"})
	must[*s3.PutObjectOutput](t)(c.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("b"), Key: aws.String("k"), Body: strings.NewReader("y")}))
	if h := head(); h.ObjectLockEventHold != "ON" || *h.ObjectLockEventHoldDurationYears != 2 || h.ObjectLockMode != "COMPLIANCE" {
		t.Errorf("the bucket's default: %+v", h)
	}
}
