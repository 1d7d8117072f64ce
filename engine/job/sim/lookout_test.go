package sim

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/kms"
)

// changed is a bucket whose settings are changed in the middle of a run of five minutes,
// and what another client does then to the last object.
type changed struct {
	profile s3test.Profile
	bucket  s3test.BucketConfig
	change  func(*s3test.BucketConfig)
	last    s3test.Attrs
	stops   string // what the run ends with; empty for nothing
	logs    string
	keeps   func(s3test.Object) bool // of the last object, when the job is done
}

// TestSettingsThatChangeInMidRun: what no answer to a copy shows is looked for once a minute.
// A run that would lose something by it stops, and the next one loses nothing.
func TestSettingsThatChangeInMidRun(t *testing.T) {
	versions := s3test.BucketConfig{Versioning: "Enabled"}
	grants := []object.Grant{{URI: "http://acs.amazonaws.com/groups/global/AllUsers", Permission: "READ"}}
	for name, c := range map[string]changed{
		"ACLs": {bucket: versions, change: func(c *s3test.BucketConfig) { c.Ownership = "ObjectWriter" }, last: s3test.Attrs{Grants: grants},
			stops: "objects can have ACLs now", keeps: func(o s3test.Object) bool { return len(o.Grants) == 1 }},
		"locks": {bucket: versions, change: func(c *s3test.BucketConfig) { c.ObjectLock = true }, last: s3test.Attrs{LegalHold: true},
			stops: "objects can be locked now", keeps: func(o s3test.Object) bool { return o.LegalHold }},
		"a website": {change: func(c *s3test.BucketConfig) {
			c.Documents = map[string]string{"website": "<WebsiteConfiguration><IndexDocument><Suffix>i</Suffix></IndexDocument></WebsiteConfiguration>"}
		}, last: s3test.Attrs{Redirect: "/there"}, stops: "redirects have an effect now", keeps: func(o s3test.Object) bool { return o.Redirect == "/there" }},
		"versions, of which no reply tells": {profile: s3test.Profile{NoVersionsInReply: true}, bucket: versions,
			change: func(c *s3test.BucketConfig) { c.Versioning = "Suspended" }, stops: "versioning of s3://night was enabled and is suspended now"},
		"a rule that locks": {bucket: s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true},
			change: func(c *s3test.BucketConfig) { c.DefaultLockMode, c.DefaultLockDays = "GOVERNANCE", 30 }, logs: `rule="GOVERNANCE, 30 days"`},
		"the default encryption": {bucket: versions, change: func(c *s3test.BucketConfig) { c.DefaultEncryption.Type = object.SSES3 }},
	} {
		t.Run(name, func(t *testing.T) {
			cryptotest.SetGlobalRandom(t, 1)
			dir := filepath.Join(scratch(t), "job")
			synctest.Test(t, func(t *testing.T) { c.run(t, dir) })
		})
	}
}

func (c *changed) run(t *testing.T, dir string) {
	const objects, atCopy = 30, 6
	b := newBed(t, dir, c.profile, c.bucket, objects, 10*time.Second)
	defer b.close()
	b.atWrite(atCopy, func() {
		b.server.ConfigureBucket(bucketName, c.change)
		b.server.Put(bucketName, s3test.Object{Key: "k29", Body: s3test.Bytes("body"), Attrs: c.last})
	})
	err := b.run(job.Limits{})
	switch {
	case c.stops == "" && err != nil, c.stops != "" && (err == nil || !strings.Contains(err.Error(), c.stops)):
		t.Errorf("the run ended with %v, want %q", err, c.stops)
	case c.stops != "" && b.writes > objects/2:
		t.Errorf("%d of %d objects were copied before it stopped", b.writes, objects)
	}
	if c.logs != "" && b.log.count(c.logs) != 1 {
		t.Errorf("the log does not tell %s once:\n%s", c.logs, b.log.text.String())
	}
	if c.logs != "" {
		b.reportsRule(strings.TrimSuffix(strings.TrimPrefix(c.logs, `rule="`), `"`))
	}
	if c.keeps == nil {
		return
	}
	if err := b.run(job.Limits{}); err != nil {
		t.Errorf("the second run ended with %v", err)
	}
	for _, o := range b.server.Snapshot(bucketName).Find("k29") {
		if o.Latest && !c.keeps(o) {
			t.Errorf("the last object has %+v", o.Attrs)
		}
	}
}

// bed is a store whose every write takes its time, and a job that copies the objects of a
// bucket there, one by one.
type bed struct {
	t      *testing.T
	x      *exchange
	server *s3test.Server
	dir    string
	spec   job.Spec
	policy job.Policy
	log    said
	writes int // of objects of the job
}

func newBed(t *testing.T, dir string, profile s3test.Profile, bucket s3test.BucketConfig, objects int, latency time.Duration) *bed {
	b := &bed{t: t, x: newExchange(), dir: dir, policy: job.Policy{Operation: job.CopyOnly}, spec: job.Spec{Source: job.Source{Bucket: bucketName}, Target: job.Target{SSE: object.SSEKMS, KMSKeyID: newKey},
		Connection: job.Connection{EndpointURL: "http://store.sim", Region: "us-east-1", PathStyle: "on"}}}
	b.server = s3test.New(s3test.Config{Profile: profile, Listener: b.x, Seed: 1, Latency: map[string]time.Duration{"CopyObject": latency, "PutObject": latency}})
	b.server.KMS.CreateKeyWith(kms.KeyOptions{ID: newKey})
	b.server.CreateBucket(bucketName, bucket)
	for i := range objects {
		b.server.Put(bucketName, s3test.Object{Key: fmt.Sprintf("k%02d", i), Body: s3test.Bytes("body")})
	}
	return b
}

func (b *bed) close() {
	b.server.Close()
	time.Sleep(time.Minute)
}

// atWrite has something happen before an object of the job is written, counted from 1.
func (b *bed) atWrite(n int, happens func()) {
	b.server.OnRequest(func(r s3test.Request) {
		if r.Op != "CopyObject" && r.Op != "PutObject" || !strings.HasPrefix(r.Key, "k") {
			return
		}
		if b.writes++; b.writes == n {
			happens()
		}
	})
}

// run is one process of the job.
func (b *bed) run(limits job.Limits) error {
	l := &lines{x: b.x}
	defer l.cut()
	policy := b.policy
	if b.spec.Source.Folder != "" {
		policy.Operation = ""
	}
	j, err := job.CreateContext(job.On(b.t.Context(), job.Ground{Dial: l.dial}), b.dir, b.spec, policy)
	if err != nil {
		b.t.Fatal(err)
	}
	defer j.Close()
	limits.Concurrency = 1
	_, err = j.Run(b.t.Context(), job.Options{Limits: limits, Log: slog.New(slog.NewTextHandler(&b.log, nil))})
	return err
}
