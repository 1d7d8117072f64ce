package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// TestReportPageInChromium looks at the page of a job of which 590 objects were not done,
// as a browser shows it and as it prints it.
func TestReportPageInChromium(t *testing.T) {
	t.Parallel()
	c := openChromium(t)
	st := newStage(t, s3test.Config{Seed: 3})
	st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled", Deny: []s3test.Deny{{Action: "s3:PutObject", Keys: "denied/*"}}})
	for i := range 700 {
		o := s3test.Object{}
		key := fmt.Sprintf("tenants/%03d/invoices/2025-%02d/%06d.pdf", i%37, i%12+1, i)
		switch {
		case i < 400:
			o.StorageClass = "GLACIER"
		case i < 590:
			key = fmt.Sprintf("denied/Überweisungen und Bestätigungen/%s/%06d", strings.Repeat("long ", 30), i)
		case i < 600:
			o.Encryption = object.Encryption{Type: object.SSEKMS, KMSKeyID: st.keyA}
		}
		st.put(key, o)
	}
	dir, page := filepath.Join(t.TempDir(), "job"), filepath.Join(t.TempDir(), "report.html")
	args := []string{"s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--operation", "copy", "--job", dir}
	st.does(t, append([]string{"plan"}, args...)...)
	for _, verb := range [][]string{append([]string{"run", "--no-progress"}, args...), {"verify", "--job", dir}} {
		if s := st.reseal(t, verb...); s.code != 3 {
			t.Fatalf("%v: exit code %d\n%s", verb, s.code, s.stderr)
		}
	}
	st.does(t, "report", "--job", dir, "--format", "html", "-o", page)
	c.open("file://" + page)
	for _, want := range []string{"left: archived", "failed: denied", "All 590 of them", "Objects by state", "Requests a second", "Latency of a request", "Still under", "Estimated", "Key, resolved"} {
		c.until(want, fmt.Sprintf("document.body.textContent.includes(%q)", want))
	}
	c.looksRight("report")
	var pdf struct{ Data string }
	c.call("Page.printToPDF", map[string]any{"paperWidth": 8.27, "paperHeight": 11.69, "preferCSSPageSize": true}, &pdf)
	data, err := base64.StdEncoding.DecodeString(pdf.Data)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(regexp.MustCompile(`/Type\s*/Page\b[^s]`).FindAll(data, -1)); n < 3 || n >= 20 {
		t.Errorf("it prints on %d pages", n)
	} else {
		t.Logf("it prints on %d pages", n)
	}
	c.complainedNot()
}

// serverIsGone is what a browser says of a server that ended, by the moment at which it did.
var serverIsGone = regexp.MustCompile(`net::ERR_(CONNECTION_REFUSED|CONNECTION_RESET|CONNECTION_CLOSED|EMPTY_RESPONSE|INCOMPLETE_CHUNKED_ENCODING)`)

// TestLivePageInChromium watches a run in a browser, pauses it, lowers its ceiling and
// resumes it there, by the page's own buttons.
func TestLivePageInChromium(t *testing.T) {
	t.Parallel()
	c := openChromium(t)
	st := newStage(t, s3test.Config{Seed: 3})
	st.server.CreateBucket("b", s3test.BucketConfig{Deny: []s3test.Deny{{Action: "s3:PutObject", Keys: "denied/*"}}})
	for i := range 3000 {
		folder := "objects"
		if i%50 == 0 {
			folder = "denied"
		}
		st.put(fmt.Sprintf("%s/%05d <b>&amp;", folder, i), s3test.Object{Body: s3test.Bytes("a body")})
	}
	dir := filepath.Join(t.TempDir(), "job")
	cmd := st.command("run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--no-progress", "--job", dir, "--max-requests-per-second", "20", "--ui", "127.0.0.1:0")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stderr)
	url := ""
	for url == "" {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if _, at, ok := strings.Cut(line, "the live page is at "); ok {
			url = strings.TrimSpace(at)
		}
	}
	rest := make(chan []byte, 1)
	go func() { all, _ := io.ReadAll(lines); rest <- all }()

	c.open(url)
	c.until("it runs", `document.querySelector("#state").textContent.includes("running") && document.querySelector(".edge-done b").textContent !== "0"`)
	c.until("a failure with its example", `document.querySelector("#failures").textContent.includes("denied/") && document.querySelector("#failures").textContent.includes("<b>&amp;")`)
	c.until("what holds it back", `document.querySelector("#pace").textContent.includes("max-requests-per-second")`)
	c.until("the pictures", `document.querySelectorAll("#plots svg").length === 4`)
	c.looksRight("live")

	click := func(id string) { c.value(fmt.Sprintf(`document.querySelector("#%s").click()`, id), nil) }
	click("pause")
	c.until("it is paused", `document.querySelector("#state").textContent.includes("paused") && !document.querySelector("#resume").disabled && document.querySelector("#pause").disabled`)
	st.quiet(t)
	c.value(`document.querySelector("#ceiling").value = "12"; document.querySelector("#apply").click()`, nil)
	c.until("the answer", `document.querySelector("#answer").textContent.includes("at most 12 requests/s: the run has taken it up")`)
	before := st.server.Count("CopyObject") + st.server.Count("PutObject")
	click("resume")
	c.until("it goes on under the lower ceiling", `document.querySelector("#state").textContent.includes("running") && document.querySelector("#pace").textContent.includes("12 requests/s")`)
	c.value(`document.querySelector("#ceiling").value = "0"; document.querySelector("#apply").click()`, nil)
	c.until("the end is told", `document.querySelector("#connection").textContent.includes("connection is lost") && document.querySelector("#pause").disabled`)
	all := <-rest
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 3 {
		t.Errorf("the run ended with %v\n%s", err, all)
	}
	if after := st.server.Count("CopyObject") + st.server.Count("PutObject"); after <= before {
		t.Errorf("%d requests after the resume, %d before", after, before)
	}
	c.mu.Lock()
	for _, what := range c.complaints { // that the server has gone is one
		if !serverIsGone.MatchString(what) {
			t.Errorf("the browser complains: %.600s", what)
		}
	}
	c.mu.Unlock()
	token := []byte(strings.Split(strings.TrimSuffix(url, "/"), "/")[3])
	for _, name := range []string{"reseal.log", "run.json", "status.json"} {
		if data, err := os.ReadFile(filepath.Join(dir, name)); err != nil || bytes.Contains(data, token) {
			t.Errorf("%s holds the page's token, or %v", name, err)
		}
	}
}

// quiet waits until the store is asked nothing for two seconds.
func (st *stage) quiet(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for last, since := -1, time.Now(); time.Since(since) < 2*time.Second; {
		n := 0
		for _, count := range st.server.Counts() {
			n += count
		}
		if n != last {
			last, since = n, time.Now()
		}
		if time.Now().After(deadline) {
			t.Fatal("the paused run goes on asking")
		}
		<-time.After(100 * time.Millisecond)
	}
}
