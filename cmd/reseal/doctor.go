package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/planner/doctor"
)

// doctorFlags are what doctor takes: a job without its directory.
type doctorFlags struct {
	source    sourceFlags
	target    targetFlags
	selection selectionFlags
	conn      connection
	how       howFlags
	out       outputFlags
}

func newDoctor(a *app) *cobra.Command {
	var f doctorFlags
	cmd := &cobra.Command{
		Use:   "doctor SOURCE --sse TYPE",
		Short: "What this bucket, key and endpoint allow, and what will happen around the run",
		Long: `doctor reads the settings of the bucket and the key, and finds out what the endpoint
really does. On AWS it changes nothing. Any other endpoint is believed only after small
throwaway objects beside the prefix were treated as the job would treat yours; they are
deleted again. Each finding has a level (note, warning, serious) and says what to do.`,
		Example: `  reseal doctor s3://bucket/prefix --sse aws:kms --sse-kms-key-id KEY`,
		Args:    atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := f.Validate(cmd, args)
			if err != nil {
				return err
			}
			return a.doctor(cmd.Context(), &f, o)
		},
	}
	set := cmd.Flags()
	f.source.AddFlags(set)
	f.target.AddFlags(set)
	f.selection.AddFlags(set)
	f.conn.AddFlags(set)
	f.how.AddPlanFlags(set)
	f.out.AddFlags(set)
	return cmd
}

func (f *doctorFlags) Validate(cmd *cobra.Command, args []string) (*order, error) {
	o, err := f.understand(cmd, args)
	if err == nil && o.spec.Source.Bucket == "" {
		err = unusable(cmd.Name()+": the manifest does not say which bucket to look at", "name the bucket as s3://BUCKET[/PREFIX]")
	}
	return o, err
}

// understand reads the command line of a job that has no directory.
func (f *doctorFlags) understand(cmd *cobra.Command, args []string) (o *order, err error) {
	o = &order{}
	if o.spec.Source, err = f.source.Validate(args); err != nil {
		return nil, err
	}
	if !o.spec.Source.given() {
		return nil, errNoSource(cmd)
	}
	if err := f.conn.Validate(); err != nil {
		return nil, err
	}
	o.spec.Connection = f.conn
	if o.spec.Target, err = f.target.Validate(&f.conn); err != nil {
		return nil, err
	}
	if o.spec.Selection, err = f.selection.Validate(); err != nil {
		return nil, err
	}
	o.consent, o.tempo, err = f.how.Validate(nil)
	return o, err
}

// diagnosis is what doctor prints.
type diagnosis struct {
	Source       string           `json:"source"`
	Dest         string           `json:"dest,omitempty"`
	Endpoint     string           `json:"endpoint,omitempty"`
	Target       string           `json:"target"`
	Findings     []doctor.Finding `json:"findings"`
	Capabilities capabilities     `json:"capabilities"`
	Bucket       bucketFacts      `json:"bucket"`
	DestBucket   *bucketFacts     `json:"dest_bucket,omitempty"`
	Permissions  []permission     `json:"permissions"`
}

// capabilities are object.Capabilities by the names that scripts see; a job keeps
// them by others.
type capabilities struct {
	Source                string         `json:"source"`
	Encrypts              object.Finding `json:"encrypts"`
	Route                 object.Route   `json:"route"`
	EncryptedRoute        object.Route   `json:"encrypted_route"`
	Replace               object.Finding `json:"replace"`
	Multipart             object.Finding `json:"multipart"`
	Update                object.Finding `json:"update"`
	CopySourceIfMatch     object.Finding `json:"copy_source_if_match"`
	PartSourceIfMatch     object.Finding `json:"part_source_if_match"`
	CopyIfMatch           object.Finding `json:"copy_if_match"`
	CompleteIfMatch       object.Finding `json:"complete_if_match"`
	ListMetadata          object.Finding `json:"list_metadata"`
	CopyShowsEncryption   object.Finding `json:"copy_shows_encryption"`
	UploadShowsEncryption object.Finding `json:"upload_shows_encryption"`
	KeepsTags             object.Finding `json:"keeps_tags"`
	KeepsLock             object.Finding `json:"keeps_lock"`
	KeepsRedirect         object.Finding `json:"keeps_redirect"`
	KeepsExpires          object.Finding `json:"keeps_expires"`
	KeepsClass            object.Finding `json:"keeps_class"`
	PutTagging            object.Finding `json:"put_tagging"`
	PutRetention          object.Finding `json:"put_retention"`
	PutACL                object.Finding `json:"put_acl"`
	GetTagging            object.Finding `json:"get_tagging"`
	GetACL                object.Finding `json:"get_acl"`
	GetAttributes         object.Finding `json:"get_attributes"`
	GetRetention          object.Finding `json:"get_retention"`
	DSSE                  object.Finding `json:"dsse"`
	BucketKey             object.Finding `json:"bucket_key"`
	Checksums             object.Finding `json:"checksums"`
	UploadChecksums       object.Finding `json:"upload_checksums"`
	VersionsInReplies     object.Finding `json:"versions_in_replies"`
	ShownKeyID            string         `json:"shown_key_id"`
	Notes                 []string       `json:"notes"`
}

// bucketFacts are object.BucketFacts likewise.
type bucketFacts struct {
	Versioning        object.Versioning `json:"versioning"`
	ACLsDisabled      object.Finding    `json:"acls_disabled"`
	ObjectLock        object.Finding    `json:"object_lock"`
	Website           object.Finding    `json:"website"`
	DefaultEncryption defaultEncryption `json:"default_encryption"`
	BlocksSSEC        object.Finding    `json:"blocks_sse_c"`
	Region            string            `json:"region"`
}

type defaultEncryption struct {
	Encryption object.SSE `json:"encryption"`
	KMSKeyID   string     `json:"kms_key_id,omitempty"`
	BucketKey  bool       `json:"bucket_key"`
}

func factsOf(f *object.BucketFacts) bucketFacts {
	e := &f.DefaultEncryption
	return bucketFacts{Versioning: f.Versioning, ACLsDisabled: f.ACLsDisabled, ObjectLock: f.ObjectLock, Website: f.Website,
		DefaultEncryption: defaultEncryption{e.Type, e.KMSKeyID, e.BucketKey}, BlocksSSEC: f.BlocksSSEC, Region: f.Region}
}

func diagnose(o *order, endpoint string, f *doctor.Facts) *diagnosis {
	d := &diagnosis{Source: o.spec.Source.String(), Endpoint: endpoint, Target: f.Target.SSE.String(),
		Findings: doctor.Examine(f), Capabilities: capabilities(f.Caps), Bucket: factsOf(&f.Settings)}
	if d.Capabilities.Notes == nil {
		d.Capabilities.Notes = []string{}
	}
	if f.Dest != nil {
		there := factsOf(&f.Dest.Settings)
		d.Dest, d.DestBucket = "s3://"+f.Dest.Bucket+"/"+f.Dest.Prefix, &there
	}
	for _, p := range f.Permissions {
		d.Permissions = append(d.Permissions, permission(p))
	}
	return d
}

type permission struct {
	Action   string         `json:"action"`
	Resource string         `json:"resource"`
	Granted  object.Finding `json:"granted"`
}

func (a *app) doctor(ctx context.Context, f *doctorFlags, o *order) (err error) {
	s := &session{a: a, doctor: true, order: o, console: &console{w: a.stderr}}
	s.log = f.out.openConsoleLog(s.console)
	defer func() { err = withClose(err, s.Close()) }()
	if err := s.openStore(ctx); err != nil {
		return err
	}
	if err := s.ownDir(ctx); err != nil {
		return err
	}
	facts, err := s.examine(ctx)
	if err != nil {
		return err
	}
	d := diagnose(o, s.store.Endpoint(), facts)
	if f.out.json {
		return a.printJSON(d)
	}
	return a.printDiagnosis(d)
}

// deadAfter is an age at which no doctor can still be probing.
const deadAfter = time.Hour

// ownDir gives a session without a job a folder for the note on its throwaway
// objects, which is there for as long as they are. Others of the same bucket may
// be probing at this moment and keep theirs; what a process left that died is
// swept.
func (s *session) ownDir(ctx context.Context) error {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	place := sha256.Sum256([]byte(s.store.Endpoint() + " " + s.order.spec.Source.Bucket))
	base := filepath.Join(cache, "reseal", "doctor", hex.EncodeToString(place[:8]))
	if err := os.MkdirAll(base, 0o700); err != nil {
		return unusableBecause(err, "a folder for notes on throwaway objects", "set XDG_CACHE_HOME to a folder that can be written")
	}
	if err := s.sweepDead(ctx, base); err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp(base, "probe-"); err != nil {
		return unusableBecause(err, "a folder for notes on throwaway objects", "set XDG_CACHE_HOME to a folder that can be written")
	}
	s.closers = append(s.closers, func() error {
		_ = os.Remove(s.dir) // not empty: the note is still needed
		return nil
	})
	return nil
}

func (s *session) sweepDead(ctx context.Context, base string) error {
	dirs, err := os.ReadDir(base)
	if err != nil {
		return err
	}
	for _, d := range dirs {
		info, err := d.Info()
		if err != nil || time.Since(info.ModTime()) < deadAfter {
			continue
		}
		dir := filepath.Join(base, d.Name())
		if err := s.sweepNote(ctx, filepath.Join(dir, probeName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		_ = os.Remove(dir)
	}
	return nil
}

// examine asks everything that doctor judges: settings, key, permissions, and
// what the endpoint does.
func (s *session) examine(ctx context.Context) (*doctor.Facts, error) {
	spec := &s.order.spec
	var err error
	s.learnt.Bucket = spec.Source.Bucket
	if s.learnt.Facts, err = s.store.BucketFacts(ctx, s.learnt.Bucket); err != nil {
		return nil, err
	}
	at := s3store.ProbeOptions{Bucket: s.learnt.Bucket, Prefix: spec.Source.Prefix, Facts: s.learnt.Facts,
		AcceptUnproven: s.order.consent.accepted("unproven-encryption")}
	if t := &spec.Target; t.DestBucket != "" {
		at.Bucket, at.Prefix = t.DestBucket, t.DestPrefix
		if at.Facts, err = s.store.BucketFacts(ctx, at.Bucket); err != nil {
			return nil, err
		}
		s.learnt.Dest = &at.Facts
	}
	f := s.facts()
	if f.Key, err = s.keyOf(ctx); err != nil {
		return nil, err
	}
	at.Target = s.target()
	if f.Key == nil || f.Key.Problem == "" && f.Key.Enabled {
		if s.learnt.Caps, err = s.probe(ctx, at); err != nil {
			return nil, err
		}
		s.learnt.ShownKeyID = firstNonEmpty(s.learnt.Caps.ShownKeyID, s.learnt.ShownKeyID)
	}
	f.Caps, f.Target = s.learnt.Caps, s.target()
	return f, s.readAround(ctx, f)
}

// facts are those that the session has learnt.
func (s *session) facts() *doctor.Facts {
	spec := &s.order.spec
	f := &doctor.Facts{Bucket: s.learnt.Bucket, Prefix: spec.Source.Prefix, Settings: s.learnt.Facts, Caps: s.learnt.Caps, Target: s.target(),
		CopyOnly: s.order.consent.Operation == "copy", PayerGiven: spec.Connection.RequestPayer != "", AllVersions: spec.Selection.Versions == "all"}
	if s.learnt.Dest != nil {
		f.Dest = &doctor.Dest{Bucket: spec.Target.DestBucket, Prefix: spec.Target.DestPrefix, Settings: *s.learnt.Dest}
	}
	return f
}

// keyOf asks KMS about the target's key; nil where there is no KMS to ask, or no
// key in the target.
func (s *session) keyOf(ctx context.Context) (*doctor.Key, error) {
	t := &s.order.spec.Target
	if !t.SSE.KMS() {
		return nil, nil
	}
	name := t.KMSKeyID
	if t.KMSDefaultKey {
		name = "alias/aws/s3"
	}
	k, err := s.store.ResolveKey(ctx, name)
	switch class := object.ClassOf(err); {
	case err == nil:
		s.learnt.ShownKeyID = k.ARN
		if !t.KMSDefaultKey {
			s.learnt.KMSKeyID = k.ARN
		}
		return &doctor.Key{ARN: k.ARN, State: k.State, Region: k.Region, Enabled: k.Enabled, Symmetric: k.Symmetric}, nil
	case errors.Is(err, s3store.ErrNoKMS):
		return nil, nil
	case class == object.ClassCredentials, class == object.ClassUnreachable, class == object.ClassCanceled:
		return nil, err
	}
	return &doctor.Key{Problem: err.Error()}, nil
}

// readAround reads the settings that a run does not need and others rely on, of
// the bucket that is written.
func (s *session) readAround(ctx context.Context, f *doctor.Facts) error {
	bucket := f.Bucket
	if f.Dest != nil {
		bucket = f.Dest.Bucket
	}
	var (
		enc                                   s3store.BucketEncryption
		lock                                  s3store.ObjectLock
		lifecycle                             []s3store.LifecycleRule
		replication                           []s3store.ReplicationRule
		told                                  []s3store.Notification
		lifecycleSet, replicationSet, toldSet s3store.Setting
	)
	var g errgroup.Group
	g.Go(func() (err error) { enc, err = s.store.BucketEncryption(ctx, bucket); return err })
	g.Go(func() (err error) { lock, err = s.store.ObjectLock(ctx, bucket); return err })
	g.Go(func() (err error) { lifecycle, lifecycleSet, err = s.store.Lifecycle(ctx, bucket); return err })
	g.Go(func() (err error) { replication, replicationSet, err = s.store.Replication(ctx, bucket); return err })
	g.Go(func() (err error) { told, toldSet, err = s.store.Notifications(ctx, bucket); return err })
	g.Go(func() (err error) { f.RequesterPays, err = s.store.RequesterPays(ctx, f.Bucket); return err })
	g.Go(func() (err error) { return s.checkPermissions(ctx, f) })
	err := g.Wait()
	f.Default, f.DefaultKnown, f.LockMode = enc.Default, enc.Known, lock.Mode
	for _, r := range lifecycle {
		if r.Enabled {
			f.Lifecycle = append(f.Lifecycle, doctor.LifecycleRule{ID: r.ID, Prefix: r.Prefix, ExpireDays: r.ExpireDays, TransitionDays: r.TransitionDays,
				NoncurrentExpireDays: r.NoncurrentExpireDays, NewerNoncurrent: r.NewerNoncurrent, AbortUploadDays: r.AbortUploadDays})
		}
	}
	for _, r := range replication {
		if r.Enabled {
			f.Replication = append(f.Replication, doctor.ReplicationRule{ID: r.ID, Prefix: r.Prefix, Destination: r.Destination, KMSObjects: r.KMSObjects})
		}
	}
	for _, n := range told {
		f.Notifications = append(f.Notifications, doctor.Notification{Target: n.Target, Copies: n.Copies})
	}
	for _, set := range []struct {
		name string
		s3store.Setting
	}{{"default encryption", enc.Setting}, {"lifecycle", lifecycleSet}, {"replication", replicationSet}, {"notifications", toldSet}} {
		if set.Denied {
			f.Unread = append(f.Unread, set.name)
		}
	}
	return err
}

// checkPermissions asks for them on the first object, where there is one.
func (s *session) checkPermissions(ctx context.Context, f *doctor.Facts) error {
	sample := object.Ref{Bucket: f.Bucket}
	page, err := s.store.ListPage(ctx, object.ListRequest{Bucket: f.Bucket, Prefix: f.Prefix, MaxKeys: 1})
	if err == nil && len(page.Objects) > 0 {
		sample.Key = page.Objects[0].Key
	}
	found, err := s.store.CheckRead(ctx, sample, f.Prefix, f.Target.SourceKey)
	if err != nil {
		return err
	}
	if f.Dest != nil && f.Dest.Bucket != f.Bucket {
		there, err := s.store.CheckRead(ctx, object.Ref{Bucket: f.Dest.Bucket}, f.Dest.Prefix, object.CustomerKey{})
		if err != nil {
			return err
		}
		found = append(found, there...)
	}
	for _, p := range found {
		f.Permissions = append(f.Permissions, doctor.Permission{Action: p.Action, Resource: p.Resource, Granted: p.Granted})
	}
	return nil
}

// warnSerious tells, at the beginning of a job, what doctor would call serious.
// What cannot be read is no reason not to run.
func (s *session) warnSerious(ctx context.Context) {
	f := s.facts()
	// A warning is no reason to wait long for a store that hangs.
	within, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err := s.readAround(within, f)
	if ctx.Err() != nil {
		return // whoever interrupts knows why
	}
	if err != nil {
		s.log.Warn("the bucket's settings could not all be read; `reseal doctor` tells more", "error", err)
	}
	for _, found := range doctor.Examine(f) {
		if found.Level == doctor.Serious {
			s.log.Warn(found.What, "topic", found.Topic, "do", found.Do)
		}
	}
}

func (a *app) printDiagnosis(d *diagnosis) error {
	where := d.Source
	if d.Endpoint != "" {
		where += " at " + d.Endpoint
	}
	target := d.Target
	if d.Dest != "" {
		target += " in " + d.Dest
	}
	fmt.Fprintf(a.stdout, "%s, to %s\n\n", where, target)
	if len(d.Findings) == 0 {
		fmt.Fprintln(a.stdout, "Nothing stands in the way, and nothing around the run will be disturbed.")
	}
	for _, f := range d.Findings {
		fmt.Fprintf(a.stdout, "%-8s %s: %s.\n         %s.\n", f.Level, f.Topic, f.What, f.Do)
	}
	fmt.Fprintf(a.stdout, "\nWhat the store does (%s)\n", d.Capabilities.Source)
	t := table(a.stdout)
	matrix(t, &d.Capabilities)
	if err := t.Flush(); err != nil {
		return err
	}
	for _, n := range d.Capabilities.Notes {
		fmt.Fprintln(a.stdout, "  "+n)
	}
	fmt.Fprintln(a.stdout, "\nPermissions, as far as reading can tell")
	t = table(a.stdout)
	for _, p := range d.Permissions {
		fmt.Fprintf(t, "  %s\t%s\t%s\n", p.Action, p.Granted, p.Resource)
	}
	return t.Flush()
}

// matrix is the capability table in the order of the questions.
func matrix(t *tabwriter.Writer, c *capabilities) {
	for _, row := range []struct {
		question string
		answer   fmt.Stringer
	}{
		{"encrypts", c.Encrypts}, {"re-encrypts a plain object by", c.Route}, {"re-encrypts an encrypted object by", c.EncryptedRoute},
		{"UpdateObjectEncryption", c.Update}, {"CopyObject honours the source's ETag", c.CopySourceIfMatch},
		{"UploadPartCopy honours the source's ETag", c.PartSourceIfMatch}, {"CopyObject honours If-Match", c.CopyIfMatch},
		{"CompleteMultipartUpload honours If-Match", c.CompleteIfMatch}, {"copy replies show the encryption", c.CopyShowsEncryption},
		{"listings show the encryption", c.ListMetadata}, {"copies keep tags", c.KeepsTags}, {"copies keep locks", c.KeepsLock},
		{"copies keep redirects", c.KeepsRedirect}, {"copies keep Expires", c.KeepsExpires}, {"copies keep the storage class", c.KeepsClass},
		{"DSSE-KMS", c.DSSE}, {"bucket keys", c.BucketKey}, {"checksums", c.Checksums}, {"checksums of copied parts", c.UploadChecksums},
	} {
		fmt.Fprintf(t, "  %s\t%s\n", row.question, row.answer)
	}
}
