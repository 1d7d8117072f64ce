package object

import "time"

// FailedReply is one reply that is not a success, raw, with what the request was. It is valid
// only while it is classified: whoever sends requests may use its memory again.
type FailedReply struct {
	// Op is S3's name of the operation.
	Op  string
	Ref Ref
	// KMSKey is the key that the request asked the store to use, if any.
	KMSKey string
	// CustomerKey is the one that a HEAD or GET sent, if any.
	CustomerKey CustomerKey
	// Status is the HTTP status; 200 for an error within a success.
	Status int
	// Header gives the value of a response header by its name, empty where absent.
	Header func(name string) string
	Body   []byte
	// Signed is the time that the request was signed with, zero where that is not known.
	Signed time.Time
}
