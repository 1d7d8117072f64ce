package engine

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/retry"
	"github.com/resealhq/reseal/engine/store"
)

// A claim is a copy that the store answered with success and whose proof is
// still to come.
type claim struct {
	it    *item
	op    string
	reply object.CopyReply
}

// How the prover groups claims. A re-listing of 1,000 objects costs MinIO about
// what 270 HEADs do, so a page that proves fewer than a quarter of its rows is
// dearer than asking one by one. Neighbours in the listing are neighbours in the
// plan; a claim that lies further than proveGap tasks from the next one by key
// begins a run of its own.
const (
	proveBatch   = 1000
	proveDelay   = time.Second
	proveDensity = 4
	proveGap     = 64
	proveRun     = 8 // shorter runs are asked about one by one
)

// What a page costs depends on more than its rows: MinIO reads a folder whole to
// find where to begin, 0.65 ms of CPU for every thousand objects in it. So pages
// are timed, and compared with as many HEADs as they spare; what shares the store's
// CPUs with everything else takes longer in the same measure. A HEAD costs MinIO
// 0.48 ms of CPU and a COPY 1.32. Claims that are too few to pay for a page wait
// for more, but not longer than proveWait.
const (
	proveWait     = 10 * time.Second
	headsInACopy  = 3
	timedUpTo     = 1 << 20 // bytes of a copy that is timed: what larger ones take is not the request's
	pageTimeFades = 32      // by so much at every page that was not asked for, so that one is tried again
)

// prover proves claims by re-listing the key ranges that they lie in. An object
// has its outcome only after that, so a crash leaves it in doubt, not done.
type prover struct {
	r      *run
	bulk   store.BulkLister // nil where no listing proves anything
	claims chan *claim
	wg     sync.WaitGroup
	// pageTime is how long a page takes, copyTime how long a small copy does, with
	// the last ones counting most.
	pageTime, copyTime atomic.Int64
}

// timing lets the prover see how long copies take.
type timing struct {
	Observer
	p *prover
}

// Requested is the Observer's.
func (t timing) Requested(call *object.Call, res object.Result) {
	if call.Kind == object.ReqCopy && res.OK && call.Bytes <= timedUpTo {
		average(&t.p.copyTime, res.Latency, 16)
	}
	t.Observer.Requested(call, res)
}

// start starts nothing unless there is a listing to prove by.
func (p *prover) start(ctx context.Context) {
	if p.bulk != nil {
		p.claims = make(chan *claim, 4*proveBatch)
		p.wg.Go(func() { defer p.r.tellPanic(); p.loop(retry.Ending(ctx)) })
	}
}

// take blocks only when the store is far behind with its listings.
func (p *prover) take(c *claim) { p.claims <- c }

// close waits until every claim has its outcome. Only after the last take.
func (p *prover) close() {
	if p.claims != nil {
		close(p.claims)
		p.wg.Wait()
	}
}

// loop gathers claims into batches and proves two batches at a time.
func (p *prover) loop(ctx context.Context) {
	slots := make(chan struct{}, 2)
	batch := make([]*claim, 0, proveBatch)
	var since time.Time // of the first claim in the batch
	tick := time.NewTicker(proveDelay)
	defer tick.Stop()
	flush := func() {
		if len(batch) == 0 {
			return
		}
		full := batch
		batch = make([]*claim, 0, proveBatch)
		slots <- struct{}{}
		p.wg.Go(func() {
			defer func() { <-slots }()
			defer p.r.tellPanic()
			p.proveAll(ctx, full)
		})
	}
	for {
		select {
		case c, ok := <-p.claims:
			if !ok {
				flush()
				return
			}
			if len(batch) == 0 {
				since = time.Now()
			}
			if batch = append(batch, c); len(batch) >= proveBatch {
				flush()
			}
		case now := <-tick.C:
			if p.pays(len(batch)) || now.Sub(since) >= proveWait {
				flush()
			}
		}
	}
}

// pays says whether a page takes no longer than the HEADs for n claims.
func (p *prover) pays(n int) bool {
	page, copied := p.pageTime.Load(), p.copyTime.Load()
	return page == 0 || copied == 0 || page <= copied*int64(n)/headsInACopy
}

// average moves by a part of the way to a new value. A value that is lost to
// another goroutine's does not matter.
func average(a *atomic.Int64, d time.Duration, part int64) {
	old := a.Load()
	if old == 0 {
		old = int64(d)
	}
	a.Store(old + (int64(d)-old)/part)
}

// proveAll cuts the batch into runs of neighbours and proves each by its pages.
func (p *prover) proveAll(ctx context.Context, batch []*claim) {
	slices.SortFunc(batch, func(a, b *claim) int { return cmp.Compare(a.it.obj.Key, b.it.obj.Key) })
	var alone []*claim
	for len(batch) > 0 {
		n := 1
		for n < len(batch) && near(&batch[n].it.task, &batch[n-1].it.task) {
			n++
		}
		switch {
		case n < proveRun:
			alone = append(alone, batch[:n]...)
		case !p.pays(n):
			alone = append(alone, batch[:n]...)
			average(&p.pageTime, 0, pageTimeFades)
		default:
			alone = append(alone, p.proveRun(ctx, batch[:n])...)
		}
		batch = batch[n:]
	}
	p.askEach(ctx, alone)
}

// near says whether few others can lie between two tasks.
func near(a, b *object.Task) bool { return max(a.Seq, b.Seq)-min(a.Seq, b.Seq) <= proveGap }

// proveRun lists the range of neighbours page by page, records what the pages show,
// and returns the claims that are better asked about one by one.
func (p *prover) proveRun(ctx context.Context, run []*claim) (alone []*claim) {
	for len(run) > 0 {
		objs, more, err := p.page(ctx, run)
		if err != nil {
			return append(alone, run...)
		}
		proved, unproved, rest := p.match(run, objs)
		alone, run = append(alone, unproved...), rest
		if !more || proved*proveDensity < len(objs) {
			return append(alone, run...)
		}
	}
	return alone
}

// page lists from just before the first claim's key, as many rows as the run is
// likely to have, and below the prefix that all of them share: every row costs the
// store, and so does every folder.
func (p *prover) page(ctx context.Context, run []*claim) (objs []object.Object, more bool, err error) {
	first, last := run[0], run[len(run)-1]
	key, after := first.it.obj.Key, before(first.it.obj.Key)
	prefix := after[:object.CommonPrefix(after, last.it.obj.Key)]
	rows := max(first.it.task.Seq, last.it.task.Seq) - min(first.it.task.Seq, last.it.task.Seq) + proveRun
	rows = min(max(rows, uint64(len(run))), proveBatch)
	err = p.r.loop.Do(ctx, object.Call{Kind: object.ReqList, Key: key}, func(ctx context.Context) (err error) {
		began := time.Now()
		objs, more, err = p.bulk.ListInspected(ctx, first.it.obj.Bucket, prefix, after, int(rows))
		average(&p.pageTime, time.Since(began), 4)
		return err
	})
	return objs, more, err
}

// before is a key that sorts before key with as little as possible in between.
func before(key string) string {
	last, size := utf8.DecodeLastRuneInString(key)
	stem := key[:len(key)-size]
	if last <= ' '+1 || !utf8.ValidRune(last-1) || last == utf8.RuneError {
		return stem
	}
	return stem + string(last-1) + "~~"
}

// match records the claims that the page shows as expected. It returns those that
// it shows otherwise, since the page may be older than the claim, and those that
// lie behind it.
func (p *prover) match(run []*claim, objs []object.Object) (proved int, unproved, rest []*claim) {
	for len(run) > 0 {
		c := run[0]
		for len(objs) > 0 && objs[0].Key < c.it.obj.Key {
			objs = objs[1:]
		}
		if len(objs) == 0 {
			break
		}
		run = run[1:]
		if o := &objs[0]; c.shownBy(o) {
			proved++
			p.r.finish(c.it, c.it.told(c.it.done(o.ETag, o.Encryption)))
		} else {
			unproved = append(unproved, c)
		}
	}
	return proved, unproved, run
}

// shownBy says whether a listing's row is the very object that the copy wrote,
// and as wanted.
func (c *claim) shownBy(o *object.Object) bool {
	return o.Key == c.it.obj.Key && o.ETag == c.reply.ETag && o.Size == c.it.obj.Size && c.it.run.rules.Target.Satisfied(o)
}

// askEach proves claims by HEAD, several at a time.
func (p *prover) askEach(ctx context.Context, claims []*claim) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, 16)
	for _, c := range claims {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			p.ask(ctx, c)
		})
	}
	wg.Wait()
}

// ask proves one claim by a HEAD. Items that are decided on anew prove
// themselves, so that the prover never waits for itself.
func (p *prover) ask(ctx context.Context, c *claim) {
	it := c.it
	out, err := it.proveByHead(ctx, c.op, c.reply)
	if object.ClassOf(err) == object.ClassChanged {
		it = new(item)
		out, err = p.r.do(ctx, it, &c.it.task, true) // somebody wrote it after the copy
		out = c.it.acknowledged(out)
		if out != nil {
			out.NeverSent = false // the copy was, that was to be proved
		}
		if out == &c.it.out {
			it = c.it
		}
	} else if err != nil {
		out, err = c.it.orOutcome(ctx, err)
	}
	if err != nil {
		p.r.abandon(&c.it.task, true, err)
		return
	}
	p.r.finish(it, c.it.told(out))
}
