package realserver

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/resealhq/reseal/bench/tools"
)

// kesServer is a KES with its keys in files. One self-signed certificate serves
// for all: it is KES's own, the client certificate that KES takes as its
// administrator's (MinIO's), MinIO's own, and the CA to trust for both.
type kesServer struct {
	addr     string
	certFile string
	keyFile  string
	proc     *process
	client   *http.Client
}

const kesConfig = `version: v1
address: %s
admin:
  identity: %s
tls:
  key: %s
  cert: %s
log:
  error: on
  audit: off
keystore:
  fs:
    path: %s
`

func startKES(ctx context.Context, dir string, keys []string) (*kesServer, error) {
	bin, err := tools.Build(ctx, "kes")
	if err != nil {
		return nil, err
	}
	k := &kesServer{certFile: filepath.Join(dir, "public.crt"), keyFile: filepath.Join(dir, "private.key")}
	if err := os.MkdirAll(filepath.Join(dir, "keys"), 0o700); err != nil {
		return nil, err
	}
	identity, err := k.newIdentity(ctx, bin)
	if err != nil {
		return nil, err
	}
	if k.client, err = k.adminClient(); err != nil {
		return nil, err
	}
	err = onFreePort(ctx, func(addr string) error { return k.start(ctx, bin, dir, addr, identity) })
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		if err := k.createKey(ctx, key); err != nil {
			k.proc.kill()
			return nil, err
		}
	}
	return k, nil
}

func (k *kesServer) start(ctx context.Context, bin, dir, addr, identity string) error {
	k.addr = addr
	config := filepath.Join(dir, "config.yaml")
	text := fmt.Appendf(nil, kesConfig, addr, identity, k.keyFile, k.certFile, filepath.Join(dir, "keys"))
	if err := os.WriteFile(config, text, 0o600); err != nil {
		return err
	}
	k.proc = &process{name: "kes", path: bin, args: []string{"server", "--config", config},
		env: []string{"HOME=" + dir}, log: filepath.Join(dir, "kes.log")}
	return k.proc.start(ctx, k.answers)
}

// newIdentity makes the certificate and gives the name that KES knows it by.
func (k *kesServer) newIdentity(ctx context.Context, bin string) (string, error) {
	_, err := output(ctx, bin, "identity", "new", "--ip", "127.0.0.1", "--key", k.keyFile, "--cert", k.certFile, "localhost")
	if err != nil {
		return "", err
	}
	return output(ctx, bin, "identity", "of", k.certFile)
}

func output(ctx context.Context, bin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, bin, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("kes %s %s: %w\n%s", args[0], args[1], err, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
}

func (k *kesServer) adminClient() (*http.Client, error) {
	cert, err := tls.LoadX509KeyPair(k.certFile, k.keyFile)
	if err != nil {
		return nil, err
	}
	client, err := httpClient(k.certFile)
	if err != nil {
		return nil, err
	}
	client.Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{cert}
	return client, nil
}

// answers asks whether KES reaches its keystore.
func (k *kesServer) answers(ctx context.Context) error {
	return k.call(ctx, http.MethodGet, "/v1/ready")
}

func (k *kesServer) createKey(ctx context.Context, name string) error {
	return k.call(ctx, http.MethodPut, "/v1/key/create/"+name)
}

// DeleteKey takes a key away for good: what is under it cannot be read any more.
func (s *Server) DeleteKey(ctx context.Context, name string) error {
	return s.kes.call(ctx, http.MethodDelete, "/v1/key/delete/"+name)
}

func (k *kesServer) call(ctx context.Context, method, path string) error {
	req, err := http.NewRequestWithContext(ctx, method, "https://"+k.addr+path, nil)
	if err != nil {
		return err
	}
	resp, err := k.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // the status says enough without it
		return fmt.Errorf("KES answers %s %s with %s: %s", method, path, resp.Status, body)
	}
	return nil
}
