package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/cse"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/check"
)

// killedAt runs a command and kills it at the n-th request of a kind, from 0: before its
// reply, and after its effect where that is said.
func (f *folders) killedAt(t *testing.T, op string, n int64, effect bool, args ...string) {
	t.Helper()
	cmd := f.command(args...)
	gone := make(chan struct{})
	var seen atomic.Int64
	hook := func(r s3test.Request) {
		if r.Op == op && !strings.Contains(r.Key, ".reseal-canary-") && seen.Add(1) == n+1 {
			_ = cmd.Process.Kill()
			select {
			case <-gone:
			case <-time.After(time.Minute):
			}
		}
	}
	on := f.server.OnRequest
	if effect {
		on = f.server.OnEffect
	}
	on(hook)
	err := cmd.Start()
	if err == nil {
		err = cmd.Wait()
	}
	close(gone)
	on(nil)
	if err == nil || seen.Load() <= n {
		t.Fatalf("it saw %d %s and ended by itself: %v", seen.Load(), op, err)
	}
}

// TestUploadKilledAnywhere: whatever a process dies in, the next one ends it, nothing is there
// twice or half, and no upload is left.
func TestUploadKilledAnywhere(t *testing.T) {
	t.Parallel()
	atOnce := newPool(t, 3)
	for _, tc := range []struct {
		op     string
		n      int64
		effect bool
	}{{"PutObject", 0, false}, {"PutObject", 0, true}, {"PutObject", 4, true}, {"PutObject", 8, false}, {"CreateMultipartUpload", 0, true}, {"UploadPart", 0, true}, {"UploadPart", 1, false},
		{"CompleteMultipartUpload", 0, false}, {"CompleteMultipartUpload", 0, true}} {
		for _, sealed := range []bool{false, true} {
			atOnce.run(cell(fmt.Sprint(tc.op, tc.n, tc.effect, sealed)), func(t *testing.T) {
				f := newFolders(t, s3test.Config{TLS: sealed})
				f.plain(t)
				args := f.up
				if sealed {
					args = append(slices.Clone(f.up), "--client-side", "v3", "--cse-kms-key-id", f.keyA)
				}
				f.killedAt(t, tc.op, tc.n, tc.effect, args...)
				if s := f.reseal(t, args...); s.code != 0 {
					t.Fatalf("exit code %d\n%s%v", s.code, s.stderr, f.states(t, f.job))
				}
				want := tree(t, f.from)
				b := f.server.Snapshot("b")
				if len(b.Objects) != len(want) {
					t.Errorf("%d objects of %d files", len(b.Objects), len(want))
				}
				f.onlyNamed(t, b)
				for _, r := range f.server.Requests() {
					if r.Op == "CreateMultipartUpload" && !strings.Contains(r.Key, ".bin") && !strings.Contains(r.Key, ".reseal-canary-") {
						t.Errorf("%s was uploaded in parts", r.Key)
					}
				}
				f.mustRun(t, 0, "verify", "--job", f.job)
				down := f.down
				if sealed {
					down = append(slices.Clone(f.down), "--client-side", "none")
				}
				f.mustRun(t, 0, down...)
				if diff := differences(want, tree(t, f.to)); len(diff) > 0 {
					t.Errorf("the trees differ:\n%s", strings.Join(diff, "\n"))
				}
			})
		}
	}
	atOnce.wait()
}

// onlyNamed wants no upload left but one whose ID the process that died never heard, and which
// the log names.
func (f *folders) onlyNamed(t *testing.T, b s3test.Bucket) {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(f.job, "reseal.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range b.Uploads {
		if !strings.Contains(string(log), u.ID) {
			t.Errorf("the upload %s of %s is left, and nobody names it", u.ID, u.Key)
		}
	}
}

// TestDownloadKilledAnywhere: at no instant has a file its name that is not whole, and what a
// process left is gone when the next has ended.
func TestDownloadKilledAnywhere(t *testing.T) {
	t.Parallel()
	atOnce := newPool(t, 3)
	for i := range 14 {
		atOnce.run(cell(fmt.Sprint("kill ", i)), func(t *testing.T) {
			f := newFolders(t, s3test.Config{})
			f.plain(t)
			for j := range 60 {
				f.write(t, fmt.Sprintf("many/%d", j), []byte(strings.Repeat("x", j*100)))
			}
			f.mustRun(t, 0, f.up...)
			want := tree(t, f.from)
			f.killedAt(t, "GetObject", int64(i*4), i%2 == 0, f.down...)
			partials := 0
			for path, is := range tree(t, f.to) {
				switch {
				case strings.HasPrefix(filepath.Base(path), object.PartialName):
					partials++
				case is != want[path]:
					t.Errorf("%s is there and is not whole: %s, want %s", path, is, want[path])
				}
			}
			if s := f.reseal(t, f.down...); s.code != 0 {
				t.Fatalf("exit code %d\n%s%v", s.code, s.stderr, f.states(t, filepath.Join(f.dir, "down")))
			}
			if diff := differences(want, tree(t, f.to)); len(diff) > 0 {
				t.Errorf("the trees differ:\n%s", strings.Join(diff, "\n"))
			}
			f.mustRun(t, 0, "verify", "--job", filepath.Join(f.dir, "down"))
			t.Logf("%d unfinished files were left", partials)
		})
	}
	atOnce.wait()
}

// TestDownloadSweeps: what the process that died had begun is removed by the next one, and a
// file that only looks so is not.
func TestDownloadSweeps(t *testing.T) {
	t.Parallel()
	f := newFolders(t, s3test.Config{})
	f.write(t, "large", []byte(strings.Repeat("0123456789abcdef", 20<<16)))
	f.mustRun(t, 0, f.up...)
	f.killedAt(t, "GetObject", 1, true, f.down...)
	var partial string
	for path := range tree(t, f.to) {
		if strings.HasPrefix(path, object.PartialName) {
			partial = path
		}
	}
	if partial == "" {
		t.Fatal("nothing was left, so that nothing can be swept")
	}
	last := partial[len(partial)-1]
	other := partial[:len(partial)-20] + map[bool]string{true: "1", false: "0"}[partial[len(partial)-20] == '0'] + partial[len(partial)-19:]
	if other == partial || last == 0 {
		t.Fatal("no other name")
	}
	if err := os.WriteFile(filepath.Join(f.to, other), []byte("another job's"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.mustRun(t, 0, f.down...)
	got := tree(t, f.to)
	if _, is := got[partial]; is || len(got) != 2 {
		t.Errorf("there are %v", got)
	}
}

// TestUploadThroughFaults: at each request each fault once, and files that others put there.
func TestUploadThroughFaults(t *testing.T) {
	t.Parallel()
	atOnce := newPool(t, 3)
	for _, rule := range []string{
		`(If (And Put (Key "in/*") (PerKey (First 1))) ReplyLost)`,
		`(If (And Put (Key "in/*") (PerKey (First 1))) Failed)`,
		`(If (And Part (Key "in/*") (PerKey (First 1))) ReplyLost)`,
		`(If (And Complete (Key "in/*") (PerKey (First 1))) ReplyLost)`,
		`(If (And CreateUpload (Key "in/*") (PerKey (First 1))) Failed)`,
		`(If (And Head (Key "in/*") (PerKey (First 1))) Failed)`,
	} {
		atOnce.run(cell(rule), func(t *testing.T) {
			f := newFolders(t, s3test.Config{})
			f.plain(t)
			f.server.Put("b", s3test.Object{Key: "in/a.txt", Body: s3test.Bytes("somebody else's")})
			if err := f.server.SetRules(rule); err != nil {
				t.Fatal(err)
			}
			f.mustRun(t, 3, f.up...)
			for path, state := range f.states(t, f.job) {
				if want := map[bool]string{true: "left exists", false: "done"}[path == "a.txt"]; state != want {
					t.Errorf("%s is %s", path, state)
				}
			}
			b := f.server.Snapshot("b")
			if o := b.Find("in/a.txt"); len(o) != 1 || string(o[0].Body.ReadAll()) != "somebody else's" {
				t.Error("another's object was overwritten")
			}
			if len(b.Objects) != len(tree(t, f.from)) || len(b.Uploads) > 0 {
				t.Errorf("%d objects, %d uploads", len(b.Objects), len(b.Uploads))
			}
		})
	}
	atOnce.wait()
}

// TestFileChangesWhileItIsUploaded: never half of the one and half of the other. What is done
// is what the file was at one moment.
func TestFileChangesWhileItIsUploaded(t *testing.T) {
	t.Parallel()
	f := newFolders(t, s3test.Config{})
	const size = 12 << 20
	for i := range 4 {
		f.write(t, fmt.Sprint("f", i), []byte(strings.Repeat("a", size)))
	}
	f.write(t, "small", []byte(strings.Repeat("a", 1<<20)))
	var stop atomic.Bool
	ended := make(chan struct{})
	var changes atomic.Int64
	f.server.OnRequest(func(r s3test.Request) {
		if (r.Op == "UploadPart" || r.Op == "PutObject") && changes.Add(1) < 9 {
			for i := range 4 {
				_ = os.WriteFile(filepath.Join(f.from, fmt.Sprint("f", i)), []byte(strings.Repeat(string(rune('b'+changes.Load())), size)), 0o644)
			}
		}
	})
	go func() {
		defer close(ended)
		for i := 0; !stop.Load(); i++ {
			_ = os.WriteFile(filepath.Join(f.from, "small"), []byte(strings.Repeat(string(rune('a'+i%26)), 1<<20)), 0o644)
			time.Sleep(time.Millisecond)
		}
	}()
	s := f.reseal(t, append(f.up, "--multipart-threshold", "5MiB", "--part-size", "5MiB")...)
	stop.Store(true)
	<-ended
	f.server.OnRequest(nil)
	if s.code != 0 && s.code != 3 {
		t.Fatalf("exit code %d\n%s", s.code, s.stderr)
	}
	states, b := f.states(t, f.job), f.server.Snapshot("b")
	for path, state := range states {
		there := b.Find("in/" + path)
		switch {
		case state == "done" && len(there) == 1:
			body := there[0].Body.ReadAll()
			if strings.Count(string(body), string(body[:1])) != len(body) || len(body) != size && path != "small" {
				t.Errorf("%s is torn", path)
			}
		case strings.HasPrefix(state, "left changing") || strings.HasPrefix(state, "failed"):
			if len(there) > 0 {
				t.Errorf("%s is %s and is there", path, state)
			}
		default:
			t.Errorf("%s is %s", path, state)
		}
	}
	if len(b.Uploads) > 0 {
		t.Errorf("%d uploads are left", len(b.Uploads))
	}
	t.Logf("%v", states)
}

// TestClientSideElsewhere: --client-side with --dest and --stamp-mtime, between buckets.
// The source stays as it is; what is there already is found, and others' objects stay.
func TestClientSideElsewhere(t *testing.T) {
	t.Parallel()
	w := newSealed(t, s3test.Config{Seed: 5, TLS: true}, s3test.BucketConfig{})
	w.server.CreateBucket("there", s3test.BucketConfig{})
	under := cse.Target{Wrap: cse.KMSContext, KMSKeyID: w.keyA}
	w.put(0, "v3", cse.V3, under, nil)
	w.put(1, "v2", cse.V2, under, nil)
	w.inFile(2, "infile", cse.V2, under)
	o := w.full(3, "plain")
	o.Metadata, o.Body = map[string]string{"city": "München"}, s3test.Bytes("a plain text")
	w.texts["plain"] = []byte("a plain text")
	w.server.Put(sealedBucket, o)
	before := w.server.Snapshot(sealedBucket)
	up := []string{"--dest", "s3://there/x", "--client-side", "v3", "--cse-kms-key-id", w.keyB, "--stamp-mtime"}
	sum := w.remake("up", 3, up...) // the instruction file is left, and goes with its object
	if sum.Done != 4 || sum.Left != 1 {
		t.Errorf("%+v", sum)
	}
	for _, o := range w.server.Snapshot("there").Objects {
		if object.ClientSideOf(o.Metadata).Content() != "AES-GCM, committed" || o.Metadata["mtime"] == "" {
			t.Errorf("%s has %v", o.Key, o.Metadata)
		}
	}
	if v := w.reseal(t, "verify", "--job", filepath.Join(w.dir, "up")); v.code != 3 || !strings.Contains(v.stdout+v.stderr, "0 different, 0 gone") {
		t.Errorf("verify: %d %s%s", v.code, v.stdout, v.stderr)
	}
	if sum := w.remake("again", 3, up...); sum.Already != 4 || sum.Left != 1 {
		t.Errorf("again: %+v", sum)
	}
	w.server.Put("there", s3test.Object{Key: "y/plain", Body: s3test.Bytes("somebody's")})
	sum = w.remake("out", 3, "--dest", "s3://there/y", "--client-side", "none", "--accept", "plaintext")
	if sum.Done != 3 || sum.Left != 2 {
		t.Errorf("out: %+v", sum)
	}
	there := w.server.Snapshot("there")
	for key, text := range w.texts {
		if o := there.Find("y/" + key); key != "plain" && (len(o) != 1 || string(o[0].Body.ReadAll()) != string(text) || object.ClientSideOf(o[0].Metadata) != object.NoEnvelope) {
			t.Errorf("y/%s is not its text", key)
		}
	}
	if o := there.Find("y/plain"); string(o[0].Body.ReadAll()) != "somebody's" {
		t.Error("somebody's object was overwritten")
	}
	to := filepath.Join(w.dir, "opened")
	if s := w.reseal(t, "run", "s3://there/x/", "--dest", to, "--client-side", "none", "--job", filepath.Join(w.dir, "down"), "--no-progress"); s.code != 0 {
		t.Fatalf("down: %d %s", s.code, s.stderr)
	}
	for key, text := range w.texts {
		if b, err := os.ReadFile(filepath.Join(to, key)); err != nil || string(b) != string(text) {
			t.Errorf("%s came back as %d bytes: %v", key, len(b), err)
		}
	}
	w.differences(t, before, check.Expectation{Intent: untouched})
}
