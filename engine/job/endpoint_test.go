package job

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A job that was begun on AWS knows that its store does UpdateObjectEncryption.
// Configuration files that lead elsewhere by now must not let it be sent there.
func TestAJobStaysWithItsStore(t *testing.T) {
	config := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(config, []byte("[default]\nregion = eu-west-1\nendpoint_url = http://127.0.0.1:9/\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CONFIG_FILE", config)
	s := &session{job: &Job{Dir: "job", local: "job", begun: true}, opt: &Options{}}
	defer s.Close()
	var unusable *UnusableError
	if err := s.openStore(t.Context()); !errors.As(err, &unusable) || !strings.Contains(err.Error(), "http://127.0.0.1:9 now") {
		t.Errorf("begun on AWS: %v", err)
	}
	// A job that begins here is frozen to the endpoint, in the form in which a
	// resumed one names it.
	s.job = &Job{}
	if err := s.openStore(t.Context()); err != nil || s.job.Spec.Connection.EndpointURL != "http://127.0.0.1:9" {
		t.Errorf("a new job: %q, %v", s.job.Spec.Connection.EndpointURL, err)
	}
}
