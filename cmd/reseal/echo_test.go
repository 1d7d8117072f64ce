package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// echo is a store that repeats what it was sent, in turn each secret in each form, in
// every text of its replies.
type echo struct {
	mu    sync.Mutex
	turn  int
	told  map[string]bool // everything that was repeated
	pause bool
	// refuse: the reply is an error; else one of success with other texts.
	refuse int
	// objects: only replies about objects are changed.
	objects bool
}

var echoed = []string{"Authorization", "X-Amz-Security-Token", "X-Amz-Server-Side-Encryption-Customer-Key", "X-Amz-Server-Side-Encryption-Customer-Key-Md5",
	"X-Amz-Copy-Source-Server-Side-Encryption-Customer-Key", "X-Amz-Copy-Source-Server-Side-Encryption-Customer-Key-Md5"}

var echoForms = []func(string) string{
	func(s string) string { return s },
	func(s string) string { return hex.EncodeToString([]byte(s)) },
	func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	func(s string) string { return base64.URLEncoding.EncodeToString([]byte("x" + s)) },
	url.QueryEscape,
	func(s string) string { // a customer key as the bytes that it stands for
		raw, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return s
		}
		return hex.EncodeToString(raw)
	},
}

// text is what this reply repeats; empty where there is nothing to.
func (e *echo) text(h http.Header) string {
	var all []string
	for _, name := range echoed {
		if v := h.Get(name); v != "" {
			all = append(all, v)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.pause || len(all) == 0 {
		return ""
	}
	e.turn++
	secret := all[e.turn/len(echoForms)%len(all)]
	if _, signature, ok := strings.Cut(secret, "Signature="); ok {
		e.told[signature] = true
	} else if len(secret) != 24 { // an MD5 is none: S3 shows it to everybody
		e.told[secret] = true
	}
	return echoForms[e.turn%len(echoForms)](secret)
}

func (e *echo) set(pause bool, refuse int, objects bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pause, e.refuse, e.objects = pause, refuse, objects
}

// about says whether a reply is of those that are changed now.
func (e *echo) about(r *http.Request) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return !e.objects || strings.HasPrefix(r.URL.Path, "/b/k")
}

// texts are the elements of a reply that no verb needs to find its way.
var texts = regexp.MustCompile(`<(StorageClass|ETag|ID|DisplayName|Value|SSEAlgorithm|KMSMasterKeyID|VersionId|NextContinuationToken|RequestId|Message|Name)>[^<]*<`)

// change repeats in every header of a reply that says something, and in every text.
func (e *echo) change(reply *http.Response, body []byte) []byte {
	if !e.about(reply.Request) {
		return body
	}
	text := e.text(reply.Request.Header)
	if text == "" {
		return body
	}
	e.mu.Lock()
	refuse := e.refuse
	e.mu.Unlock()
	for _, name := range []string{"X-Amz-Request-Id", "X-Amz-Id-2", "X-Amz-Bucket-Region", "Server", "X-Amz-Meta-Echo", "X-Amz-Expiration", "X-Minio-Error-Code",
		"X-Minio-Error-Desc", "Location", "Retry-After", "Www-Authenticate"} {
		reply.Header.Set(name, text)
	}
	var x bytes.Buffer
	_ = xml.EscapeText(&x, []byte(text))
	if refuse > 0 {
		reply.StatusCode = refuse
		return fmt.Appendf(nil, "<Error><Code>%s</Code><Message>%[1]s</Message><RequestId>%[1]s</RequestId><HostId>%[1]s</HostId><Region>%[1]s</Region><Endpoint>%[1]s</Endpoint>"+
			"<Condition>%[1]s</Condition><Resource>%[1]s</Resource><Header>%[1]s</Header></Error>", x.String())
	}
	if e.turn%3 == 0 {
		for _, name := range []string{"Etag", "X-Amz-Version-Id", "X-Amz-Storage-Class", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id", "Content-Type", "X-Amz-Website-Redirect-Location"} {
			reply.Header.Set(name, text)
		}
		body = texts.ReplaceAllFunc(body, func(was []byte) []byte {
			name, _, _ := bytes.Cut(was, []byte(">"))
			return append(append(append(bytes.Clone(name), '>'), x.Bytes()...), '<')
		})
	}
	return body
}

// TestS1AStoreThatRepeatsEverything: whatever verb is run against it, nothing of a
// secret stands in what was printed or in a file of the job. Both sides are under
// customer keys; the store says yes and no, and repeats each secret in each form.
func TestS1AStoreThatRepeatsEverything(t *testing.T) {
	t.Parallel()
	creds := s3test.DefaultCredentials
	creds.SessionToken = "IQoJb3JpZ2luX2VjEPj//////////wEaCXVzLWVhc3QtMSJHMEUCIQDq+Zk8b1y0S4Y7h3n/p0Qw6m9uUQ=="
	st := newStage(t, s3test.Config{TLS: true, Seed: 9, Credentials: []s3test.Credentials{creds}})
	st.env = append(st.env, "AWS_SESSION_TOKEN="+creds.SessionToken)
	e := &echo{told: map[string]bool{creds.SecretAccessKey: true}, pause: true}
	st = st.behind(t, front{change: e.change})
	st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled", Ownership: "ObjectWriter"})
	for i := range 12 {
		o := fullObject(i, int64(i)*10)
		o.Key, o.Grants = fmt.Sprintf("k%02d", i), nil
		st.server.Put("b", o, s3test.CustomerKey(st.oldKey))
	}
	dir := t.TempDir()
	job := filepath.Join(dir, "job")
	var heard bytes.Buffer
	run := func(args ...string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // a store that says nonsense is waited for
		defer cancel()
		cmd := exec.CommandContext(ctx, st.binary, args...)
		cmd.Env, cmd.WaitDelay = st.env, time.Second
		out, _ := cmd.CombinedOutput() // how it ends is no matter here
		heard.Write(out)
		if testing.Verbose() {
			t.Logf("%.60q: %s: %.300s", args, cmd.ProcessState, out)
		}
	}
	loud := []string{"--log-level", "debug", "--no-progress"}
	keys := []string{"--sse", "sse-c", "--sse-c-key-file", st.newFile, "--source-sse-c-key-file", st.oldFile}
	every := func(objects bool) {
		run(append([]string{"run", "--job", job, "--retry-failed", "--max-failures", "100"}, loud...)...)
		run("verify", "--job", job, "-o", filepath.Join(dir, "findings.csv"))
		run("audit", "s3://b", "--json", "--source-sse-c-key-file", st.oldFile)
		if objects {
			return
		}
		run(append([]string{"doctor", "s3://b"}, keys...)...)
		run(append(append([]string{"plan", "s3://b", "--json", "--job", filepath.Join(dir, "p")}, keys...), loud...)...)
		run("bucket-encryption", "get", "s3://b")
		run("who-needs", st.keyA, "s3://b")
	}
	run(append(append([]string{"plan", "s3://b", "--job", job}, keys...), loud...)...)
	for _, objects := range []bool{true, false} {
		for _, refuse := range []int{0, 403, 400} {
			e.set(false, refuse, objects)
			every(objects)
			e.set(true, 0, false)
		}
	}
	run(append([]string{"run", "--job", job, "--retry-failed"}, loud...)...)
	for _, verb := range [][]string{{"status"}, {"status", "--json"}, {"report"}, {"report", "--format", "html"}, {"report", "--format", "json"}} {
		run(append(verb, "--job", job)...)
	}
	run("explain", "--job", job, "s3://b/k03")
	run("jobs", dir)
	run("report", "--job", job, "--evidence", filepath.Join(dir, "evidence"), "--evidence-key-file", signingKey(t))
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		heard.WriteString(path)
		heard.Write(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if e.turn < 200 || len(e.told) < 50 || heard.Len() < 50_000 || !bytes.Contains(heard.Bytes(), []byte(object.Withheld)) {
		t.Errorf("%d replies repeated %d secrets, and %d bytes were heard: the test shows too little", e.turn, len(e.told), heard.Len())
	}
	e.search(t, heard.Bytes())
}

// search looks for pieces of everything that was repeated.
func (e *echo) search(t *testing.T, heard []byte) {
	const piece = 20
	pieces := map[string]string{}
	for secret := range e.told {
		for _, form := range echoForms {
			f := form(secret)
			for at := 0; at+piece <= len(f); at += piece {
				pieces[f[at:at+piece]] = secret
			}
		}
	}
	for at := 0; at+piece <= len(heard); at++ {
		if secret, ok := pieces[string(heard[at:at+piece])]; ok {
			t.Fatalf("a piece of %q was given away: …%q", secret, heard[max(0, at-200):min(len(heard), at+100)])
		}
	}
}
