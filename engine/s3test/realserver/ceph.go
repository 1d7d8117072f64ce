package realserver

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
)

// cephPrograms are what a cluster of one machine needs, all from Debian's packages.
var cephPrograms = []string{"ceph", "ceph-authtool", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin"}

// CephPackages is what installs them.
const CephPackages = "radosgw ceph-mon ceph-osd ceph-common"

// cephUsers may do everything; each program goes by a name of its own.
var cephUsers = []string{"mon.", "client.admin", "osd.0", "client.rgw"}

// StartCeph starts Ceph's S3 gateway over TLS, with a monitor and one storage daemon
// behind it, that ends with the test. The programs are the machine's own: where they
// are missing the test fails.
func StartCeph(tb testing.TB, o Options) *Server {
	tb.Helper()
	return started(tb, "Ceph", o, Ceph)
}

// StartCeph20 is StartCeph of the Debian that CEPH_ROOT names, as make test-ceph20 puts one
// there.
func StartCeph20(tb testing.TB, o Options) *Server {
	tb.Helper()
	if o.Root = os.Getenv("CEPH_ROOT"); o.Root == "" {
		tb.Fatal("CEPH_ROOT names no Debian with a Ceph: run these tests by make test-ceph20")
	}
	return StartCeph(tb, o)
}

// StartCeph20WithSSES3 is StartCeph20 with what plays Vault behind it, which SSE-S3 needs there.
func StartCeph20WithSSES3(tb testing.TB, o Options) *Server {
	tb.Helper()
	o.Vault = StartVault(tb).URL
	return StartCeph20(tb, o)
}

// Ceph is StartCeph for callers without a test; they must Close. The storage daemon
// keeps its objects in memory, whatever DataDir says.
func Ceph(ctx context.Context, o Options) (_ *Server, err error) {
	for _, program := range cephPrograms {
		path := program
		if o.Root != "" {
			path = filepath.Join(o.Root, "usr/bin", program)
		}
		if _, err := exec.LookPath(path); err != nil {
			return nil, fmt.Errorf("%s is not installed: apt-get install --no-install-recommends %s", path, CephPackages)
		}
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
	s.noChecksums = true
	if err := s.certify(); err != nil {
		return nil, err
	}
	c := &cluster{Dir: s.dir, Root: o.Root, Keys: cephKeys(o.Keys), Vault: o.Vault, FSID: newUUID(), Cert: s.CAFile, Key: filepath.Join(s.dir, "private.key")}
	if err := c.users(ctx); err != nil {
		return nil, err
	}
	if err := onFreePort(ctx, func(addr string) error { return c.monitor(ctx, s, addr) }); err != nil {
		return nil, err
	}
	if err := c.storage(ctx, s); err != nil {
		return nil, err
	}
	return s, onFreePort(ctx, func(addr string) error { return c.gateway(ctx, s, addr) })
}

// cluster is what the configuration of all of Ceph's programs says.
type cluster struct {
	Dir, FSID, Keys string
	Root            string // of the Debian that the programs are of; empty is this one
	Cert, Key       string
	Vault           string
	Mon, Gateway    string // addresses
}

// Ceph waits for others to vote and batches what it writes; there is nobody else, and
// a test waits. The KMS is Ceph's own for tests, keys by name in this file, where none is given.
var cephConfig = template.Must(template.New("").Parse(`[global]
fsid = {{.FSID}}
mon host = v2:{{.Mon}}
public addr = 127.0.0.1
cluster addr = 127.0.0.1
run dir = {{.Dir}}/run
admin socket = {{.Dir}}/run/$name.asok
pid file = {{.Dir}}/run/$name.pid
log file = {{.Dir}}/$name.log
keyring = {{.Dir}}/keyring
mon data = {{.Dir}}/mon
osd data = {{.Dir}}/osd
rgw data = {{.Dir}}/rgw
paxos propose interval = 0.05
paxos min wait = 0.01
mon tick interval = 1
mon allow pool size one = true
mon data avail crit = 0
osd objectstore = memstore
memstore device bytes = 2147483648
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
rgw frontends = beast ssl_endpoint={{.Gateway}} ssl_certificate={{.Cert}} ssl_private_key={{.Key}}
{{if .Vault -}}
rgw crypt s3 kms backend = vault
rgw crypt vault auth = agent
rgw crypt vault addr = {{.Vault}}
rgw crypt vault prefix = /v1/secret/data
rgw crypt vault secret engine = kv
rgw crypt sse s3 backend = vault
rgw crypt sse s3 vault auth = agent
rgw crypt sse s3 vault addr = {{.Vault}}
rgw crypt sse s3 vault prefix = /v1/transit
rgw crypt sse s3 vault secret engine = transit
{{else -}}
rgw crypt s3 kms backend = testing
rgw crypt s3 kms encryption keys = {{.Keys}}
{{end -}}
rgw dynamic resharding = false
rgw override bucket index max shards = 1
`))

func cephKeys(names []string) string {
	var pairs []string
	for _, name := range names {
		secret := make([]byte, 32)
		copy(secret, "a key for test data only: "+name)
		pairs = append(pairs, name+"="+base64.StdEncoding.EncodeToString(secret))
	}
	return strings.Join(pairs, " ")
}

func (c *cluster) config() string { return filepath.Join(c.Dir, "ceph.conf") }

// configure writes the configuration as far as it is known.
func (c *cluster) configure() error {
	var text bytes.Buffer
	if err := cephConfig.Execute(&text, c); err != nil {
		return err
	}
	return os.WriteFile(c.config(), text.Bytes(), 0o600)
}

// users makes the file of everybody's secrets.
func (c *cluster) users(ctx context.Context) error {
	for _, dir := range []string{"run", "mon", "osd", "rgw"} {
		if err := os.MkdirAll(filepath.Join(c.Dir, dir), 0o700); err != nil {
			return err
		}
	}
	ring := filepath.Join(c.Dir, "keyring")
	for i, user := range cephUsers {
		args := []string{ring, "--gen-key", "-n", user, "--cap", "mon", "allow *", "--cap", "osd", "allow *"}
		if i == 0 {
			args = append(args, "--create-keyring")
		}
		if err := c.call(ctx, "ceph-authtool", args...); err != nil {
			return err
		}
	}
	return nil
}

func (c *cluster) monitor(ctx context.Context, s *Server, addr string) error {
	c.Mon, c.Gateway = addr, addr // the gateway's comes later
	monmap := filepath.Join(c.Dir, "monmap")
	if err := errors.Join(c.configure(), os.RemoveAll(filepath.Join(c.Dir, "mon"))); err != nil {
		return err
	}
	if err := c.call(ctx, "monmaptool", "--create", "--clobber", "--fsid", c.FSID, "--addv", "a", "[v2:"+addr+"]", monmap); err != nil {
		return err
	}
	if err := c.call(ctx, "ceph-mon", "-c", c.config(), "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", filepath.Join(c.Dir, "keyring")); err != nil {
		return err
	}
	p := c.daemon(s, "ceph-mon", "-i", "a")
	return p.start(ctx, func(ctx context.Context) error {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// storage starts one daemon that keeps objects. It is up when the gateway's first
// write is answered.
func (c *cluster) storage(ctx context.Context, s *Server) error {
	id := newUUID()
	if err := c.call(ctx, "ceph", "-c", c.config(), "--connect-timeout", "60", "osd", "new", id); err != nil {
		return err
	}
	if err := c.call(ctx, "ceph-osd", "-c", c.config(), "-i", "0", "--mkfs", "--osd-uuid", id); err != nil {
		return err
	}
	up := func(context.Context) error { return nil }
	return c.daemon(s, "ceph-osd", "-i", "0").start(ctx, up)
}

func (c *cluster) gateway(ctx context.Context, s *Server, addr string) error {
	first := c.Gateway == c.Mon
	c.Gateway, s.Endpoint = addr, "https://"+addr
	if err := c.configure(); err != nil {
		return err
	}
	if first { // this also makes the pools that hold the users
		err := c.call(ctx, "radosgw-admin", "-c", c.config(), "-n", "client.rgw", "user", "create", "--uid", "reseal", "--display-name", "reseal",
			"--access-key", AccessKey, "--secret-key", SecretKey)
		if err != nil {
			return err
		}
	}
	if s.front != nil {
		s.behind = append(s.behind, s.front)
	}
	s.front = c.process("radosgw", "-n", "client.rgw")
	return s.front.start(ctx, s.answers)
}

// daemon is a process behind the gateway; Close ends it.
func (c *cluster) daemon(s *Server, program string, args ...string) *process {
	p := c.process(program, args...)
	s.behind = append(s.behind, p)
	return p
}

func (c *cluster) process(program string, args ...string) *process {
	path, args := c.command(program, append([]string{"-f", "-c", c.config()}, args...))
	return &process{name: program, path: path, args: args, env: c.environment(), log: filepath.Join(c.Dir, program+".out")}
}

// command is what runs one of Ceph's programs.
func (c *cluster) command(program string, args []string) (string, []string) {
	if c.Root == "" {
		return program, args
	}
	return "chroot", append([]string{c.Root, "/usr/bin/" + program}, args...)
}

func (c *cluster) environment() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.Dir, "CEPH_CONF=" + c.config()}
}

// call runs one of Ceph's programs to its end, which a cluster that does not come up
// would never let it reach.
func (c *cluster) call(ctx context.Context, program string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	path, args := c.command(program, args)
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env, cmd.SysProcAttr = c.environment(), dieWithParent()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", program, errors.Join(err, ctx.Err()), tail(string(out)))
	}
	return nil
}
