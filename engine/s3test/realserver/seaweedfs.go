package realserver

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resealhq/reseal/bench/tools"
)

// StartSeaweedFS starts SeaweedFS over TLS, its master, volumes, filer and S3 in one
// process, with a KMS of its own that makes a key for any name, so that Keys decides
// nothing. It ends with the test.
func StartSeaweedFS(tb testing.TB, o Options) *Server {
	tb.Helper()
	return started(tb, "SeaweedFS", o, SeaweedFS)
}

// SeaweedFS is StartSeaweedFS for callers without a test; they must Close.
func SeaweedFS(ctx context.Context, o Options) (_ *Server, err error) {
	bin, err := tools.Build(ctx, "seaweedfs")
	if err != nil {
		return nil, err
	}
	s, err := newServer(&o)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := s.certify(); err != nil {
		return nil, err
	}
	if s.data = o.DataDir; s.data == "" {
		s.data = filepath.Join(s.dir, "data")
	}
	config := filepath.Join(s.dir, "s3.json")
	if err := errors.Join(os.MkdirAll(s.data, 0o755), writeWeedConfig(config)); err != nil {
		return nil, err
	}
	return s, onFreePort(ctx, func(addr string) error {
		catalog := "0"
		if o.Tables {
			free, err := freeAddress()
			if err != nil {
				return err
			}
			s.Tables, catalog = "http://"+free, portOf(free)
		}
		return s.startWeed(ctx, bin, config, addr, catalog, o.Env)
	})
}

func portOf(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }

func writeWeedConfig(path string) error {
	type object = map[string]any
	text, err := json.Marshal(object{
		"identities": []object{{"name": "reseal", "actions": []string{"Admin"},
			"credentials": []object{{"accessKey": AccessKey, "secretKey": SecretKey}}}},
		"kms": object{"default_provider": "here", "providers": object{"here": object{"type": "local", "enableOnDemandCreate": true}}},
	})
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

// startWeed leaves the ports behind S3 to SeaweedFS: it takes the next where one is
// taken.
func (s *Server) startWeed(ctx context.Context, bin, config, addr, catalog string, env []string) error {
	s.Endpoint = "https://" + addr
	s.front = &process{
		name: "weed", path: bin, log: filepath.Join(s.dir, "weed.log"),
		args: []string{"-logtostderr", "mini", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-dir=" + s.data,
			"-s3.config=" + config, "-s3.port=" + portOf(addr), "-s3.cert.file=" + s.CAFile, "-s3.key.file=" + filepath.Join(s.dir, "private.key"),
			"-s3.port.iceberg=" + catalog, "-s3.port.lance=0", "-s3.autoCreateBucket=false", "-webdav=false", "-admin.ui=false", "-master.telemetry=false",
			"-s3.localSocket=" + filepath.Join(s.dir, "s3.sock"), "-filer.localSocket=" + filepath.Join(s.dir, "filer.sock")},
		env: append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "TMPDIR=" + s.dir}, env...),
	}
	return s.front.start(ctx, s.answers)
}
