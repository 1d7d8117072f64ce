package job

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/planner"
)

// Why a task is not submitted, besides the reasons of planner.Chooser.
const (
	ForRunDecided   object.Reason = "decided"     // the plan leaves it, or found it as wanted
	ForRunLarge     object.Reason = "too-large"   // above 5 GB a copy has parts
	ForRunClass     object.Reason = "class"       // a copy cannot be put into its class
	ForRunVersion   object.Reason = "version"     // a manifest cannot name this version
	ForRunDefault   object.Reason = "default"     // the bucket's default encryption is another one
	ForRunUnseen    object.Reason = "undecided"   // it has to be looked at, and may not be or cannot
	ForRunDuplicate object.Reason = "named-twice" // the source names it more than once
	ForRunLoss      object.Reason = "other"       // everything else
)

// batchClasses are those that a copy of S3 Batch Operations can be put into.
var batchClasses = []string{"STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"}

// batchGroup is what the tasks of one submission have in common.
type batchGroup struct {
	update, versions bool
	class            string // of copies
}

// batchChooser decides which tasks S3 Batch Operations can do without a loss.
type batchChooser struct {
	*planner.Chooser
	bucket string
	// annotations: objects may have some, which have to be asked for.
	annotations bool
}

// newBatchChooser is the job's own chooser, told what Batch Operations can do: one copy
// by the COPY directives that resends nothing, on no condition of its destination. So
// grants, locks, redirects and composite checksums are losses, and so are the writes of
// others in a bucket that keeps no versions, which alone can be accepted.
func (j *Job) newBatchChooser(known *learnt) *batchChooser {
	c := j.chooser(known)
	c.MultipartThreshold = 0
	c.Accept = slices.DeleteFunc(slices.Clone(c.Accept), func(r object.Reason) bool { return r != planner.AcceptConcurrent })
	caps := &c.Caps
	for _, f := range []*object.Finding{&caps.CopyIfMatch, &caps.CompleteIfMatch, &caps.PutIfMatch, &caps.SendIfMatch, &caps.Replace, &caps.Multipart} {
		*f = object.No
	}
	for _, f := range []*object.Finding{&caps.PutACL, &caps.PutRetention, &caps.KeepsLock, &caps.KeepsRedirect} {
		*f = object.Unknown // that a store keeps none is another thing than that it cannot be sent
	}
	return &batchChooser{Chooser: c, bucket: known.Bucket, annotations: j.keepsAnnotations(known)}
}

// refuseBatch says why nothing of the job can be submitted.
func (j *Job) refuseBatch(known *learnt) error {
	t, p := &j.Spec.Target, &j.Policy
	what := ""
	switch {
	case t.ClientSide.Given():
		what = "client-side encryption, which it cannot change"
	case j.Spec.hasFolder():
		what = "files of this machine, which it cannot see"
	case t.DestBucket != "":
		what = "another place, and copies to there are left to Run"
	case t.SSE != object.SSES3 && t.SSE != object.SSEKMS:
		what = "an encryption that it cannot write"
	case t.KMSContext != "":
		what = "an encryption context, which it cannot send"
	case p.Operation == RewriteOnly:
		what = "a rewrite, which reads and writes every object"
	case p.Verify == VerifyRead:
		what = "a proof by the bytes before and after each change, which nobody can have of another's"
	case object.IsAccessPoint(known.Bucket):
		what = "an access point, and manifests name buckets"
	default:
		return nil
	}
	return unusablef("do it with Run", "the job in %s cannot be given to S3 Batch Operations: it asks for %s", j.Dir, what)
}

// take says into which group a task goes, or why it is for Run. a is nil where only the
// row is known; undecided then says that the object has to be looked at.
func (c *batchChooser) take(t *object.Task, o *object.Object, a *object.Attributes) (g batchGroup, why object.Reason, undecided bool) {
	switch op := t.Operation; {
	case t.Already, op == object.OpNone:
		return g, ForRunDecided, false
	case op != object.OpUndecided && op != object.OpUpdate && op != object.OpCopy && op != object.OpMultipart, o.Bucket != c.bucket:
		return g, ForRunLoss, false
	case o.Key == "" || strings.ContainsAny(o.VersionID, ",\"\r\n"):
		return g, ForRunVersion, false
	}
	choice := c.Choose(o, a)
	switch {
	case choice.Operation == object.OpUndecided:
		return g, ForRunUnseen, true
	case choice.Operation == object.OpUpdate:
		g.update, g.versions = true, o.VersionID != ""
		if o.VersionID == object.NullVersion {
			return g, ForRunVersion, false
		}
		return g, "", false
	case choice.Operation != object.OpCopy || choice.Route != object.RouteSelfCopy:
		if choice.Reason == "" && !choice.Already {
			choice.Reason = ForRunLoss
		}
		return g, firstReason(choice.Reason, ForRunDecided), false
	}
	return c.takeCopy(o, a)
}

// takeCopy is take for what would be copied.
func (c *batchChooser) takeCopy(o *object.Object, a *object.Attributes) (g batchGroup, why object.Reason, undecided bool) {
	g.class = firstNonEmpty(c.Target.StorageClass, o.StorageClass, "STANDARD")
	switch {
	case o.Noncurrent:
		return g, object.ReasonNoncurrent, false
	case o.Archived():
		return g, object.ReasonArchived, false
	case o.Size > planner.MaxCopySize:
		return g, ForRunLarge, false
	case !slices.Contains(batchClasses, g.class):
		return g, ForRunClass, false
	case c.Target.SSE == object.SSES3 && c.Facts.DefaultEncryption.Type != object.SSES3:
		return g, ForRunDefault, false
	case c.Facts.Versioning != object.VersioningOff && c.Facts.Versioning != object.VersioningEnabled:
		return g, object.ReasonNullVersion, false
	case a == nil && c.annotations:
		return g, ForRunUnseen, true
	case a != nil && a.EventHold:
		return g, object.ReasonEventHold, false
	case a != nil && len(a.Annotations) > 0:
		return g, object.ReasonAnnotations, false
	}
	return g, "", false
}

func firstReason(a, b object.Reason) object.Reason {
	if a != "" {
		return a
	}
	return b
}

// picked is a task and what was made of it.
type picked struct {
	task  object.Task
	group batchGroup
	why   object.Reason
	look  bool
}

// pick decides on some tasks, and looks at those that a row does not settle.
func (s *submitter) pick(ctx context.Context, tasks []picked) error {
	looks, ctx := errgroup.WithContext(ctx)
	looks.SetLimit(s.lookers)
	for i := range tasks {
		p := &tasks[i]
		p.group, p.why, p.look = s.choose.take(&p.task, &p.task.Object, nil)
		if !p.look || s.job.Policy.Inspect == InspectNever {
			continue
		}
		looks.Go(func() error { return s.lookAt(ctx, p) })
	}
	return looks.Wait()
}

// lookAt decides on a task by what the store shows now. An error is about all of them.
func (s *submitter) lookAt(ctx context.Context, p *picked) error {
	h, err := s.reads.Inspect(ctx, &p.task.Object)
	if err == nil && s.choose.annotations {
		err = s.reads.Do(ctx, object.Call{Kind: object.ReqGetDetail, Key: p.task.Object.Key}, func(ctx context.Context) (err error) {
			h.Annotations, err = s.store.Annotations(ctx, p.task.Object.Ref)
			return err
		})
	}
	s.looked.Add(1)
	switch class := object.ClassOf(err); {
	case err == nil:
	case class.Fatal() || class.Retryable() || class == object.ClassCanceled || ctx.Err() != nil:
		return fmt.Errorf("looking at %s before it is submitted: %w", p.task.Object.Ref, err)
	default:
		p.why = ForRunUnseen
		return nil
	}
	o := h.Object
	o.Noncurrent = p.task.Object.Noncurrent // a HEAD does not tell
	if row := &p.task.Object; row.ETag != "" && row.ETag != o.ETag {
		p.why = object.ReasonChanging
		return nil
	}
	if p.group, p.why, p.look = s.choose.take(&p.task, &o, &h.Attributes); p.look {
		p.why = ForRunUnseen
	}
	return nil
}
