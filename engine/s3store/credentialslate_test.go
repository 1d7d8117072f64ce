package s3store

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// TestCredentialsThatDoNotCome: a credential_process that never ends is told as that, within
// the time of the request, and not as a store that hangs.
func TestCredentialsThatDoNotCome(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("its process is a shell's")
	}
	hangs := filepath.Join(t.TempDir(), "hangs")
	if err := os.WriteFile(hangs, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	profile(t, "credential_process = if [ -e "+hangs+" ]; then sleep 3; fi; echo '{\"Version\":1,\"AccessKeyId\":\"AK\",\"SecretAccessKey\":\"s\"}'\n")
	s, _ := opened(t, Options{EndpointURL: "http://127.0.0.1:9"}, func(*http.Request) *http.Response { return answered(200, "") })
	ctx, cancel := context.WithTimeout(t.Context(), 600*time.Millisecond)
	defer cancel()
	_, err := s.Head(ctx, object.Ref{Bucket: "b", Key: "k"}, object.CustomerKey{})
	if text := errorText(err); object.ClassOf(err) != object.ClassCredentials || !strings.Contains(text, "no credentials came") || object.MaybeApplied(err) {
		t.Errorf("%s", text)
	}
	if ctx.Err() != nil {
		t.Error("it took as long as the request may")
	}
	<-ctx.Done() // whoever waited for another one that asks, as the hot path does
	if _, _, _, _, err := s.Credentials(ctx); object.ClassOf(err) != object.ClassCredentials {
		t.Errorf("late: %s", errorText(err))
	}
	if err := os.Remove(hangs); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if id, _, _, _, err := s.Credentials(t.Context()); id != "AK" || time.Since(began) > 2*time.Second {
		t.Errorf("it was not asked anew: %q after %s, %v", id, time.Since(began), err)
	}
}
