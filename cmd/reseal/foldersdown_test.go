package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// store puts an object where downloads come from.
func (f *folders) store(key, body string, with ...s3test.PutOption) {
	f.server.Put("b", s3test.Object{Key: "in/" + key, Body: s3test.Bytes(body)}, with...)
}

// states are the rows of a job: key, state and reason.
func (f *folders) states(t *testing.T, job string) map[string]string {
	t.Helper()
	got := map[string]string{}
	for key, r := range f.rows(t, job) {
		got[key] = strings.TrimSpace(r["state"] + " " + r["reason"])
	}
	return got
}

// TestDownloadLeavesByName: keys that are no names of files, names that are taken, links that
// lead elsewhere. Nothing is written outside, nothing that stands there is touched.
func TestDownloadLeavesByName(t *testing.T) {
	t.Parallel()
	f := newFolders(t, s3test.Config{})
	outside := filepath.Join(f.dir, "outside")
	for _, dir := range []string{outside, filepath.Join(f.to, "isdir/below")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for path, body := range map[string]string{"other": "another file", "same": "the same", "ascend": "file", "way": "a file on the way"} {
		if err := os.WriteFile(filepath.Join(f.to, path), []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{"link": outside, "filelink": filepath.Join(outside, "target"), "loop": "loop"} {
		if err := os.Symlink(to, filepath.Join(f.to, name)); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]string{
		"good": "done", "a/b/good": "done", "tab\t\x01": "done", "same": "already", "other": "left exists",
		"folder/": "left name", "marker/": "left folder-marker", "a//b": "left name", "/absolute": "left name", "../up": "left name", "a/../../up": "left name", "./here": "left name", "a/.": "left name",
		strings.Repeat("n", 256): "left name", object.PartialName + "x": "left name", "a/" + object.PartialName + "x/y": "left name",
		"isdir": "left name-conflict", "way/file": "left name-conflict",
		"link/file": "left symbolic-link", "filelink": "left symbolic-link", "loop/x": "left symbolic-link",
		"sealed": "left client-side", "archived": "left archived", "ssec": "left missing-key",
	}
	before := tree(t, f.to)
	for key := range want {
		switch key {
		case "sealed":
			f.server.Put("b", s3test.Object{Key: "in/sealed", Body: s3test.Bytes("ciphertext"), Attrs: s3test.Attrs{Metadata: map[string]string{"x-amz-key-v2": "AAAA", "x-amz-iv": "AAAA", "x-amz-cek-alg": "AES/GCM/NoPadding",
				"x-amz-wrap-alg": "kms+context", "x-amz-matdesc": "{}", "x-amz-tag-len": "128"}}})
		case "marker/":
			f.store(key, "")
		case "archived":
			f.server.Put("b", s3test.Object{Key: "in/archived", Body: s3test.Bytes("x"), Attrs: s3test.Attrs{StorageClass: "GLACIER"}})
		case "ssec":
			f.store(key, "x", s3test.CustomerKey(f.oldKey))
		case "same":
			f.store(key, "the same")
		default:
			f.store(key, "body of "+key)
		}
	}
	f.mustRun(t, 3, f.down...)
	rows := map[string]string{}
	for key, r := range f.states(t, filepath.Join(f.dir, "down")) {
		rows[strings.TrimPrefix(key, "in/")] = r
	}
	if diff := differences(want, rows); len(diff) > 0 {
		t.Errorf("rows:\n%s", strings.Join(diff, "\n"))
	}
	after := tree(t, f.to)
	for path := range maps.All(before) {
		if before[path] != after[path] {
			t.Errorf("%s was %s and is %s", path, before[path], after[path])
		}
	}
	if n := len(after) - len(before); n != 3 {
		t.Errorf("%d files were written, want 3: %v", n, slices.Sorted(maps.Keys(after)))
	}
	if there, _ := os.ReadDir(outside); len(there) > 0 {
		t.Errorf("outside lies %s", there[0].Name())
	}
	if _, err := os.Stat(filepath.Join(f.dir, "up")); err == nil {
		t.Error("something was written above the folder")
	}
	if v := f.reseal(t, "verify", "--job", filepath.Join(f.dir, "down")); v.code != 3 { // objects that are not done
		t.Errorf("verify: %d %s%s", v.code, v.stdout, v.stderr)
	}
}

// TestDownloadOfBothFileAndFolder: one of two keys whose paths exclude each other is left,
// whichever comes first.
func TestDownloadOfBothFileAndFolder(t *testing.T) {
	t.Parallel()
	f := newFolders(t, s3test.Config{})
	for i := range 20 {
		f.store(fmt.Sprintf("k%d", i), "a file")
		f.store(fmt.Sprintf("k%d/below", i), "in a folder")
	}
	f.mustRun(t, 3, f.down...)
	states := f.states(t, filepath.Join(f.dir, "down"))
	for i := range 20 {
		a, b := states[fmt.Sprintf("in/k%d", i)], states[fmt.Sprintf("in/k%d/below", i)]
		if pair := []string{a, b}; !slices.Contains(pair, "done") || !slices.Contains(pair, "left name-conflict") {
			t.Errorf("%d: %q and %q", i, a, b)
		}
	}
}

// TestDownloadVerifies: what was changed after the download is told.
func TestDownloadVerifies(t *testing.T) {
	t.Parallel()
	f := newFolders(t, s3test.Config{})
	for _, key := range []string{"a", "b", "c", "d"} {
		f.store(key, "body of "+key)
	}
	if run := f.mustRun(t, 0, f.down...); strings.Contains(run.stdout, "bucket-encryption") {
		t.Errorf("who downloads puts nothing under an encryption:\n%s", run.stdout)
	}
	job := filepath.Join(f.dir, "down")
	f.mustRun(t, 0, "verify", "--job", job)
	for _, args := range [][]string{{"prune"}, {"prune", "--versions", "noncurrent", "--yes"}} {
		if s := f.reseal(t, append(args, "--job", job)...); s.code != 2 || !strings.Contains(s.stderr, "to another place") {
			t.Errorf("%v of a download: exit code %d\n%s", args, s.code, s.stderr)
		}
	}
	if err := os.WriteFile(filepath.Join(f.to, "a"), []byte("body of b"), 0o644); err != nil { // of the same size
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(f.to, "b")); err != nil {
		t.Fatal(err)
	}
	v := f.mustRun(t, 3, "verify", "--job", job, "--json")
	for _, want := range []string{`"verified":2`, `"gone":1`, `"different":1`, `"ok":false`} {
		if !strings.Contains(v.stdout, want) {
			t.Errorf("no %s in %s", want, v.stdout)
		}
	}
}

// TestUploadVerifies: what is in the store is compared with the file again, however little the
// store shows of it.
func TestUploadVerifies(t *testing.T) {
	t.Parallel()
	for _, sse := range []string{"AES256", "aws:kms"} {
		t.Run(sse, func(t *testing.T) {
			f := newFolders(t, s3test.Config{})
			for _, name := range []string{"a", "b", "c", "d"} {
				f.write(t, name, []byte("body of "+name))
			}
			args := []string{"run", f.from, "--dest", "s3://b/in", "--sse", sse, "--job", f.job, "--no-progress"}
			if sse == "aws:kms" {
				args = append(args, "--sse-kms-key-id", f.keyA)
			}
			f.mustRun(t, 0, args...)
			f.mustRun(t, 0, "verify", "--job", f.job)
			// The store gives other bytes than it shows a checksum and an ETag of.
			o := f.server.Snapshot("b").Find("in/a")[0]
			o.Checksum = s3test.Checksum{}
			o.Body = s3test.Bytes("body of X")
			f.server.Put("b", o)
			f.write(t, "b", []byte("body of b, written since"))
			if err := os.Remove(filepath.Join(f.from, "c")); err != nil {
				t.Fatal(err)
			}
			v := f.reseal(t, "verify", "--job", f.job, "--json")
			want := []string{`"verified":2`, `"changed":2`}
			if sse == "aws:kms" { // no checksum, and an ETag that says nothing: the object is read
				want = []string{`"verified":1`, `"changed":2`, `"different":1`}
			}
			for _, want := range want {
				if !strings.Contains(v.stdout, want) {
					t.Errorf("no %s in %s%s", want, v.stdout, v.stderr)
				}
			}
		})
	}
}

// TestFolderOpensAndSeals: files are encrypted before they are sent, and what a client or a
// customer key has encrypted is opened on the way down.
func TestFolderOpensAndSeals(t *testing.T) {
	t.Parallel()
	f := newFolders(t, s3test.Config{TLS: true})
	f.plain(t)
	raw := f.file(t, "raw.key", []byte{31: 1})
	for i, with := range [][]string{{"--cse-kms-key-id", f.keyA}, {"--cse-key-file", raw}, {"--cse-kms-key-id", f.keyA, "--sse", "aws:kms", "--sse-kms-key-id", f.keyB}} {
		job, place := filepath.Join(f.dir, fmt.Sprint("sealed", i)), fmt.Sprintf("s3://b/sealed%d/", i)
		f.mustRun(t, 0, append([]string{"run", f.from, "--dest", place, "--client-side", "v3", "--job", job, "--no-progress"}, with...)...)
		want := tree(t, f.from)
		for _, o := range f.server.Snapshot("b").Objects {
			if strings.HasPrefix(o.Key, fmt.Sprintf("sealed%d/", i)) && (object.ClientSideOf(o.Metadata).Content() != "AES-GCM, committed" || o.Metadata["mtime"] == "") {
				t.Errorf("%s has %v", o.Key, o.Metadata)
			}
		}
		f.mustRun(t, 0, "verify", "--job", job)
		f.mustRun(t, 0, "run", "--job", job)
		// A job for the same finds what it has done.
		again := f.mustRun(t, 0, append([]string{"run", f.from, "--dest", place, "--client-side", "v3", "--job", job + "again", "--no-progress", "--json"}, with...)...)
		if !strings.Contains(again.stdout, fmt.Sprintf(`"already":%d`, len(want))) {
			t.Errorf("again: %s", again.stdout)
		}
		to := filepath.Join(f.dir, fmt.Sprint("opened", i))
		down := []string{"run", place, "--dest", to, "--client-side", "none", "--job", job + "down", "--no-progress"}
		if with[0] == "--cse-key-file" {
			down = append(down, "--source-cse-key-file", raw)
		}
		f.mustRun(t, 0, down...)
		if diff := differences(want, tree(t, to)); len(diff) > 0 {
			t.Errorf("the trees differ:\n%s", strings.Join(diff, "\n"))
		}
		f.mustRun(t, 0, "verify", "--job", job+"down")
	}
	f.mustRun(t, 0, "run", f.from, "--dest", "s3://b/ssec/", "--sse", "sse-c", "--sse-c-key-file", f.newFile, "--job", filepath.Join(f.dir, "ssec"), "--no-progress")
	f.mustRun(t, 0, "verify", "--job", filepath.Join(f.dir, "ssec"))
	f.mustRun(t, 0, "run", "s3://b/ssec/", "--dest", f.to, "--source-sse-c-key-file", f.newFile, "--job", filepath.Join(f.dir, "ssecdown"), "--no-progress")
	if diff := differences(tree(t, f.from), tree(t, f.to)); len(diff) > 0 {
		t.Errorf("the trees differ:\n%s", strings.Join(diff, "\n"))
	}
}

// TestFolderRefusals: what has no meaning is refused before anything is touched.
func TestFolderRefusals(t *testing.T) {
	t.Parallel()
	f := newFolders(t, s3test.Config{})
	f.write(t, "file", []byte("x"))
	key := filepath.Join(f.from, "key")
	f.write(t, "key", []byte(strings.Repeat("k", 32)))
	job := filepath.Join(f.dir, "job")
	for _, tc := range []struct {
		args []string
		says string
	}{
		{[]string{"run", f.from, "--sse", "AES256"}, "no place to go to"},
		{[]string{"run", f.from, "--dest", f.to, "--sse", "AES256"}, "both folders"},
		{[]string{"run", "s3://b", "--dest", f.to, "--sse", "AES256"}, "--sse has no meaning"},
		{[]string{"run", "s3://b", "--dest", f.to, "--client-side", "v3", "--cse-key-file", key}, "use none"},
		{[]string{"run", "s3://b", "--dest", f.to, "--storage-class", "STANDARD_IA"}, "--storage-class has no meaning"},
		{[]string{"run", "s3://b", "--dest", f.to, "--versions", "all"}, "one file of a name"},
		{[]string{"run", "s3://b", "s3://c", "--dest", f.to}, "several sources"},
		{[]string{"run", "s3://b", "--dest", filepath.Join(f.from, "file")}, "is a file"},
		{[]string{"run", filepath.Join(f.dir, "nowhere"), "--dest", "s3://b", "--sse", "AES256"}, "no folder of this machine"},
		{[]string{"run", filepath.Join(f.from, "file"), "--dest", "s3://b", "--sse", "AES256"}, "its folder and --exclude '*' --include FILE"},
		{[]string{"run", "s3://b", "--dest", "nowhere/to/be/found"}, "./FOLDER"},
		{[]string{"run", f.from, "--dest", "s3://b", "--sse", "sse-c", "--sse-c-key-file", key}, "would be uploaded with it"},
		{[]string{"run", f.from, "--dest", "s3://b", "--sse", "AES256", "--dest-region", "eu-west-1"}, "one store only"},
		{[]string{"run", f.from, "--dest", "s3://b", "--sse", "AES256", "--only-encryption", "none"}, "no meaning for files"},
		{[]string{"plan", f.from, "--dest", "s3://b", "--sse", "AES256", "--shards", "2"}, "cannot be divided"},
		{[]string{"run", f.from, "--dest", "s3://b", "--sse", "AES256", "--operation", "copy"}, "--operation copy"},
	} {
		s := f.reseal(t, append(tc.args, "--job", job)...)
		if s.code != 2 || !strings.Contains(s.stderr, tc.says) {
			t.Errorf("%v: exit code %d\n%s", tc.args, s.code, s.stderr)
		}
	}
	for _, args := range [][]string{{"run", f.from, "--dest", "s3://b", "--sse", "AES256", "--job", filepath.Join(f.from, "job")}, {"run", "s3://b", "--dest", filepath.Join(f.dir, "job", "below"), "--job", job}} {
		if s := f.reseal(t, args...); s.code != 2 || !strings.Contains(s.stderr, "one in the other") {
			t.Errorf("%v: exit code %d\n%s", args, s.code, s.stderr)
		}
	}
	if s := f.reseal(t, "run", f.from, "--dest", "s3://b", "--sse", "AES256", "--job", "s3://b/job"); s.code != 2 || !strings.Contains(s.stderr, "no other machine") {
		t.Errorf("a job in a bucket: exit code %d\n%s", s.code, s.stderr)
	}
	for _, args := range [][]string{{"audit", f.from}, {"who-needs", f.keyA, f.from}, {"doctor", "s3://b", "--dest", f.to}} {
		if s := f.reseal(t, args...); s.code != 2 {
			t.Errorf("%v: exit code %d\n%s", args, s.code, s.stderr)
		}
	}
	if _, err := os.Stat(f.to); err == nil {
		t.Error("a folder was made")
	}
	if n := len(f.server.Snapshot("b").Objects); n > 0 {
		t.Errorf("%d objects were written", n)
	}
	d := f.mustRun(t, 0, "doctor", f.from, "--dest", "s3://b/in", "--sse", "aws:kms", "--sse-kms-key-id", f.keyA)
	if !strings.Contains(d.stdout, "READY") {
		t.Errorf("doctor said %s", d.stdout)
	}
	up := f.mustRun(t, 0, "iam-policy", f.from, "--dest", "s3://b/in", "--sse", "AES256")
	if strings.Contains(up.stdout, "ReadObjects") || !strings.Contains(up.stdout, "s3:PutObject") {
		t.Errorf("the policy of an upload: %s", up.stdout)
	}
	down := f.mustRun(t, 0, "iam-policy", "s3://b/in", "--dest", f.to)
	if strings.Contains(down.stdout, "s3:PutObject\"") || !strings.Contains(down.stdout, "s3:GetObject") {
		t.Errorf("the policy of a download: %s", down.stdout)
	}
}
