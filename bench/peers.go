package main

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/resealhq/reseal/bench/tools"
)

// task is the work that a participant is given: bring every object below a
// prefix of a bucket under an encryption.
type task struct {
	endpoint, caFile     string
	accessKey, secretKey string
	bucket, prefix       string
	objects              int
	concurrency          int
	// sse is the header's value; kmsKey goes with aws:kms.
	sse, kmsKey string
	// other is an empty bucket for those that refuse to copy in place.
	other string
	// dir is a folder for this run alone.
	dir string
}

func (t *task) env() []string {
	env := append(os.Environ(), "AWS_ACCESS_KEY_ID="+t.accessKey, "AWS_SECRET_ACCESS_KEY="+t.secretKey, "AWS_REGION=us-east-1",
		"AWS_DEFAULT_REGION=us-east-1", "AWS_ENDPOINT_URL_S3="+t.endpoint, "AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=",
		"AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "HOME="+t.dir)
	if t.caFile != "" {
		env = append(env, "AWS_CA_BUNDLE="+t.caFile, "SSL_CERT_FILE="+t.caFile)
	}
	return env
}

func (t *task) url() string { return "s3://" + t.bucket + "/" + t.prefix }

// participant is one way to do a task.
type participant struct {
	name string
	// share of the objects that it is given, for the slow ones: 1/share of them.
	share int
	// find tells whether it is on this machine (building it where it is pinned), its
	// version and its path.
	find func(context.Context) (path, version string, err error)
	// args of the command.
	args func(t *task) []string
	// env beside the task's.
	env func(t *task) []string
	// secure is set where it goes over TLS.
	secure bool
	// legacy is set where its objects have ACLs.
	legacy bool
	// elsewhere is set where it copies to the other bucket.
	elsewhere bool
	// verify, where set, refuses figures of n objects that it cannot have.
	verify func(n int, f Figures) error
	// own is how it is run where it is more than a process.
	own func(ctx context.Context, path string, t *task) (Cost, error)
}

func (p *participant) check(n int, f Figures) error {
	if p.verify == nil {
		return nil
	}
	return p.verify(n, f)
}

// command is the participant as a process.
func (p *participant) command(ctx context.Context, path string, t *task) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, p.args(t)...)
	cmd.Env = t.env()
	if p.env != nil {
		cmd.Env = append(cmd.Env, p.env(t)...)
	}
	return cmd
}

// pinned finds a tool that bench/tools builds, and the version of its module.
func pinned(name, module string) func(context.Context) (string, string, error) {
	return func(ctx context.Context) (string, string, error) {
		path, err := tools.Build(ctx, name)
		if err != nil {
			return "", "", err
		}
		info, err := buildinfo.ReadFile(path)
		if err != nil {
			return "", "", err
		}
		for _, d := range append(info.Deps, &info.Main) {
			if d.Path == module && d.Version != "(devel)" {
				return path, d.Version, nil
			}
		}
		return path, "", nil
	}
}

// installed finds a tool on PATH; one that is not there takes no part.
func installed(name, pattern string, versionArgs ...string) func(context.Context) (string, string, error) {
	return func(ctx context.Context) (string, string, error) {
		path, err := exec.LookPath(name)
		if err != nil {
			return "", "", err
		}
		out, err := exec.CommandContext(ctx, path, versionArgs...).CombinedOutput()
		if err != nil {
			return "", "", fmt.Errorf("%s %s: %w", path, strings.Join(versionArgs, " "), err)
		}
		return path, regexp.MustCompile(pattern).FindString(string(out)), nil
	}
}

// ourselves finds this very program, for the loops.
func ourselves(context.Context) (string, string, error) {
	path, err := os.Executable()
	return path, "", err
}

// builder builds reseal once a run of bench.
type builder struct{ path string }

func (b *builder) find(ctx context.Context) (string, string, error) {
	if b.path != "" {
		return b.path, "", nil
	}
	root, err := moduleRoot(ctx)
	if err != nil {
		return "", "", err
	}
	dir, err := os.MkdirTemp("", "reseal-bench-")
	if err != nil {
		return "", "", err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, "reseal"), "./cmd/reseal")
	cmd.Dir, cmd.Stderr = root, os.Stderr
	if err := cmd.Run(); err != nil {
		return "", "", fmt.Errorf("building reseal: %w", err)
	}
	b.path = filepath.Join(dir, "reseal")
	return b.path, "", nil
}

// Close removes what was built.
func (b *builder) Close() error {
	if b.path == "" {
		return nil
	}
	return os.RemoveAll(filepath.Dir(b.path))
}

func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("finding the module (bench runs inside the repository): %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// reseal is the whole program with one set of flags.
func reseal(b *builder, name string, flags ...string) *participant {
	return &participant{name: name, share: 1, find: b.find, args: func(t *task) []string {
		args := []string{"run", t.url(), "--sse", t.sse, "--job", filepath.Join(t.dir, "job"), "--json", "--no-progress"}
		if t.kmsKey != "" {
			args = append(args, "--sse-kms-key-id", t.kmsKey)
		}
		if t.caFile != "" {
			args = append(args, "--ca-bundle", t.caFile)
		}
		return append(args, flags...)
	}}
}

// bare is one of the loops.
func bare(client string, head bool) *participant {
	name := map[string]string{"wire": "bare signed loop", "nethttp": "net/http + v4 signer loop", "sdk": "stock SDK loop"}[client]
	if head {
		name += ", HEAD+COPY"
	} else {
		name += ", COPY"
	}
	share := 1
	if client == "sdk" {
		share = 4
	}
	return &participant{name: name, share: share, find: ourselves, args: func(t *task) []string {
		args := []string{"-loop", "-client", client, "-bucket", t.bucket, "-n", fmt.Sprint(t.objects), "-concurrency", fmt.Sprint(t.concurrency),
			"-sse", t.sse, "-sse-kms-key-id", t.kmsKey}
		if head {
			args = append(args, "-head")
		}
		return args
	}}
}

func s5cmd() *participant {
	return &participant{name: "s5cmd", share: 4, find: pinned("s5cmd", "github.com/peak/s5cmd/v2"), args: func(t *task) []string {
		args := []string{"--endpoint-url", t.endpoint, "--numworkers", fmt.Sprint(t.concurrency), "--log", "error", "cp", "--sse", t.sse}
		if t.kmsKey != "" {
			args = append(args, "--sse-kms-key-id", t.kmsKey)
		}
		return append(args, t.url()+"*", t.url())
	}}
}

// rclone refuses to copy an object onto itself, so it copies to another bucket.
func rclone() *participant {
	return &participant{name: "rclone", share: 8, elsewhere: true, find: pinned("rclone", "github.com/rclone/rclone"), args: func(t *task) []string {
		args := []string{"copy", "--config", "/dev/null", "--transfers", fmt.Sprint(t.concurrency), "--checkers", fmt.Sprint(t.concurrency),
			"--s3-provider", "Other", "--s3-env-auth", "--s3-endpoint", t.endpoint, "--s3-server-side-encryption", t.sse}
		if t.kmsKey != "" {
			args = append(args, "--s3-sse-kms-key-id", t.kmsKey)
		}
		if t.caFile != "" {
			args = append(args, "--ca-cert", t.caFile)
		}
		return append(args, ":s3:"+t.bucket+"/"+t.prefix, ":s3:"+t.other+"/"+t.prefix)
	}}
}

func mc() *participant {
	return &participant{name: "mc", share: 8, find: pinned("mc", "github.com/minio/mc"), args: func(t *task) []string {
		args := []string{"--config-dir", filepath.Join(t.dir, "mc"), "cp", "--quiet", "--recursive"}
		if t.kmsKey != "" {
			args = append(args, "--enc-kms", "b/"+t.bucket+"="+t.kmsKey)
		} else {
			args = append(args, "--enc-s3", "b/"+t.bucket)
		}
		return append(args, "b/"+t.bucket+"/"+t.prefix, "b/"+t.bucket+"/"+t.prefix)
	}, env: func(t *task) []string {
		scheme, host, _ := strings.Cut(t.endpoint, "://")
		return []string{"MC_HOST_b=" + scheme + "://" + t.accessKey + ":" + t.secretKey + "@" + host}
	}}
}

func awsCLI() *participant {
	return &participant{name: "aws-cli", share: 100, find: installed("aws", `aws-cli/[0-9.]+`, "--version"), args: func(t *task) []string {
		args := []string{"--endpoint-url", t.endpoint, "s3", "cp", "--recursive", "--only-show-errors", "--sse", t.sse}
		if t.kmsKey != "" {
			args = append(args, "--sse-kms-key-id", t.kmsKey)
		}
		return append(args, t.url(), t.url())
	}}
}
