package listing

import "errors"

// Why a listing cannot be trusted. Each stops the run: a listing that may be
// incomplete never passes for a complete one.
var (
	// ErrOrder: keys do not come in the order of their UTF-8 bytes, so that pages
	// and ranges lose some.
	ErrOrder = errors.New("the store does not list keys in byte order; give the keys as a list with --manifest")
	// ErrStalled: the store says that there is more and does not give it.
	ErrStalled = errors.New("the listing does not move on although the store says that there is more; run again, or give the keys as a list with --manifest")
	// ErrMangled: a key came back in a form in which the object cannot be reached.
	ErrMangled = errors.New("the store did not encode the listing, and a key in it cannot be carried without; rename the object, or give the keys as a list with --manifest")
	// ErrForeign: a row that was not asked for.
	ErrForeign = errors.New("the store listed a key outside the prefix that was asked for; give the keys as a list with --manifest")
	// ErrCursor: the durable cursors are not those of a listing.
	ErrCursor = errors.New("the positions of the listing in the job are damaged; begin a new job")
)

// errDistrust: the store was seen to lose keys where a listing begins at a key.
// The listing starts again from the beginning, page after page.
var errDistrust = errors.New("the store does not list reliably from the middle")
