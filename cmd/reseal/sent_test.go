package main

import (
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
)

// sentFile lists what reseal sends: a line an operation, with the names of its headers
// and, behind a question mark, of its query. A name that a store does not know may mean
// anything to it, so none is sent by accident.
const sentFile = "testdata/sent.list"

const howToUpdate = "If it is meant to be sent, and no store that reseal may meet takes it for something else, " +
	"add it by RESEAL_UPDATE_SENT=1 go test ./cmd/reseal -run TestEveryNameThatIsSent and review the difference of " + sentFile

// names are those that were sent, by operation.
type names map[string]map[string]bool

func (n names) add(op, name string) {
	if n[op] == nil {
		n[op] = map[string]bool{}
	}
	n[op][name] = true
}

// ofRequests adds the names of what reseal sent to the server. Requests of the test's
// own clients have another User-Agent; to KMS the SDK
// speaks.
func (n names) ofRequests(requests []s3test.Request) {
	for i := range requests {
		r := &requests[i]
		if !strings.HasPrefix(r.Op, "KMS.") && !strings.HasPrefix(r.Header.Get("User-Agent"), "reseal") {
			continue
		}
		for name := range r.Header {
			if name = strings.ToLower(name); strings.HasPrefix(name, "x-amz-meta-") {
				name = "x-amz-meta-*"
			}
			n.add(r.Op, name)
		}
		for _, name := range r.Withheld {
			n.add(r.Op, strings.ToLower(name))
		}
		for name := range r.Query {
			n.add(r.Op, "?"+name)
		}
	}
}

// without are the names that the other does not have, a line an operation.
func (n names) without(other names) (lines []string) {
	for _, op := range slices.Sorted(maps.Keys(n)) {
		var more []string
		for _, name := range slices.Sorted(maps.Keys(n[op])) {
			if !other[op][name] {
				more = append(more, name)
			}
		}
		if len(more) > 0 {
			lines = append(lines, op+": "+strings.Join(more, " "))
		}
	}
	return lines
}

var sentList = sync.OnceValues(func() (names, error) {
	text, err := os.ReadFile(sentFile)
	n := names{}
	for line := range strings.Lines(string(text)) {
		op, all, _ := strings.Cut(strings.TrimSpace(line), ": ")
		for _, name := range strings.Fields(all) {
			n.add(op, name)
		}
	}
	return n, err
})

// TestEveryNameThatIsSent does jobs of every shape and compares what they send with the
// list, both ways.
func TestEveryNameThatIsSent(t *testing.T) {
	t.Parallel()
	c := &sentCollector{T: t, sent: names{}}
	atOnce := newPool(t, 4)
	targets := attributeTargets(&stage{keyA: "KEY-A", keyB: "KEY-B", newFile: "NEW-FILE"})
	for i, target := range targets {
		for j, way := range append(attributeWays, attributeWay{name: "rewrite", args: []string{"--operation", "rewrite"}}) {
			where := attributeBuckets[(i+j)%len(attributeBuckets)]
			atOnce.run(target.name+"/"+way.name, func(t *testing.T) {
				aws := (i+j)%2 == 1
				c.job(t, aws, s3test.Profile{}, where.cfg, slices.Concat(target.args, way.args))
			})
		}
	}
	for _, p := range s3test.Stores() {
		for name, args := range map[string][]string{"auto": nil, "parts": inParts} {
			cfg := attributeBuckets[3].cfg
			if p.NoVersioning {
				cfg = s3test.BucketConfig{}
			}
			atOnce.run(cell(p.Name)+"/"+name, func(t *testing.T) {
				c.job(t, false, p, cfg, slices.Concat([]string{"--sse", "AES256"}, args))
			})
		}
	}
	for name, shape := range sentShapes {
		atOnce.run(name, func(t *testing.T) { shape(c, t) })
	}
	atOnce.wait()
	c.compare()
}

// sentCollector gathers what many servers were sent.
type sentCollector struct {
	*testing.T
	mu   sync.Mutex
	sent names
}

func (c *sentCollector) take(s *s3test.Server) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent.ofRequests(s.Requests())
}

func (c *sentCollector) compare() {
	if c.Failed() {
		return
	}
	if os.Getenv("RESEAL_UPDATE_SENT") != "" {
		text := strings.Join(c.sent.without(nil), "\n") + "\n"
		if err := os.WriteFile(filepath.FromSlash(sentFile), []byte(text), 0o644); err != nil {
			c.Fatal(err)
		}
		return
	}
	want, err := sentList()
	if err != nil {
		c.Fatal(err)
	}
	for _, line := range c.sent.without(want) {
		c.Errorf("sent for the first time: %s. %s", line, howToUpdate)
	}
	for _, line := range want.without(c.sent) {
		c.Errorf("in %s, and not sent by any of these jobs: %s. Take it away, or let one of them send it", sentFile, line)
	}
}

// stage of a bucket with objects of all kinds, each kind under one encryption.
func (c *sentCollector) stage(t *testing.T, aws bool, p s3test.Profile, cfg s3test.BucketConfig) *stage {
	t.Helper()
	return c.stageUpTo(200*mib, t, aws, p, cfg)
}

func (c *sentCollector) stageUpTo(most int64, t *testing.T, aws bool, p s3test.Profile, cfg s3test.BucketConfig) *stage {
	t.Helper()
	var st *stage
	temporary := s3test.DefaultCredentials
	temporary.SessionToken = "a token"
	who := []s3test.Credentials{temporary}
	if aws {
		st = newAWS(t, s3test.Config{Seed: 21, Credentials: who})
		st.oldKey, st.oldFile = st.customerKey(t, "old")
		st.newKey, st.newFile = st.customerKey(t, "new")
	} else {
		st = newStage(t, s3test.Config{TLS: true, Seed: 21, Profile: p, Credentials: who})
	}
	st.env = append(st.env, "AWS_SESSION_TOKEN="+temporary.SessionToken)
	t.Cleanup(func() { c.take(st.server) })
	st.server.CreateBucket("b", cfg)
	sources := []object.Encryption{{Type: object.SSES3}, {Type: object.SSENone}, {Type: object.SSEKMS, KMSKeyID: st.keyA}, {Type: object.SSEC}, {Type: object.DSSEKMS, KMSKeyID: st.keyA}}
	for n, kind := range attributeKinds {
		if kind.lock && !cfg.ObjectLock || kind.older && cfg.Versioning == "" || most < 200*mib && kind.size > most {
			continue
		}
		o := fullObject(n, min(kind.size, most))
		if cfg.Ownership == "" {
			o.Grants = nil
		}
		o.Key, o.Encryption = fmt.Sprintf("%s é%%41+/%d", kind.name, n), sources[n%len(sources)]
		if p.Encryption != s3test.EncryptAWS || p.NoImplicitSSE {
			o.Encryption = object.Encryption{}
		}
		if aws && o.Encryption.Type != object.SSEC && n%2 == 0 {
			o.Annotations = map[string]string{"note": "of " + o.Key}
		}
		var with []s3test.PutOption
		if o.Encryption.Type == object.SSEC {
			with = append(with, s3test.CustomerKey(st.oldKey))
		}
		with = append(with, kind.with(&o)...)
		st.server.Put("b", o, with...)
	}
	return st
}

// job runs one, and everything that looks at it.
func (c *sentCollector) job(t *testing.T, aws bool, p s3test.Profile, cfg s3test.BucketConfig, args []string) {
	most := int64(200 * mib)
	if slices.Contains(args, "rewrite") {
		most = mib // the store keeps sent bytes in memory
	}
	st := c.stageUpTo(most, t, aws, p, cfg)
	args = slices.Clone(args)
	for i, a := range args {
		args[i] = strings.NewReplacer("KEY-A", st.keyA, "KEY-B", st.keyB, "NEW-FILE", st.newFile).Replace(a)
	}
	old := []string{}
	if !aws || !slices.Contains(args, "rewrite") {
		old = []string{"--source-sse-c-key-file", st.oldFile}
	}
	target := slices.Concat([]string{"s3://b"}, args, old)
	job := filepath.Join(t.TempDir(), "job")
	for _, verb := range [][]string{slices.Concat([]string{"doctor"}, target), slices.Concat([]string{"plan", "--job", job}, target),
		slices.Concat([]string{"run", "--no-progress", "--job", job}, old), slices.Concat([]string{"verify", "--no-progress", "--job", job}, old)} {
		if s := st.reseal(t, verb...); s.code != 0 && s.code != 2 && s.code != 3 {
			t.Errorf("%s: exit code %d\n%s", verb[0], s.code, s.stderr)
		}
	}
}

// sentShapes are the jobs and looks that differ in more than target, operation and store.
var sentShapes = map[string]func(c *sentCollector, t *testing.T){
	"bucket-encryption": func(c *sentCollector, t *testing.T) {
		st := c.stage(t, true, s3test.Profile{}, s3test.BucketConfig{})
		st.does(t, "bucket-encryption", "get", "s3://b")
		st.does(t, "bucket-encryption", "set", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyA, "--bucket-key", "on")
	},
	"pages": func(c *sentCollector, t *testing.T) {
		for _, p := range []s3test.Profile{{}, s3test.MinIO()} {
			st := c.stage(t, p.Name == "", p, attributeBuckets[1].cfg)
			st.server.Fill("b", 1200, func(i int) string { return fmt.Sprintf("many/%05d", i) }, s3test.Bytes("x"), s3test.Attrs{Encryption: object.Encryption{Type: object.SSES3}})
			st.does(t, "audit", "s3://b")
			for i, args := range [][]string{nil, {"--versions", "all"}} {
				st.does(t, slices.Concat([]string{"plan", "s3://b", "--sse", "AES256", "--only-encryption", "none", "--job", filepath.Join(st.dir, fmt.Sprint("job", i))}, args)...)
			}
		}
	},
	"parts by HEAD": func(c *sentCollector, t *testing.T) {
		cfg := attributeBuckets[1].cfg
		cfg.Deny = []s3test.Deny{{Action: "s3:GetObjectAttributes"}}
		st := c.stage(t, true, s3test.Profile{}, cfg)
		st.does(t, "run", "s3://b", "--operation", "copy", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--no-progress", "--job", filepath.Join(st.dir, "job"))
	},
	"lists": func(c *sentCollector, t *testing.T) {
		st := c.stage(t, false, s3test.Profile{}, attributeBuckets[3].cfg)
		st.server.CreateBucket("lists", s3test.BucketConfig{})
		var list strings.Builder
		for _, o := range st.server.Snapshot("b").Objects {
			fmt.Fprintf(&list, "b,%s,%s\n", url.QueryEscape(o.Key), o.VersionID)
		}
		st.server.Put("lists", s3test.Object{Key: "of/b.csv", Body: s3test.Bytes(list.String())})
		for i, args := range [][]string{{"--operation", "copy"}, {"--operation", "update"}, inParts} {
			st.does(t, slices.Concat([]string{"run", "--manifest", "s3://lists/of/b.csv", "--bucket", "b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB,
				"--no-progress", "--job", filepath.Join(st.dir, fmt.Sprint("job", i))}, args)...)
		}
	},
	"elsewhere": func(c *sentCollector, t *testing.T) {
		for _, aws := range []bool{false, true} {
			st := c.stage(t, aws, s3test.Profile{}, attributeBuckets[1].cfg)
			st.server.CreateBucket("dest", s3test.BucketConfig{})
			for i, args := range [][]string{nil, inParts} {
				st.does(t, slices.Concat([]string{"run", "s3://b", "--dest", fmt.Sprintf("s3://dest/%d/", i), "--sse", "aws:kms", "--sse-kms-key-id", st.keyB,
					"--no-progress", "--job", filepath.Join(st.dir, fmt.Sprint("job", i))}, args)...)
			}
		}
	},
	"versions": func(c *sentCollector, t *testing.T) {
		for _, aws := range []bool{false, true} {
			st := c.stage(t, aws, s3test.Profile{}, attributeBuckets[1].cfg)
			st.does(t, "run", "s3://b", "--versions", "all", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--no-progress", "--job", filepath.Join(st.dir, "job"))
		}
	},
	"payer, owner, class, context, mtime": func(c *sentCollector, t *testing.T) {
		for i, args := range [][]string{nil, inParts, {"--operation", "rewrite"}} {
			st := c.stageUpTo(mib, t, i == 1, s3test.Profile{}, attributeBuckets[0].cfg) // all bytes are read
			st.does(t, slices.Concat([]string{"run", "s3://b", "--request-payer", "requester", "--expected-bucket-owner", "111122223333",
				"--storage-class", "STANDARD_IA", "--stamp-mtime", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--sse-kms-context", `{"a":"b"}`, "--bucket-key", "on",
				"--verify", "read", "--no-progress", "--job", filepath.Join(st.dir, "job")}, args)...)
		}
	},
	"event holds": func(c *sentCollector, t *testing.T) {
		for i, args := range [][]string{{"--operation", "copy"}, inParts, {"--operation", "rewrite"}, sentInParts} {
			most := int64(200 * mib)
			if slices.Contains(args, "rewrite") {
				most = mib
			}
			st := c.stageUpTo(most, t, true, s3test.Profile{}, attributeBuckets[3].cfg)
			for n, sum := range []struct{ algorithm, kind string }{{"SHA256", "COMPOSITE"}, {"CRC64NVME", "FULL_OBJECT"}} {
				if i < 3 {
					break
				}
				o := fullObject(n, 5*mib+1)
				o.Key, o.Encryption.Type, o.Grants = "in parts with "+sum.algorithm, object.SSES3, nil
				st.server.Put("b", o, s3test.Uploaded(o.Body, sum.algorithm, sum.kind, 5*mib, 1))
			}
			o := s3test.Object{Key: "held until told", Body: s3test.Bytes(fmt.Sprint(i))}
			o.Encryption.Type, o.LockMode, o.EventHold = object.SSES3, "GOVERNANCE", s3test.EventHold{On: true, Days: 30}
			st.server.Put("b", o)
			o.Key, o.EventHold = "held for years", s3test.EventHold{On: true, Years: 2}
			st.server.Put("b", o)
			st.does(t, slices.Concat([]string{"run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--no-progress", "--job", filepath.Join(st.dir, "job")}, args)...)
		}
	},
	"lost answers": func(c *sentCollector, t *testing.T) {
		for i, rule := range []string{"(If (And Copy (PerKey (First 1))) ReplyLost)", "(If (And CreateUpload (PerKey (First 1))) ReplyLost)",
			"(If (And Complete (PerKey (First 1))) ReplyLost)", "(If CopyPart (Error 403 AccessDenied no))"} {
			st := c.stage(t, true, s3test.Profile{}, attributeBuckets[1].cfg)
			if err := st.server.SetRules(rule); err != nil {
				t.Fatal(err)
			}
			args := inParts
			if i == 0 {
				args = []string{"--operation", "copy"}
			}
			st.does(t, slices.Concat([]string{"run", "s3://b", "--sse", "aws:kms", "--sse-kms-key-id", st.keyB, "--no-progress", "--job", filepath.Join(st.dir, "job")}, args)...)
		}
	},
}

// does runs the binary to an end that is one of those of a job.
func (st *stage) does(t *testing.T, args ...string) {
	t.Helper()
	if s := st.reseal(t, args...); s.code != 0 && s.code != 3 {
		t.Errorf("%v: exit code %d\n%s", args, s.code, s.stderr)
	}
}
