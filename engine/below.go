package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/retry"
	"github.com/resealhq/reseal/engine/store"
)

// MinIO dates a write before it waits for its turn, and sorts versions by their dates. Another
// client's, which waited while a PutObject of this run was looked through and dated, is answered
// with success and comes to lie below what that made: the object holds again what was there
// before. No condition prevents it, and only a listing of versions shows it, a moment later.
// So what was written where versions are kept counts as done only once its versions were listed, as far
// as they can be, and no such write was seen. A CopyObject reads no body while it has its turn, and was seen to do this to
// nobody.

// laid is what this run has written over a version.
type laid struct {
	task       object.Task
	out        object.Outcome
	made, over string    // the version that was made, and the one that it was made of
	ripe       time.Time // when whoever waited for it has had its turn
}

// How what was written is looked at. Whoever waited for this run has its turn at once after it,
// but for the pause between two of its tries, and ends within a few times what the request of this run
// took. Neighbours are looked at together, for which the first waits longer by belowWait: nobody
// sees it as done before.
const (
	belowAfter  = 500 * time.Millisecond
	belowMost   = 5 * time.Second
	belowTimes  = 4
	belowWait   = 700 * time.Millisecond
	belowBatch  = 400       // a page for most: each has two versions, and there are others in between
	belowHeld   = 16 << 10  // more are not remembered: whoever writes the next one waits
	belowRounds = maxRounds // of one object that others keep writing to
)

// below looks at what lies below what this run has written.
type below struct {
	r        *run
	versions store.Versions // nil where nothing is looked at
	taken    chan *laid
	wg       sync.WaitGroup
	// unseen: nobody may list the versions, so that nothing is looked at any more.
	unseen atomic.Bool
}

func (b *below) start(ctx context.Context) {
	if b.versions != nil {
		b.taken = make(chan *laid, belowBatch)
		b.wg.Go(func() { defer b.r.tellPanic(); b.loop(retry.Ending(ctx)) })
	}
}

// close waits until everything that was taken has its outcome. Only after the last take.
func (b *below) close() {
	if b.taken != nil {
		close(b.taken)
		b.wg.Wait()
	}
}

// finish records an outcome, or has it looked at first.
func (r *run) finish(it *item, out *object.Outcome) {
	if l := it.laid(out); l != nil && r.below.taken != nil && !r.below.unseen.Load() {
		r.below.taken <- l
		return
	}
	r.record(out)
}

// laid is what the item has written over the version that it was made of; nil where it has not, or by
// a CopyObject, and where the store keeps no versions.
func (it *item) laid(out *object.Outcome) *laid {
	made, over := out.NewVersionID, cmp.Or(it.version, it.task.Object.VersionID)
	if sent := it.past.unanswered; out.Inferred && made == over && sent != nil {
		over = sent.version
	}
	if out.State != object.Done || out.Operation == object.OpUpdate || out.Operation == object.OpCopy || !it.run.cfg.Dest.InPlace() || it.task.Object.Noncurrent ||
		made == "" || made == object.NullVersion || over == "" || made == over {
		return nil
	}
	return &laid{task: it.task, out: *out, made: made, over: over, ripe: time.Now().Add(min(max(belowTimes*it.took, belowAfter), belowMost))}
}

// loop keeps what was taken until it may be looked at, and looks at two batches at a time.
func (b *below) loop(ctx context.Context) {
	slots := make(chan struct{}, 2)
	var held []*laid // in the order in which they were written
	look := func(n int) {
		batch := slices.Clone(held[:n])
		held = slices.Delete(held, 0, n)
		slots <- struct{}{}
		b.wg.Go(func() {
			defer func() { <-slots }()
			defer b.r.tellPanic()
			b.lookAt(ctx, batch)
		})
	}
	due := time.NewTimer(belowWait)
	defer due.Stop()
	for {
		taken, waited := b.taken, due.C
		switch {
		case len(held) == 0:
			waited = nil
		case len(held) >= belowHeld:
			taken = nil
			fallthrough
		default:
			due.Reset(time.Until(held[0].ripe.Add(belowWait)))
		}
		select {
		case l, ok := <-taken:
			if !ok {
				for len(held) > 0 {
					look(min(len(held), belowBatch))
				}
				return
			}
			if held = append(held, l); len(held) >= belowBatch && held[belowBatch-1].isRipe() {
				look(belowBatch)
			}
		case <-waited:
			n := 0
			for n < min(len(held), belowBatch) && held[n].isRipe() {
				n++
			}
			look(n)
		}
	}
}

func (l *laid) isRipe() bool { return !time.Now().Before(l.ripe) }

// lookAt cuts the batch into runs of neighbours, and looks at each by its pages.
func (b *below) lookAt(ctx context.Context, batch []*laid) {
	for _, l := range batch {
		wait(ctx, time.Until(l.ripe))
	}
	slices.SortFunc(batch, func(x, y *laid) int { return cmp.Compare(x.task.Object.Key, y.task.Object.Key) })
	for len(batch) > 0 {
		n := 1
		for n < len(batch) && near(&batch[n].task, &batch[n-1].task) {
			n++
		}
		for run := batch[:n]; len(run) > 0; {
			run = run[b.page(ctx, run):]
		}
		batch = batch[n:]
	}
}

// page lists the versions of the first keys of a run, and ends those that it shows whole. It gives how
// many these are, at least the first.
func (b *below) page(ctx context.Context, run []*laid) int {
	first := &run[0].task.Object
	last := &run[len(run)-1].task.Object
	q := object.ListRequest{Bucket: first.Bucket, Prefix: first.Key[:object.CommonPrefix(first.Key, last.Key)], MaxKeys: proveBatch}
	if q.KeyMarker = before(first.Key); !strings.HasPrefix(q.KeyMarker, q.Prefix) {
		q.KeyMarker = "" // MinIO lists nothing from there, and the first key is where the prefix begins
	}
	page, err := b.list(ctx, q)
	whole := len(run)
	if page.Truncated {
		last := ""
		if n := len(page.Objects); n > 0 {
			last = page.Objects[n-1].Key
		}
		whole = sort.Search(len(run), func(i int) bool { return run[i].task.Object.Key >= last })
		switch {
		case whole > 0:
		case len(run) > 1: // others lie before it; by itself it comes first
			return b.page(ctx, run[:1])
		default: // it has more versions than a page, which begins with the newest
			whole = 1
		}
	}
	for _, l := range run[:whole] {
		b.end(ctx, l, rowsOf(page.Objects, l.task.Object.Key), err)
	}
	return whole
}

// list gives no rows and no error where nobody may list.
func (b *below) list(ctx context.Context, q object.ListRequest) (page object.ListReply, err error) {
	if b.unseen.Load() {
		return page, nil
	}
	err = b.r.loop.Do(ctx, object.Call{Kind: object.ReqList, Key: q.Prefix}, func(ctx context.Context) (err error) {
		page, err = b.versions.ListVersionsPage(ctx, q)
		return err
	})
	if object.ClassOf(err) != object.ClassDenied {
		return page, err
	}
	if b.unseen.CompareAndSwap(false, true) {
		b.r.cfg.Log.Warn("versions cannot be listed (s3:ListBucketVersions), so that nobody sees whether a write of another client lies below what this run wrote", "error", err)
	}
	return object.ListReply{}, nil
}

// rows are the first page of one object's versions.
func (b *below) rows(ctx context.Context, o *object.Object) ([]object.Object, error) {
	page, err := b.list(ctx, object.ListRequest{Bucket: o.Bucket, Prefix: o.Key, MaxKeys: proveBatch})
	return rowsOf(page.Objects, o.Key), err
}

// rowsOf are the versions of a key in a page, as the store sorts them.
func rowsOf(page []object.Object, key string) (rows []object.Object) {
	for i := range page {
		if page[i].Key == key && !page[i].Freed() {
			rows = append(rows, page[i])
		}
	}
	return rows
}

// between is the version that lies between what was written and what that was made of, the newest of
// several; nil where none does, something newer is current, or one of the two is not there any more. What
// is older than both was there before, on a store that sorts versions some other way.
func (l *laid) between(rows []object.Object) *object.Object {
	if len(rows) < 3 || rows[0].Noncurrent || rows[0].DeleteMarker || rows[0].VersionID != l.made {
		return nil
	}
	over := slices.IndexFunc(rows, func(o object.Object) bool { return o.VersionID == l.over && !o.DeleteMarker })
	if over < 2 || rows[1].LastModified.Before(rows[over].LastModified) {
		return nil
	}
	return &rows[1]
}

// end gives what was written its outcome. Where a write of another client lies below it, it is taken away
// again, and the object is decided on anew. err says that rows could not be had.
func (b *below) end(ctx context.Context, l *laid, rows []object.Object, err error) {
	for n := 0; ; n++ {
		if err != nil {
			if ctx.Err() != nil {
				b.r.abandon(&l.task, retry.ErrStopping)
				return
			}
			adds(&l.out, "whether a write of another client lies below it could not be seen: "+err.Error())
			rows = nil
		}
		other := l.between(rows)
		if other == nil {
			b.r.record(&l.out)
			return
		}
		switch {
		case l.out.Inferred && (other.ETag != rows[0].ETag || other.Size != rows[0].Size):
			b.r.record(l.withoutAnswer(other))
			return
		case l.out.Inferred: // the request took effect twice
			b.r.record(&l.out)
			return
		case n == belowRounds:
			err = errors.New("others kept writing to it")
		case rows[0].ETag != l.out.ETagAfter || rows[0].Size != l.out.Size:
			err = errors.New("the listing shows another object under that ID than was written")
		default:
			err = b.remove(ctx, l)
		}
		if err != nil {
			b.r.record(l.failed(other, err))
			return
		}
		if l = b.anew(ctx, l, other); l == nil {
			return
		}
		wait(ctx, time.Until(l.ripe))
		rows, err = b.rows(ctx, &l.task.Object)
	}
}

// anew does the object as others have left it. It gives what is to be looked at again; nil where that
// has its outcome.
func (b *below) anew(ctx context.Context, l *laid, other *object.Object) *laid {
	it := new(item)
	out, err := b.r.do(ctx, it, &l.task, true)
	if err != nil {
		b.r.abandon(&l.task, err)
		return nil
	}
	out.NeverSent = false // what was taken away again was sent
	adds(out, fmt.Sprintf("version %s, which another client wrote meanwhile, had come to lie below version %s, a copy of what was there before, which was removed", other.VersionID, l.made))
	next := it.laid(out)
	if next == nil {
		b.r.record(out)
	}
	return next
}

// remove takes away the version that this run made: the store's reply named it, and the listing shows it
// with the ETag and the size of that reply. What it was made of is there still, and nobody has given it
// other tags or grants since. A lock that it was given the store does not pass over.
func (b *below) remove(ctx context.Context, l *laid) error {
	if err := b.isAsMade(ctx, l); err != nil {
		return err
	}
	ref := l.task.Object.Ref
	ref.VersionID = l.made
	b.r.cfg.Log.Info("a write of another client lies below what this run wrote, which is removed", "object", ref.String())
	return b.r.loop.Do(ctx, object.Call{Kind: object.ReqDelete, Key: ref.Key}, func(ctx context.Context) error {
		_, err := b.versions.DeleteVersion(ctx, ref)
		return err
	})
}

// isAsMade says by an error that the version that this run made has other tags or grants than the one that
// it was made of: whoever wrote the one in between, and says something more of the object, says it of the
// copy. What a copy had to drop is another thing, too, and keeps it as well.
func (b *below) isAsMade(ctx context.Context, l *laid) error {
	made, over := l.task.Object.Ref, l.task.Object.Ref
	made.VersionID, over.VersionID = l.made, l.over
	for _, ask := range []func() (bool, error){
		func() (bool, error) { return b.r.look.SameTags(ctx, made, over) },
		func() (bool, error) { return b.r.look.SameGrants(ctx, made, over) },
	} {
		switch same, err := ask(); {
		case err != nil:
			return err
		case !same:
			return errors.New("it has other tags or grants than what it was made of, which another client may have meant for its own write: give them to that one first")
		}
	}
	return nil
}

// withoutAnswer is the outcome of what a request without an answer has made, as it seems, over another
// client's write. Nobody knows whose it is, so that it stays.
func (l *laid) withoutAnswer(other *object.Object) *object.Outcome {
	return l.unproved(fmt.Sprintf("version %s lies between its version %s and version %s, which this job sent a copy of and got no answer; "+
		"if that is the copy, another client's write is not current any more: see which of the two the object is to hold, and remove the other one", other.VersionID, l.made, l.over))
}

// failed is the outcome of what could not be taken away again.
func (l *laid) failed(other *object.Object, err error) *object.Outcome {
	return l.unproved(fmt.Sprintf("version %s, which another client wrote meanwhile, lies below it, since the store dates a write before that has its turn. "+
		"To bring it back, remove version %s, a copy of what was there before, which this job could not: %v", other.VersionID, l.made, err))
}

func (l *laid) unproved(but string) *object.Outcome {
	l.out.State, l.out.Reason = object.Failed, object.Reason(object.ClassUnproved.String())
	l.out.Message = "the object is under the new encryption, and " + but
	return &l.out
}

// wait returns sooner where the context ends.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(max(d, 0))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
