package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/resealhq/reseal/engine/s3test"
)

// refusedFlags do not go together, or with what is there; the error says want.
type refusedFlags struct {
	args []string
	want string
}

// refuses runs each, and sees that nothing was written.
func (w *sealed) refuses(cases []refusedFlags) {
	w.t.Helper()
	sent := len(w.server.Requests())
	for _, tc := range cases {
		s := w.reseal(w.t, append([]string{"run", "s3://" + sealedBucket, "--job", filepath.Join(w.dir, "none")}, tc.args...)...)
		if s.code != 2 || !strings.Contains(s.stderr, tc.want) {
			w.t.Errorf("%v: exit code %d, %s", tc.args, s.code, s.stderr)
		}
	}
	for _, r := range w.server.Requests()[sent:] {
		if strings.HasPrefix(r.Op, "Put") || strings.HasPrefix(r.Op, "Copy") {
			w.t.Errorf("%s was sent", r.Op)
		}
	}
}

// judge runs AWS's client of the given program on an object of the bucket.
func (w *sealed) judge(program, do, key string, text []byte, flags ...string) []byte {
	w.t.Helper()
	d := s3test.DefaultCredentials
	cmd := exec.Command(program, append([]string{do, "-s3", w.server.URL(), "-kms", w.server.URL(), "-bucket", sealedBucket, "-key", key,
		"-access-key", d.AccessKeyID, "-secret", d.SecretAccessKey}, flags...)...)
	cmd.Env = append(os.Environ(), append(w.env, "SSL_CERT_FILE="+filepath.Join(w.dir, "ca.pem"))...)
	cmd.Stdin = bytes.NewReader(text)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		w.t.Errorf("%s %s %v: %v\n%s", do, key, flags, err, stderr.Bytes())
	}
	return out.Bytes()
}
