package job

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
)

// TestSpecOfWords: what job.json cannot hold, and what nothing of S3 or KMS can be called, is
// refused by its name before there is a job. A prefix that is no UTF-8 made one that could never
// be opened, since its file "was edited".
func TestSpecOfWords(t *testing.T) {
	plain := func() Spec {
		return Spec{Source: Source{Bucket: "docs"}, Target: Target{SSE: object.SSEKMS, KMSKeyID: "alias/a"}}
	}
	for name, c := range map[string]struct {
		change func(s *Spec)
		want   string
	}{
		"a prefix":           {func(s *Spec) { s.Source.Prefix = "a/\xff" }, "Spec.Source"},
		"a pattern":          {func(s *Spec) { s.Selection.Patterns = []Pattern{{Glob: "\xfe*"}} }, "Selection.Patterns"},
		"a context":          {func(s *Spec) { s.Target.KMSContext = "{\"a\":\"\xff\"}" }, "Target.KMSContext"},
		"a file":             {func(s *Spec) { s.Source.Manifest, s.Source.Bucket = "/tmp/\xff.csv", "" }, "Source.Manifest"},
		"a long prefix":      {func(s *Spec) { s.Source.Prefix = strings.Repeat("é", 513) }, "1024 bytes"},
		"a long destination": {func(s *Spec) { s.Target.DestBucket, s.Target.DestPrefix = "other", strings.Repeat("k", 1025) }, "1024 bytes"},
		"one of two":         {func(s *Spec) { s.Source = Source{Several: []Place{{"docs", "a"}, {"docs", strings.Repeat("k", 1025)}}} }, "1024 bytes"},
		"a long key":         {func(s *Spec) { s.Target.KMSKeyID = strings.Repeat("a", 100_000) }, "100000 bytes"},
		"an entry twice":     {func(s *Spec) { s.Target.KMSContext = `{"a":"b","a":"c"}` }, `"a" twice`},
		"an escaped one":     {func(s *Spec) { s.Target.KMSContext = `{"a":"b","\u0061":"c"}` }, `"a" twice`},
		"a number":           {func(s *Spec) { s.Target.KMSContext = `{"a":1}` }, "no JSON object of strings"},
		"a null":             {func(s *Spec) { s.Target.KMSContext = `{"a":null}` }, "no JSON object of strings"},
		"another object":     {func(s *Spec) { s.Target.KMSContext = `{"a":"b"}{}` }, "no JSON object of strings"},
		"an object within":   {func(s *Spec) { s.Target.KMSContext = `{"a":{"b":"c"}}` }, "no JSON object of strings"},
		"nothing":            {func(s *Spec) { s.Target.KMSContext = `null` }, "no JSON object of strings"},
		"cut":                {func(s *Spec) { s.Target.KMSContext = `{"a":"b"` }, "no JSON object of strings"},
		"as it should": {func(s *Spec) {
			s.Target.KMSContext, s.Source.Prefix = `{"a":"b","A":"\u00fc","":""}`, "ü \ufffd "+strings.Repeat("k", 1000)
		}, ""},
		"as it should, empty": {func(s *Spec) { s.Target.KMSContext = ` {} ` }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := plain()
			c.change(&s)
			dir := filepath.Join(t.TempDir(), "job")
			j, err := Create(dir, s, Policy{})
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				j.Close()
				return
			}
			if err == nil {
				j.Close()
				t.Fatal("taken")
			}
			wantUnusable(t, err, c.want, "")
			if _, err := os.Stat(dir); !os.IsNotExist(err) {
				t.Errorf("something is left: %v", err)
			}
			if len(err.Error()) > 400 {
				t.Errorf("the message has %d bytes", len(err.Error()))
			}
		})
	}
}
