package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/check"
)

// TestCustomerKeysStaySecret leads an SSE-C job through everything that can
// happen to one, with the log at its most talkative: faults, a store that repeats
// the key in its error, a process killed in the middle, wrong keys, unusable key
// files, every verb. Nothing that it printed or wrote holds a customer key or the
// secret of the credentials, in whatever form.
func TestCustomerKeysStaySecret(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{TLS: true, Seed: 5})
	w := &watch{T: t, stage: st, root: t.TempDir(), secrets: map[string][]byte{"the secret access key": []byte(s3test.DefaultCredentials.SecretAccessKey)}}
	w.secret("the old key", st.oldKey)
	w.secret("the new key", st.newKey)
	wrongKey, wrongFile := st.customerKey(t, "wrong")
	w.secret("the wrong key", wrongKey)
	st.server.CreateBucket("b", s3test.BucketConfig{Versioning: "Enabled"})
	for i := range 12 {
		o := fullObject(i, int64(i)*100)
		o.Key, o.Grants = fmt.Sprintf("k%02d", i), nil
		st.server.Put("b", o, s3test.CustomerKey(st.oldKey))
	}
	before := st.server.Snapshot("b")
	job := filepath.Join(w.root, "job")
	newKey := []string{"--sse", "sse-c", "--sse-c-key-file", st.newFile}
	loud := []string{"--log-level", "debug", "--log-format", "json", "--concurrency", "3"}
	run := func(extra ...string) []string { return append(append([]string{"run", "s3://b"}, newKey...), extra...) }

	w.says(2, run("--job", job+"-http", "--endpoint-url", strings.Replace(st.server.URL(), "https", "http", 1))...)
	for name, data := range map[string][]byte{"long": append([]byte(st.newKey.Base64()), []byte(st.oldKey.Base64())...), "short": []byte(st.newKey.Base64()[:40])} {
		w.says(2, "run", "s3://b", "--sse", "sse-c", "--sse-c-key-file", st.file(t, name, data), "--job", job+"-"+name)
	}
	w.says(2, "run", "s3://b", "--sse", "sse-c", "--sse-c-key-file", st.newKey.Base64(), "--job", job+"-pasted")
	w.says(2, "run", "s3://b", "--sse", "aws:kms", "--sse-kms-default-key", "--source-sse-c-key-file", hex.EncodeToString(w.secrets["the old key"]), "--job", job+"-pasted")
	w.says(3, append(run("--job", job+"-none"), loud...)...) // no source key
	w.says(3, append(run("--job", job+"-wrong", "--source-sse-c-key-file", wrongFile), loud...)...)

	args := append(run("--job", job, "--source-sse-c-key-file", st.oldFile, "--json"), loud...)
	w.killed(args)
	w.rules(fmt.Sprintf(`(If (And Copy (Key "k03")) (Error 400 InvalidArgument "the key %s is not what %s was"))`, st.newKey.Base64(), st.oldKey.Base64()),
		`(If (And Copy (Key "k05") (PerKey (First 1))) ReplyLost)`, `(If (And Head (Key "k07") (PerKey (First 1))) (Error 500 InternalError "`+st.oldKey.Base64()+`"))`,
		`(If (And Copy (Key "k09")) (ErrorIn200 AccessDenied "`+st.newKey.Base64()+`"))`)
	w.says(3, args...)
	if row := st.rows(t, job)["k09"]; row["state"] != "failed" || !strings.Contains(row["message"], "withheld") {
		t.Errorf("k09 was answered with the key and a refusal; its row: %v", row)
	}
	for _, verb := range [][]string{{"status"}, {"report"}, {"report", "--format", "json"}, {"report", "--format", "html"}} {
		w.says(0, append(verb, "--job", job)...)
	}
	w.rules("")
	w.says(0, "run", "--job", job, "--retry-failed", "--multipart-threshold", "1", "--log-level", "debug")
	w.says(0, append([]string{"verify", "--job", job}, "--json")...)
	w.says(0, append([]string{"doctor", "s3://b", "--source-sse-c-key-file", st.oldFile}, newKey...)...)
	w.says(0, append([]string{"iam-policy", "s3://b", "--source-sse-c-key-file", st.oldFile}, newKey...)...)
	st.differences(t, before, check.Expectation{Target: object.Target{SSE: object.SSEC, CustomerKey: st.newKey}, Extra: 3})
	w.files()
	if len(w.heard) < 20_000 {
		t.Errorf("only %d bytes were printed and written: the test shows too little", len(w.heard))
	}
	w.searched()
}

// watch collects everything that processes print and write.
type watch struct {
	*testing.T
	stage   *stage
	root    string
	secrets map[string][]byte
	heard   []byte
}

// secret names every form in which a key could be given away. Its MD5 is none:
// S3 shows it to everybody who asks for the object.
func (w *watch) secret(name string, key object.CustomerKey) {
	raw, err := base64.StdEncoding.DecodeString(key.Base64())
	if err != nil {
		w.Fatal(err)
	}
	w.secrets[name] = raw
	w.secrets[name+" in base64"] = []byte(strings.TrimRight(key.Base64(), "="))
	w.secrets[name+" in URL base64"] = []byte(base64.RawURLEncoding.EncodeToString(raw))
	w.secrets[name+" in hex"] = []byte(hex.EncodeToString(raw))
	w.secrets[name+" in Go's decimal"] = []byte(strings.Trim(fmt.Sprint(raw), "[]"))
	w.secrets[name+", its first half in base64"] = []byte(base64.StdEncoding.EncodeToString(raw[:15]))
}

func (w *watch) says(code int, args ...string) {
	w.Helper()
	end := w.stage.reseal(w.T, args...)
	if end.code != code {
		w.Errorf("reseal %.80s: exit code %d, want %d\n%.2000s", strings.Join(args, " "), end.code, code, end.stderr)
	}
	w.heard = append(w.heard, end.stdout+end.stderr...)
}

func (w *watch) rules(lines ...string) {
	w.Helper()
	if err := w.stage.server.SetRules(strings.Join(lines, "\n")); err != nil {
		w.Fatal(err)
	}
}

// killed runs the binary until its fourth copy of a real object.
func (w *watch) killed(args []string) {
	cmd := w.stage.command(args...)
	var both bytes.Buffer
	cmd.Stdout, cmd.Stderr = &both, &both
	n := make(chan struct{}, 1000)
	w.stage.server.OnEffect(func(r s3test.Request) {
		if r.Op == "CopyObject" && strings.HasPrefix(r.Key, "k") {
			n <- struct{}{}
			if len(n) == 4 {
				_ = cmd.Process.Kill()
			}
		}
	})
	if err := cmd.Run(); err == nil || len(n) < 4 {
		w.Errorf("the process was not killed: %v\n%s", err, both.String())
	}
	w.stage.server.OnEffect(nil)
	w.heard = append(w.heard, both.Bytes()...)
}

// files takes in whatever the jobs left on disk, names included.
func (w *watch) files() {
	err := filepath.WalkDir(w.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		w.heard = append(append(w.heard, path...), data...)
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
}

func (w *watch) searched() {
	for name, secret := range w.secrets {
		if i := bytes.Index(w.heard, secret); i >= 0 {
			w.Errorf("%s was given away: …%.150q", name, w.heard[max(0, i-100):])
		}
	}
}
