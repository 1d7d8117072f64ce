package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// hostileText is what a terminal obeys: escape sequences in seven and in eight bits, a
// title, DEL, a turned direction of writing, and lines that look like reseal's own.
const hostileText = "\x1b[2J\x1b]0;title\x07\u009b31m\x7f\u0085\u202ex\u2066\u200f\u2028\rreseal: FORGED\nreseal: FORGED"

// hostileXML is that text where a document can say it.
func hostileXML() string {
	var b strings.Builder
	for _, r := range hostileText {
		fmt.Fprintf(&b, "&#x%x;", r)
	}
	return b.String()
}

// refuses answers every request about a key that ends with "refused" with an error whose
// every text is hostile, the headers' too as far as they can be.
func refuses(w http.ResponseWriter, r *http.Request) bool {
	if !strings.HasSuffix(r.URL.Path, "refused") || r.Method == http.MethodGet || r.Method == http.MethodHead {
		return false
	}
	inHeader := strings.NewReplacer("\n", "", "\r", "").Replace(hostileText)
	w.Header().Set("X-Amz-Request-Id", inHeader)
	w.Header().Set("X-Amz-Id-2", inHeader)
	w.WriteHeader(http.StatusBadRequest)
	x := hostileXML()
	fmt.Fprintf(w, "%s<Error><Code>Bad%s</Code><Message>no %s</Message><RequestId>%s</RequestId><HostId>%s</HostId><Condition>%s</Condition></Error>",
		xml.Header, x, x, x, x, x)
	return true
}

// TestS4NothingRawReachesATerminal: what comes from a store, a key or a file stands in
// every verb's text as escapes, and begins no line.
func TestS4NothingRawReachesATerminal(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 8}).behind(t, front{instead: refuses})
	keys := []string{"data/" + hostileText, "data/" + hostileText + "refused", "data/cold" + hostileText}
	st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled", Documents: map[string]string{
		"lifecycle": `<LifecycleConfiguration><Rule><ID>` + hostileXML() + `</ID><Status>Enabled</Status><Filter><Prefix></Prefix></Filter><Expiration><Days>4</Days></Expiration></Rule></LifecycleConfiguration>`}})
	for i, key := range keys {
		o := s3test.Object{Key: key, Body: s3test.Bytes("x"), Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSENone}}}
		o.Tags = []object.Tag{{Key: "t", Value: hostileText}}
		o.Metadata = map[string]string{"m": "\u202e\u009b"}
		if i == 2 {
			o.StorageClass = "GLACIER"
		}
		st.server.Put("b", o)
	}
	st.server.Put("b", s3test.Object{Key: "data/kms", Body: s3test.Bytes("x"),
		Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSEKMS, KMSKeyID: "key\u202e\u009b"}}})
	st.server.Put("b", s3test.Object{Key: "data/class", Body: s3test.Bytes("x"), Attrs: s3test.Attrs{StorageClass: "CLASS\u202e\u009b"}})
	w := &terminal{T: t, stage: st, seen: map[string]bool{}}
	dir := t.TempDir()
	job, evidence := filepath.Join(dir, "job"), filepath.Join(dir, "evidence")
	target := []string{"--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--no-progress"}
	with := func(verb string, more ...string) []string {
		return append(append([]string{verb, "s3://b/data/"}, target...), more...)
	}

	w.shows("audit", "s3://b/data/")
	w.shows(append(with("doctor")[:len(with("doctor"))-1], "--probe", "data/x\u202ey/")...)
	w.shows(with("plan", "--job", job)...)
	w.shows("run", "--job", job, "--no-progress", "--log-level", "debug")
	for _, verb := range []string{"status", "verify"} {
		w.shows(verb, "--job", job)
	}
	w.shows("jobs", dir)
	for _, key := range keys {
		w.shows("explain", "--job", job, "s3://b/"+key)
	}
	w.shows("explain", "--job", job, "s3://b/none"+hostileText)
	w.shows("report", "--job", job, "--evidence", evidence, "--evidence-key-file", signingKey(t))
	w.shows("evidence", "check", evidence)
	w.shows("bucket-encryption", "get", "s3://b")
	w.shows("who-needs", st.keyA, "s3://b/data/")
	w.shows("who-needs", "key"+hostileText, "s3://b/data/")
	w.shows("run", "s3://b"+hostileText, "--sse", "AES256", "--job", job+"2")
	w.shows(with("run", "--job", job)[:2]...)
	for name, text := range map[string]string{
		"other.csv": `"elsewhere` + hostileText + `","k"` + "\n", "two.csv": "b,data/kms\n" + `"c` + hostileText + `","k"` + "\n",
		"bad.csv": `b,"k` + hostileText, "manifest.json": `{"sourceBucket":` + quoted(hostileText) + `,"version":` + quoted(hostileText) + `,"fileFormat":` + quoted(hostileText) + `}`,
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, verb := range []string{"audit", "plan"} {
			args := []string{verb, "--manifest", path}
			if verb == "plan" {
				args = append(append(args, target...), "--job", job+name)
			}
			w.shows(args...)
		}
	}
	w.spoiled(job)
	for _, must := range []string{`\x1b[2J`, `\u202e`, `\x7f`, `\u009b`} {
		if !w.seen[must] {
			t.Errorf("nothing showed %s: the test shows too little", must)
		}
	}
}

func quoted(s string) string {
	b, _ := json.Marshal(s) // a string always can be
	return string(b)
}

// terminal looks at what a person would be shown.
type terminal struct {
	*testing.T
	stage *stage
	seen  map[string]bool
}

func (w *terminal) shows(args ...string) {
	w.Helper()
	end := w.stage.reseal(w.T, args...)
	for _, text := range []string{end.stdout, end.stderr} {
		for line := range strings.Lines(text) {
			line = strings.TrimSuffix(line, "\n")
			if i := strings.IndexFunc(line, func(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) }); i >= 0 || !utf8.ValidString(line) {
				w.Errorf("%.60q: raw at %d: %q", args, i, line)
			}
			if strings.HasPrefix(line, "reseal: FORGED") {
				w.Errorf("%.60q: a line of the store's own: %q", args, line)
			}
		}
		for _, escape := range []string{`\x1b[2J`, `\u202e`, `\x7f`, `\u009b`} {
			w.seen[escape] = w.seen[escape] || strings.Contains(text, escape)
		}
	}
}

// spoiled puts the text into the job's own file, as somebody may who can write there.
func (w *terminal) spoiled(job string) {
	path := filepath.Join(job, "job.json")
	data, err := os.ReadFile(path)
	if err != nil {
		w.Fatal(err)
	}
	fields := regexp.MustCompile(`("\w+": )"[^"]*"`).FindAllIndex(data, -1)
	if len(fields) < 8 {
		w.Errorf("job.json has %d texts only: %s", len(fields), data)
	}
	for i, at := range fields {
		name, _, _ := bytes.Cut(data[at[0]:at[1]], []byte(": "))
		spoilt := slices.Concat(data[:at[0]], name, []byte(": "+quoted(hostileText)), data[at[1]:])
		if err := os.WriteFile(path, spoilt, 0o600); err != nil {
			w.Fatal(err)
		}
		if i%2 == 0 {
			w.shows("status", "--job", job)
		} else {
			w.shows("jobs", filepath.Dir(job))
		}
	}
}
