package s3store

import (
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// Annotations are listed to the last page, their texts taken as they are, and written
// on a condition.
func TestL8AnnotationRequests(t *testing.T) {
	clean(t)
	replies := []string{
		`<ListObjectAnnotationsResult><Annotations><AnnotationEntry><AnnotationName>a b</AnnotationName><ETag>&quot;e1&quot;</ETag><Size>3</Size></AnnotationEntry></Annotations>
			<NextContinuationToken>t+1</NextContinuationToken></ListObjectAnnotationsResult>`,
		`<ListObjectAnnotationsResult><Annotations><AnnotationEntry><AnnotationName>ü</AnnotationName><ETag>e2</ETag><Size>1048576</Size></AnnotationEntry></Annotations></ListObjectAnnotationsResult>`,
		`<Error><Code>SlowDown</Code></Error>`, ``, `x`}
	n := -1
	s, p := opened(t, Options{EndpointURL: "http://127.0.0.1:9"}, func(*http.Request) *http.Response {
		n++
		resp := answered(200, replies[n])
		resp.ContentLength = int64(len(replies[n]))
		if n == 4 {
			resp.ContentLength = 2
		}
		return resp
	})
	ref := object.Ref{Bucket: "b", Key: "k", VersionID: "v"}
	list, err := s.Annotations(t.Context(), ref)
	if want := []object.Annotation{{Name: "a b", ETag: "e1", Size: 3}, {Name: "ü", ETag: "e2", Size: 1 << 20}}; err != nil || !reflect.DeepEqual(list, want) {
		t.Errorf("%+v, %v", list, err)
	}
	if q := p.seen[1].URL.RawQuery; !strings.Contains(q, "continuation-token=t%2B1") || !strings.Contains(q, "versionId=v") {
		t.Error(q)
	}
	if text, err := s.Annotation(t.Context(), ref, "a b"); err != nil || string(text) != replies[2] {
		t.Errorf("%q, %v", text, err)
	}
	a := &object.Annotation{Name: "a b", Text: []byte("text")}
	if err := s.PutAnnotation(t.Context(), object.Ref{Bucket: "b", Key: "k"}, "e9", a); err != nil {
		t.Error(err)
	}
	put := p.seen[3]
	if put.URL.Query().Get("annotationName") != "a b" || put.Header.Get("X-Amz-Object-If-Match") != `"e9"` || put.Header.Get("Content-Md5") == "" || put.ContentLength != 4 {
		t.Errorf("%v %v", put.URL, put.Header)
	}
	if _, err := s.Annotation(t.Context(), ref, "a b"); object.ClassOf(err) != object.ClassTransient {
		t.Errorf("a text that was cut: %v", err)
	}
}
