package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/check"
	"github.com/resealhq/reseal/engine/s3test/kms"
)

// trap is something around a bucket that a run would set off, and the findings
// that doctor must have of it, as "level topic: what" with any part of what.
type trap struct {
	name   string
	config s3test.BucketConfig
	// keyState is of the target's key; empty for one that is enabled.
	keyState kms.State
	args     []string // in place of a KMS target
	finds    []string
}

const (
	lifecycleByAge = `<LifecycleConfiguration><Rule><ID>old</ID><Status>Enabled</Status><Filter><Prefix></Prefix></Filter>` +
		`<Transition><Days>90</Days><StorageClass>GLACIER</StorageClass></Transition><Expiration><Days>400</Days></Expiration></Rule>` +
		`<Rule><ID>off</ID><Status>Disabled</Status><Filter><Prefix></Prefix></Filter><Expiration><Days>1</Days></Expiration></Rule>` +
		`<Rule><ID>elsewhere</ID><Status>Enabled</Status><Filter><Prefix>tmp/</Prefix></Filter><Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>`
	lifecycleOfOldVersions = `<LifecycleConfiguration><Rule><ID>purge</ID><Status>Enabled</Status><Filter/>` +
		`<NoncurrentVersionExpiration><NoncurrentDays>7</NoncurrentDays></NoncurrentVersionExpiration></Rule></LifecycleConfiguration>`
	replicationWithoutKMS = `<ReplicationConfiguration><Role>arn:aws:iam::111122223333:role/r</Role><Rule><ID>dr</ID><Status>Enabled</Status>` +
		`<Filter><Prefix></Prefix></Filter><Destination><Bucket>arn:aws:s3:::dr</Bucket></Destination></Rule></ReplicationConfiguration>`
	replicationWithKMS = `<ReplicationConfiguration><Role>arn:aws:iam::111122223333:role/r</Role><Rule><ID>dr</ID><Status>Enabled</Status>` +
		`<Filter><Prefix></Prefix></Filter><SourceSelectionCriteria><SseKmsEncryptedObjects><Status>Enabled</Status></SseKmsEncryptedObjects></SourceSelectionCriteria>` +
		`<Destination><Bucket>arn:aws:s3:::dr</Bucket><EncryptionConfiguration><ReplicaKmsKeyID>k</ReplicaKmsKeyID></EncryptionConfiguration></Destination></Rule></ReplicationConfiguration>`
	aWebsite = `<WebsiteConfiguration><IndexDocument><Suffix>index.html</Suffix></IndexDocument></WebsiteConfiguration>`
	events   = `<NotificationConfiguration><QueueConfiguration><Id>q</Id><Queue>arn:aws:sqs:us-east-1:111122223333:q</Queue><Event>s3:ObjectCreated:*</Event></QueueConfiguration>` +
		`<TopicConfiguration><Id>t</Id><Topic>arn:aws:sns:us-east-1:111122223333:t</Topic><Event>s3:ObjectRemoved:*</Event></TopicConfiguration></NotificationConfiguration>`
)

func traps() []trap {
	return []trap{
		{name: "plain"},
		{name: "lifecycle-by-age", config: documents("lifecycle", lifecycleByAge),
			finds: []string{`warning lifecycle: "old" (transition after 90 days, expiration after 400 days)`}},
		{name: "lifecycle-of-old-versions", config: with(documents("lifecycle", lifecycleOfOldVersions), func(c *s3test.BucketConfig) { c.Versioning = "Enabled" }),
			finds: []string{`warning lifecycle: "purge" will delete it`}},
		{name: "replication-without-kms", config: documents("replication", replicationWithoutKMS),
			finds: []string{"serious replication: silently stop being replicated"}},
		{name: "replication-with-kms", config: documents("replication", replicationWithKMS), finds: []string{"warning replication: replicates again"}},
		{name: "replication-to-another-minio", config: documents("replication", fmt.Sprintf(mirrorRule, "Disabled")),
			finds: []string{"warning replication: has no key of that name", "note replication: throwaway"}},
		{name: "lock", config: s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true}, finds: []string{"warning lock: stays, undeletable"}},
		{name: "compliance-lock", config: s3test.BucketConfig{Versioning: "Enabled", ObjectLock: true, DefaultLockMode: "COMPLIANCE", DefaultLockDays: 1},
			// No throwaway object could be deleted there, so an update is not tried out.
			finds: []string{"serious lock: COMPLIANCE", "warning versioning: leaves the old version"}},
		{name: "disabled-key", keyState: "Disabled", finds: []string{"serious key: Disabled"}},
		{name: "key-pending-deletion", keyState: "PendingDeletion", finds: []string{"serious key: PendingDeletion"}},
		{name: "forbidden-key", keyState: "Denied", finds: []string{"serious key: cannot be used"}},
		{name: "no-tags", config: denies("s3:GetObjectTagging"), finds: []string{"serious permission: s3:GetObjectTagging"}},
		{name: "no-retention", config: with(denies("s3:GetObjectRetention"), func(c *s3test.BucketConfig) { c.Versioning, c.ObjectLock = "Enabled", true }),
			finds: []string{"serious permission: s3:GetObjectRetention", "warning lock: stays, undeletable"}},
		{name: "retention-without-lock", config: denies("s3:GetObjectRetention")},
		{name: "no-lifecycle-rules-read", config: denies("s3:GetLifecycleConfiguration"), finds: []string{"warning permission: s3:GetLifecycleConfiguration"}},
		{name: "website", config: documents("website", aWebsite), finds: []string{"note website: redirect"}},
		{name: "notifications", config: documents("notification", events), finds: []string{"warning notifications: arn:aws:sqs:us-east-1:111122223333:q"}},
		{name: "acls", config: s3test.BucketConfig{Ownership: "ObjectWriter"}, finds: []string{"note ownership: grants"}},
		{name: "blocked-sse-c", config: s3test.BucketConfig{BlockSSEC: true}, args: []string{"--sse", "sse-c", "--sse-c-key-file"},
			finds: []string{"serious default-encryption: refuses SSE-C"}},
		{name: "sse-c-not-blocked", args: []string{"--sse", "sse-c", "--sse-c-key-file"}},
		{name: "requester-pays", config: s3test.BucketConfig{RequesterPays: true}, finds: []string{"note requester-pays: Requester Pays"}},
		{name: "default-sse-s3", config: s3test.BucketConfig{DefaultEncryption: object.Encryption{Type: object.SSES3}},
			finds: []string{"warning default-encryption: sse-s3"}},
		{name: "default-by-alias", config: s3test.BucketConfig{DefaultEncryption: object.Encryption{Type: object.SSEKMS, KMSKeyID: "alias/default-by-alias", BucketKey: true}}},
		{name: "default-by-another-alias", config: s3test.BucketConfig{DefaultEncryption: object.Encryption{Type: object.SSEKMS, KMSKeyID: "alias/aws/s3", BucketKey: true}},
			finds: []string{"warning default-encryption: alias/aws/s3"}},
	}
}

func documents(name, body string) s3test.BucketConfig {
	return s3test.BucketConfig{Documents: map[string]string{name: body}}
}

func denies(actions ...string) (c s3test.BucketConfig) {
	for _, a := range actions {
		c.Deny = append(c.Deny, s3test.Deny{Action: a})
	}
	return c
}

func with(c s3test.BucketConfig, change func(*s3test.BucketConfig)) s3test.BucketConfig {
	change(&c)
	return c
}

// TestDoctorFindsEachTrap sets every trap in a bucket of its own, and insists on
// what doctor finds: that, and nothing else. A plan shows what is serious at its
// beginning as well, as a run does.
func TestDoctorFindsEachTrap(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{TLS: true, Seed: 3})
	atOnce := newPool(t, 4)
	for _, tr := range traps() {
		atOnce.run(tr.name, func(t *testing.T) { st.trap(t, tr) })
	}
	atOnce.wait()
}

func (st *stage) trap(t *testing.T, tr trap) {
	key := st.server.KMS.CreateKey("alias/" + tr.name)
	target := []string{"--sse", "aws:kms", "--sse-kms-key-id", key}
	if tr.args != nil {
		target = append(slices.Clone(tr.args), st.newFile)
	} else if tr.config.DefaultEncryption.Type == object.SSEUnknown {
		tr.config.DefaultEncryption = object.Encryption{Type: object.SSEKMS, KMSKeyID: key, BucketKey: true}
	}
	st.server.CreateBucket(tr.name, tr.config)
	st.server.Put(tr.name, s3test.Object{Key: "data/k", Body: s3test.Bytes("x"), Attrs: s3test.Attrs{Encryption: object.Encryption{Type: object.SSES3}}})
	if tr.keyState != "" {
		st.server.KMS.SetKeyState(key, tr.keyState)
	}
	before := st.server.Snapshot(tr.name)
	s := st.reseal(t, append([]string{"doctor", "s3://" + tr.name + "/data/", "--json"}, target...)...)
	var d struct {
		Findings []struct{ Level, Topic, What, Do string }
	}
	if err := json.Unmarshal([]byte(s.stdout), &d); err != nil || s.code != 0 {
		t.Fatalf("exit code %d, %v\n%s%s", s.code, err, s.stdout, s.stderr)
	}
	st.differences(t, before, check.Expectation{Intent: untouched})
	wanted := map[string]bool{}
	for _, w := range tr.finds {
		wanted[w] = true
	}
	serious := ""
	for _, f := range d.Findings {
		found := ""
		for w := range wanted {
			head, what, _ := strings.Cut(w, ": ")
			if head == f.Level+" "+f.Topic && strings.Contains(f.What, what) {
				found = w
			}
		}
		if found == "" || f.Do == "" {
			t.Errorf("invented, or without advice: %+v", f)
		}
		delete(wanted, found)
		if f.Level == "serious" {
			serious = f.What
		}
	}
	for w := range maps.Keys(wanted) {
		t.Errorf("not found: %s, in %+v", w, d.Findings)
	}
	if tr.finds == nil || serious != "" {
		st.toldAtTheBeginning(t, tr, target, serious)
	}
}

// toldAtTheBeginning plans what doctor warned of, and what it did not.
func (st *stage) toldAtTheBeginning(t *testing.T, tr trap, target []string, serious string) {
	s := st.reseal(t, append([]string{"plan", "s3://" + tr.name + "/data/", "--job", filepath.Join(t.TempDir(), "job")}, target...)...)
	switch {
	case serious == "" && (s.code != 0 || strings.Contains(s.stderr, "warn:")):
		t.Errorf("plan: exit code %d: %s", s.code, s.stderr)
	case serious != "" && s.code == 0 && !strings.Contains(s.stderr, serious):
		t.Errorf("plan did not tell %q: %s", serious, s.stderr)
	case s.code != 0 && !strings.Contains(s.stderr, "reseal: "):
		t.Errorf("plan: exit code %d without a word", s.code)
	}
}

// TestDoctorSweepsWhatDied: a note that a doctor left who was killed while it
// probed is a day later the next one's duty, of the same bucket and endpoint only.
func TestDoctorSweepsWhatDied(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{Seed: 3})
	st.server.CreateBucket("b", s3test.BucketConfig{})
	if err := st.server.SetRules(`(If (And DeleteObjects (First 1)) Stalled)`); err != nil {
		t.Fatal(err)
	}
	st.diesAt(t, "DeleteObjects", "doctor", "s3://b", "--sse", "AES256")
	st.server.SetRules("")
	left := len(st.server.Snapshot("b").Objects)
	notes, err := filepath.Glob(filepath.Join(st.dir, ".cache/reseal/doctor/*/*"))
	if err != nil || len(notes) != 1 || left == 0 {
		t.Fatalf("%d objects and %v were left (%v); the test shows nothing", left, notes, err)
	}
	check := func(wantLeft int) {
		t.Helper()
		if s := st.reseal(t, "doctor", "s3://b", "--sse", "AES256"); s.code != 0 {
			t.Fatalf("exit code %d: %s", s.code, s.stderr)
		}
		if is := len(st.server.Snapshot("b").Objects); is != wantLeft {
			t.Errorf("%d throwaway objects are there, want %d", is, wantLeft)
		}
	}
	check(left) // it could still be alive
	day := time.Now().Add(-24 * time.Hour)
	if err := os.Chtimes(notes[0], day, day); err != nil {
		t.Fatal(err)
	}
	check(0)
	if notes, _ = filepath.Glob(filepath.Join(st.dir, ".cache/reseal/doctor/*/*")); len(notes) > 0 {
		t.Errorf("%v are left", notes)
	}
}

// TestDoctorReadsAnObjectOfTheBucket: permissions are asked for on an object of somebody's, and
// not on what a canary made, which listings that lag still show and which is gone by then.
func TestDoctorReadsAnObjectOfTheBucket(t *testing.T) {
	t.Parallel()
	st := newStage(t, s3test.Config{})
	st.server.CreateBucket("b", s3test.BucketConfig{})
	for _, key := range []string{".reseal-canary-13fe09ac7441dc5a6083213c-12-plain-copy-%41", ".reseal-canary-but-mine", "z"} {
		st.server.Put("b", s3test.Object{Key: key, Body: s3test.Bytes("body")})
	}
	s := st.reseal(t, "doctor", "s3://b", "--sse", "AES256")
	if s.code != 0 || strings.Contains(s.stdout, "13fe09ac7441dc5a6083213c") || !strings.Contains(s.stdout, "arn:aws:s3:::b/.reseal-canary-but-mine") {
		t.Errorf("exit code %d:\n%s%s", s.code, s.stdout, s.stderr)
	}
}
