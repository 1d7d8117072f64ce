// Package carry says what a copy has to take along. It promises: of everything that
// was seen of an object, each thing is sent with the copy, kept by the store itself,
// or named as what has to be written again; nothing is dropped in silence.
//
// It is pure. It asks nobody, and its answers depend on its arguments alone, so that
// tables can test it. (The operation "rewrite" of the command line reads an object
// through this client; this package serves every operation, hence another name.)
package carry
