package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/resealhq/reseal/engine"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/pace"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/planner"
	"github.com/resealhq/reseal/planner/inventory"
	"github.com/resealhq/reseal/planner/listing"
	"github.com/resealhq/reseal/planner/manifest"
)

// auditFlags are what audit takes: a source, which objects of it, and how.
type auditFlags struct {
	source    sourceFlags
	target    targetFlags // the customer key of the objects only
	selection selectionFlags
	conn      connection
	how       howFlags
	out       outputFlags
	format    oneOf
	output    string
	sample    int
}

func newAudit(a *app) *cobra.Command {
	var f auditFlags
	cmd := &cobra.Command{
		Use:   "audit SOURCE",
		Short: "What is encrypted how, today; changes nothing",
		Long: `audit counts the objects of a bucket by encryption, KMS key, bucket key, storage class
and client-side envelope. It lists, and asks about each object unless the listing or the
manifest tells. --sample asks about so many only, and says how far off that can be.`,
		Example: "  reseal audit s3://bucket\n  reseal audit s3://huge-bucket --sample 10000\n  reseal audit --manifest s3://inventory/bucket/config/ --json",
		Args:    atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			src, sel, err := f.Validate(cmd, args)
			if err != nil {
				return err
			}
			return a.audit(cmd.Context(), &f, src, sel)
		},
	}
	set := cmd.Flags()
	f.source.AddFlags(set)
	f.selection.AddFlags(set)
	f.conn.AddFlags(set)
	f.target.addSourceKeyFlag(set)
	f.how.AddPaceFlags(set)
	f.out.AddFlags(set)
	f.format = oneOf{value: "text", allowed: []string{"text", "json", "csv"}}
	set.Var(&f.format, "format", "the form of the result")
	set.StringVarP(&f.output, "output", "o", "", "write the result to a file")
	set.IntVar(&f.sample, "sample", 0, "ask about so many objects only, drawn at random; 0 for all")
	return cmd
}

func (f *auditFlags) Validate(cmd *cobra.Command, args []string) (src sourceSpec, sel selectionSpec, err error) {
	if src, err = f.source.Validate(args); err != nil {
		return src, sel, err
	}
	if !src.given() {
		return src, sel, errNoSource(cmd)
	}
	if f.sample < 0 {
		return src, sel, unusablef("give a number of objects, or 0 for all", "--sample %d is negative", f.sample)
	}
	if f.out.json {
		f.format.value = "json"
	}
	if err := f.conn.Validate(); err != nil {
		return src, sel, err
	}
	sel, err = f.selection.Validate()
	return src, sel, err
}

func (a *app) audit(ctx context.Context, f *auditFlags, src sourceSpec, sel selectionSpec) error {
	f.how.set = nil
	_, tempo, err := f.how.Validate(nil)
	if err != nil {
		return err
	}
	limits := tempo.Limits()
	if err := limits.Validate(); err != nil {
		return unusableBecause(err, "the ceilings", "correct them")
	}
	key, err := f.customerKey()
	if err != nil {
		return err
	}
	store, err := openStore(ctx, &f.conn, limits.Concurrency, 0)
	if err != nil {
		return err
	}
	defer store.Close()
	hot, err := hotClient(store)
	if err != nil {
		return err
	}
	defer hot.Close()
	reads := engine.NewReads(engine.Config{Store: engine.Store{Hot: hot, Uploads: store, Details: store, Reader: store},
		Target: object.Target{SourceKey: key}, Pace: pace.New(limits), Log: f.out.openConsoleLog(a.stderr),
		Renew: func(ctx context.Context) error { store.Invalidate(); return nil }})
	source, prefix, err := a.auditSource(ctx, store, reads, &src, &sel)
	if err != nil {
		return err
	}
	selection, err := sel.Selection(prefix)
	if err != nil {
		return err
	}
	count := &counting{what: "objects counted"}
	end := (&console{w: a.stderr}).showCount(count, &f.out)
	result, err := planner.RunAudit(ctx, source, &selection, planner.AuditOptions{Inspect: underAnyKey(reads.Inspect), Inspectors: limits.Workers(),
		Sample: f.sample, Passed: func(rows int) { count.n.Add(int64(rows)) }})
	end()
	if err != nil {
		return err
	}
	return a.printAudit(f, result)
}

// underAnyKey counts an object that no HEAD opens without its customer key as
// what it thereby shows to be: under SSE-C. What else the HEAD would tell of it
// stays as the row has it.
func underAnyKey(inspect planner.Inspector) planner.Inspector {
	return func(ctx context.Context, o *object.Object) (object.Head, error) {
		h, err := inspect(ctx, o)
		if errors.Is(err, engine.ErrMissingKey) {
			h, err = object.Head{Object: *o}, nil
			h.Encryption = object.Encryption{Type: object.SSEC}
		}
		return h, err
	}
}

func (f *auditFlags) customerKey() (key object.CustomerKey, err error) {
	if f.target.sourceKeyFile == "" {
		return key, nil
	}
	if f.conn.plaintext() {
		return key, unusablef("use an https endpoint", "%s would carry a customer key unencrypted", f.conn.EndpointURL)
	}
	_, key, err = readCustomerKey("--source-sse-c-key-file", f.target.sourceKeyFile)
	return key, err
}

// auditSource is what is counted: a manifest, or a listing whose rows tell the
// encryption where the store was just seen to tell the truth in them.
func (a *app) auditSource(ctx context.Context, store *s3store.Store, reads *engine.Reads, src *sourceSpec, sel *selectionSpec) (planner.Source, string, error) {
	if src.Manifest != "" {
		if err := refuseFolder(src.Manifest); err != nil {
			return nil, "", err
		}
		opened, err := manifest.Open(ctx, manifest.Options{URI: src.Manifest, Format: manifest.Format(src.ManifestFormat), Bucket: src.Bucket,
			S3: inventory.Buckets{Store: store}, Stdin: a.stdin, TempDir: os.TempDir(), AllVersions: sel.Versions == "all"})
		if err == nil {
			err = reach(ctx, store, opened.Bucket(), "")
		}
		return opened, "", err
	}
	if err := reach(ctx, store, src.Bucket, src.Prefix); err != nil {
		return nil, "", err
	}
	l := &listing.Source{Lister: store, Bucket: src.Bucket, Prefix: src.Prefix, Versions: sel.Versions == "all", Send: reads.Do}
	var err error
	if !store.IsAWS() {
		l.Metadata, err = rowsTellTheTruth(ctx, store, reads, src)
	}
	return l, src.Prefix, err
}

// rowsTellTheTruth compares the first rows of a listing that carries encryption
// with HEAD. An audit writes nothing, so there is no canary to ask.
func rowsTellTheTruth(ctx context.Context, store *s3store.Store, reads *engine.Reads, src *sourceSpec) (bool, error) {
	const compared = 20
	var page object.ListReply
	err := reads.Do(ctx, object.Call{Kind: object.ReqList}, func(ctx context.Context) (err error) {
		page, err = store.ListPage(ctx, object.ListRequest{Bucket: src.Bucket, Prefix: src.Prefix, MaxKeys: compared, Metadata: true})
		return err
	})
	if err != nil || len(page.Objects) == 0 {
		return false, err
	}
	for i := range page.Objects {
		row := &page.Objects[i]
		if !row.Settled {
			return false, nil
		}
		seen, err := reads.Inspect(ctx, row)
		if err != nil || seen.Encryption != row.Encryption || seen.ClientSide != row.ClientSide {
			return false, nil // the audit will ask about each, and meet the error there
		}
	}
	return true, nil
}

func (a *app) printAudit(f *auditFlags, result *planner.Audit) error {
	write := func(w io.Writer) error {
		switch f.format.value {
		case "json":
			return writeJSON(w, result)
		case "csv":
			return result.WriteCSV(w)
		}
		return result.WriteText(w)
	}
	if f.output != "" {
		return writeAtomically(f.output, write)
	}
	if err := write(a.stdout); err != nil {
		return fmt.Errorf("writing to standard output: %w", err)
	}
	return nil
}

// counting is progress of which only one number is known.
type counting struct {
	what string
	n    atomic.Int64
}
