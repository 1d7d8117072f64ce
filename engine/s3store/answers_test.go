package s3store_test

import (
	"testing"

	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/engine/s3test"
)

// TestAnswers: every answer is one but that of a proxy, of a store that fails for the moment,
// and the lack of one.
func TestAnswers(t *testing.T) {
	srv := s3test.New(s3test.Config{})
	defer srv.Close()
	srv.CreateBucket("b", s3test.BucketConfig{})
	s := openFake(t, srv, s3store.Options{})
	for rule, answers := range map[string]bool{
		"": true, `(If HeadBucket (Error 403 AccessDenied "no"))`: true, `(If HeadBucket (Error 405 MethodNotAllowed "no"))`: true,
		`(If HeadBucket (Error 501 NotImplemented "no"))`: true, "(If HeadBucket Failed)": false, `(If HeadBucket (Error 502 "" ""))`: false,
		`(If HeadBucket (Error 503 "" ""))`: false, "(If HeadBucket ReplyLost)": false,
	} {
		if err := srv.SetRules(rule); err != nil {
			t.Fatal(err)
		}
		if err := s.Answers(t.Context(), "b"); err == nil != answers {
			t.Errorf("%q: %v", rule, err)
		}
	}
	srv.SetRules("")
	for _, bucket := range []string{"nowhere", ""} {
		if err := s.Answers(t.Context(), bucket); err != nil {
			t.Errorf("bucket %q: %v", bucket, err)
		}
	}
	srv.Close()
	if err := s.Answers(t.Context(), "b"); err == nil {
		t.Error("a server that is closed answers")
	}
}
