package realserver

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/resealhq/reseal/bench/tools"
)

// Kubernetes is the real control plane of a cluster that has no machine yet: etcd,
// kube-apiserver, kube-scheduler and the controllers of kube-controller-manager that
// have to do with Jobs, Pods and Nodes. Whoever wants a Pod to run registers a Node and
// runs it there.
type Kubernetes struct {
	// Endpoint is the URL of the API server, without a trailing slash.
	Endpoint string
	// Token is who may do everything.
	Token string

	dir, caFile string
	free        func() error
	client      *http.Client
	api         *process
	processes   []*process // the first started first
}

// controllers are those that act on Jobs, their Pods, and Nodes that come and go.
const controllers = "job-controller,pod-garbage-collector-controller,garbage-collector-controller,node-lifecycle-controller,taint-eviction-controller"

// StartKubernetes starts a control plane that ends with the test.
func StartKubernetes(tb testing.TB) *Kubernetes {
	tb.Helper()
	k, err := startKubernetes(tb.Context())
	if err != nil {
		tb.Fatalf("starting a real control plane: %v", err)
	}
	tb.Cleanup(func() {
		if err := k.close(); err != nil {
			tb.Errorf("stopping the control plane: %v", err)
		}
	})
	return k
}

func startKubernetes(ctx context.Context) (_ *Kubernetes, err error) {
	bin, err := tools.Build(ctx, "kubernetes")
	if err != nil {
		return nil, err
	}
	k := &Kubernetes{Token: rand.Text()}
	if k.dir, k.free, err = TempDir(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, k.close())
		}
	}()
	if k.caFile, k.client, err = certify(k.dir); err != nil {
		return nil, err
	}
	etcd, err := k.startEtcd(ctx, bin)
	if err != nil {
		return nil, err
	}
	if err := k.startAPI(ctx, bin, etcd); err != nil {
		return nil, err
	}
	return k, k.startOthers(ctx, bin)
}

// program is one of those that the file holds, not started yet.
func (k *Kubernetes) program(bin, name string, args ...string) *process {
	return &process{name: name, path: bin, args: append([]string{name}, args...), log: filepath.Join(k.dir, name+".log"),
		env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + k.dir, "TMPDIR=" + k.dir}}
}

// startEtcd gives the URL of etcd. It need not survive a power cut, so it may leave out
// its fsyncs; a killed process loses nothing by that.
func (k *Kubernetes) startEtcd(ctx context.Context, bin string) (endpoint string, err error) {
	return endpoint, onFreePort(ctx, func(addr string) error {
		peers, err := freeAddress()
		if err != nil {
			return err
		}
		endpoint = "http://" + addr
		data := filepath.Join(k.dir, "etcd-"+portOf(addr))
		p := k.program(bin, "etcd", "--data-dir="+data, "--unsafe-no-fsync",
			"--listen-client-urls="+endpoint, "--advertise-client-urls="+endpoint,
			"--listen-peer-urls=http://"+peers, "--initial-advertise-peer-urls=http://"+peers, "--initial-cluster=default=http://"+peers)
		k.processes = append(k.processes, p)
		return p.start(ctx, func(ctx context.Context) error { return k.get(ctx, endpoint+"/health") })
	})
}

func (k *Kubernetes) startAPI(ctx context.Context, bin, etcd string) error {
	tokens := filepath.Join(k.dir, "tokens.csv")
	if err := os.WriteFile(tokens, []byte(k.Token+",admin,admin,system:masters\n"), 0o600); err != nil {
		return err
	}
	key := filepath.Join(k.dir, "private.key")
	return onFreePort(ctx, func(addr string) error {
		k.Endpoint = "https://" + addr
		k.api = k.program(bin, "apiserver", "--etcd-servers="+etcd,
			"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--secure-port="+portOf(addr), "--endpoint-reconciler-type=none",
			"--tls-cert-file="+k.caFile, "--tls-private-key-file="+key, "--cert-dir="+k.dir,
			"--anonymous-auth=false", "--token-auth-file="+tokens, "--authorization-mode=AlwaysAllow",
			"--service-account-issuer=https://reseal.invalid", "--service-account-key-file="+k.caFile, "--service-account-signing-key-file="+key,
			"--service-cluster-ip-range=10.0.0.0/24")
		k.processes = append(k.processes, k.api)
		return k.api.start(ctx, k.ready)
	})
}

// startOthers starts who works through the API server.
func (k *Kubernetes) startOthers(ctx context.Context, bin string) error {
	type object = map[string]any
	config, err := json.Marshal(object{ // which is YAML, too
		"apiVersion": "v1", "kind": "Config", "current-context": "here",
		"clusters": []object{{"name": "here", "cluster": object{"server": k.Endpoint, "certificate-authority": k.caFile}}},
		"users":    []object{{"name": "admin", "user": object{"token": k.Token}}},
		"contexts": []object{{"name": "here", "context": object{"cluster": "here", "user": "admin"}}},
	})
	if err != nil {
		return err
	}
	path := filepath.Join(k.dir, "kubeconfig")
	if err := os.WriteFile(path, config, 0o600); err != nil {
		return err
	}
	for _, o := range [][]string{
		{"scheduler"},
		{"controller-manager", "--controllers=" + controllers},
	} {
		err := onFreePort(ctx, func(addr string) error {
			p := k.program(bin, o[0], append(slices.Clone(o[1:]), "--kubeconfig="+path, "--leader-elect=false",
				"--bind-address=127.0.0.1", "--secure-port="+portOf(addr), "--tls-cert-file="+k.caFile, "--tls-private-key-file="+filepath.Join(k.dir, "private.key"))...)
			k.processes = append(k.processes, p)
			return p.start(ctx, func(ctx context.Context) error { return k.get(ctx, "https://"+addr+"/healthz") })
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// ready: all that the API server begins with is there, the namespaces too.
func (k *Kubernetes) ready(ctx context.Context) error {
	return errors.Join(k.get(ctx, k.Endpoint+"/readyz"), k.get(ctx, k.Endpoint+"/api/v1/namespaces/default"))
}

func (k *Kubernetes) get(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := k.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, resp.Status, strings.TrimSpace(string(text)))
	}
	return err
}

// Do sends a request to the API server as who may do everything.
func (k *Kubernetes) Do(req *http.Request) (*http.Response, error) {
	if strings.HasPrefix(req.URL.String(), "https://") {
		req.Header.Set("Authorization", "Bearer "+k.Token)
	}
	return k.client.Do(req)
}

// RestartAPI ends the API server as a power cut would, and starts it again at the same
// address, on the same etcd.
func (k *Kubernetes) RestartAPI(ctx context.Context) error {
	k.api.kill()
	return k.api.start(ctx, k.ready)
}

// Logs are the last lines of what each program has printed.
func (k *Kubernetes) Logs() string {
	var all strings.Builder
	for _, p := range k.processes {
		fmt.Fprintf(&all, "%s:\n%s\n", p.name, tail(p.output()))
	}
	return all.String()
}

func (k *Kubernetes) close() error {
	for _, p := range slices.Backward(k.processes) {
		p.kill()
	}
	return k.free()
}
