package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/resealhq/reseal/engine/s3test"
)

// manifests parses what is printed as a cluster would: every document, no key twice.
func manifests(t *testing.T, text string) (docs []map[string]any) {
	t.Helper()
	d := yaml.NewDecoder(strings.NewReader(text))
	for {
		var doc map[string]any
		err := d.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return docs
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		docs = append(docs, doc)
	}
}

// at finds what stands at a path of keys and indices.
func at(t *testing.T, v any, path ...any) any {
	t.Helper()
	for _, p := range path {
		switch key := p.(type) {
		case string:
			m, ok := v.(map[string]any)
			if !ok || m[key] == nil {
				t.Fatalf("there is no %q of %v in %v", key, path, v)
			}
			v = m[key]
		case int:
			l, ok := v.([]any)
			if !ok || key >= len(l) {
				t.Fatalf("there is no %d of %v in %v", key, path, v)
			}
			v = l[key]
		}
	}
	return v
}

// TestKubernetes: what is printed is two documents, and their fields say what docs/shards.md
// promises, whatever the names of bucket and directory are.
func TestKubernetes(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{})
	st.server.CreateBucket("b", s3test.BucketConfig{})
	for _, key := range []string{"a", "b", "c"} {
		st.server.Put("b", s3test.Object{Key: "x: \"y\" #\u0085/" + key, Body: s3test.Bytes("body")})
	}
	dir := filepath.Join(t.TempDir(), "my: \"job\" # \u0085{ $(HOME) $$NAME")
	if s := st.reseal(t, "plan", "s3://b/x: \"y\" #\u0085/", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--job", dir, "--shards", "3", "--multipart-threshold", "5GiB"); s.code != 0 {
		t.Fatalf("plan: exit code %d: %s", s.code, s.stderr)
	}
	s := st.reseal(t, "kubernetes", "--job", dir, "--parallelism", "2", "--image", "registry.example/reseal:1", "--role-arn", "arn:aws:iam::1:role/r", "--user", "1234", "--namespace", "ops",
		"--", "--max-requests-per-second", "900", "--on-exit", "echo $RESEAL_JOB, \"done\"")
	if s.code != 0 {
		t.Fatalf("exit code %d: %s", s.code, s.stderr)
	}
	docs := manifests(t, s.stdout)
	if len(docs) != 2 || at(t, docs[0], "kind") != "ServiceAccount" || at(t, docs[1], "kind") != "Job" || at(t, docs[1], "apiVersion") != "batch/v1" {
		t.Fatalf("%v", docs)
	}
	rule := func(action string, codes ...any) map[string]any {
		return map[string]any{"action": action, "onExitCodes": map[string]any{"containerName": "reseal", "operator": "In", "values": codes}}
	}
	pod := []any{"spec", "template", "spec"}
	in := func(path ...any) []any { return append(append([]any{}, pod...), path...) }
	for _, c := range []struct {
		doc  int
		path []any
		want any
	}{
		{0, []any{"metadata", "name"}, "reseal"},
		{0, []any{"metadata", "namespace"}, "ops"},
		{0, []any{"metadata", "annotations", "eks.amazonaws.com/role-arn"}, "arn:aws:iam::1:role/r"},
		{1, []any{"metadata", "namespace"}, "ops"},
		{1, []any{"spec", "completionMode"}, "Indexed"},
		{1, []any{"spec", "completions"}, 3},
		{1, []any{"spec", "parallelism"}, 2},
		{1, []any{"spec", "backoffLimitPerIndex"}, 3},
		{1, []any{"spec", "podFailurePolicy", "rules"}, []any{
			map[string]any{"action": "Ignore", "onPodConditions": []any{map[string]any{"type": "DisruptionTarget", "status": "True"}}},
			rule("FailJob", exitUnusable), rule("FailIndex", exitSome), rule("Ignore", exitOnPurpose, exitInterrupted)}},
		{1, in("restartPolicy"), "Never"},
		{1, in("serviceAccountName"), "reseal"},
		{1, in("automountServiceAccountToken"), false},
		{1, in("terminationGracePeriodSeconds"), 60 + 2*(60+5<<30/(4<<20))},
		{1, in("securityContext"), map[string]any{"runAsNonRoot": true, "runAsUser": 1234, "runAsGroup": 1234, "seccompProfile": map[string]any{"type": "RuntimeDefault"}}},
		{1, in("containers", 0, "name"), "reseal"},
		{1, in("containers", 0, "image"), "registry.example/reseal:1"},
		{1, in("containers", 0, "args"), []any{"run", "--job", strings.ReplaceAll(dir, "$", "$$"), "--shard", "auto", "--no-progress",
			"--max-requests-per-second", "900", "--on-exit", "echo $$RESEAL_JOB, \"done\""}},
		{1, in("containers", 0, "resources"), map[string]any{"requests": map[string]any{"cpu": "1", "memory": "1Gi"}, "limits": map[string]any{"memory": "1Gi"}}},
		{1, in("containers", 0, "securityContext"), map[string]any{"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": map[string]any{"drop": []any{"ALL"}}}},
		{1, in("containers", 0, "volumeMounts", 0), map[string]any{"name": "jobs", "mountPath": filepath.Dir(dir)}},
		{1, in("volumes", 0), map[string]any{"name": "jobs", "persistentVolumeClaim": map[string]any{"claimName": "reseal-jobs"}}},
	} {
		if got := at(t, docs[c.doc], c.path...); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%v is %#v, want %#v", c.path, got, c.want)
		}
	}
	for _, word := range []string{"# {", `"s3:PutObject"`, `"kms:GenerateDataKey"`, "arn:aws:s3:::b"} {
		if !strings.Contains(s.stdout, word) {
			t.Errorf("the policy has no %s", word)
		}
	}
	if strings.Contains(s.stdout, "needs besides") {
		t.Error("something is missing in the pods, and this job names nothing")
	}
	if strings.Contains(s.stdout, "\u0085") {
		t.Error("what a terminal obeys stands in it as it is")
	}
}

// TestKubernetesNamesWhatIsMissing: what the job names and lies on this machine is named in
// what is printed, since a pod that lacks it ends the whole Job.
func TestKubernetesNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	s := newTwoStores(t)
	raw := s.file(t, "raw key", bytes.Repeat([]byte{7}, 32))
	plan := append(append([]string{"plan"}, s.args[1:]...), "--shards", "2", "--client-side", "none", "--source-cse-key-file", raw)
	if end := s.reseal(t, plan...); end.code != 0 {
		t.Fatalf("plan: exit code %d: %s", end.code, end.stderr)
	}
	end := s.reseal(t, "kubernetes", "--job", s.job)
	_, needs, _ := strings.Cut(end.stdout, "\n# Each pod needs besides")
	needs, _, _ = strings.Cut(needs, "\napiVersion")
	want := []string{`the profile "from" of`, `the profile "to" of`, "the file " + yamlString(raw)}
	if lines := strings.Split(needs, "\n"); end.code != 0 || len(manifests(t, end.stdout)) != 2 || len(lines) != 1+len(want) {
		t.Errorf("exit code %d: %s%s", end.code, end.stdout, end.stderr)
	}
	for _, w := range want {
		if !strings.Contains(needs, "\n#   "+w) {
			t.Errorf("%s is not named: %s", w, needs)
		}
	}
}

// TestKubernetesRefuses tells what cannot be printed, in three parts.
func TestKubernetesRefuses(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{})
	st.server.CreateBucket("b", s3test.BucketConfig{})
	st.server.Put("b", s3test.Object{Key: "k", Body: s3test.Bytes("body")})
	whole, divided := filepath.Join(t.TempDir(), "whole"), filepath.Join(t.TempDir(), "divided")
	for _, args := range [][]string{{"run", "s3://b", "--sse", "AES256", "--job", whole}, {"plan", "s3://b", "--sse", "AES256", "--job", divided, "--shards", "1"}} {
		if s := st.reseal(t, args...); s.code != 0 {
			t.Fatalf("%v: exit code %d: %s", args, s.code, s.stderr)
		}
	}
	for _, c := range []struct {
		says string
		args []string
	}{
		{"there is no job", []string{"--job", "s3://b/jobs/1"}},
		{"has no shards", []string{"--job", whole}},
		{"--job is missing", nil},
		{"--parallelism -1", []string{"--job", divided, "--parallelism", "-1"}},
		{"is no name in Kubernetes", []string{"--job", divided, "--name", "Re seal"}},
		{"is no quantity", []string{"--job", divided, "--memory", "much"}},
		{"does not hold the job", []string{"--job", divided, "--mount", os.TempDir() + "/elsewhere"}},
		{"not root", []string{"--job", divided, "--user", "0"}},
		{"unexpected argument", []string{"--job", divided, "s3://b"}},
		{"unexpected argument", []string{"--job", divided, "--", "s3://b"}},
		{"unknown flag: --job", []string{"--job", divided, "--", "--job", "elsewhere"}},
		{"unknown flag: --shard", []string{"--job", divided, "--", "--shard", "1"}},
		{"--window", []string{"--job", divided, "--", "--window", "at night"}},
		{"invalid argument", []string{"--job", divided, "--", "--max-requests-per-second", "many"}},
	} {
		if s := st.reseal(t, append([]string{"kubernetes"}, c.args...)...); s.code != exitUnusable || !strings.Contains(s.stderr, c.says) || s.stdout != "" {
			t.Errorf("%v: exit code %d: %s%s", c.args, s.code, s.stdout, s.stderr)
		}
	}
}
