package object

import "context"

// LateKey is under what a request's context has whoever knows whether its object was looked at
// too long ago, by a method Late() bool; nothing where that is of no concern.
type LateKey struct{}

// TooLate is an error where a request, which was to be sent at once, is not to be sent any more.
// It is asked for when whatever had to be waited for is there, as credentials that somebody has to
// type in.
func TooLate(ctx context.Context, op string, ref Ref) error {
	if l, ok := ctx.Value(LateKey{}).(interface{ Late() bool }); ok && l.Late() {
		return &Error{Class: ClassTransient, Op: op, Ref: ref, NotSent: true, Message: "not sent yet: it had to wait, and the object is looked at again first"}
	}
	return nil
}
