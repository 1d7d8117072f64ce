package s3store

import (
	"context"
	"encoding/xml"
	"fmt"
	"strings"

	"github.com/resealhq/reseal/engine/object"
)

// Setting is how a bucket setting could be read.
type Setting struct {
	// Known is false where the store does not tell: it does not implement the
	// setting, or answered with something else.
	Known bool
	// Denied is set where a permission is missing to read it.
	Denied bool
	// Unsupported: the store answered that it has no such setting.
	Unsupported bool
	// Present is whether there is such a configuration; only where Known.
	Present bool
}

// Ownership is the bucket's ObjectOwnership: BucketOwnerEnforced,
// BucketOwnerPreferred or ObjectWriter; the last one also where AWS says that no
// controls were ever set. Empty where the store does not tell.
func (s *Store) Ownership(ctx context.Context, bucket string) (string, error) {
	var doc struct {
		Rule []struct{ ObjectOwnership string }
	}
	found, told, err := s.setting(ctx, "GetBucketOwnershipControls", bucket, "ownershipControls", "OwnershipControls", &doc,
		"OwnershipControlsNotFoundError")
	switch {
	case err != nil || !told.Known:
		return "", err
	case !found:
		return "ObjectWriter", nil
	case len(doc.Rule) == 0:
		return "", nil
	}
	return doc.Rule[0].ObjectOwnership, nil
}

// ObjectLock is the lock configuration of a bucket.
type ObjectLock struct {
	// Enabled is whether the bucket can hold locked objects.
	Enabled object.Finding
	// Mode, Days and Years are the default retention of new objects; an empty Mode
	// means that there is none.
	Mode        string
	Days, Years int
	// Default is whether there is any rule about new objects, known here or not.
	Default bool
}

// ObjectLock reads the lock configuration.
func (s *Store) ObjectLock(ctx context.Context, bucket string) (ObjectLock, error) {
	var doc struct {
		ObjectLockEnabled string
		Rule              *struct {
			DefaultRetention struct {
				Mode        string
				Days, Years int
			}
		}
	}
	found, told, err := s.setting(ctx, "GetObjectLockConfiguration", bucket, "object-lock", "ObjectLockConfiguration", &doc,
		"ObjectLockConfigurationNotFoundError", "NoSuchObjectLockConfiguration")
	if err != nil || !told.Known {
		return ObjectLock{}, err
	}
	lock := ObjectLock{Enabled: object.Found(found && strings.EqualFold(doc.ObjectLockEnabled, "Enabled")), Default: doc.Rule != nil}
	if doc.Rule != nil {
		d := doc.Rule.DefaultRetention
		lock.Mode, lock.Days, lock.Years = d.Mode, d.Days, d.Years
	}
	return lock, nil
}

// rule is the LockRule of the bucket's facts.
func (l *ObjectLock) rule() string {
	switch {
	case l.Enabled == object.Unknown:
		return ""
	case !l.Default:
		return object.NoLockRule
	case l.Mode == "":
		return "unknown"
	case l.Years > 0:
		return fmt.Sprintf("%s, %d years", l.Mode, l.Years)
	}
	return fmt.Sprintf("%s, %d days", l.Mode, l.Days)
}

// filter is the part of a lifecycle or replication rule that says which objects
// it is for, in its old and its new form.
type filter struct {
	Prefix string
	Tag    *object.Tag
	And    *struct {
		Prefix                string
		Tag                   []object.Tag
		ObjectSizeGreaterThan int64
		ObjectSizeLessThan    int64
	}
	ObjectSizeGreaterThan int64
	ObjectSizeLessThan    int64
}

func (f *filter) prefix(old string) string {
	switch {
	case f != nil && f.And != nil:
		return f.And.Prefix
	case f != nil && f.Prefix != "":
		return f.Prefix
	}
	return old
}

// narrowed says whether tags or sizes narrow the rule further than its prefix.
func (f *filter) narrowed() bool {
	if f == nil {
		return false
	}
	return f.Tag != nil || f.ObjectSizeGreaterThan > 0 || f.ObjectSizeLessThan > 0 ||
		f.And != nil && (len(f.And.Tag) > 0 || f.And.ObjectSizeGreaterThan > 0 || f.And.ObjectSizeLessThan > 0)
}

// LifecycleRule is one rule, as far as a run is concerned by it.
type LifecycleRule struct {
	ID      string
	Enabled bool
	// Prefix of the keys it is for; Narrowed is set where tags or sizes narrow it
	// further.
	Prefix   string
	Narrowed bool
	// ExpireDays and TransitionDays count from an object's date, which a copy
	// renews; 0 for none. ByDate is set where the rule has a fixed date instead.
	ExpireDays     int
	TransitionDays []int
	TransitionTo   []string
	ByDate         bool
	// NoncurrentExpireDays and NewerNoncurrent are what happens to the version that
	// a copy supersedes; NoncurrentTransition is set where it changes its class.
	NoncurrentExpireDays int
	NewerNoncurrent      int
	NoncurrentTransition bool
	// AbortUploadDays ends multipart uploads after that many days; 0 for never.
	AbortUploadDays int
}

// Lifecycle reads the lifecycle rules.
func (s *Store) Lifecycle(ctx context.Context, bucket string) ([]LifecycleRule, Setting, error) {
	type transition struct {
		Days         int
		Date         string
		StorageClass string
	}
	var doc struct {
		Rule []struct {
			ID, Status, Prefix string
			Filter             *filter
			Expiration         *struct {
				Days int
				Date string
			}
			Transition                     []transition
			NoncurrentVersionTransition    []struct{ NoncurrentDays int }
			NoncurrentVersionExpiration    *struct{ NoncurrentDays, NewerNoncurrentVersions int }
			AbortIncompleteMultipartUpload *struct{ DaysAfterInitiation int }
		}
	}
	found, told, err := s.setting(ctx, "GetBucketLifecycleConfiguration", bucket, "lifecycle", "LifecycleConfiguration", &doc,
		"NoSuchLifecycleConfiguration", "NoSuchBucketLifecycle")
	if err != nil || !found {
		return nil, told, err
	}
	var rules []LifecycleRule
	for _, r := range doc.Rule {
		rule := LifecycleRule{ID: r.ID, Enabled: r.Status == "Enabled", Prefix: r.Filter.prefix(r.Prefix), Narrowed: r.Filter.narrowed(),
			NoncurrentTransition: len(r.NoncurrentVersionTransition) > 0}
		if e := r.Expiration; e != nil {
			rule.ExpireDays, rule.ByDate = e.Days, e.Date != ""
		}
		for _, t := range r.Transition {
			rule.TransitionDays, rule.TransitionTo = append(rule.TransitionDays, t.Days), append(rule.TransitionTo, t.StorageClass)
			rule.ByDate = rule.ByDate || t.Date != ""
		}
		if n := r.NoncurrentVersionExpiration; n != nil {
			rule.NoncurrentExpireDays, rule.NewerNoncurrent = n.NoncurrentDays, n.NewerNoncurrentVersions
		}
		if a := r.AbortIncompleteMultipartUpload; a != nil {
			rule.AbortUploadDays = a.DaysAfterInitiation
		}
		rules = append(rules, rule)
	}
	return rules, Setting{Known: true, Present: len(rules) > 0}, nil
}

// ReplicationRule is one rule, as far as a run is concerned by it.
type ReplicationRule struct {
	ID       string
	Enabled  bool
	Prefix   string
	Narrowed bool
	// Destination bucket ARN.
	Destination string
	// KMSObjects is whether objects under SSE-KMS are replicated
	// (SourceSelectionCriteria), and ReplicaKMSKeyID the key that they get.
	KMSObjects      bool
	ReplicaKMSKeyID string
	// Deletions is whether deletions of versions are replicated too, as MinIO can be told;
	// AWS never does. Markers is whether delete markers are.
	Deletions, Markers bool
}

// OtherStore says whether the destination is no bucket of this store. MinIO names one of
// another server by an ARN of its own (arn:minio:replication::ID:BUCKET), which does not tell
// where that server is.
func (r *ReplicationRule) OtherStore() bool {
	arn := strings.SplitN(r.Destination, ":", 4)
	return len(arn) == 4 && arn[0] == "arn" && arn[2] != "s3"
}

// Replication reads the replication rules.
func (s *Store) Replication(ctx context.Context, bucket string) ([]ReplicationRule, Setting, error) {
	var doc struct {
		Rule []struct {
			ID, Status, Prefix      string
			Filter                  *filter
			SourceSelectionCriteria struct{ SseKmsEncryptedObjects struct{ Status string } }
			DeleteReplication       struct{ Status string }
			DeleteMarkerReplication struct{ Status string }
			Destination             struct {
				Bucket                  string
				EncryptionConfiguration struct{ ReplicaKmsKeyID string }
			}
		}
	}
	found, told, err := s.setting(ctx, "GetBucketReplication", bucket, "replication", "ReplicationConfiguration", &doc,
		"ReplicationConfigurationNotFoundError")
	if err != nil || !found {
		return nil, told, err
	}
	var rules []ReplicationRule
	for _, r := range doc.Rule {
		rules = append(rules, ReplicationRule{ID: r.ID, Enabled: r.Status == "Enabled", Prefix: r.Filter.prefix(r.Prefix),
			Narrowed: r.Filter.narrowed(), Destination: r.Destination.Bucket,
			KMSObjects:      r.SourceSelectionCriteria.SseKmsEncryptedObjects.Status == "Enabled",
			ReplicaKMSKeyID: r.Destination.EncryptionConfiguration.ReplicaKmsKeyID, Deletions: r.DeleteReplication.Status == "Enabled", Markers: r.DeleteMarkerReplication.Status == "Enabled"})
	}
	return rules, Setting{Known: true, Present: len(rules) > 0}, nil
}

// Notification is one consumer of a bucket's events.
type Notification struct {
	ID string
	// Target is the ARN of the queue, topic or function; "EventBridge" for that.
	Target string
	// Events as configured, such as s3:ObjectCreated:*. Copies tells whether a
	// copy in place makes one of them.
	Events []string
	Copies bool
}

// Notifications reads who is told of what.
func (s *Store) Notifications(ctx context.Context, bucket string) ([]Notification, Setting, error) {
	type consumer struct {
		ID                          string `xml:"Id"`
		Queue, Topic, CloudFunction string
		Event                       []string
	}
	var doc struct {
		QueueConfiguration         []consumer
		TopicConfiguration         []consumer
		CloudFunctionConfiguration []consumer
		EventBridgeConfiguration   *struct{}
	}
	found, told, err := s.setting(ctx, "GetBucketNotificationConfiguration", bucket, "notification",
		"NotificationConfiguration", &doc)
	if err != nil || !found {
		return nil, told, err
	}
	var out []Notification
	for _, list := range [][]consumer{doc.QueueConfiguration, doc.TopicConfiguration, doc.CloudFunctionConfiguration} {
		for _, c := range list {
			out = append(out, Notification{ID: c.ID, Target: c.Queue + c.Topic + c.CloudFunction, Events: c.Event, Copies: toldOfCopies(c.Event)})
		}
	}
	if doc.EventBridgeConfiguration != nil {
		out = append(out, Notification{Target: "EventBridge", Copies: true})
	}
	return out, Setting{Known: true, Present: len(out) > 0}, nil
}

// toldOfCopies: CopyObject is ObjectCreated:Copy, and a multipart copy
// ObjectCreated:CompleteMultipartUpload.
func toldOfCopies(events []string) bool {
	for _, e := range events {
		switch strings.TrimPrefix(e, "s3:") {
		case "ObjectCreated:*", "ObjectCreated:Copy", "ObjectCreated:CompleteMultipartUpload":
			return true
		}
	}
	return false
}

// Website says whether the bucket is a website, so that redirects matter.
func (s *Store) Website(ctx context.Context, bucket string) (Setting, error) {
	var doc struct{ XMLName xml.Name }
	_, told, err := s.setting(ctx, "GetBucketWebsite", bucket, "website", "WebsiteConfiguration", &doc,
		"NoSuchWebsiteConfiguration")
	return told, err
}

// RequesterPays says whether requests are charged to whoever sends them.
func (s *Store) RequesterPays(ctx context.Context, bucket string) (object.Finding, error) {
	var doc struct{ Payer string }
	_, told, err := s.setting(ctx, "GetBucketRequestPayment", bucket, "requestPayment", "RequestPaymentConfiguration", &doc)
	if err != nil || !told.Known {
		return object.Unknown, err
	}
	return object.Found(doc.Payer == "Requester"), nil
}
