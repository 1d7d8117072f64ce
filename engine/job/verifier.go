package job

import (
	"cmp"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/resealhq/reseal/engine"
	"github.com/resealhq/reseal/engine/folder"
	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/s3store"
	"github.com/resealhq/reseal/planner/listing"
)

// verifier compares a job's report with what the store shows now. It shares the
// retry loop with a run, and none of its judgement: what it compares it reads
// from the report, and asks by a client of its own.
type verifier struct {
	job     *Job
	points  *records
	store   *s3store.Store
	reads   *engine.Reads
	workers int
	// The place that it is about now; of a job that has but one, place is nil.
	place  *Place
	spec   *Spec
	learnt learnt
	target object.Target
	dest   engine.Dest
	// envelopes is set where the job is about those.
	envelopes *envelopes
	// files is the folder that was uploaded, written the one that was downloaded to.
	files   *folder.Source
	written *folder.Dest

	mu struct {
		sync.Mutex
		out    *csv.Writer
		groups map[dependentKey]*Dependents
		sample *object.Head // see sampled
	}
	verdict Verdict
	// looked: for dependents.
	looked bool
}

type dependentKey struct{ encryption, key string }

// maxExamples is how many differences are told on the terminal.
const maxExamples = 10

// file begins the file of findings.
func (v *verifier) file(w io.Writer) {
	v.mu.out = csv.NewWriter(w)
	_ = v.mu.out.Write([]string{"finding", "bucket", "key", "version_id", "encryption", "kms_key_id", "size", "message"}) // csv keeps the error for endFile
	v.mu.groups = map[dependentKey]*Dependents{}
}

func (v *verifier) endFile() error {
	v.mu.out.Flush()
	if err := v.mu.out.Error(); err != nil {
		return fmt.Errorf("writing the findings: %w", err)
	}
	if !v.looked {
		return nil
	}
	v.verdict.Dependents = []Dependents{} // perhaps none
	for _, g := range v.mu.groups {
		v.verdict.Dependents = append(v.verdict.Dependents, *g)
	}
	slices.SortFunc(v.verdict.Dependents, func(a, b Dependents) int {
		return cmp.Or(cmp.Compare(b.Current+b.Noncurrent, a.Current+a.Noncurrent), cmp.Compare(a.Encryption, b.Encryption), cmp.Compare(a.KMSKeyID, b.KMSKeyID))
	})
	return nil
}

// rows verifies every row of the report that says done or already.
func (v *verifier) rows(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(v.workers)
	err := v.points.rowsOf(v.place, func(t *object.Task, o *object.Outcome) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if o == nil || o.State != object.Done && o.State != object.Already {
			v.verdict.NotDone++
			return nil
		}
		v.verdict.Checked++
		ref, row := t.Object.Ref, *o
		g.Go(func() error { return v.row(ctx, ref, &row) })
		return nil
	})
	return cmp.Or(g.Wait(), err) // err is the group's end where one of it failed
}

// row asks about one object. Its error is one that concerns all of them.
func (v *verifier) row(ctx context.Context, ref object.Ref, o *object.Outcome) error {
	file := ref
	switch {
	case v.written != nil:
		return v.writtenRow(ctx, ref, o)
	case !v.dest.InPlace():
		ref = v.dest.Ref(ref)
	case ref.VersionID != "" && o.State == object.Done && o.Operation != object.OpUpdate:
		ref.VersionID = o.NewVersionID // a copy leaves the version that was planned as it was
	}
	h, err := v.head(ctx, ref, o.After.Type)
	switch class := object.ClassOf(err); {
	case class == object.ClassGone:
		v.note(&v.verdict.Gone, "gone", ref, &h.Object, "")
		return nil
	case err != nil && (class.Fatal() || class.Retryable() || class == object.ClassCanceled || ctx.Err() != nil):
		return err
	case err != nil:
		v.note(&v.verdict.Different, "different", ref, &h.Object, "it cannot be read: "+err.Error())
		return nil
	}
	if err := v.openETag(ctx, o, &h); err != nil {
		return err
	}
	what := v.compare(o, &h)
	wanted := v.target.Satisfied(&h.Object)
	if v.envelopes != nil {
		is, err := v.envelopes.compare(ctx, o, &h)
		if err != nil {
			return err
		}
		what, wanted = cmp.Or(what, is), is == ""
	}
	if v.files != nil && what == "" {
		differs, since, err := v.compareFile(ctx, file, o, &h)
		if err != nil {
			return err
		}
		if since {
			v.note(&v.verdict.Changed, "changed", ref, &h.Object, differs)
			return nil
		}
		what = differs
	}
	switch {
	case what == "":
		v.count(&v.verdict.Verified)
		v.sampled(ref, &h)
	case wanted && (o.ETagAfter != h.ETag || otherVersion(o, &h)):
		v.note(&v.verdict.Changed, "changed", ref, &h.Object, what)
	default:
		v.note(&v.verdict.Different, "different", ref, &h.Object, what)
	}
	return nil
}

// openETag asks a listing for the ETag of an encrypted object whose key ends with a slash:
// MinIO shows a sealed one in HEAD, which nothing that was written since explains.
func (v *verifier) openETag(ctx context.Context, o *object.Outcome, h *object.Head) error {
	if !strings.HasSuffix(h.Key, "/") || h.VersionID != "" || h.ETag == o.ETagAfter || h.Encryption.Type == object.SSENone || v.learnt.Caps.IsAWS() {
		return nil
	}
	var page object.ListReply
	err := v.reads.Do(ctx, object.Call{Kind: object.ReqList, Key: h.Key}, func(ctx context.Context) (err error) {
		page, err = v.store.ListPage(ctx, object.ListRequest{Bucket: h.Bucket, Prefix: h.Key, MaxKeys: 1})
		return err
	})
	switch {
	case object.ClassOf(err) == object.ClassDenied:
		return nil // so the row stays what HEAD told
	case err != nil:
		return err
	case len(page.Objects) == 0:
		return nil
	}
	if row := &page.Objects[0]; row.Key == h.Key && row.Size == h.Size && row.LastModified.Truncate(time.Second).Equal(h.LastModified.Truncate(time.Second)) {
		h.ETag = row.ETag
	}
	return nil
}

// compare says in what the store differs from the row; empty for in nothing.
func (v *verifier) compare(o *object.Outcome, h *object.Head) string {
	switch {
	case h.Encryption.Type != o.After.Type:
		return fmt.Sprintf("the report says %s, the store shows %s", o.After.Type, h.Encryption.Type)
	case h.Encryption.Type.KMS() && h.Encryption.KMSKeyID != o.After.KMSKeyID:
		return fmt.Sprintf("the report says the key %s, the store shows %s", o.After.KMSKeyID, h.Encryption.KMSKeyID)
	case h.ETag != o.ETagAfter:
		return fmt.Sprintf("the report says the ETag %s, the store shows %s", o.ETagAfter, h.ETag)
	case h.Size != o.Size:
		return fmt.Sprintf("the report says %d bytes, the store shows %d", o.Size, h.Size)
	case otherVersion(o, h):
		return fmt.Sprintf("the report says the version %s, the store shows %s", o.NewVersionID, h.ShownVersionID)
	case v.target.SSE == object.SSEUnknown: // an object keeps its own
	case !v.target.Satisfied(&h.Object):
		return fmt.Sprintf("it is under %s %s, which is not the target", h.Encryption.Type, h.Encryption.KMSKeyID)
	}
	return ""
}

// otherVersion says whether somebody has written the object since, perhaps the same bytes.
func otherVersion(o *object.Outcome, h *object.Head) bool {
	return o.NewVersionID != "" && h.ShownVersionID != "" && h.ShownVersionID != o.NewVersionID
}

// head asks by the SDK's client, with the customer key that the kind of
// encryption calls for.
func (v *verifier) head(ctx context.Context, ref object.Ref, sse object.SSE) (h object.Head, err error) {
	err = v.withKeys(sse, func(key object.CustomerKey) error {
		return v.reads.Do(ctx, object.Call{Kind: object.ReqHead, Key: ref.Key}, func(ctx context.Context) (err error) {
			h, err = v.store.Head(ctx, ref, key)
			return err
		})
	})
	return h, err
}

// withKeys tries each customer key that an object under this kind of encryption can
// want, until one is not refused.
func (v *verifier) withKeys(sse object.SSE, try func(object.CustomerKey) error) (err error) {
	keys := []object.CustomerKey{{}}
	if sse == object.SSEC || sse == object.SSEUnknown {
		keys = slices.Concat([]object.CustomerKey{v.target.CustomerKey}, v.target.SourceKeys(), keys)
	}
	for i, key := range keys {
		if key.IsZero() && i < len(keys)-1 {
			continue
		}
		err = try(key)
		if c := object.ClassOf(err); err == nil || c != object.ClassInvalid && c != object.ClassDenied {
			return err
		}
	}
	return err
}

func (v *verifier) count(n *uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	*n++
}

// note counts a finding and writes it down.
func (v *verifier) note(n *uint64, finding string, ref object.Ref, o *object.Object, message string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	*n++
	if finding != "changed" && len(v.verdict.Examples) < maxExamples {
		v.verdict.Examples = append(v.verdict.Examples, Finding{ref.String(), cmp.Or(message, finding)})
	}
	v.write(finding, ref, o, message)
}

// write REQUIRES: v.mu.
func (v *verifier) write(finding string, ref object.Ref, o *object.Object, message string) {
	_ = v.mu.out.Write([]string{finding, ref.Bucket, ref.Key, ref.VersionID, o.Encryption.Type.String(), o.Encryption.KMSKeyID,
		strconv.FormatInt(o.Size, 10), message}) // csv keeps the error for endFile
}

// dependents looks at every object and version that lies under the source now,
// also at those that no plan of this job has seen.
func (v *verifier) dependents(ctx context.Context) error {
	kept, err := v.store.Versioning(ctx, v.learnt.Bucket) // as it is now: the job may have begun long ago
	if err != nil {
		return err
	}
	versions, err := listsVersions(ctx, v.store, v.reads, v.learnt.Bucket, v.spec.Source.Prefix, kept)
	if err != nil {
		return err
	}
	past := &pastUnreadable{Store: v.store}
	src := v.job.Part.part(&listing.Source{Lister: past, Bucket: v.learnt.Bucket, Prefix: v.spec.Source.Prefix, Versions: versions,
		Metadata: v.learnt.Caps.ListMetadata == object.Yes, Send: v.reads.Do})
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(v.workers)
	err = src.Read(ctx, nil, func(p object.Page) error {
		for i := range p.Objects {
			o := p.Objects[i]
			switch {
			case o.DeleteMarker:
			case o.Settled:
				v.dependent(&o)
			default:
				g.Go(func() error { return v.look(ctx, &o) })
			}
		}
		return ctx.Err()
	})
	return cmp.Or(g.Wait(), err, past.lost())
}

// look asks what one object or version depends on.
func (v *verifier) look(ctx context.Context, o *object.Object) error {
	h, err := v.head(ctx, o.Ref, object.SSEUnknown)
	switch class := object.ClassOf(err); {
	case class == object.ClassGone:
		return nil
	case err != nil && (class.Fatal() || class.Retryable() || class == object.ClassCanceled || ctx.Err() != nil):
		return err
	case err != nil: // what cannot be read might depend on anything
		o.Encryption = object.Encryption{}
	default:
		o.Encryption, o.ClientSide = h.Encryption, h.ClientSide
	}
	v.dependent(o)
	return nil
}

func (v *verifier) dependent(o *object.Object) {
	if o.MayWrap() {
		v.count(&v.verdict.ClientSide)
	}
	if v.target.MetBy(o.Encryption) {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	k := dependentKey{o.Encryption.Type.String(), o.Encryption.KMSKeyID}
	g := v.mu.groups[k]
	if g == nil {
		g = &Dependents{Encryption: k.encryption, KMSKeyID: k.key, Example: o.Ref.String()}
		v.mu.groups[k] = g
	}
	finding := "dependent"
	if o.Noncurrent {
		g.Noncurrent++
		finding = "dependent-version"
	} else {
		g.Current++
	}
	g.Bytes += max(0, o.Size)
	v.write(finding, o.Ref, o, "")
}
