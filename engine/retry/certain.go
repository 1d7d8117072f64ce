package retry

import (
	"context"
	"time"

	"github.com/resealhq/reseal/engine/object"
)

// Asker finds out what became of a mutation whose answer was lost.
type Asker interface {
	// Ask is given the error of the attempt that got no answer. It says whether the
	// mutation was applied; its error ends the matter. Neither means that it was not
	// applied, or not yet, and may be sent again.
	Ask(ctx context.Context, call object.Call, lost error) (applied bool, err error)
}

// AskFunc is a function as an Asker.
type AskFunc func(ctx context.Context, lost error) (applied bool, err error)

// Ask calls f.
func (f AskFunc) Ask(ctx context.Context, _ object.Call, lost error) (bool, error) {
	return f(ctx, lost)
}

// Certain sends a mutation that must not be applied twice: send; if the answer is
// lost, ask; pause; send again. No error means that it was answered with success, or
// that Ask found it applied. lost says whether any answer was lost on the way, so
// that a request of ours may still take effect after Certain has returned an error.
// When the context ends, nobody is asked.
func (l *Loop) Certain(ctx context.Context, call object.Call, f func(context.Context) error, a Asker) (lost bool, err error) {
	began := time.Now()
	for n := 1; ; n++ {
		err = l.Do(ctx, call, f)
		if !object.MaybeApplied(err) {
			return lost, err
		}
		lost = true
		if ctx.Err() != nil {
			return lost, err
		}
		applied, aerr := a.Ask(Ending(ctx), call, err)
		if applied || aerr != nil {
			return lost, aerr
		}
		if l.enough(n, err, time.Since(began)) {
			return lost, err
		}
		if perr := l.Pause(ctx, n, err); perr != nil {
			return lost, perr
		}
	}
}
