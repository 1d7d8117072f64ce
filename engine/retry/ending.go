package retry

import "context"

// endingKey marks a context; see Ending.
type endingKey struct{}

// Ending marks the requests that are sent with the context as the end of something
// that was begun: the proof of a copy, the question after a lost answer, the abort of
// an upload. They pass before what begins, and are sent also while the run is
// stopping, when what begins is let go.
func Ending(ctx context.Context) context.Context {
	if ends(ctx) {
		return ctx
	}
	return context.WithValue(ctx, endingKey{}, true)
}

func ends(ctx context.Context) bool { return ctx.Value(endingKey{}) != nil }
