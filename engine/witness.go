package engine

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/resealhq/reseal/engine/object"
	"github.com/resealhq/reseal/engine/store"
)

// A bucket can be answered for while none of its objects is: its data are away, or the KMS that
// they are read with hangs. So an object that was seen to be well is asked about, too. It is one
// that was done before: ten objects that are damaged, and all that is left, are no such store.

// witness is that object, with which it is asked about.
type witness struct {
	hot store.Hot
	get object.GetRequest
	// read: its data were seen to be there, and not what a HEAD shows alone.
	read bool
	at   time.Time
}

// newWitness is how soon the next object takes its place.
const newWitness = time.Second

// mostOfWitness bounds what is read of it. Of a larger one it is enough that it is begun.
const mostOfWitness = 256 << 10

// witnesses are those of the two ends of a run; nil before the first.
type witnesses [2]witnessOf

// The ends that have one. In place the one that is written to is both.
const (
	atDest = iota
	atSource
)

type witnessOf struct{ now atomic.Pointer[witness] }

// saw takes an object for the witness. One whose data were seen stays before one that was only
// looked at.
func (w *witnessOf) saw(hot store.Hot, ref object.Ref, key object.CustomerKey, read bool) {
	is := w.now.Load()
	if is != nil && (is.read && !read || is.read == read && time.Since(is.at) < newWitness) {
		return
	}
	w.now.Store(&witness{hot: hot, get: object.GetRequest{Ref: ref, Key: key, Max: mostOfWitness}, read: read, at: time.Now()})
}

// answers fails where the stores answer nobody, or nothing about an object that was well. What
// they refuse is an answer: it may have been deleted, or never been allowed to be read.
func (r *run) answers(ctx context.Context) error {
	if err := r.cfg.Answers(ctx); err != nil {
		return err
	}
	for end := range r.witnesses {
		if err := r.witnesses[end].asked(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (of *witnessOf) asked(ctx context.Context) (err error) {
	w := of.now.Load()
	switch {
	case w == nil:
		return nil
	case w.read:
		_, err = w.hot.Get(ctx, &w.get)
	default:
		_, err = w.hot.Head(ctx, w.get.Ref, w.get.Key)
	}
	if c := object.ClassOf(err); err != nil && (c.Retryable() || c == object.ClassCanceled) {
		return err
	}
	return nil
}

// wellDone takes the object that was just written, or updated in place, for a witness, and the
// one that it was copied from.
func (it *item) wellDone() {
	cfg := it.run.cfg
	if cfg.Answers == nil {
		return
	}
	if !cfg.ToFiles {
		it.run.witnesses[atDest].saw(cfg.Store.Hot, it.dest(), cfg.Target.CustomerKey, it.out.Operation != object.OpUpdate)
	}
	if !cfg.Dest.InPlace() && !cfg.FromFiles && it.obj.Encryption.Type != object.SSEC {
		it.run.witnesses[atSource].saw(cfg.Source.Hot, it.task.Object.Ref, object.CustomerKey{}, true)
	}
}
