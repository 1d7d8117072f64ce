package s3store_test

import (
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/engine/s3test"
	"github.com/resealhq/reseal/engine/s3test/kms"
	"github.com/resealhq/reseal/engine/s3test/realserver"
	"github.com/resealhq/reseal/engine/store"
)

// What the engine wants of a store.
var (
	_ store.Hot          = (*s3store.Store)(nil)
	_ store.Uploads      = (*s3store.Store)(nil)
	_ store.UploadLister = (*s3store.Store)(nil)
	_ store.Details      = (*s3store.Store)(nil)
	_ store.Reader       = (*s3store.Store)(nil)
	_ store.BulkLister   = (*s3store.Store)(nil)
)

const lifecycleDoc = `<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
<Rule><ID>old form</ID><Prefix>logs/</Prefix><Status>Enabled</Status><Expiration><Days>30</Days></Expiration></Rule>
<Rule><ID>new form</ID><Filter><And><Prefix>a/</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></And></Filter><Status>Disabled</Status>
<Transition><Days>10</Days><StorageClass>GLACIER</StorageClass></Transition><Transition><Days>90</Days><StorageClass>DEEP_ARCHIVE</StorageClass></Transition>
<NoncurrentVersionExpiration><NoncurrentDays>3</NoncurrentDays><NewerNoncurrentVersions>2</NewerNoncurrentVersions></NoncurrentVersionExpiration>
<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>
<Rule><ID>all</ID><Filter/><Status>Enabled</Status><Expiration><Date>2030-01-01T00:00:00Z</Date></Expiration></Rule></LifecycleConfiguration>`

const replicationDoc = `<ReplicationConfiguration><Role>arn:aws:iam::1:role/r</Role>
<Rule><ID>r1</ID><Status>Enabled</Status><Filter><Prefix>x/</Prefix></Filter><Destination><Bucket>arn:aws:s3:::copy</Bucket></Destination></Rule>
<Rule><ID>r2</ID><Status>Enabled</Status><Filter/><SourceSelectionCriteria><SseKmsEncryptedObjects><Status>Enabled</Status></SseKmsEncryptedObjects></SourceSelectionCriteria>
<Destination><Bucket>arn:aws:s3:::copy</Bucket><EncryptionConfiguration><ReplicaKmsKeyID>arn:k</ReplicaKmsKeyID></EncryptionConfiguration></Destination></Rule></ReplicationConfiguration>`

const notificationDoc = `<NotificationConfiguration><QueueConfiguration><Id>q</Id><Queue>arn:q</Queue><Event>s3:ObjectCreated:*</Event></QueueConfiguration>
<CloudFunctionConfiguration><Id>f</Id><CloudFunction>arn:f</CloudFunction><Event>s3:ObjectRemoved:*</Event></CloudFunctionConfiguration>
<EventBridgeConfiguration/></NotificationConfiguration>`

func TestSettings(t *testing.T) {
	srv := s3test.New(s3test.Config{})
	defer srv.Close()
	srv.CreateBucket("plain", s3test.BucketConfig{})
	srv.CreateBucket("full", s3test.BucketConfig{Versioning: "Suspended", ObjectLock: true, DefaultLockMode: "COMPLIANCE", DefaultLockDays: 5,
		Ownership: "BucketOwnerPreferred", BlockSSEC: true, DefaultEncryption: object.Encryption{Type: object.SSEKMS, KMSKeyID: "arn:k", BucketKey: true},
		Documents: map[string]string{"lifecycle": lifecycleDoc, "replication": replicationDoc, "notification": notificationDoc,
			"website": `<WebsiteConfiguration><IndexDocument><Suffix>i</Suffix></IndexDocument></WebsiteConfiguration>`}})
	denied := []s3test.Deny{{Action: "s3:GetLifecycleConfiguration"}, {Action: "s3:GetReplicationConfiguration"}, {Action: "s3:GetEncryptionConfiguration"},
		{Action: "s3:GetBucketVersioning"}, {Action: "s3:GetBucketWebsite"}, {Action: "s3:GetBucketObjectLockConfiguration"}, {Action: "s3:GetBucketOwnershipControls"}}
	srv.CreateBucket("denied", s3test.BucketConfig{ObjectLock: true, Versioning: "Enabled", Deny: denied})
	s := openFake(t, srv, s3store.Options{})
	ctx := t.Context()

	facts, err := s.BucketFacts(ctx, "plain")
	want := object.BucketFacts{Versioning: object.VersioningOff, ACLsDisabled: object.Yes, ObjectLock: object.No, LockRule: object.NoLockRule, Website: object.No,
		DefaultEncryption: object.Encryption{Type: object.SSES3}, BlocksSSEC: object.No, Region: "us-east-1"}
	if err != nil || facts != want {
		t.Errorf("plain: %+v, %v", facts, err)
	}
	facts, err = s.BucketFacts(ctx, "full")
	want = object.BucketFacts{Versioning: object.VersioningSuspended, ACLsDisabled: object.No, ObjectLock: object.Yes, LockRule: "COMPLIANCE, 5 days", Website: object.Yes,
		DefaultEncryption: object.Encryption{Type: object.SSEKMS, KMSKeyID: "arn:k", BucketKey: true}, BlocksSSEC: object.Yes, Region: "us-east-1"}
	if err != nil || facts != want {
		t.Errorf("full: %+v, %v", facts, err)
	}
	facts, err = s.BucketFacts(ctx, "denied")
	if err != nil || facts != (object.BucketFacts{Region: "us-east-1"}) {
		t.Errorf("what may not be read is unknown: %+v, %v", facts, err)
	}
	if _, err = s.BucketFacts(ctx, "missing"); object.ClassOf(err) != object.ClassNoBucket {
		t.Errorf("missing: %v", err)
	}

	rules, set, err := s.Lifecycle(ctx, "full")
	if err != nil || !set.Present || !reflect.DeepEqual(rules, []s3store.LifecycleRule{
		{ID: "old form", Enabled: true, Prefix: "logs/", ExpireDays: 30},
		{ID: "new form", Prefix: "a/", Narrowed: true, TransitionDays: []int{10, 90}, TransitionTo: []string{"GLACIER", "DEEP_ARCHIVE"},
			NoncurrentExpireDays: 3, NewerNoncurrent: 2, AbortUploadDays: 1},
		{ID: "all", Enabled: true, ByDate: true}}) {
		t.Errorf("lifecycle: %+v %+v, %v", rules, set, err)
	}
	if rules, set, err = s.Lifecycle(ctx, "plain"); err != nil || rules != nil || set != (s3store.Setting{Known: true}) {
		t.Errorf("no lifecycle: %+v %+v, %v", rules, set, err)
	}
	if rules, set, err = s.Lifecycle(ctx, "denied"); err != nil || rules != nil || set != (s3store.Setting{Denied: true}) {
		t.Errorf("denied lifecycle: %+v %+v, %v", rules, set, err)
	}
	repl, set, err := s.Replication(ctx, "full")
	if err != nil || !set.Present || !reflect.DeepEqual(repl, []s3store.ReplicationRule{
		{ID: "r1", Enabled: true, Prefix: "x/", Destination: "arn:aws:s3:::copy"},
		{ID: "r2", Enabled: true, Destination: "arn:aws:s3:::copy", KMSObjects: true, ReplicaKMSKeyID: "arn:k"}}) {
		t.Errorf("replication: %+v %+v, %v", repl, set, err)
	}
	told, set, err := s.Notifications(ctx, "full")
	if err != nil || !set.Present || !reflect.DeepEqual(told, []s3store.Notification{
		{ID: "q", Target: "arn:q", Events: []string{"s3:ObjectCreated:*"}, Copies: true},
		{ID: "f", Target: "arn:f", Events: []string{"s3:ObjectRemoved:*"}},
		{Target: "EventBridge", Copies: true}}) {
		t.Errorf("notifications: %+v %+v, %v", told, set, err)
	}
	if told, set, err = s.Notifications(ctx, "plain"); err != nil || told != nil || set != (s3store.Setting{Known: true}) {
		t.Errorf("no notifications: %+v %+v, %v", told, set, err)
	}
	lock, err := s.ObjectLock(ctx, "full")
	if err != nil || lock != (s3store.ObjectLock{Enabled: object.Yes, Mode: "COMPLIANCE", Days: 5, Default: true}) {
		t.Errorf("lock: %+v, %v", lock, err)
	}
}

// TestSettingsOfLiars: an answer that is no configuration tells nothing.
func TestSettingsOfLiars(t *testing.T) {
	p, _ := s3test.ProfileNamed("every bucket sub-resource is the bucket")
	srv := s3test.New(s3test.Config{Profile: p})
	defer srv.Close()
	srv.CreateBucket("b", s3test.BucketConfig{})
	s := openFake(t, srv, s3store.Options{})
	enc, err := s.BucketEncryption(t.Context(), "b")
	if err != nil || enc.Known || enc.Default.Type != object.SSEUnknown || enc.BlocksSSEC != object.Unknown {
		t.Errorf("%+v, %v", enc, err)
	}
	if err := s.SetBucketEncryption(t.Context(), "b", s3store.BucketEncryptionChange{SSE: object.SSES3}); object.ClassOf(err) != object.ClassUnsupported {
		t.Errorf("set: %v", err)
	}
	for _, r := range srv.Requests() {
		if r.Method != "GET" {
			t.Errorf("sent %s %s", r.Method, r.Op)
		}
	}
}

// TestVersioningInOtherWords: a word that S3 does not have is not taken for off, which says
// that nothing is kept and that there are no versions to look at.
func TestVersioningInOtherWords(t *testing.T) {
	srv := s3test.New(s3test.Config{})
	defer srv.Close()
	s := openFake(t, srv, s3store.Options{})
	for word, want := range map[string]object.Versioning{"": object.VersioningOff, "Enabled": object.VersioningEnabled, "Suspended": object.VersioningSuspended,
		"ENABLED": object.VersioningEnabled, "suspended": object.VersioningSuspended, "Disabled": object.VersioningOff, "On": object.VersioningUnknown} {
		bucket := "words-" + hex.EncodeToString([]byte(word))
		srv.CreateBucket(bucket, s3test.BucketConfig{Versioning: word})
		if got, err := s.Versioning(t.Context(), bucket); got != want || err != nil {
			t.Errorf("%q: %v, %v, want %v", word, got, err, want)
		}
	}
}

func testSetEncryption(t *testing.T, s *s3store.Store, bucket, key string, aws bool) {
	t.Helper()
	get := func() s3store.BucketEncryption {
		t.Helper()
		e, err := s.BucketEncryption(t.Context(), bucket)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	set := func(c s3store.BucketEncryptionChange) {
		t.Helper()
		if err := s.SetBucketEncryption(t.Context(), bucket, c); err != nil {
			t.Fatal(err)
		}
	}
	set(s3store.BucketEncryptionChange{SSE: object.SSEKMS, KMSKeyID: key})
	if e := get(); e.Default.Type != object.SSEKMS || !object.SameKMSKey(e.Default.KMSKeyID, key) || !e.Present {
		t.Errorf("%+v", e)
	}
	if aws {
		set(s3store.BucketEncryptionChange{BlockSSEC: object.On})
		set(s3store.BucketEncryptionChange{BucketKey: object.On})
		if e := get(); e.Default.Type != object.SSEKMS || e.Default.KMSKeyID != key || !e.Default.BucketKey || e.BlocksSSEC != object.Yes {
			t.Errorf("a later change lost an earlier one: %+v", e)
		}
		set(s3store.BucketEncryptionChange{BlockSSEC: object.Off})
		if e := get(); e.BlocksSSEC != object.No || !e.Default.BucketKey {
			t.Errorf("%+v", e)
		}
	}
	set(s3store.BucketEncryptionChange{SSE: object.SSES3})
	if e := get(); e.Default.Type != object.SSES3 || e.Default.KMSKeyID != "" {
		t.Errorf("%+v", e)
	}
}

func TestSetBucketEncryption(t *testing.T) {
	srv := s3test.New(s3test.Config{})
	defer srv.Close()
	srv.CreateBucket("b", s3test.BucketConfig{})
	testSetEncryption(t, openFake(t, srv, s3store.Options{}), "b", srv.KMS.CreateKey(), true)
}

func TestSetBucketEncryptionMinIO(t *testing.T) {
	srv := realserver.StartMinIO(t, realserver.Options{})
	c := srv.Client()
	b := bucket(t, c, "default-encryption", false)
	s := openAt(t, srv, s3store.Options{})
	if e, err := s.BucketEncryption(t.Context(), b); err != nil || !e.Known || e.Present || e.Default.Type != object.SSENone {
		t.Errorf("%+v, %v", e, err)
	}
	testSetEncryption(t, s, b, srv.Keys[0], false)
	key := "k"
	put(t, c, &s3.PutObjectInput{Bucket: &b, Key: &key}, "x")
	if h, err := s.Head(t.Context(), object.Ref{Bucket: b, Key: key}, object.CustomerKey{}); err != nil || h.Encryption.Type != object.SSES3 {
		t.Errorf("%+v, %v", h.Encryption, err)
	}
}

func TestCheckRead(t *testing.T) {
	srv := s3test.New(s3test.Config{})
	defer srv.Close()
	srv.CreateBucket("b", s3test.BucketConfig{ObjectLock: true, Versioning: "Enabled",
		Deny: []s3test.Deny{{Action: "s3:GetObjectRetention"}, {Action: "s3:GetReplicationConfiguration"}}})
	srv.Put("b", s3test.Object{Key: "k", Body: s3test.Bytes("x")})
	s := openFake(t, srv, s3store.Options{})
	got, err := s.CheckRead(t.Context(), object.Ref{Bucket: "b", Key: "k"}, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range got {
		lacks := p.Action == "s3:GetObjectRetention" || p.Action == "s3:GetReplicationConfiguration"
		if lacks != (p.Granted == object.No) || lacks != (p.Err != nil) || !lacks && p.Granted != object.Yes {
			t.Errorf("%+v", p)
		}
	}
	for _, r := range srv.Requests() {
		if r.Method != "GET" && r.Method != "HEAD" {
			t.Errorf("sent %s %s", r.Method, r.Op)
		}
	}
}

func TestResolveKey(t *testing.T) {
	srv := s3test.New(s3test.Config{})
	defer srv.Close()
	arn := srv.KMS.CreateKey("alias/data")
	s := openFake(t, srv, s3store.Options{})
	if _, err := s.ResolveKey(t.Context(), "alias/data"); !errors.Is(err, s3store.ErrNoKMS) || !strings.Contains(err.Error(), "AWS_ENDPOINT_URL_KMS") {
		t.Errorf("without a KMS: %v", err)
	}
	t.Setenv("AWS_ENDPOINT_URL_KMS", srv.URL())
	s = openFake(t, srv, s3store.Options{})
	for _, name := range []string{"alias/data", arn, arn[strings.LastIndex(arn, "/")+1:]} {
		k, err := s.ResolveKey(t.Context(), name)
		if err != nil || k.ARN != arn || !k.Enabled || k.State != "Enabled" || k.Region != "us-east-1" || k.Manager != "CUSTOMER" || !k.Symmetric {
			t.Errorf("%s: %+v, %v", name, k, err)
		}
	}
	srv.KMS.SetKeyState(arn, kms.PendingDeletion)
	if k, err := s.ResolveKey(t.Context(), arn); err != nil || k.Enabled || k.State != "PendingDeletion" {
		t.Errorf("pending deletion: %+v, %v", k, err)
	}
	if _, err := s.ResolveKey(t.Context(), "alias/nobody"); object.ClassOf(err) != object.ClassKey {
		t.Errorf("unknown: %v", err)
	}
	srv.KMS.SetKeyState(arn, kms.Denied)
	if _, err := s.ResolveKey(t.Context(), arn); err != nil && object.ClassOf(err) != object.ClassDenied {
		t.Errorf("denied: %v", err)
	}
	srv.Close()
	_, _ = s.ResolveKey(t.Context(), arn) // an old connection ends, which is another error
	if _, err := s.ResolveKey(t.Context(), arn); object.ClassOf(err) != object.ClassUnreachable {
		t.Errorf("no connection: %v", err)
	}
}
