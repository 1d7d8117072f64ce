package retry

import "context"

// mannerKey marks a context; see Ending and inTurn.
type mannerKey struct{}

type manner uint8

const (
	begins manner = iota
	endsWhatBegan
	inAnothersTurn
)

// Ending marks the requests that are sent with the context as the end of something
// that was begun: the proof of a copy, the question after a lost answer, the abort of
// an upload. They pass before what begins, and are sent also while the run is
// stopping, when what begins is let go.
func Ending(ctx context.Context) context.Context {
	if mannerOf(ctx) >= endsWhatBegan {
		return ctx
	}
	return context.WithValue(ctx, mannerKey{}, endsWhatBegan)
}

// inTurn is Ending for the requests that are sent in the turn of another one, before that.
func inTurn(ctx context.Context) context.Context {
	return context.WithValue(ctx, mannerKey{}, inAnothersTurn)
}

func mannerOf(ctx context.Context) manner {
	m, _ := ctx.Value(mannerKey{}).(manner)
	return m
}
