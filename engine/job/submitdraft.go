package job

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// draft writes manifests of all that can be submitted.
func (s *submitter) draft(ctx context.Context) (drafts []*draft, order *SubmitOrder, err error) {
	order = &SubmitOrder{ForRun: map[string]uint64{}}
	b := &drafter{submitter: s, order: order, open: map[batchGroup]*draft{}, named: map[[16]byte]bool{}, said: time.Now()}
	var chunk []picked
	err = s.points.Rows(func(t *object.Task, o *object.Outcome) error {
		if o != nil {
			return nil
		}
		if chunk = append(chunk, picked{task: *t}); len(chunk) < 1000 {
			return nil
		}
		err := b.chunk(ctx, chunk)
		chunk = chunk[:0]
		return err
	})
	if err == nil {
		err = b.chunk(ctx, chunk)
	}
	for _, d := range b.all {
		if ferr := d.finish(); err == nil {
			err = ferr
		}
		order.add(d.group.update, d.group.class, d.objects, d.bytes)
	}
	order.Looked = s.looked.Load()
	return b.all, order, err
}

// drafter puts drafts together.
type drafter struct {
	*submitter
	order *SubmitOrder
	all   []*draft
	open  map[batchGroup]*draft
	// named are the objects of a manifest source, which may name one twice.
	named map[[16]byte]bool
	rows  uint64
	said  time.Time
}

// saidEvery is how often what takes long is told of.
const saidEvery = 30 * time.Second

func (b *drafter) chunk(ctx context.Context, tasks []picked) error {
	if err := b.pick(ctx, tasks); err != nil {
		return err
	}
	if b.rows += uint64(len(tasks)); time.Since(b.said) > saidEvery {
		b.said = time.Now()
		b.log.Info("deciding what can be submitted", "rows", b.rows, "looked at", b.looked.Load())
	}
	for i := range tasks {
		p := &tasks[i]
		if p.why == "" && b.job.Spec.Source.Manifest != "" && b.again(&p.task.Object, p.group) {
			p.why = ForRunDuplicate
		}
		if p.why != "" {
			b.order.ForRun[string(p.why)]++
			continue
		}
		d := b.open[p.group]
		if d == nil || d.objects >= b.opt.ObjectsPerJob || d.size >= maxManifest {
			var err error
			if d, err = b.job.newDraft(len(b.record.all)+len(b.all)+1, p.group); err != nil {
				return err
			}
			b.open[p.group] = d
			b.all = append(b.all, d)
		}
		d.add(&p.task)
	}
	return ctx.Err()
}

// again says whether a manifest has named the object before.
func (b *drafter) again(o *object.Object, g batchGroup) bool {
	version := ""
	if g.versions {
		version = o.VersionID
	}
	id := [16]byte(sha256Of(o.Key, version))
	if b.named[id] {
		return true
	}
	b.named[id] = true
	return false
}

func sha256Of(words ...string) []byte {
	h := sha256.New()
	for _, w := range words {
		fmt.Fprintf(h, "%d %s", len(w), w)
	}
	return h.Sum(nil)
}
