package retry

import (
	"context"

	"github.com/resealhq/reseal/engine/object"
)

// Asker knows the object of a mutation that must not be applied twice.
type Asker interface {
	// Ask finds out what became of it. It is given the error of the attempt that got no
	// answer; nil where none did, so that nothing but whether the object still is what the
	// mutation was made of is to be found out. It says whether the mutation was applied; its
	// error ends the matter. Neither means that it was not applied, or not yet, and may be
	// sent again.
	Ask(ctx context.Context, call object.Call, lost error) (applied bool, err error)
	// Late says whether the object was looked at too long ago, so that Ask comes before
	// anything is sent.
	Late() bool
}

// AskFunc is a function as an Asker of what can never be late.
type AskFunc func(ctx context.Context, lost error) (applied bool, err error)

// Ask calls f.
func (f AskFunc) Ask(ctx context.Context, _ object.Call, lost error) (bool, error) {
	return f(ctx, lost)
}

// Late is false.
func (f AskFunc) Late() bool { return false }

// Certain sends a mutation that must not be applied twice: send; if the answer is
// lost, ask; pause; send again. No error means that it was answered with success, or
// that Ask found it applied. lost says whether any answer was lost on the way, so
// that a request of ours may still take effect after Certain has returned an error.
// A refusal that follows may be due to what that has done, so that Ask comes once more
// before it is believed. When the context ends, nobody is asked.
func (l *Loop) Certain(ctx context.Context, call object.Call, f func(context.Context) error, a Asker) (lost bool, err error) {
	met, b := troubles{}, before{Asker: a}
	for n, pauses := 0, 0; ; {
		settled, err := l.repeat(ctx, &call, &met, &b, f)
		unanswered := !settled && object.MaybeApplied(err)
		if unanswered {
			if met.counts(object.ClassOf(err)) {
				n++
			}
			lost, b.lost = true, err
		}
		if settled || err == nil || !lost || ctx.Err() != nil {
			return lost, err
		}
		applied, aerr := a.Ask(Ending(ctx), call, b.lost)
		switch {
		case applied || aerr != nil:
			return lost, aerr
		case !unanswered:
			return lost, err
		case l.enough(&call, n, err, &met):
			return lost, l.orStopped(err, &met)
		}
		pauses++
		if perr := l.Pause(ctx, pauses, err); perr != nil {
			return lost, perr
		}
	}
}
