package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// The fault matrix: every mutation × every fault of the embedded store × every
// moment at which the process can die, on the real binary. Each cell ends with
// the same question: is every object as wanted, once, with everything it had,
// and does the report say just that?

// mutations are the operations, with the request that changes the object.
var matrixMutations = []struct {
	name, commit string
	args         []string
	brief        bool // only the faults that differ at this request
	rewrap       bool
}{
	{"copy", "Copy", []string{"--operation", "copy"}, false, false},
	{"update", "Update", []string{"--operation", "update"}, false, false},
	{"multipart", "Complete", inParts, false, false},
	{"part", "CopyPart", inParts, true, false},
	{"create", "CreateUpload", inParts, true, false},
	{"rewrite", "Put", []string{"--operation", "rewrite"}, false, false},
	{"rewrite-in-parts", "Complete", sentInParts, false, false},
	{"sent-part", "Part", sentInParts, true, false},
	{"sent-create", "CreateUpload", sentInParts, true, false},
	{"rewrap", "Copy", nil, false, true},
	{"rewrap-in-parts", "Complete", []string{"--multipart-threshold", "1", "--part-size", "5MiB"}, false, true},
	{"rewrap-file", "Put", nil, false, true},
}

var (
	inParts     = []string{"--operation", "copy", "--multipart-threshold", "1", "--part-size", "5MiB"}
	sentInParts = []string{"--operation", "rewrite", "--multipart-threshold", "1", "--part-size", "5MiB"}
)

var matrixFaults = []string{"", "Failed", "ReplyLost", "Throttled", "KMSThrottled", "Stalled", "(Applied Stalled)",
	"ErrorIn200", "(Applied ErrorIn200)", "Truncated", "EmptyBody", "(Unapplied EmptyBody)"}

// deaths are the moments; "" lives on.
var matrixDeaths = []string{"", "before", "after", "later", "interrupted"}

const (
	matrixObjects = 9
	matrixWorkers = 4 // as many requests die with a process
)

func TestFaultMatrix(t *testing.T) {
	t.Parallel()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	var cells, extra atomic.Int32
	atOnce := newPool(t, 8) // cells wait more than they work
	for _, m := range matrixMutations {
		for _, fault := range matrixFaults {
			for _, death := range matrixDeaths {
				if m.brief && fault != "" && fault != "ReplyLost" && fault != "Failed" {
					continue
				}
				atOnce.run(fmt.Sprintf("%s/%s/%s", m.name, cell(fault), cell(death)), func(t *testing.T) {
					c := newCell(t, binary, matrixObjects, m.args, death != "")
					if m.rewrap {
						c = newRewrapCell(t, binary, m.commit == "Put", m.args)
					}
					c.fault(m.commit, fault)
					if death != "" {
						c.dieAt(m.commit, death)
					}
					c.finish()
					if m.rewrap {
						c.checkRewrapped(death != "")
					} else {
						extra.Add(int32(c.check(m.name == "update", death != "")))
					}
					cells.Add(1)
				})
			}
		}
	}
	atOnce.wait()
	t.Logf("%d cells of %d objects; %d versions more than objects, each of a request whose answer died with its process",
		cells.Load(), matrixObjects, extra.Load())
}

func cell(s string) string {
	if s == "" {
		return "none"
	}
	return strings.NewReplacer(" ", "-", "(", "", ")", "").Replace(s)
}

// matrixCell is one bucket of the embedded store and one job of the real binary.
type matrixCell struct {
	*testing.T
	server *s3test.Server
	binary string
	key    string
	job    string
	args   []string
	before s3test.Bucket
	// dying is how many requests may have been on their way when a process died, or
	// gave them up.
	dying int
	// rewrap is set where the job is about envelopes; was holds the data keys.
	rewrap bool
	was    map[string][]byte
}

const matrixBucket = "matrix"

func newCell(t *testing.T, binary string, n int, args []string, dies bool) *matrixCell {
	s := s3test.New(s3test.Config{Seed: 1})
	t.Cleanup(s.Close)
	old, key := s.KMS.CreateKey(), s.KMS.CreateKey()
	s.CreateBucket(matrixBucket, s3test.BucketConfig{Versioning: "Enabled"})
	for i := range n {
		o := matrixObject(i, old)
		if slices.Contains(args, "rewrite") {
			o.Body = sentBody(i, slices.Contains(args, "--part-size"), dies)
		}
		s.Put(matrixBucket, o)
	}
	c := &matrixCell{T: t, server: s, binary: binary, key: key, job: filepath.Join(t.TempDir(), "job"), dying: matrixWorkers}
	c.args = append([]string{"run", "s3://" + matrixBucket, "--sse", "aws:kms", "--sse-kms-key-id", key, "--job", c.job,
		"--json", "--no-progress", "--concurrency", fmt.Sprint(matrixWorkers)}, args...)
	c.before = s.Snapshot(matrixBucket)
	return c
}

// matrixBodies are the same ones in every cell, so that a cell does not spend its time on
// their digests.
var matrixBodies = sync.OnceValue(func() (all [metaObjects]*s3test.Content) {
	for i := range all {
		all[i] = s3test.Synthetic(uint64(i), int64(i%3)*min(1, int64(12/(i+1)))*(5<<20)+int64(i))
	}
	return all
})

// sentBodies are those whose bytes are truly sent, so that they are no larger than a
// cell needs: all in one request, or one of two parts and, where no process dies, one of
// three.
var sentBodies sync.Map

func sentBody(i int, parts, dies bool) *s3test.Content {
	size := int64(i)
	switch {
	case i == 1 && parts, i == 2 && parts && !dies:
		size += size * (5 << 20)
	case i <= 2:
		size += size << 16
	}
	body, _ := sentBodies.LoadOrStore(size, s3test.Synthetic(uint64(i), size))
	return body.(*s3test.Content)
}

// matrixObject is the i-th object: sizes that take one part and several, with
// everything that an object can have and a copy can lose.
func matrixObject(i int, oldKey string) s3test.Object {
	o := s3test.Object{Key: fmt.Sprintf("obj-%02d é+%%2F", i), Body: matrixBodies()[i],
		LastModified: time.Date(2022, 1, 1+i, 0, 0, 0, 0, time.UTC)}
	o.Encryption.Type = object.SSES3
	if i%2 == 1 {
		o.Encryption = object.Encryption{Type: object.SSEKMS, KMSKeyID: oldKey}
	}
	o.ContentType, o.CacheControl, o.Expires = "text/x-matrix", "max-age=7", "Thu, 01 Jan 2032 00:00:00 GMT"
	o.Metadata = map[string]string{"number": fmt.Sprint(i), "from": "m=C3=BCnchen"}
	o.Tags = []object.Tag{{Key: "team a", Value: "x+y"}}
	if i%4 == 2 {
		o.StorageClass = "STANDARD_IA"
	}
	return o
}

// hurry gives up soon on what is stalled. Elsewhere a slow machine would be one more fault.
func (c *matrixCell) hurry(fault string) {
	if strings.Contains(fault, "Stalled") {
		c.args = append(c.args, "--request-timeout", "1s")
	}
}

// fault lets the first request of the kind for every object meet the fault.
func (c *matrixCell) fault(op, fault string) {
	c.hurry(fault)
	if fault == "" {
		return
	}
	rule := fmt.Sprintf(`(If (And %s (Key "obj-*") (PerKey (First 1))) %s)`, op, fault)
	if err := c.server.SetRules(rule); err != nil {
		c.Fatal(err)
	}
}

func (c *matrixCell) command() *exec.Cmd {
	cmd := exec.Command(c.binary, c.args...)
	cred := s3test.DefaultCredentials
	if c.rewrap {
		defer func() { cmd.Env = append(cmd.Env, "AWS_ENDPOINT_URL_KMS="+c.server.URL()) }()
	}
	cmd.Env = []string{"AWS_ENDPOINT_URL=" + c.server.URL(), "AWS_REGION=us-east-1", "HOME=" + c.TempDir(),
		"AWS_ACCESS_KEY_ID=" + cred.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + cred.SecretAccessKey,
		"AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull, "AWS_EC2_METADATA_DISABLED=true", seldom}
	return cmd
}

// dieAt runs the binary and ends it around its fourth request of the kind for
// an object: before the request has any effect, after its reply, at some later
// request, or by two interrupts in a row.
func (c *matrixCell) dieAt(op, moment string) {
	cmd := c.command()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil { // before requests are counted, of which some may be of one killed before
		c.Fatal(err)
	}
	var seen, later atomic.Int32
	mine := func(r s3test.Request) bool { return strings.HasPrefix(r.Key, "obj-") && c.isOp(r.Op, op) }
	kill := func() { _ = cmd.Process.Kill() }
	c.server.OnRequest(func(r s3test.Request) {
		if moment == "later" && seen.Load() >= 4 && later.Add(1) == 3 {
			kill()
		}
		if !mine(r) || seen.Add(1) != 4 {
			return
		}
		switch moment {
		case "before":
			kill()
		case "interrupted":
			_ = cmd.Process.Signal(os.Interrupt)
			_ = cmd.Process.Signal(syscall.SIGTERM)
		}
	})
	c.server.OnReply(func(r s3test.Request) {
		if moment == "after" && mine(r) && seen.Load() >= 4 {
			kill()
		}
	})
	err := cmd.Wait()
	c.server.OnRequest(nil)
	c.server.OnReply(nil)
	var exit *exec.ExitError
	if err == nil && moment == "interrupted" {
		return // the signals came when nothing was left to drain
	}
	if !errors.As(err, &exit) || exit.ExitCode() != -1 && exit.ExitCode() != 130 {
		c.Fatalf("the process should have died %s: %v\n%s", moment, err, stderr.String())
	}
}

func (c *matrixCell) isOp(op, short string) bool {
	long := map[string]string{"Copy": "CopyObject", "Update": "UpdateObjectEncryption", "Complete": "CompleteMultipartUpload",
		"CopyPart": "UploadPartCopy", "CreateUpload": "CreateMultipartUpload", "Put": "PutObject", "Part": "UploadPart"}
	return op == long[short]
}

// finish runs the job to its end, as a person would: again until it says so.
func (c *matrixCell) finish() {
	for try := range 3 {
		s := answered(c.T, c.command())
		if s.code == 0 {
			c.counters([]byte(s.stdout))
			return
		}
		if try == 2 {
			c.Fatalf("the run did not end well: exit code %d\n%s%s", s.code, s.stdout, s.stderr)
		}
	}
}

func (c *matrixCell) counters(stdout []byte) {
	var s runSummary
	if err := json.Unmarshal(stdout, &s); err != nil {
		c.Fatalf("%v in %s", err, stdout)
	}
	n := len(c.before.Objects)
	if s.Planned != n || s.Done+s.Already != n || !s.Complete {
		c.Errorf("counters %+v, want %d objects", s, n)
	}
}

// check compares the bucket with what it was, and the report with both. It
// returns how many versions there are beside the one that each copy makes.
func (c *matrixCell) check(update, died bool) (extra int) {
	now := c.server.Snapshot(matrixBucket)
	c.uploadsAreNamed(now.Uploads)
	rows := c.report()
	keys := map[string]bool{}
	for _, o := range now.Objects {
		keys[o.Key] = true
	}
	if len(keys) != len(c.before.Objects) || len(rows) != len(c.before.Objects) {
		c.Errorf("%d keys and %d rows, want %d: something was left behind or lost", len(keys), len(rows), len(c.before.Objects))
	}
	for _, was := range c.before.Objects {
		versions := now.Find(was.Key)
		want := 2
		if update {
			want = 1
		}
		if len(versions) < want {
			c.Fatalf("%q has %d versions, want %d", was.Key, len(versions), want)
		}
		extra += len(versions) - want
		c.sameObject(was, versions[0], update)
		row := rows[was.Key]
		if row["state"] != "done" && row["state"] != "already" || row["sse_after"] != "sse-kms" || row["etag_after"] != versions[0].ETag {
			c.Errorf("the row of %q is %v, the object's ETag %s", was.Key, row, versions[0].ETag)
		}
	}
	if extra > 0 && !died {
		c.Errorf("%d objects were written twice by a process that lived", extra)
	}
	return extra
}

// uploadsAreNamed wants no upload to be left open but one whose creation got no
// answer, since nobody can tell it from another client's; and that one in the log.
// As many answers were lost as the server's journal tells, beside those of requests
// that a process did not live to see, or on a slow machine did not wait for.
func (c *matrixCell) uploadsAreNamed(open []s3test.UploadState) {
	if len(open) == 0 {
		return
	}
	log, err := os.ReadFile(filepath.Join(c.job, "reseal.log"))
	if err != nil {
		c.Fatal(err)
	}
	for _, u := range open {
		if !bytes.Contains(log, []byte(u.ID)) {
			c.Errorf("an upload is left open, and no log names it: %+v", u)
		}
	}
	lost := c.dying
	for _, r := range c.server.Requests("CreateMultipartUpload") {
		if r.Applied && r.Fault != "" && !strings.Contains(r.Fault, "Delay") {
			lost++
		}
	}
	if len(open) > lost {
		c.Errorf("%d uploads are left open, and %d answers were lost: %+v", len(open), lost, open)
	}
}

// sameObject wants everything as before but what the operation must change.
func (c *matrixCell) sameObject(was, is s3test.Object, update bool) {
	if is.Encryption.Type != object.SSEKMS || is.Encryption.KMSKeyID != c.key {
		c.Errorf("%q is under %+v", was.Key, is.Encryption)
	}
	if !was.Body.Equal(is.Body) {
		c.Errorf("the bytes of %q changed", was.Key)
	}
	type kept struct {
		ct, cc, exp, class, redirect, lock, tags, meta, modified string
	}
	of := func(o s3test.Object) kept {
		k := kept{ct: o.ContentType, cc: o.CacheControl, exp: o.Expires, class: o.StorageClass, redirect: o.Redirect,
			lock: o.LockMode, tags: fmt.Sprint(o.Tags), meta: fmt.Sprint(o.Metadata)}
		if update {
			k.modified = o.LastModified.String() + o.ETag
		}
		return k
	}
	if a, b := of(was), of(is); a != b {
		c.Errorf("%q was %+v and is %+v", was.Key, a, b)
	}
}

func (c *matrixCell) report() map[string]map[string]string {
	c.Helper()
	return reportOf(c.T, c.job).by(c.T, byKey)
}
