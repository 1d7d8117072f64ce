package object

import "context"

// LateKey is under what a request's context has whoever knows whether its object was looked at
// too long ago, or whether another process may have its job by now, by a method Late() bool;
// nothing where that is of no concern.
type LateKey struct{}

// UnlessLate is ctx for a request that is not sent once late answers true.
func UnlessLate(ctx context.Context, late func() bool) context.Context {
	return context.WithValue(ctx, LateKey{}, lateFunc(late))
}

type lateFunc func() bool

func (f lateFunc) Late() bool { return f() }

// TooLate is an error where a request, which was to be sent at once, is not to be sent any more.
// It is asked for at the last moment, when whatever had to be waited for is there: credentials that
// somebody has to type in, a connection, a machine that slept.
func TooLate(ctx context.Context, op string, ref Ref) error {
	if l, ok := ctx.Value(LateKey{}).(interface{ Late() bool }); ok && l.Late() {
		return &Error{Class: ClassTransient, Op: op, Ref: ref, NotSent: true, Message: "not sent yet: it had to wait, and what it stands on is looked at again first"}
	}
	return nil
}
