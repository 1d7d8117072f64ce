package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/resealhq/reseal/engine/job"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
)

func newBucketEncryption(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bucket-encryption",
		Short: "The bucket's default encryption for new objects",
		Long: `bucket-encryption reads or sets what a bucket does to objects that are written from
now on. It touches no object that is there: that is what ` + "`reseal run`" + ` is for.`,
		Args: func(cmd *cobra.Command, args []string) error {
			return unusable("bucket-encryption: get or set is missing", "say `reseal bucket-encryption get s3://BUCKET`")
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	cmd.AddCommand(newBucketEncryptionGet(a), newBucketEncryptionSet(a))
	return cmd
}

// bucketFlags are what both need.
type bucketFlags struct {
	conn connection
	out  outputFlags
}

func (f *bucketFlags) open(ctx context.Context, cmd *cobra.Command, args []string) (string, *s3store.Store, error) {
	if len(args) == 0 {
		return "", nil, unusable(cmd.CommandPath()+": the bucket is missing", "name it as s3://BUCKET")
	}
	bucket, prefix, err := parseS3URI("the bucket", args[0])
	if err != nil {
		return "", nil, err
	}
	if object.IsAccessPoint(bucket) {
		return "", nil, unusablef("name the bucket behind it as s3://BUCKET", "default encryption is a setting of a bucket, and %s is an access point", args[0])
	}
	if prefix != "" {
		return "", nil, unusablef("name it as s3://"+bucket, "default encryption is a setting of a whole bucket, and %s names a prefix", args[0])
	}
	if err := f.conn.Validate(); err != nil {
		return "", nil, err
	}
	store, err := f.conn.Open(ctx, job.Dial{Version: readVersion().Version, Connections: 1})
	return bucket, store, err
}

func newBucketEncryptionGet(a *app) *cobra.Command {
	var f bucketFlags
	cmd := &cobra.Command{
		Use:   "get s3://BUCKET",
		Short: "What new objects get",
		Args:  atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			bucket, store, err := f.open(cmd.Context(), cmd, args)
			if err != nil {
				return err
			}
			defer store.Close()
			return a.showBucketEncryption(cmd.Context(), store, bucket, f.out.json)
		},
	}
	f.conn.AddFlags(cmd.Flags())
	f.out.AddFlags(cmd.Flags())
	return cmd
}

// bucketEncryption is the result of both verbs.
type bucketEncryption struct {
	Bucket     string     `json:"bucket"`
	Encryption object.SSE `json:"encryption"`
	KMSKeyID   string     `json:"kms_key_id,omitempty"`
	BucketKey  bool       `json:"bucket_key"`
	Blocked    []string   `json:"blocked"`
}

func (a *app) showBucketEncryption(ctx context.Context, store *s3store.Store, bucket string, asJSON bool) error {
	e, err := store.BucketEncryption(ctx, bucket)
	switch {
	case err != nil:
		return err
	case e.Denied:
		return fmt.Errorf("GetBucketEncryption on s3://%s is refused; grant s3:GetEncryptionConfiguration", bucket)
	case !e.Known:
		return fmt.Errorf("the store of s3://%s does not answer GetBucketEncryption with an encryption configuration, so its default is not known; "+
			"write an object and look at it with HEAD", bucket)
	}
	out := bucketEncryption{Bucket: bucket, Encryption: e.Default.Type, KMSKeyID: e.Default.KMSKeyID, BucketKey: e.Default.BucketKey, Blocked: e.Blocked}
	if asJSON {
		if out.Blocked == nil {
			out.Blocked = []string{}
		}
		return a.printJSON(out)
	}
	t := table(a.stdout)
	fmt.Fprintf(t, "bucket\ts3://%s\nnew objects\t%s\n", bucket, out.Encryption)
	if out.KMSKeyID != "" {
		fmt.Fprintf(t, "KMS key\t%s\nbucket key\t%t\n", object.Printable(out.KMSKeyID), out.BucketKey)
	}
	for _, b := range out.Blocked {
		fmt.Fprintf(t, "blocked\t%s\n", object.Printable(b))
	}
	return t.Flush()
}

func newBucketEncryptionSet(a *app) *cobra.Command {
	var f bucketFlags
	var sse, key string
	bucketKey := oneOf{allowed: []string{"on", "off"}}
	block := oneOf{allowed: []string{"on", "off"}}
	blocks := oneOf{allowed: []string{"sse-c", "none"}}
	cmd := &cobra.Command{
		Use:   "set s3://BUCKET --sse TYPE",
		Short: "Let new objects arrive as the old ones were made",
		Long: `set changes the default encryption of new objects. What is not said stays as it is.
It refuses a store that does not answer with an encryption configuration when it is read:
several take the request that sets one for something else.`,
		Example: `  reseal bucket-encryption set s3://bucket --sse aws:kms --sse-kms-key-id ARN --bucket-key on --block sse-c`,
		Args:    atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			refused, err := blockOf(blocks.value, block.value)
			if err != nil {
				return err
			}
			change, err := encryptionChange(sse, key, bucketKey.value, refused)
			if err != nil {
				return err
			}
			bucket, store, err := f.open(cmd.Context(), cmd, args)
			if err != nil {
				return err
			}
			defer store.Close()
			if err := store.SetBucketEncryption(cmd.Context(), bucket, change); err != nil {
				return err
			}
			if err := a.confirm(cmd.Context(), store, bucket, change); err != nil {
				return err
			}
			return a.showBucketEncryption(cmd.Context(), store, bucket, f.out.json)
		},
	}
	set := cmd.Flags()
	set.StringVar(&sse, "sse", "", "AES256, aws:kms or aws:kms:dsse")
	set.StringVar(&key, "sse-kms-key-id", "", "the KMS key: ID, ARN or alias; the store's own where it is left out")
	set.Var(&bucketKey, "bucket-key", "S3 Bucket Key for new objects")
	set.Var(&blocks, "block", "refuse new objects under this encryption from now on; none allows them again")
	set.Var(&block, "block-sse-c", "the same as --block sse-c, or none")
	_ = set.MarkHidden("block-sse-c") // how it was called before
	f.conn.AddFlags(set)
	f.out.AddFlags(set)
	return cmd
}

// blockOf is on, off or empty, from either way of saying it.
func blockOf(blocks, before string) (string, error) {
	said := map[string]string{"sse-c": "on", "none": "off"}[blocks]
	if said != "" && before != "" && said != before {
		return "", unusable("--block and --block-sse-c contradict each other", "give --block alone")
	}
	return cmp.Or(said, before), nil
}

func encryptionChange(sse, key, bucketKey, block string) (s3store.BucketEncryptionChange, error) {
	switches := map[string]object.Switch{"on": object.On, "off": object.Off}
	c := s3store.BucketEncryptionChange{KMSKeyID: key, BucketKey: switches[bucketKey], BlockSSEC: switches[block]}
	if sse == "" {
		if key != "" {
			return c, unusable("--sse-kms-key-id was given without --sse", "add --sse aws:kms")
		}
		if c.BucketKey == object.Default && c.BlockSSEC == object.Default {
			return c, unusable("there is nothing to set", "give --sse, --bucket-key or --block")
		}
		return c, nil
	}
	var err error
	if c.SSE, err = object.ParseSSE(sse); err != nil || c.SSE.Header() == "" {
		return c, unusablef("use AES256, aws:kms or aws:kms:dsse", "--sse %q cannot be a bucket's default", sse)
	}
	if key != "" && !c.SSE.KMS() {
		return c, unusablef("leave it out, or use --sse aws:kms", "--sse-kms-key-id has no meaning with --sse %s", sse)
	}
	if c.SSE == object.DSSEKMS && c.BucketKey == object.On {
		return c, unusable("--bucket-key on has no meaning with --sse aws:kms:dsse", "S3 has no bucket keys for DSSE; leave it out")
	}
	return c, nil
}

// confirm reads back what was set: several stores answer success to a request
// that they take for another one, or to settings that they drop. S3 itself may
// show the old configuration for a moment.
func (a *app) confirm(ctx context.Context, store *s3store.Store, bucket string, c s3store.BucketEncryptionChange) error {
	for wait := 100 * time.Millisecond; ; wait *= 2 {
		e, err := store.BucketEncryption(ctx, bucket)
		if err != nil {
			return err
		}
		differs := notSet(&c, &e)
		if differs == "" {
			return nil
		}
		if wait > time.Second {
			return fmt.Errorf("the store of s3://%s answered success, and still shows %s; it does not do what it says, so look at a new object with HEAD before you rely on it",
				bucket, differs)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// notSet is what is shown otherwise than it was set; empty where nothing is. An
// alias that is shown as the key behind it cannot be compared.
func notSet(c *s3store.BucketEncryptionChange, e *s3store.BucketEncryption) string {
	shown := &e.Default
	_, alias, named := strings.Cut(c.KMSKeyID, "alias/")
	_, shownAlias, shownNamed := strings.Cut(shown.KMSKeyID, "alias/")
	switch {
	case c.SSE != object.SSEUnknown && shown.Type != c.SSE:
		return shown.Type.String() + " for new objects"
	case c.KMSKeyID != "" && shown.KMSKeyID == "":
		return "no KMS key for new objects"
	case named && shownNamed && alias != shownAlias,
		c.KMSKeyID != "" && !named && !object.SameKMSKey(c.KMSKeyID, shown.KMSKeyID):
		return "the KMS key " + shown.KMSKeyID + " for new objects"
	case c.BucketKey != object.Default && shown.BucketKey != (c.BucketKey == object.On):
		return "bucket keys " + onOff(shown.BucketKey)
	case c.BlockSSEC != object.Default && e.BlocksSSEC != object.Found(c.BlockSSEC == object.On):
		return "the block on SSE-C " + onOff(e.BlocksSSEC == object.Yes)
	}
	return ""
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
