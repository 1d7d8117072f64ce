package engine

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/resealhq/reseal/engine/object"
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
// dearer than asking one by one.
const (
	proveBatch   = 1000
	proveDelay   = 250 * time.Millisecond
	proveDensity = 4
)

// prover proves claims by re-listing the key ranges that they lie in. An object
// has its outcome only after that, so a crash leaves it in doubt, not done.
type prover struct {
	*run
	claims chan *claim
	wg     sync.WaitGroup
}

// newProver starts nothing unless there is a listing to prove by.
func newProver(ctx context.Context, r *run) *prover {
	p := &prover{run: r}
	if r.Bulk != nil {
		p.claims = make(chan *claim, 4*proveBatch)
		p.wg.Go(func() { p.loop(ctx) })
	}
	return p
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
			if batch = append(batch, c); len(batch) >= proveBatch {
				flush()
			}
		case <-tick.C:
			flush()
		}
	}
}

// proveAll lists the range of the batch page by page and settles what it shows.
func (p *prover) proveAll(ctx context.Context, batch []*claim) {
	slices.SortFunc(batch, func(a, b *claim) int { return cmp.Compare(a.it.obj.Key, b.it.obj.Key) })
	for len(batch) > 0 {
		objs, more, err := p.page(ctx, batch[0])
		if err != nil {
			p.askEach(ctx, batch)
			return
		}
		proved, rest := p.match(ctx, batch, objs)
		if !more || proved*proveDensity < len(objs) {
			p.askEach(ctx, rest)
			return
		}
		batch = rest
	}
}

// page lists from just before the first claim's key.
func (p *prover) page(ctx context.Context, first *claim) (objs []object.Object, more bool, err error) {
	key := first.it.obj.Key
	err = p.send(ctx, object.Call{Kind: object.ReqList, Key: key}, func(ctx context.Context) (err error) {
		objs, more, err = p.Bulk.ListInspected(ctx, first.it.obj.Bucket, "", before(key), proveBatch)
		return err
	})
	return objs, more, err
}

// before is a key that sorts before key with as little as possible in between.
func before(key string) string {
	last, size := utf8.DecodeLastRuneInString(key)
	head := key[:len(key)-size]
	if last <= ' '+1 || !utf8.ValidRune(last-1) || last == utf8.RuneError {
		return head
	}
	return head + string(last-1) + "~~"
}

// match settles the claims that the page covers and returns those that lie
// behind it. What the page does not show as expected is asked about one by one:
// the page may be older than the claim.
func (p *prover) match(ctx context.Context, batch []*claim, objs []object.Object) (proved int, rest []*claim) {
	for len(batch) > 0 {
		c := batch[0]
		for len(objs) > 0 && objs[0].Key < c.it.obj.Key {
			objs = objs[1:]
		}
		if len(objs) == 0 {
			break
		}
		batch = batch[1:]
		if o := &objs[0]; c.shownBy(o) {
			proved++
			p.settle(c.it.done(o.ETag, o.Encryption))
		} else {
			p.askEach(ctx, []*claim{c})
		}
	}
	return proved, batch
}

// shownBy says whether a listing's row is the very object that the copy wrote,
// and as wanted.
func (c *claim) shownBy(o *object.Object) bool {
	return o.Key == c.it.obj.Key && o.ETag == c.reply.ETag && o.Size == c.it.obj.Size && c.it.Target.Satisfied(o)
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
	out, err := c.it.proveByHead(ctx, c.op, c.reply)
	if object.ClassOf(err) == object.ClassChanged {
		out, err = p.do(ctx, c.it.task, anew) // somebody wrote it after the copy
	} else if err != nil {
		out, err = c.it.orOutcome(ctx, err)
	}
	if err != nil {
		p.abandon(c.it.task, err)
		return
	}
	p.settle(out)
}
