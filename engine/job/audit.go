package job

import (
	"context"
	"errors"
	"os"

	"github.com/resealhq/reseal/engine"
	"github.com/resealhq/reseal/engine/hot"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/pace"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/planner"
	"github.com/resealhq/reseal/planner/inventory"
	"github.com/resealhq/reseal/planner/listing"
	"github.com/resealhq/reseal/planner/manifest"
)

// AuditOptions are what an audit takes. Of the limits it uses those of the pace.
type AuditOptions struct {
	Options
	// SourceKeyFiles hold the customer keys that objects may be under.
	SourceKeyFiles []string
	// Sample asks about so many objects only, drawn at random; 0 for all.
	Sample int
	// Passed is told of every row, as they pass.
	Passed func(rows int)
}

// Audit counts objects and bytes by encryption, key and class; it changes nothing.
// Of the specification it takes source, selection and connection. Of several places it
// tells the sum and each; one that cannot be read is told as that, and is not the end.
func Audit(ctx context.Context, spec Spec, opt AuditOptions) (*planner.Audit, error) {
	opt.setDefaults()
	for _, check := range []func() error{spec.Source.validate, spec.Connection.Validate, spec.Selection.Validate, opt.Limits.Validate} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	if opt.Sample < 0 {
		return nil, unusablef("give a number of objects, or 0 for all", "AuditOptions.Sample %d is negative", opt.Sample)
	}
	spec.Target = Target{}
	if k := opt.SourceKeyFiles; len(k) > 0 {
		spec.Target.SourceKeyFile, spec.Target.MoreSourceKeyFiles = k[0], k[1:]
	}
	if err := errors.Join(spec.Target.readKeys(), spec.Target.refusePlaintext(&spec.Connection)); err != nil {
		return nil, err
	}
	spec.Target.warnOfKeys(&spec.Connection, opt.Log)
	store, err := spec.Connection.Open(ctx, Dial{Version: opt.Version, Connections: opt.Concurrency})
	if err != nil {
		return nil, err
	}
	defer store.Close()
	client, err := hot.Client(store)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	reads := inspecting(client, store, pace.New(opt.pace()), object.Target{SourceKey: spec.Target.sourceOnly, MoreSourceKeys: spec.Target.moreSources}, opt.Log)
	if !spec.Source.many() {
		return auditOne(ctx, store, reads, &spec, &opt)
	}
	places, err := spec.Source.places(ctx, store)
	if err != nil {
		return nil, err
	}
	sum := &planner.Audit{ByEncryption: []planner.AuditRow{}}
	for _, p := range places {
		one := spec
		one.Source = p.source()
		found, err := auditOne(ctx, store, reads, &one, &opt)
		switch {
		case err == nil:
		case spec.Source.endsWith(ctx, err):
			return nil, err
		default:
			found = &planner.Audit{ByEncryption: []planner.AuditRow{}, Unread: err.Error()}
		}
		sum.Add(p.String(), found)
	}
	return sum, nil
}

// auditOne is Audit of one source.
func auditOne(ctx context.Context, store *s3store.Store, reads *engine.Reads, spec *Spec, opt *AuditOptions) (*planner.Audit, error) {
	past := &pastUnreadable{Store: store}
	source, prefix, err := auditSource(ctx, past, reads, spec, &opt.Options)
	if err != nil {
		return nil, err
	}
	selection, err := spec.Selection.planned(prefix)
	if err := errors.Join(err, spec.Selection.refuseAliases(ctx, store, spec.Source.Bucket)); err != nil {
		return nil, err
	}
	result, err := planner.RunAudit(ctx, source, &selection, planner.AuditOptions{Inspect: underAnyKey(reads.Inspect), Inspectors: opt.pace().Workers(),
		Sample: opt.Sample, Passed: opt.Passed, CustomerKeys: len(opt.SourceKeyFiles) > 0})
	if lost := past.lost(); err == nil && lost != nil {
		result.Unread = lost.Error()
	}
	return result, err
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

// auditSource is what is counted: a manifest, or a listing whose rows tell the
// encryption where the store was just seen to tell the truth in them.
func auditSource(ctx context.Context, past *pastUnreadable, reads *engine.Reads, spec *Spec, opt *Options) (planner.Source, string, error) {
	src, store, versions := &spec.Source, past.Store, spec.Selection.Versions == "all"
	if src.Manifest != "" {
		opened, err := openAudited(ctx, store, spec, opt)
		return opened, "", err
	}
	if err := reach(ctx, store, src.Bucket, src.Prefix); err != nil {
		return nil, "", err
	}
	l := &listing.Source{Lister: past, Bucket: src.Bucket, Prefix: src.Prefix, Versions: versions, Send: reads.Do}
	var err error
	if !store.IsAWS() {
		l.Metadata, err = rowsTellTheTruth(ctx, past, reads, src)
	}
	return l, src.Prefix, err
}

// openAudited opens the manifest that is counted.
func openAudited(ctx context.Context, store *s3store.Store, spec *Spec, opt *Options) (*manifest.Opened, error) {
	src := &spec.Source
	if err := refuseFolder(src.Manifest); err != nil {
		return nil, err
	}
	opened, err := manifest.Open(ctx, manifest.Options{URI: src.Manifest, Format: manifest.Format(src.ManifestFormat), Bucket: src.Bucket,
		S3: inventory.Buckets{Store: store}, Tables: store, Stdin: opt.Stdin, TempDir: os.TempDir(), AllVersions: spec.Selection.Versions == "all"})
	if err == nil {
		err = reach(ctx, store, opened.Bucket(), "")
	}
	return opened, err
}

// rowsTellTheTruth compares the first rows of a listing that carries encryption
// with HEAD. An audit writes nothing, so there is no canary to ask.
func rowsTellTheTruth(ctx context.Context, past *pastUnreadable, reads *engine.Reads, src *Source) (bool, error) {
	const compared = 20
	var page object.ListReply
	err := reads.Do(ctx, object.Call{Kind: object.ReqList}, func(ctx context.Context) (err error) {
		page, err = past.ListPage(ctx, object.ListRequest{Bucket: src.Bucket, Prefix: src.Prefix, MaxKeys: compared, Metadata: true})
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
