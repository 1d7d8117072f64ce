package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/planner/doctor"
)

// doctorFlags are what doctor takes: a job without its directory.
type doctorFlags struct {
	source    sourceFlags
	target    targetFlags
	selection selectionFlags
	conn      connection
	dest      destConnection
	how       howFlags
	out       outputFlags
	probe     string
}

func newDoctor(a *app) *cobra.Command {
	var f doctorFlags
	cmd := &cobra.Command{
		Use:   "doctor SOURCE… --sse TYPE [--probe PREFIX]",
		Short: "What this bucket, key and endpoint allow, and what will happen around the run",
		Long: `doctor begins with a verdict: ready, ready with losses, or not ready. It reads the
settings of the bucket and the key, and finds out what the endpoint really does. On AWS it changes nothing. Any other endpoint is believed only after small
throwaway objects beside the prefix were treated as the job would treat yours; they are
deleted again. Each finding has a level (note, warning, serious), says what to do, and
gives the line for it: a statement for an IAM policy, a command or a flag. A question that
is refused is a finding; the others are asked all the same, and the exit code is 1.

--probe sends those throwaway objects wherever the endpoint is, to AWS too, below a
prefix that you name; what it will write is said first. What was seen then stands
beside what is believed of AWS, and each difference is named.`,
		Example: `  reseal doctor s3://bucket/prefix --sse aws:kms --sse-kms-key-id KEY
  reseal doctor s3://bucket/prefix --sse aws:kms --sse-kms-key-id KEY --probe scratch/`,
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := f.Validate(cmd, args)
			if err != nil {
				return err
			}
			if s := &o.spec.Source; s.AllBuckets || len(s.Several) > 0 {
				return a.doctorAll(cmd.Context(), &f, o)
			}
			return a.doctor(cmd.Context(), &f, o)
		},
	}
	set := cmd.Flags()
	f.source.AddFlags(set)
	f.source.addAllBuckets(set)
	f.target.AddFlags(set)
	f.selection.AddFlags(set)
	f.conn.AddFlags(set)
	f.dest.AddFlags(set)
	f.how.AddPlanFlags(set)
	f.out.AddFlags(set)
	set.StringVar(&f.probe, "probe", "", "try everything out on throwaway objects whose keys begin with this, on AWS too; they are deleted again")
	return cmd
}

func (f *doctorFlags) Validate(cmd *cobra.Command, args []string) (*order, error) {
	o, err := f.understand(cmd, args)
	switch {
	case err != nil:
	case o.spec.Target.DestFolder != "":
		err = unusable(cmd.Name()+": a download changes nothing in a store", "`reseal iam-policy SOURCE --dest "+o.spec.Target.DestFolder+"` prints what it needs, and `reseal plan` says what would be left")
	case o.spec.Source.Folder != "":
	case o.spec.Source.AllBuckets || len(o.spec.Source.Several) > 0:
		if f.probe != "" {
			err = unusable("--probe writes into one bucket", "name that one")
		}
	case o.spec.Source.Bucket == "":
		err = unusable(cmd.Name()+": the manifest does not say which bucket to look at", "name the bucket as s3://BUCKET[/PREFIX]")
	case strings.HasPrefix(f.probe, "s3://"):
		err = unusablef("name only how the keys shall begin, as scratch/; the bucket is the one that the job would write to", "--probe %s is an address", f.probe)
	}
	return o, err
}

// order is a job without a directory.
type order struct {
	spec   job.Spec
	policy job.Policy
}

// understand reads the command line of a job that has no directory.
func (f *doctorFlags) understand(cmd *cobra.Command, args []string) (o *order, err error) {
	o = &order{policy: f.how.Policy(nil)}
	if o.spec.Source, err = f.source.Source(args); err != nil {
		return nil, err
	}
	if !o.spec.Source.Given() {
		return nil, errNoSource(cmd)
	}
	if o.spec.Target, err = f.target.Target(); err != nil {
		return nil, err
	}
	f.selection.warn(cmd, &f.out)
	o.spec.Selection, o.spec.Connection, o.spec.DestConnection = f.selection.Selection(), f.conn.Connection, f.dest.Spec()
	return o, cmp.Or(job.CheckRewrap(&o.spec, &o.policy), o.spec.Validate(), o.policy.Validate())
}

// diagnosis is what doctor prints.
type diagnosis struct {
	Verdict      doctor.Verdict   `json:"verdict"`
	Why          string           `json:"why"`
	Source       string           `json:"source"`
	Dest         string           `json:"dest,omitempty"`
	Endpoint     string           `json:"endpoint,omitempty"`
	Target       string           `json:"target"`
	Findings     []doctor.Finding `json:"findings"`
	Capabilities capabilities     `json:"capabilities"`
	Bucket       bucketFacts      `json:"bucket"`
	DestBucket   *bucketFacts     `json:"dest_bucket,omitempty"`
	Permissions  []permission     `json:"permissions"`
	Probe        *probed          `json:"probe,omitempty"`
}

// capabilities are object.Capabilities by the names that scripts see; a job keeps
// them by others.
type capabilities struct {
	Source                string                `json:"source"`
	Encrypts              object.Finding        `json:"encrypts"`
	Route                 object.Route          `json:"route"`
	EncryptedRoute        object.Route          `json:"encrypted_route"`
	Replace               object.Finding        `json:"replace"`
	Multipart             object.Finding        `json:"multipart"`
	OtherKey              object.Finding        `json:"other_key"`
	OtherKeyRoute         object.Route          `json:"other_key_route"`
	CopySourceEncoding    object.SourceEncoding `json:"copy_source_encoding"`
	PartSourceEncoding    object.SourceEncoding `json:"part_source_encoding"`
	Update                object.Finding        `json:"update"`
	CopySourceIfMatch     object.Finding        `json:"copy_source_if_match"`
	PartSourceIfMatch     object.Finding        `json:"part_source_if_match"`
	CopyIfMatch           object.Finding        `json:"copy_if_match"`
	CompleteIfMatch       object.Finding        `json:"complete_if_match"`
	PutIfMatch            object.Finding        `json:"put_if_match"`
	SendIfMatch           object.Finding        `json:"send_if_match"`
	PutShowsEncryption    object.Finding        `json:"put_shows_encryption"`
	CompleteShowsETag     object.Finding        `json:"complete_shows_etag"`
	ListMetadata          object.Finding        `json:"list_metadata"`
	CopyShowsEncryption   object.Finding        `json:"copy_shows_encryption"`
	UploadShowsEncryption object.Finding        `json:"upload_shows_encryption"`
	CountsTags            object.Finding        `json:"counts_tags"`
	KeepsTags             object.Finding        `json:"keeps_tags"`
	KeepsLock             object.Finding        `json:"keeps_lock"`
	KeepsRedirect         object.Finding        `json:"keeps_redirect"`
	KeepsExpires          object.Finding        `json:"keeps_expires"`
	KeepsClass            object.Finding        `json:"keeps_class"`
	KeepsChecksums        object.Finding        `json:"keeps_checksums"`
	PutDrops              []string              `json:"put_drops"`
	PutTagging            object.Finding        `json:"put_tagging"`
	PutRetention          object.Finding        `json:"put_retention"`
	PutACL                object.Finding        `json:"put_acl"`
	CannedACL             object.Finding        `json:"canned_acl"`
	GetTagging            object.Finding        `json:"get_tagging"`
	GetACL                object.Finding        `json:"get_acl"`
	GetAttributes         object.Finding        `json:"get_attributes"`
	GetRetention          object.Finding        `json:"get_retention"`
	DSSE                  object.Finding        `json:"dsse"`
	BucketKey             object.Finding        `json:"bucket_key"`
	Checksums             object.Finding        `json:"checksums"`
	UploadChecksums       object.Finding        `json:"upload_checksums"`
	SendChecksums         object.Finding        `json:"send_checksums"`
	VersionsInReplies     object.Finding        `json:"versions_in_replies"`
	ShownKeyID            string                `json:"shown_key_id"`
	Notes                 []string              `json:"notes"`
}

func capabilitiesOf(c *object.Capabilities) capabilities {
	out := capabilities(*c)
	for _, list := range []*[]string{&out.Notes, &out.PutDrops} {
		if *list == nil {
			*list = []string{}
		}
	}
	return out
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

func diagnose(o *order, f *doctor.Facts) *diagnosis {
	d := &diagnosis{Source: o.spec.Source.String(), Endpoint: f.Endpoint, Target: f.Target.SSE.String(),
		Findings: doctor.Examine(f), Capabilities: capabilitiesOf(&f.Caps), Bucket: factsOf(&f.Settings)}
	if o.spec.Target.ClientSide.Given() {
		d.Target = o.spec.Target.String()
	}
	if f.Dest != nil {
		there := factsOf(&f.Dest.Settings)
		d.Dest, d.DestBucket = "s3://"+f.Dest.Bucket+"/"+f.Dest.Prefix, &there
	}
	d.Verdict, d.Why = doctor.Judge(f, d.Findings)
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

func (a *app) doctor(ctx context.Context, f *doctorFlags, o *order) error {
	facts, seen, err := job.Examine(ctx, o.spec, o.policy, job.ExamineOptions{ProbePrefix: f.probe, Writing: a.announceProbe,
		Options: job.Options{Log: f.out.log(&console{w: a.stderr}), Version: readVersion().Version}})
	if err != nil {
		return err
	}
	d := diagnose(o, facts)
	d.Probe = probedOf(f.probe, seen)
	print := a.printDiagnosis
	if f.out.json {
		print = func(d *diagnosis) error { return a.printJSON(d) }
	}
	if err := print(d); err != nil {
		return err
	}
	if len(facts.Denied) > 0 {
		a.printed = f.out.json
		return &unreadError{"doctor could not ask everything", facts.Denied[0].What}
	}
	return d.Probe.unsent()
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
	fmt.Fprintf(a.stdout, "%s: %s\n%s, to %s\n", strings.ToUpper(string(d.Verdict)), d.Why, object.Printable(where), object.Printable(target))
	a.printFindings(d)
	if err := a.printMatrix(d); err != nil {
		return err
	}
	fmt.Fprintln(a.stdout, "\nPermissions, as far as reading can tell")
	t := table(a.stdout)
	for _, p := range d.Permissions {
		fmt.Fprintf(t, "  %s\t%s\t%s\n", p.Action, p.Granted, object.Printable(p.Resource))
	}
	return t.Flush()
}

func (a *app) printFindings(d *diagnosis) {
	for _, f := range d.Findings {
		fmt.Fprintf(a.stdout, "\n%-8s %s: %s.\n         %s.\n", f.Level, f.Topic, object.Printable(f.What), object.Printable(f.Do))
		if f.Paste != "" {
			fmt.Fprintf(a.stdout, "           %s\n", object.Printable(f.Paste))
		}
	}
}
