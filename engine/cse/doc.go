// Package cse knows what the Amazon S3 Encryption Client leaves behind: the
// envelopes of its versions 1, 2 and 3, in user metadata and in instruction
// files, the ways in which they wrap a data key, and the content under it.
//
// It promises four things. A new wrap changes the wrapped key and what names the
// wrap, and not one byte beside: what it writes, it has parsed again and found
// to be the same envelope. Text that was decrypted is worth nothing before its
// tag has verified: what ends an upload (the tag of the new object, the last
// piece of a stream) is given against the proof only. One data key serves one
// upload attempt, and no byte of its key stream is used twice. And no key, no
// derived key and no partial sum of one is ever printed, whatever the verb is.
//
// The package is pure: it opens no connection and keeps no state. KMS is an
// interface that the caller implements.
package cse
