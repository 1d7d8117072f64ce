// Package realserver starts real S3 servers on loopback for tests and
// benchmarks: MinIO with one KMS key over HTTP, or MinIO over TLS with KES and
// several keys behind it; SeaweedFS and Ceph's gateway, over TLS, with a KMS of
// their own. The binaries are the pinned ones of bench/tools, built on first use, and
// for Ceph those of Debian's packages; nothing is skipped where they are missing.
//
// A started server answers signed requests when Start returns, keeps its address
// and its data over Kill and Restart, and dies with the process that started it
// (on Linux even if that process is killed).
package realserver

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/resealhq/reseal/bench/tools"
)

// The root user of every server that this package starts, and its region.
const (
	AccessKey = "reseal-root"
	SecretKey = "reseal-root-secret"
	Region    = "us-east-1"
)

// Options say what to start. The zero value is a plain MinIO with one KMS key.
type Options struct {
	// Keys are the names of the KMS keys; the first is the server's default, which
	// SSE-S3 uses too. Empty: key-a, and with KES also key-b.
	Keys []string
	// KES puts a KES server behind MinIO, which then takes several keys, and serves
	// over TLS, which SSE-C needs. Without it there can be only one key. MinIO only.
	KES bool
	// DataDir holds the objects; empty takes a temporary folder, in memory where
	// there is room for it, and removes it in the end. Not for Ceph.
	DataDir string
	// Env adds to the server's environment (NAME=value).
	Env []string
	// Tables starts a catalog of tables (Iceberg REST) beside S3. SeaweedFS only.
	Tables bool
	// Vault is the URL of what answers as Vault does: keys are asked for of its secrets engine for
	// keys and values, and what a Ceph that has SSE-S3 (from 17 on) needs for it of its transit
	// engine. Empty takes those of Keys, and there is no SSE-S3. Ceph only.
	Vault string
	// Root is the root of another Debian, whose Ceph is started in place of the machine's.
	// What this machine has at /dev/shm and /tmp is there too. Ceph only; takes root's rights.
	Root string
}

// Server is one running MinIO, SeaweedFS or Ceph, with what it needs behind it.
type Server struct {
	// Endpoint is the URL, without a trailing slash.
	Endpoint string
	// CAFile is the PEM file to trust; empty over HTTP.
	CAFile string
	// Keys are the names of the KMS keys, the default first.
	Keys []string
	// Tables is the URL of the catalog of tables; empty where there is none. It speaks HTTP.
	Tables string

	dir    string // everything temporary
	data   string
	free   func() error // removes dir
	kes    *kesServer
	front  *process   // what answers S3
	behind []*process // what it needs, the first started first
	client *http.Client
	// noChecksums: it refuses what the SDK adds to a request where nobody asks for it.
	noChecksums bool
}

// ShownKey is how MinIO shows a KMS key in its answers.
func ShownKey(name string) string { return "arn:aws:kms:" + name }

// StartMinIO starts a server that ends with the test.
func StartMinIO(tb testing.TB, o Options) *Server {
	tb.Helper()
	return started(tb, "MinIO", o, Start)
}

// started is a server that ends with the test.
func started(tb testing.TB, name string, o Options, start func(context.Context, Options) (*Server, error)) *Server {
	tb.Helper()
	s, err := start(tb.Context(), o)
	if err != nil {
		tb.Fatalf("starting a real %s: %v", name, err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("stopping %s: %v", name, err)
		}
	})
	return s
}

// StartKES is StartMinIO with KES and TLS.
func StartKES(tb testing.TB, o Options) *Server {
	tb.Helper()
	o.KES = true
	return StartMinIO(tb, o)
}

// Start is StartMinIO for callers without a test; they must Close. The context
// bounds the start only.
func Start(ctx context.Context, o Options) (_ *Server, err error) {
	if len(o.Keys) == 0 {
		o.Keys = []string{"key-a"}
		if o.KES {
			o.Keys = []string{"key-a", "key-b"}
		}
	}
	if len(o.Keys) > 1 && !o.KES {
		return nil, errors.New("MinIO has one KMS key without KES")
	}
	bin, err := tools.Build(ctx, "minio")
	if err != nil {
		return nil, err
	}
	s := &Server{Keys: o.Keys}
	if s.dir, s.free, err = TempDir(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if o.KES {
		if s.kes, err = startKES(ctx, filepath.Join(s.dir, "kes"), o.Keys); err != nil {
			return nil, err
		}
		s.CAFile = s.kes.certFile
	}
	if s.client, err = httpClient(s.CAFile); err != nil {
		return nil, err
	}
	if s.data = o.DataDir; s.data == "" {
		s.data = filepath.Join(s.dir, "data")
	}
	certs := filepath.Join(s.dir, "certs")
	if err := s.layCerts(certs); err != nil {
		return nil, err
	}
	return s, s.startMinIO(ctx, bin, certs, o.Env)
}

func (s *Server) startMinIO(ctx context.Context, bin, certs string, extra []string) error {
	env, err := s.environment(extra)
	if err != nil {
		return err
	}
	return onFreePort(ctx, func(addr string) error {
		s.Endpoint = "http://" + addr
		if s.kes != nil {
			s.Endpoint = "https://" + addr
		}
		s.front = &process{
			name: "minio",
			path: bin,
			args: []string{"server", "--quiet", "--address", addr, "--certs-dir", certs, s.data},
			env:  env,
			log:  filepath.Join(s.dir, "minio.log"),
		}
		return s.front.start(ctx, s.answers)
	})
}

// kmsSecret is the one KMS key of a server without KES. It protects test data
// only, and is constant so that a restarted server reads what it wrote.
var kmsSecret = base64.StdEncoding.EncodeToString([]byte("reseal: a key for test data only"))

func (s *Server) environment(extra []string) ([]string, error) {
	env := []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + s.dir,
		"MINIO_ROOT_USER=" + AccessKey,
		"MINIO_ROOT_PASSWORD=" + SecretKey,
		"MINIO_SITE_REGION=" + Region,
		"MINIO_BROWSER=off",
		"MINIO_UPDATE=off",
		// Else it answers before it has read the settings of its buckets, and forgets those
		// that are made meanwhile.
		"MINIO_SYNC_BOOT=on",
	}
	if !strings.HasPrefix(s.data, memoryDir) {
		env = append(env, "MINIO_CI_CD=1") // else it refuses data on the system's own disk
	}
	if s.kes == nil {
		env = append(env, "MINIO_KMS_SECRET_KEY="+s.Keys[0]+":"+kmsSecret)
	} else {
		env = append(env,
			"MINIO_KMS_KES_ENDPOINT=https://"+s.kes.addr,
			"MINIO_KMS_KES_CERT_FILE="+s.kes.certFile,
			"MINIO_KMS_KES_KEY_FILE="+s.kes.keyFile,
			"MINIO_KMS_KES_CAPATH="+s.kes.certFile,
			"MINIO_KMS_KES_KEY_NAME="+s.Keys[0])
	}
	return append(env, extra...), os.MkdirAll(s.data, 0o755)
}

// layCerts makes MinIO's folder of certificates; an empty one means HTTP.
func (s *Server) layCerts(dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, "CAs"), 0o755); err != nil || s.kes == nil {
		return err
	}
	for to, from := range map[string]string{"public.crt": s.kes.certFile, "private.key": s.kes.keyFile} {
		data, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, to), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Kill ends the server as a power cut would: SIGKILL, at once.
func (s *Server) Kill() { s.front.kill() }

// Stop ends the server politely.
func (s *Server) Stop(ctx context.Context) error { return s.front.stop(ctx) }

// Restart starts the server again after Kill or Stop (and kills it before, where it
// still runs): the same address, the same data.
func (s *Server) Restart(ctx context.Context) error {
	s.front.kill()
	return s.front.start(ctx, s.answers)
}

// KillKMS takes KES away from under MinIO; RestartKMS brings it back. Only with
// KES.
func (s *Server) KillKMS() { s.kes.proc.kill() }

// RestartKMS starts KES again with the same address and keys.
func (s *Server) RestartKMS(ctx context.Context) error {
	s.kes.proc.kill()
	return s.kes.proc.start(ctx, s.kes.answers)
}

// PID is the server's process, for those who measure it.
func (s *Server) PID() int { return s.front.pid() }

// DataDir is where MinIO and SeaweedFS keep their files.
func (s *Server) DataDir() string { return s.data }

// Log is what the server has printed.
func (s *Server) Log() string { return s.front.output() }

// Env is what a child process needs to use the server as its S3: credentials,
// region, endpoint and CA, by the names that every AWS tool knows.
func (s *Server) Env() []string {
	env := []string{
		"AWS_ACCESS_KEY_ID=" + AccessKey,
		"AWS_SECRET_ACCESS_KEY=" + SecretKey,
		"AWS_REGION=" + Region,
		"AWS_ENDPOINT_URL_S3=" + s.Endpoint,
		"AWS_EC2_METADATA_DISABLED=true",
	}
	if s.CAFile != "" {
		env = append(env, "AWS_CA_BUNDLE="+s.CAFile)
	}
	return env
}

// Close kills what runs and removes what is temporary.
func (s *Server) Close() error {
	if s.front != nil {
		s.front.kill()
	}
	for _, p := range slices.Backward(s.behind) {
		p.kill()
	}
	if s.kes != nil {
		s.kes.proc.kill()
	}
	return s.free()
}

// onFreePort starts a server on a port of its own. Between choosing one and
// listening on it somebody else may take it: then another is tried.
func onFreePort(ctx context.Context, start func(addr string) error) error {
	for attempt := 1; ; attempt++ {
		addr, err := freeAddress()
		if err != nil {
			return err
		}
		if err = start(addr); err == nil || attempt == 3 || ctx.Err() != nil {
			return err
		}
	}
}

// freeAddress is a loopback address that nobody listened on a moment ago. It is
// below the ports that systems give to outgoing connections: one of those could
// have taken it by the time a killed server wants it again.
func freeAddress() (string, error) {
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000))
		if l, err := net.Listen("tcp", addr); err == nil {
			return addr, l.Close()
		}
	}
	return "", errors.New("no free port on loopback between 20000 and 32000")
}
