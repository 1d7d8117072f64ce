package engine

import (
	"cmp"
	"context"
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
	was        time.Time // when that was written, to the second
	ripe       time.Time // when whoever waited for it has had its turn
	lost       bool      // an earlier request of this run got no answer, and may have made one, too
	replicated bool      // it is, or may be, somewhere else by now
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
	// unseen is until when nothing is looked at, in Unix nanoseconds, since the versions may not be listed.
	unseen atomic.Int64
}

// belowAgain is for how long a refusal to list versions is believed. A policy that is changed, or not yet
// known everywhere, refuses what it allows a moment later.
const belowAgain = time.Minute

// blind says whether the versions may not be listed at this time.
func (b *below) blind() bool { return time.Now().UnixNano() < b.unseen.Load() }

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
	if l := it.laid(out); l != nil && r.below.taken != nil && !r.below.blind() {
		r.below.taken <- l
		return
	}
	r.record(out)
}

// laid is what the item has written over the version that it was made of; nil where it has not, or by
// a CopyObject, and where the store keeps no versions.
func (it *item) laid(out *object.Outcome) *laid {
	made, over := out.NewVersionID, it.readVersion()
	switch sent := it.past.unanswered; {
	case it.past.written() && it.past.wrote.NewVersionID == made:
		over = it.past.wroteOver
	case out.Inferred && made == over && sent != nil:
		over = sent.version
	}
	if out.State != object.Done || out.Operation == object.OpUpdate || out.Operation == object.OpCopy || !it.run.cfg.Dest.InPlace() || it.task.Object.Noncurrent ||
		made == "" || made == object.NullVersion || over == "" || made == over {
		return nil
	}
	return &laid{task: it.task, out: *out, made: made, over: over, was: it.obj.LastModified, lost: it.past.copyLost,
		ripe: time.Now().Add(min(max(belowTimes*it.took, belowAfter), belowMost))}
}

// readVersion is the version that is, or is to be, copied. MinIO names the null version in listings
// alone.
func (it *item) readVersion() string {
	id := cmp.Or(it.version, it.task.Object.VersionID)
	if id == "" && it.attrs != nil {
		return object.NullVersion
	}
	return id
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
	if object.ClassOf(err) == object.ClassDenied {
		if len(run) > 1 {
			return b.page(ctx, run[:1]) // which lie below different prefixes that may be listed, perhaps
		}
		b.refused(err)
		err = nil
	}
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

// list gives no rows and no error while a refusal to list is believed.
func (b *below) list(ctx context.Context, q object.ListRequest) (page object.ListReply, err error) {
	if b.blind() {
		return page, nil
	}
	err = b.r.loop.Do(ctx, object.Call{Kind: object.ReqList, Key: q.Prefix}, func(ctx context.Context) (err error) {
		page, err = b.versions.ListVersionsPage(ctx, q)
		return err
	})
	return page, err
}

// refused notes that the versions of one object may not be listed.
func (b *below) refused(err error) {
	if b.unseen.Swap(time.Now().Add(belowAgain).UnixNano()) == 0 {
		b.r.cfg.Log.Warn("versions cannot be listed (s3:ListBucketVersions), so that nobody sees whether a write of another client lies below what this run wrote", "error", err)
	}
}

// rows are the first page of one object's versions.
func (b *below) rows(ctx context.Context, o *object.Object) ([]object.Object, error) {
	page, err := b.list(ctx, object.ListRequest{Bucket: o.Bucket, Prefix: o.Key, MaxKeys: proveBatch})
	if object.ClassOf(err) == object.ClassDenied {
		b.refused(err)
		return nil, nil
	}
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

// wait returns sooner where the context ends.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(max(d, 0))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
